//! Handlers of events that servers send to each other.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use sala_adapter::adapter::AckSink;
use sala_proto::RawArgs;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ack::AckSlot;
use super::erased::{EventKey, Failure, HandlerFuture, guarded};
use super::reply::{Finished, IntoReply};
use crate::cluster::report;
use crate::error::Error;
use crate::namespace::Namespace;

/// An async function that handles an event of another server: the reference's
/// `io.on("event", (..args, callback) => ..)`, set with
/// [`on_server_side`](crate::Namespace::on_server_side).
///
/// ```text
/// async fn(Namespace)     -> reply
/// async fn(Namespace, A)  -> reply
/// ```
///
/// `A` is read from the arguments as by any [`Handler`](crate::Handler), and what is returned is the answer
/// to the server that asked, if it did: see [`IntoReply`]. Only the first argument of the answer travels.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle events of other servers",
    label = "not a handler of events of other servers",
    note = "such a handler is an async function or async closure with one of these signatures:\n\
            \x20   async fn(Namespace)    -> reply\n\
            \x20   async fn(Namespace, A) -> reply",
    note = "`A` implements `serde::de::DeserializeOwned`: take several arguments as a tuple, `(a, b): (String, i32)`",
    note = "a closure must be `Clone` and must not change what it captures: use an `Arc` around a lock or an atomic"
)]
pub trait ServerSideHandler<S>: Send + Sync + 'static {
    #[doc(hidden)]
    fn erase(self) -> ErasedServerSideBox;
}

/// A handler in a box that only this crate can open.
pub struct ErasedServerSideBox(pub(crate) Arc<dyn ErasedServerSide>);

/// A handler of events of other servers without its types.
pub(crate) trait ErasedServerSide: Send + Sync {
    /// Reads the arguments and starts the handler, whose first poll is up to the caller.
    ///
    /// # Errors
    ///
    /// If the arguments are not what the handler takes, or if the function panicked.
    fn call(
        &self,
        nsp: &Namespace,
        event: &EventKey,
        args: &RawArgs,
        answer: Option<Arc<ServerAck>>,
    ) -> Result<HandlerFuture, Failure>;
}

/// A handler without its types.
pub(crate) fn erase_server_side<S>(
    handler: impl ServerSideHandler<S>,
) -> Arc<dyn ErasedServerSide> {
    handler.erase().0
}

/// Marks handlers that take the namespace alone.
pub struct OnlyNamespace;

/// Marks handlers that take the namespace and the arguments.
pub struct WithArgs<A>(PhantomData<A>);

/// A function of one of the shapes, for one call.
pub trait ServerSideCallable<S> {
    type Args;
    type Future: Future<Output: IntoReply>;

    fn start(self, nsp: Namespace, args: Self::Args) -> Self::Future;
}

impl<F, Fut> ServerSideCallable<OnlyNamespace> for F
where
    F: AsyncFn(Namespace) -> Fut::Output + FnOnce(Namespace) -> Fut,
    Fut: Future<Output: IntoReply>,
{
    type Args = ();
    type Future = Fut;

    fn start(self, nsp: Namespace, (): ()) -> Fut {
        self(nsp)
    }
}

impl<F, Fut, A> ServerSideCallable<WithArgs<A>> for F
where
    F: AsyncFn(Namespace, A) -> Fut::Output + FnOnce(Namespace, A) -> Fut,
    Fut: Future<Output: IntoReply>,
{
    type Args = A;
    type Future = Fut;

    fn start(self, nsp: Namespace, args: A) -> Fut {
        self(nsp, args)
    }
}

impl<F, S> ServerSideHandler<S> for F
where
    F: ServerSideCallable<S> + Clone + Send + Sync + 'static,
    F::Args: DeserializeOwned,
    F::Future: Send + 'static,
    S: 'static,
{
    fn erase(self) -> ErasedServerSideBox {
        ErasedServerSideBox(Arc::new(Function {
            function: self,
            shape: PhantomData,
        }))
    }
}

struct Function<F, S> {
    function: F,
    shape: PhantomData<fn() -> S>,
}

impl<F, S> ErasedServerSide for Function<F, S>
where
    F: ServerSideCallable<S> + Clone + Send + Sync,
    F::Args: DeserializeOwned,
    F::Future: Send + 'static,
{
    fn call(
        &self,
        nsp: &Namespace,
        event: &EventKey,
        args: &RawArgs,
        answer: Option<Arc<ServerAck>>,
    ) -> Result<HandlerFuture, Failure> {
        guarded(move || {
            let args = args.parse().map_err(Failure::arguments)?;
            let running = self.function.clone().start(nsp.clone(), args);
            Ok(Box::pin(Run {
                running,
                slot: Some(AckSlot::server(answer)),
                nsp: nsp.clone(),
                event: event.clone(),
            }) as HandlerFuture)
        })
    }
}

pin_project! {
    struct Run<Fut> {
        #[pin]
        running: Fut,
        // `None` once the handler has ended.
        slot: Option<AckSlot>,
        nsp: Namespace,
        event: EventKey,
    }
}

impl<Fut: Future<Output: IntoReply>> Future for Run<Fut> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let Some(slot) = this.slot.take() else {
            return Poll::Ready(());
        };
        let polled = guarded(|| match this.running.poll(cx) {
            Poll::Pending => Ok(Some(slot)),
            Poll::Ready(output) => {
                let Finished(finished) = output.reply(slot);
                finished.map(|()| None)
            }
        });
        match polled {
            Ok(Some(slot)) => {
                *this.slot = Some(slot);
                return Poll::Pending;
            }
            Ok(None) => {}
            Err(failure) => report(this.nsp, this.event.as_str(), failure.kind, &failure.error),
        }
        Poll::Ready(())
    }
}

/// The answer to a server that asked, which all handlers of the event may give and one does.
pub(crate) struct ServerAck {
    sink: AckSink,
    sent: AtomicBool,
    /// Somebody answered with nothing, which another one may still better.
    empty: AtomicBool,
}

impl ServerAck {
    pub(crate) fn new(sink: AckSink) -> Arc<Self> {
        Arc::new(Self {
            sink,
            sent: AtomicBool::new(false),
            empty: AtomicBool::new(false),
        })
    }

    /// Sends the first answer; one without data waits until nobody is left who could give a better one.
    pub(super) fn send<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Error> {
        if size_of_val(value) == 0 {
            self.empty.store(true, Ordering::Release);
            return Ok(());
        }
        let answer = crate::emit::first_argument(RawArgs::new(value)?);
        if !self.sent.swap(true, Ordering::AcqRel) {
            (self.sink)(answer);
        }
        Ok(())
    }
}

impl Drop for ServerAck {
    fn drop(&mut self) {
        if *self.empty.get_mut() && !*self.sent.get_mut() {
            (self.sink)(RawArgs::from_values(Vec::new()));
        }
    }
}
