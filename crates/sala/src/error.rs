//! What can go wrong, and who is told.
//!
//! - [`Error`]: a call of the application failed; the caller is told.
//! - [`HandlerError`]: a handler of the application failed; nobody called it, so
//!   [`on_error`](crate::ServerBuilder::on_error) is told, with an [`ErrorContext`].
//! - [`Refused`]: a client may not enter a namespace; the client is told.

mod context;
mod handler;
mod refused;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use sala_adapter::adapter::Missing;
use sala_adapter::{AdapterError, BackendError, BackendErrorKind, ServerId, SocketId};
use sala_proto::{ArgsError, EncodeError, RawArgs};

pub use self::context::{ErrorContext, ErrorKind};
pub use self::handler::{HandlerError, HandlerResult};
pub use self::refused::Refused;

type Boxed = Box<dyn StdError + Send + Sync>;

/// Why a call failed. Opaque: ask it what matters to you.
pub struct Error(Box<Repr>);

#[derive(Debug)]
enum Repr {
    Encode(Boxed),
    Decode(Boxed),
    Reserved(Box<str>),
    TooManyAcks,
    Timeout,
    Closed,
    Unsupported(Cow<'static, str>),
    Adapter(AdapterError),
    Backend(Arc<BackendError>),
}

impl Error {
    /// Data that cannot be encoded.
    pub(crate) fn encode(error: impl Into<Boxed>) -> Self {
        Repr::Encode(error.into()).into()
    }

    /// Data that is not of the type that was asked for.
    pub(crate) fn decode(error: impl Into<Boxed>) -> Self {
        Repr::Decode(error.into()).into()
    }

    /// An event may not have this name.
    pub(crate) fn reserved(event: &str) -> Self {
        Repr::Reserved(event.into()).into()
    }

    /// Too many answers of one client are waited for.
    pub(crate) fn too_many_acks() -> Self {
        Repr::TooManyAcks.into()
    }

    /// Nobody answered in time.
    pub(crate) fn timeout() -> Self {
        Repr::Timeout.into()
    }

    /// The socket or the server is gone.
    pub(crate) fn closed() -> Self {
        Repr::Closed.into()
    }

    /// The call makes no sense here; the text is that of the reference.
    pub(crate) fn unsupported(text: impl Into<Cow<'static, str>>) -> Self {
        Repr::Unsupported(text.into()).into()
    }

    /// Whether data could not be encoded: a type refused to serialize itself, a map key is no text,
    /// numbers are out of range. Nothing was sent.
    #[must_use]
    pub fn is_serialization(&self) -> bool {
        matches!(*self.0, Repr::Encode(_))
    }

    /// Whether what arrived (an answer of a client, `data` of a socket) is not of the type that was
    /// asked for.
    #[must_use]
    pub fn is_deserialization(&self) -> bool {
        matches!(*self.0, Repr::Decode(_))
    }

    /// Whether a bound was reached: the queue towards the cluster is full (the sockets of this
    /// server were served all the same), or too many answers of one client are waited for
    /// already (nothing was sent).
    #[must_use]
    pub fn is_backlogged(&self) -> bool {
        matches!(
            *self.0,
            Repr::TooManyAcks | Repr::Adapter(AdapterError::Backlogged)
        )
    }

