//! Handlers of sockets that leave.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use super::erased::{EventKey, Failure, HandlerFuture, guarded, run};
use super::reply::IntoOutcome;
use crate::reason::DisconnectReason;
use crate::socket::Socket;

/// An async function that is called when a socket leaves its namespace: the reference's
/// `disconnecting` and `disconnect` events.
///
/// ```text
/// async fn(Socket, DisconnectReason)                  -> () or Result<(), E>
/// async fn(Socket, DisconnectReason, Option<String>)  -> () or Result<(), E>
/// ```
///
/// The text, if there is one, says more about a `transport error`. An `Err` reaches
/// [`on_error`](crate::ServerBuilder::on_error).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a disconnect handler",
    label = "not a disconnect handler",
    note = "a disconnect handler is an async function or async closure with one of these signatures:\n\
            \x20   async fn(Socket, DisconnectReason)                 -> () or Result<(), E>\n\
            \x20   async fn(Socket, DisconnectReason, Option<String>) -> () or Result<(), E>",
    note = "a closure must be `Clone` and must not change what it captures: use an `Arc` around a lock or an atomic"
)]
pub trait DisconnectHandler<S>: Send + Sync + 'static {
    #[doc(hidden)]
    fn erase(self) -> ErasedDisconnectBox;
}

/// A handler in a box that only this crate can open.
pub struct ErasedDisconnectBox(Arc<dyn ErasedDisconnect>);

/// A disconnect handler without its types.
pub(crate) trait ErasedDisconnect: Send + Sync {
    /// Starts the handler, whose first poll is up to the caller.
    ///
    /// # Errors
    ///
    /// If the function panicked; the caller reports it.
    fn call(
        &self,
        socket: Socket,
        event: &EventKey,
        reason: DisconnectReason,
        description: Option<&str>,
    ) -> Result<HandlerFuture, Failure>;
}

/// A disconnect handler without its types.
pub(crate) fn erase_disconnect<S>(handler: impl DisconnectHandler<S>) -> Arc<dyn ErasedDisconnect> {
    handler.erase().0
}

/// Marks handlers that take the reason.
pub struct WithReason;

/// Marks handlers that take the reason and what there is to say about it.
pub struct WithDescription;

/// A function of one of the shapes, for one call.
pub trait LeaveCallable<S> {
    type Future: Future<Output: IntoOutcome>;

    fn start(self, socket: Socket, reason: DisconnectReason, text: Option<&str>) -> Self::Future;
}

impl<F, Fut> LeaveCallable<WithReason> for F
where
    F: AsyncFn(Socket, DisconnectReason) -> Fut::Output + FnOnce(Socket, DisconnectReason) -> Fut,
    Fut: Future<Output: IntoOutcome>,
{
    type Future = Fut;

    fn start(self, socket: Socket, reason: DisconnectReason, _: Option<&str>) -> Fut {
        self(socket, reason)
    }
}

impl<F, Fut> LeaveCallable<WithDescription> for F
where
    F: AsyncFn(Socket, DisconnectReason, Option<String>) -> Fut::Output
        + FnOnce(Socket, DisconnectReason, Option<String>) -> Fut,
    Fut: Future<Output: IntoOutcome>,
{
    type Future = Fut;

    fn start(self, socket: Socket, reason: DisconnectReason, text: Option<&str>) -> Fut {
        self(socket, reason, text.map(str::to_owned))
    }
}

impl<F, S> DisconnectHandler<S> for F
where
    F: LeaveCallable<S> + Clone + Send + Sync + 'static,
    F::Future: Send + 'static,
    S: 'static,
{
    fn erase(self) -> ErasedDisconnectBox {
        ErasedDisconnectBox(Arc::new(Function {
            function: self,
            shape: PhantomData,
        }))
    }
}

struct Function<F, S> {
    function: F,
    shape: PhantomData<fn() -> S>,
}

impl<F, S> ErasedDisconnect for Function<F, S>
where
    F: LeaveCallable<S> + Clone + Send + Sync,
    F::Future: Send + 'static,
{
    fn call(
        &self,
        socket: Socket,
        event: &EventKey,
        reason: DisconnectReason,
        description: Option<&str>,
    ) -> Result<HandlerFuture, Failure> {
        guarded(move || {
            let running = self
                .function
                .clone()
                .start(socket.clone(), reason, description);
            Ok(run(running, socket, event.clone(), IntoOutcome::outcome))
        })
    }
}
