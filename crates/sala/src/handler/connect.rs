//! Handlers of new sockets.

use serde::de::DeserializeOwned;

use super::erased::{self, Erased};
use super::shape::{Callable, Kind, OfSockets};

/// An async function that is called when a client has connected to a namespace: the reference's
/// `connection` event.
///
/// ```text
/// async fn(Socket)     -> () or Result<(), E>
/// async fn(Socket, A)  -> () or Result<(), E>
/// ```
///
/// `A` is read from the `auth` of the client: any type that deserializes and borrows nothing. If
/// the client sent something else, the handler is not called and
/// [`on_error`](crate::ServerBuilder::on_error) is told; to refuse such a client, read it with
/// [`admit`](crate::Namespace::admit). An `Err` reaches `on_error`; the socket stays connected.
///
/// What the handler does before its first wait happens before the next packet of the client is
/// looked at: listeners that it adds there miss nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connect handler",
    label = "not a connect handler",
    note = "a connect handler is an async function or async closure with one of these signatures:\n\
            \x20   async fn(Socket)    -> () or Result<(), E>\n\
            \x20   async fn(Socket, A) -> () or Result<(), E>",
    note = "`A`, which implements `serde::de::DeserializeOwned`, is read from the client's `auth`",
    note = "a closure must be `Clone` and must not change what it captures: use an `Arc` around a lock or an atomic"
)]
pub trait ConnectHandler<S>: Send + Sync + 'static {
    #[doc(hidden)]
    fn erase(self) -> Erased;
}

impl<F, S> ConnectHandler<S> for F
where
    F: Callable<S> + Clone + Send + Sync + 'static,
    F::Args: DeserializeOwned,
    F::Future: Send + 'static,
    S: 'static,
    OfSockets: Kind<S, F::Output>,
{
    fn erase(self) -> Erased {
        erased::erase::<F, S, OfSockets>(self)
    }
}
