//! Errors of handlers.

use std::error::Error as StdError;
use std::fmt;

use super::Boxed;

/// An error that a handler returned: any error, boxed error or text, so that `?` works on them.
///
/// It says what it holds ([`get_ref`](Self::get_ref), [`downcast_ref`](Self::downcast_ref)) but is
/// itself no `std::error::Error`, or the conversion from all of them could not exist.
///
/// ```
/// use sala::{HandlerError, Socket};
///
/// async fn add(_socket: Socket, (a, b): (String, String)) -> Result<i64, HandlerError> {
///     let (a, b): (i64, i64) = (a.parse()?, b.parse()?);
///     a.checked_add(b).ok_or("the sum is too large".into())
/// }
/// ```
pub struct HandlerError(Boxed);

/// What a handler returns that uses `?` on all kinds of errors.
///
/// ```
/// use sala::{HandlerResult, Server, Socket};
///
/// let io = Server::new();
/// io.on("parse", async |_socket: Socket, text: String| -> HandlerResult<i64> {
///     Ok(text.parse()?)
/// });
/// ```
pub type HandlerResult<T = ()> = Result<T, HandlerError>;

impl HandlerError {
    /// The error.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }

    /// The error, if it is an `E`.
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// What caused the error.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }

    /// The error.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn StdError + Send + Sync> {
        self.0
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
