//! Handlers without their types, as tables keep them.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use sala_proto::Args;
use serde::de::DeserializeOwned;

use super::ack::AckSlot;
use super::reply::Finished;
use super::shape::{Callable, Kind};
use crate::error::{ErrorKind, HandlerError};
use crate::socket::Socket;
use crate::socket::acks::AckSender;

/// A handler in a box that only this crate can open.
pub struct Erased(pub(crate) Arc<dyn ErasedHandler>);

/// The future of one call. It never panics and has reported what went wrong when it ends.
pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A handler without its types.
pub(crate) trait ErasedHandler: Send + Sync {
    /// Reads the arguments and starts the handler, whose first poll is up to the caller. The only
    /// allocation of ours is that of the future.
    ///
    /// # Errors
    ///
    /// If the arguments are not what the handler takes, or if the function panicked; the caller
    /// reports it ([`Failure::report`]). Nothing was sent then, and no answer will be.
    fn call(
        &self,
        socket: Socket,
        event: &EventKey,
        args: &Args<'_>,
        ack: Option<AckSender>,
    ) -> Result<HandlerFuture, Failure>;
}

/// The name under which a handler is known. Cheap to clone: names are nearly always literals, and
/// a reference count that all connections share would be a point of contention.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EventKey {
    Static(&'static str),
    Shared(Arc<str>),
}

impl EventKey {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Static(name) => name,
            Self::Shared(name) => name,
        }
    }
}

impl From<std::borrow::Cow<'static, str>> for EventKey {
    fn from(name: std::borrow::Cow<'static, str>) -> Self {
        match name {
            std::borrow::Cow::Borrowed(name) => Self::Static(name),
            std::borrow::Cow::Owned(name) => Self::Shared(name.into()),
        }
    }
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) error: HandlerError,
}

impl Failure {
    pub(crate) fn arguments(error: impl Into<HandlerError>) -> Self {
        Self {
            kind: ErrorKind::Arguments,
            error: error.into(),
        }
    }

    /// What a panic said, if it was text.
    pub(crate) fn panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a panic without text");
        Self {
            kind: ErrorKind::Panic,
            error: text.into(),
        }
    }

    /// Hands the failure to the application; a panic also ends the connection.
    pub(crate) fn report(self, socket: &Socket, event: Option<&str>) {
        socket.failed(event, self.kind, self.error);
    }
}

/// Runs code of the user; a panic is a failure.
pub(super) fn guarded<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // What the code leaves half done is its own; ours is consistent whenever it runs.
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| Err(Failure::panic(&*payload)))
}

/// A function with its shape and its kind.
struct Function<F, S, K> {
    function: F,
    types: PhantomData<fn() -> (S, K)>,
}

/// Forgets the types of a function.
pub(crate) fn erase<F, S, K>(function: F) -> Erased
where
    F: Callable<S> + Clone + Send + Sync + 'static,
    F::Args: DeserializeOwned,
    F::Future: Send + 'static,
    S: 'static,
    K: Kind<S, F::Output>,
{
    Erased(Arc::new(Function::<F, S, K> {
        function,
        types: PhantomData,
    }))
}

impl<F, S, K> ErasedHandler for Function<F, S, K>
where
    F: Callable<S> + Clone + Send + Sync,
    F::Args: DeserializeOwned,
    F::Future: Send + 'static,
    K: Kind<S, F::Output>,
{
    fn call(
        &self,
        socket: Socket,
        event: &EventKey,
        args: &Args<'_>,
        ack: Option<AckSender>,
    ) -> Result<HandlerFuture, Failure> {
        guarded(move || {
            let args = args.parse().map_err(Failure::arguments)?;
            let mut ack = AckSlot::client(ack);
            let running = self.function.clone().start(socket.clone(), args, &mut ack);
            Ok(run(running, socket, event.clone(), move |output| {
                K::finish(output, ack)
            }))
        })
    }
}

/// Boxes a running function together with what is done when it ends.
pub(super) fn run<Fut, End>(
    running: Fut,
    socket: Socket,
    event: EventKey,
    end: End,
) -> HandlerFuture
where
    Fut: Future + Send + 'static,
    End: FnOnce(Fut::Output) -> Finished + Send + 'static,
{
    Box::pin(Run {
        running,
        end: Some(end),
        socket,
        event,
    })
}

pin_project! {
    struct Run<Fut, End> {
        #[pin]
        running: Fut,
        end: Option<End>,
        socket: Socket,
        event: EventKey,
    }
}

impl<Fut, End> Future for Run<Fut, End>
where
    Fut: Future,
    End: FnOnce(Fut::Output) -> Finished,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let Some(end) = this.end.take() else {
            return Poll::Ready(());
        };
        let polled = guarded(|| match this.running.poll(cx) {
            Poll::Pending => Ok(Some(end)),
            Poll::Ready(output) => end(output).0.map(|()| None),
        });
        match polled {
            Ok(Some(end)) => {
                *this.end = Some(end);
                return Poll::Pending;
            }
            Ok(None) => {}
            Err(failure) => failure.report(this.socket, Some(this.event.as_str())),
        }
        Poll::Ready(())
    }
}
