//! The three shapes of a handler.
//!
//! What a function *looks like* ([`Callable`]) is decided apart from what its types can do: the
//! compiler first finds the one shape that fits and then complains about the type that is wrong,
//! instead of saying that no shape fits.

use std::future::Future;
use std::marker::PhantomData;

use super::ack::{Ack, AckSlot};
use super::reply::{Finished, IntoOutcome, IntoReply};
use crate::socket::Socket;

/// Marks handlers that take the socket alone.
pub struct OnlySocket;

/// Marks handlers that take the socket and the arguments.
pub struct WithArgs<A>(PhantomData<A>);

/// Marks handlers that take the socket, the arguments and the acknowledgement.
pub struct WithAck<A, R: ?Sized>(PhantomData<A>, PhantomData<R>);

/// A function of one of the shapes, for one call.
///
/// `AsyncFn` is asked for besides `FnOnce` to refuse closures that change what they captured: each
/// call has a clone of its own, and the change would be lost with it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has none of the signatures that are allowed here",
    label = "wrong signature"
)]
pub trait Callable<S> {
    type Args;
    type Output;
    type Future: Future<Output = Self::Output>;

    fn start(self, socket: Socket, args: Self::Args, ack: &mut AckSlot) -> Self::Future;
}

impl<F, Fut> Callable<OnlySocket> for F
where
    F: AsyncFn(Socket) -> Fut::Output + FnOnce(Socket) -> Fut,
    Fut: Future,
{
    type Args = ();
    type Output = Fut::Output;
    type Future = Fut;

    fn start(self, socket: Socket, (): (), _: &mut AckSlot) -> Fut {
        self(socket)
    }
}

impl<F, Fut, A> Callable<WithArgs<A>> for F
where
    F: AsyncFn(Socket, A) -> Fut::Output + FnOnce(Socket, A) -> Fut,
    Fut: Future,
{
    type Args = A;
    type Output = Fut::Output;
    type Future = Fut;

    fn start(self, socket: Socket, args: A, _: &mut AckSlot) -> Fut {
        self(socket, args)
    }
}

impl<F, Fut, A, R: ?Sized> Callable<WithAck<A, R>> for F
where
    F: AsyncFn(Socket, A, Ack<R>) -> Fut::Output + FnOnce(Socket, A, Ack<R>) -> Fut,
    Fut: Future,
{
    type Args = A;
    type Output = Fut::Output;
    type Future = Fut;

    fn start(self, socket: Socket, args: A, ack: &mut AckSlot) -> Fut {
        self(socket, args, ack.take())
    }
}

/// A kind of handler: which shapes it has, and what they may return.
#[diagnostic::on_unimplemented(
    message = "a handler of this kind cannot have this signature",
    label = "signature not allowed here"
)]
pub trait Kind<S, O>: 'static {
    fn finish(output: O, ack: AckSlot) -> Finished;
}

/// Handlers of events: all shapes, and what they return is the answer.
pub struct OfEvents;

impl<O: IntoReply> Kind<OnlySocket, O> for OfEvents {
    fn finish(output: O, ack: AckSlot) -> Finished {
        output.reply(ack)
    }
}

impl<A, O: IntoReply> Kind<WithArgs<A>, O> for OfEvents {
    fn finish(output: O, ack: AckSlot) -> Finished {
        output.reply(ack)
    }
}

impl<A, R: ?Sized, O: IntoOutcome> Kind<WithAck<A, R>, O> for OfEvents {
    fn finish(output: O, _: AckSlot) -> Finished {
        output.outcome()
    }
}

/// Handlers of new sockets: there is nothing to answer.
pub struct OfSockets;

impl<O: IntoOutcome> Kind<OnlySocket, O> for OfSockets {
    fn finish(output: O, _: AckSlot) -> Finished {
        output.outcome()
    }
}

impl<A, O: IntoOutcome> Kind<WithArgs<A>, O> for OfSockets {
    fn finish(output: O, _: AckSlot) -> Finished {
        output.outcome()
    }
}
