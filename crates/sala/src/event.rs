//! Typed events: name, data and answer in one type.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::HandlerError;
use crate::handler::{
    AckSlot, Callable, Erased, EventKey, Finished, IntoOutcome, Kind, WithAck, WithArgs, erased,
};

/// An event with its name, the type of its data and the type of its answer.
///
/// One type serves everybody who handles, sends or tests the event, and the compiler sees to it
/// that they agree. The type is the data: a struct is the only argument of the event, a unit struct
/// none, and a struct around a tuple, `struct Move((f64, f64))`, spreads over the arguments.
///
/// ```
/// use sala::{Event, HandlerResult, Server, Socket};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct ChatMessage { room: String, text: String }
///
/// #[derive(Serialize, Deserialize)]
/// struct Receipt { id: u64 }
///
/// impl Event for ChatMessage {
///     const NAME: &'static str = "chat message";
///     type Ack = Receipt;
/// }
///
/// let io = Server::new();
/// io.on_event(async |socket: Socket, message: ChatMessage| -> HandlerResult<Receipt> {
///     socket.to(&*message.room).send(&message)?;
///     Ok(Receipt { id: 17 })
/// });
/// ```
///
/// What a JavaScript client does with it:
///
/// ```js
/// const receipt = await socket.emitWithAck("chat message", { room: "news", text: "hello" });
/// console.log(receipt.id); // 17
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a typed event",
    label = "`{Self}` does not implement `sala::Event`",
    note = "the handler of a typed event takes the socket and a type that implements `Event`; handle any other event with `on(\"name\", handler)`"
)]
pub trait Event: Serialize + DeserializeOwned {
    /// The name on the wire. It must not be one of those that applications may not use, such as
    /// `connect` and `disconnect`.
    const NAME: &'static str;

    /// What the other side answers; `()` if nothing.
    type Ack: Serialize + DeserializeOwned + Send + 'static;
}

/// An async function that handles a typed event.
///
/// ```text
/// async fn(Socket, E)               -> E::Ack or Result<E::Ack, Err>
/// async fn(Socket, E, Ack<E::Ack>)  -> () or Result<(), Err>
/// ```
///
/// In all else it is like any [`Handler`](crate::Handler).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle an event of its own type",
    label = "not a handler of a typed event",
    note = "a handler of a typed event is an async function or async closure with one of these signatures:\n\
            \x20   async fn(Socket, E)              -> E::Ack or Result<E::Ack, Err>\n\
            \x20   async fn(Socket, E, Ack<E::Ack>) -> () or Result<(), Err>",
    note = "`E` implements `sala::Event`; handle any other event with `on(\"name\", handler)`",
    note = "a closure must be `Clone` and must not change what it captures: use an `Arc` around a lock or an atomic"
)]
pub trait EventHandler<S>: Send + Sync + 'static {
    /// The event.
    type Event: Event;

    #[doc(hidden)]
    fn erase(self) -> Erased;
}

/// What the handler of an event with the answer `A` may return: an `A`, or a `Result<A, E>`.
#[diagnostic::on_unimplemented(
    message = "this event is not answered with `{Self}`",
    label = "the handler must return `{A}` or `Result<{A}, E>`",
    note = "the type of the answer is `Event::Ack`"
)]
pub trait IntoAnswer<A> {
    #[doc(hidden)]
    fn answer(self, ack: AckSlot) -> Finished;
}

impl<A: Serialize> IntoAnswer<A> for A {
    fn answer(self, ack: AckSlot) -> Finished {
        ack.finish(&self)
    }
}

impl<A: Serialize, E: Into<HandlerError>> IntoAnswer<A> for Result<A, E> {
    fn answer(self, ack: AckSlot) -> Finished {
        match self {
            Ok(answer) => ack.finish(&answer),
            Err(error) => Finished::failed(error),
        }
    }
}

/// Handlers of the event `E`.
pub struct OfEvent<E>(std::marker::PhantomData<E>);

impl<E: Event + 'static, O: IntoAnswer<E::Ack>> Kind<WithArgs<E>, O> for OfEvent<E> {
    fn finish(output: O, ack: AckSlot) -> Finished {
        output.answer(ack)
    }
}

impl<E: Event + 'static, O: IntoOutcome> Kind<WithAck<E, E::Ack>, O> for OfEvent<E> {
    fn finish(output: O, _: AckSlot) -> Finished {
        output.outcome()
    }
}

impl<F, S> EventHandler<S> for F
where
    F: Callable<S> + Clone + Send + Sync + 'static,
    F::Args: Event,
    F::Future: Send + 'static,
    S: 'static,
    OfEvent<F::Args>: Kind<S, F::Output>,
{
    type Event = F::Args;

    fn erase(self) -> Erased {
        erased::erase::<F, S, OfEvent<F::Args>>(self)
    }
}

/// A handler of a typed event without its types, and the name of the event.
pub(crate) fn erase_event<S, H: EventHandler<S>>(
    handler: H,
) -> (EventKey, std::sync::Arc<dyn crate::handler::ErasedHandler>) {
    (EventKey::Static(H::Event::NAME), handler.erase().0)
}
