//! Middlewares for single packets: the reference's `socket.use`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sala_proto::RawArgs;
use serde::Serialize;

use crate::error::{Error, HandlerError};
use crate::socket::Socket;

/// An event on its way to its handlers, as a [gate](crate::Namespace::gate) sees it.
#[derive(Clone, Debug)]
pub struct GatedEvent {
    name: String,
    args: RawArgs,
    wants_ack: bool,
}

impl GatedEvent {
    pub(crate) fn new(name: String, args: RawArgs, wants_ack: bool) -> Self {
        Self {
            name,
            args,
            wants_ack,
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The arguments; read them with [`parse`](sala_proto::Args::parse).
    #[must_use]
    pub fn args(&self) -> &RawArgs {
        &self.args
    }

    /// Whether the client asked for an acknowledgement.
    #[must_use]
    pub fn wants_ack(&self) -> bool {
        self.wants_ack
    }

    /// Has the handlers of another event called.
    pub fn set_name(&mut self, name: impl Into<String>) {
        self.name = name.into();
    }

    /// Replaces the arguments: a tuple spreads, anything else is one.
    ///
    /// # Errors
    ///
    /// [`is_serialization`](Error::is_serialization) if the data cannot be encoded.
    pub fn set_args<T: Serialize + ?Sized>(&mut self, data: &T) -> Result<(), Error> {
        self.args = RawArgs::new(data)?;
        Ok(())
    }
}

/// An async function that decides whether an event may reach its handlers, and may change it.
///
/// ```text
/// async fn(Socket, GatedEvent)  -> Result<GatedEvent, E>
/// ```
///
/// `E` is any error, boxed error or text. It reaches [`on_error`](crate::ServerBuilder::on_error)
/// and the socket's own [`on_error`](Socket::on_error); the client is neither told nor answered.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a gate",
    label = "not a gate",
    note = "a gate is an async function or async closure with this signature:\n\
            \x20   async fn(Socket, GatedEvent) -> Result<GatedEvent, E>",
    note = "a closure must be `Clone` and must not change what it captures: use an `Arc` around a lock or an atomic"
)]
pub trait GateHandler: Send + Sync + 'static {
    #[doc(hidden)]
    fn erase(self) -> Gate;
}

/// A gate in a box that only this crate can open.
pub struct Gate(pub(crate) Arc<dyn ErasedGate>);

pub(crate) type GateFuture = Pin<Box<dyn Future<Output = Result<GatedEvent, HandlerError>> + Send>>;

/// A gate without its types.
pub(crate) trait ErasedGate: Send + Sync {
    /// Starts the gate. All code of the user runs in the future.
    fn call(&self, socket: Socket, event: GatedEvent) -> GateFuture;
}

impl<F, Fut, E> GateHandler for F
where
    F: AsyncFn(Socket, GatedEvent) -> Result<GatedEvent, E>
        + FnOnce(Socket, GatedEvent) -> Fut
        + Clone
        + Send
        + Sync
        + 'static,
    Fut: Future<Output = Result<GatedEvent, E>> + Send + 'static,
    E: Into<HandlerError>,
{
    fn erase(self) -> Gate {
        Gate(Arc::new(Function(self)))
    }
}

struct Function<F>(F);

impl<F, Fut, E> ErasedGate for Function<F>
where
    F: FnOnce(Socket, GatedEvent) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<GatedEvent, E>> + Send + 'static,
    E: Into<HandlerError>,
{
    fn call(&self, socket: Socket, event: GatedEvent) -> GateFuture {
        let function = self.0.clone();
        Box::pin(async move { function(socket, event).await.map_err(Into::into) })
    }
}