    /// Whether somebody did not answer in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(
            *self.0,
            Repr::Timeout | Repr::Adapter(AdapterError::Timeout { .. })
        )
    }

    /// Whether the socket, the server or its link to the cluster is closed: there will never be an
    /// answer.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(*self.0, Repr::Closed | Repr::Adapter(AdapterError::Closed))
    }

    /// Whether the broker could not be reached, so that no other server was asked.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match &*self.0 {
            Repr::Adapter(AdapterError::Unreachable { .. }) => true,
            Repr::Backend(error) => error.kind() == BackendErrorKind::Unreachable,
            _ => false,
        }
    }

    /// The servers of the cluster that did not answer, or that could not be asked, as far as they are known
    /// by name. The text of the error says how many there are.
    #[must_use]
    pub fn missing_servers(&self) -> &[ServerId] {
        match &*self.0 {
            Repr::Adapter(
                AdapterError::Timeout { missing, .. } | AdapterError::Unreachable { missing, .. },
            ) => match missing {
                Missing::Servers(servers) => servers,
                Missing::Count { silent, .. } => silent,
            },
            _ => &[],
        }
    }

    /// Whether the name of the event is one of those that applications may not send, such as
    /// `connect` or `disconnect`.
    #[must_use]
    pub fn is_reserved_event(&self) -> bool {
        matches!(*self.0, Repr::Reserved(_))
    }

    /// Whether the call is not possible on this kind of namespace or with this adapter.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(*self.0, Repr::Unsupported(_))
    }
}

impl From<Repr> for Error {
    fn from(repr: Repr) -> Self {
        Self(Box::new(repr))
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::encode(error)
    }
}

impl From<ArgsError> for Error {
    fn from(error: ArgsError) -> Self {
        Self::decode(error)
    }
}

impl From<AdapterError> for Error {
    fn from(error: AdapterError) -> Self {
        Repr::Adapter(error).into()
    }
}

impl From<Arc<BackendError>> for Error {
    fn from(error: Arc<BackendError>) -> Self {
        Repr::Backend(error).into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Repr::Encode(error) => write!(f, "the data cannot be encoded: {error}"),
            Repr::Decode(error) => write!(f, "the data is not of the expected type: {error}"),
            Repr::Reserved(event) => write!(f, "\"{event}\" is a reserved event name"),
            Repr::TooManyAcks => {
                f.write_str("too many acknowledgements of this client are pending")
            }
            Repr::Timeout => f.write_str("operation has timed out"),
            Repr::Closed => f.write_str("the connection is closed"),
            Repr::Unsupported(text) => f.write_str(text),
            Repr::Adapter(error) => error.fmt(f),
            Repr::Backend(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Error").field(&self.0).finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            Repr::Encode(error) | Repr::Decode(error) => Some(&**error),
            Repr::Adapter(error) => Some(error),
            Repr::Backend(error) => Some(&**error),
            _ => None,
        }
    }
}

/// Not everybody who was asked has answered, be it clients or servers. Holds the answers that did arrive, as
/// the reference's `err.responses`, and says who is missing.
#[derive(Debug)]
pub struct AckError<R = RawArgs> {
    responses: Vec<R>,
    missing: Vec<SocketId>,
    error: Error,
}

impl<R> AckError<R> {
    pub(crate) fn new(responses: Vec<R>, missing: Vec<SocketId>, error: Error) -> Self {
        Self {
            responses,
            missing,
            error,
        }
    }

    /// Nobody was asked.
    pub(crate) fn nothing(error: Error) -> Self {
        Self::new(Vec::new(), Vec::new(), error)
    }

    /// The answers that did arrive, in the order of their arrival.
    #[must_use]
    pub fn responses(&self) -> &[R] {
        &self.responses
    }

    /// The answers that did arrive, in the order of their arrival.
    #[must_use]
    pub fn into_responses(self) -> Vec<R> {
        self.responses
    }

    /// The clients of this server that did not answer.
    #[must_use]
    pub fn missing(&self) -> &[SocketId] {
        &self.missing
    }

    /// The other servers that did not answer for themselves or for all of their clients:
    /// [`Error::missing_servers`].
    #[must_use]
    pub fn missing_servers(&self) -> &[ServerId] {
        self.error.missing_servers()
    }

    /// Why no more answers are waited for.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Whether the time was up.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.error.is_timeout()
    }

    /// Whether the other servers could not be asked.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.error.is_unreachable()
    }
}

impl<R> From<AckError<R>> for Error {
    fn from(error: AckError<R>) -> Self {
        error.error
    }
}

impl<R> fmt::Display for AckError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<R: fmt::Debug> StdError for AckError<R> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests;
