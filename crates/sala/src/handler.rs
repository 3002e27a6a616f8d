//! Functions that handle events.
//!
//! (The page that teaches this is written below, once the interface has settled.)

mod ack;
mod admit;
mod connect;
mod disconnect;
pub(crate) mod erased;
mod reply;
mod shape;

pub use self::ack::Ack;
pub(crate) use self::ack::AckSlot;
pub use self::admit::{AdmitHandler, IntoVerdict};
pub use self::connect::ConnectHandler;
pub use self::disconnect::DisconnectHandler;
pub(crate) use self::admit::{ErasedAdmit, erase_admit};
pub(crate) use self::disconnect::{ErasedDisconnect, erase_disconnect};
pub(crate) use self::erased::{Erased, ErasedHandler, EventKey, Failure, HandlerFuture};
pub(crate) use self::reply::Finished;
pub use self::reply::{IntoOutcome, IntoReply, Reply};
pub(crate) use self::shape::{Callable, Kind, WithAck, WithArgs};

use std::sync::Arc;

use serde::de::DeserializeOwned;

use self::shape::OfEvents;

/// An async function that handles an event.
///
/// There are three shapes:
///
/// ```text
/// async fn(Socket)             -> reply
/// async fn(Socket, A)          -> reply
/// async fn(Socket, A, Ack<R>)  -> () or Result<(), E>
/// ```
///
/// `A` is any type that deserializes and borrows nothing. A tuple takes one argument for each item,
/// any other type takes the first argument, [`RawArgs`](crate::RawArgs) takes all of them unread.
/// What may be returned is told by [`IntoReply`].
///
/// `S` says which shape it is and is always inferred. The trait is implemented for functions, async closures and closures that return a future, if they
/// are `Clone + Send + Sync + 'static` and so is, but for `Clone` and `Sync`, the future. A closure
/// is cloned for each call, with all that it captured: capture an `Arc` of anything large. It
/// cannot be implemented for anything else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event handler",
    label = "not an event handler",
    note = "an event handler is an async function or async closure with one of these signatures:\n\
            \x20   async fn(Socket)            -> reply\n\
            \x20   async fn(Socket, A)         -> reply\n\
            \x20   async fn(Socket, A, Ack<R>) -> () or Result<(), E>",
    note = "`A` implements `serde::de::DeserializeOwned`: take several arguments as a tuple, `(a, b): (String, i32)`",
    note = "a closure must be `Clone` and must not change what it captures: use an `Arc` around a lock or an atomic"
)]
pub trait Handler<S>: Send + Sync + 'static {
    #[doc(hidden)]
    fn erase(self) -> Erased;
}

impl<F, S> Handler<S> for F
where
    F: Callable<S> + Clone + Send + Sync + 'static,
    F::Args: DeserializeOwned,
    F::Future: Send + 'static,
    S: 'static,
    OfEvents: Kind<S, F::Output>,
{
    fn erase(self) -> Erased {
        erased::erase::<F, S, OfEvents>(self)
    }
}

/// A handler without its types.
pub(crate) fn erase<S>(handler: impl Handler<S>) -> Arc<dyn ErasedHandler> {
    handler.erase().0
}

/// A connect handler without its types. It reads its argument from the client's `auth`.
pub(crate) fn erase_connect<S>(handler: impl ConnectHandler<S>) -> Arc<dyn ErasedHandler> {
    handler.erase().0
}
