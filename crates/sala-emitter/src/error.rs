//! Why something was not sent.

use std::fmt;
use std::sync::Arc;

use sala_adapter::{BackendError, BackendErrorKind};
use sala_proto::EncodeError;

/// Why something was not sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EmitError {
    /// Clients or servers keep the name of the event for themselves.
    Reserved(Box<str>),
    /// An emitter hears no answers.
    Acknowledgement,
    /// The data cannot be encoded.
    Encode(Arc<EncodeError>),
    /// The broker did not take it; its text says what to do.
    Backend(Arc<BackendError>),
    /// The tokio runtime on which the emitter was made has ended.
    Closed,
}

impl EmitError {
    /// Whether the broker could not be reached, or the connection broke. Then the message may or may not have
    /// been sent.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Backend(error) => error.kind() == BackendErrorKind::Unreachable,
            _ => false,
        }
    }
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved(event) => write!(f, "\"{event}\" is a reserved event name"),
            Self::Acknowledgement => f.write_str("Acknowledgements are not supported"),
            Self::Encode(error) => error.fmt(f),
            Self::Backend(error) => error.fmt(f),
            Self::Closed => f.write_str("the runtime of the emitter has ended"),
        }
    }
}

impl std::error::Error for EmitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Encode(error) => std::error::Error::source(&**error),
            Self::Backend(error) => std::error::Error::source(&**error),
            _ => None,
        }
    }
}
