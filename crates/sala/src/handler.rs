//! Functions that handle events.
//!
//! A handler is an async function, an async closure, or a closure that returns a future. It has one
//! of three shapes, and what it returns is the acknowledgement:
//!
//! | JavaScript | Rust |
//! |---|---|
//! | `socket.on("ping", () => …)` | `async fn(Socket)` |
//! | `socket.on("move", (x, y) => …)` | `async fn(Socket, (f64, f64))` |
//! | `socket.on("add", (a, b, callback) => callback(a + b))` | `async fn(Socket, (i64, i64)) -> i64` |
//! | `socket.on("upload", (name, callback) => …)`, calling back and going on | `async fn(Socket, String, Ack<R>)` |
//!
//! # The socket alone
//!
//! ```js
//! socket.on("ping", (callback) => callback());
//! ```
//!
//! ```
//! # use sala::{Server, Socket};
//! # let io = Server::new();
//! io.on("ping", async |_socket: Socket| {});
//! ```
//!
//! # Arguments
//!
//! The second parameter is the type of the arguments, anything that implements
//! [`DeserializeOwned`]: a tuple takes one argument for each of its items, any other type takes the
//! first argument. Arguments that nobody takes are ignored and missing ones are `None` for an
//! `Option`, as in JavaScript. Bytes are [`Bytes`](bytes::Bytes).
//!
//! ```js
//! socket.on("move", (x, y) => socket.broadcast.volatile.emit("move", x, y));
//! socket.on("chat message", ({ room, text }) => socket.to(room).emit("chat message", text));
//! ```
//!
//! ```
//! # use sala::{Error, Server, Socket};
//! #[derive(serde::Deserialize)]
//! struct Message {
//!     room: String,
//!     text: String,
//! }
//!
//! async fn message(socket: Socket, message: Message) -> Result<(), Error> {
//!     socket.to(&*message.room).emit("chat message", &message.text)
//! }
//!
//! # let io = Server::new();
//! io.on("move", async |socket: Socket, (x, y): (f64, f64)| {
//!     socket.broadcast().volatile().emit("move", &(x, y))
//! });
//! io.on("chat message", message);
//! ```
//!
//! If the client sent something else, the handler is not called, the client is not answered, and
//! [`on_error`](crate::ServerBuilder::on_error) is told which event of which socket it was. To see
//! whatever was sent, take [`RawArgs`](crate::RawArgs): they can be read as several types one after
//! the other, returned, or emitted again, unchanged.
//!
//! ```
//! # use sala::{RawArgs, Server, Socket};
//! # let io = Server::new();
//! io.on("echo", async |_socket: Socket, args: RawArgs| args);
//! io.on("forward", async |socket: Socket, args: RawArgs| socket.broadcast().emit("forward", &args));
//! ```
//!
//! # The answer
//!
//! What the handler returns is sent if the client asked for an acknowledgement; [`IntoReply`] lists
//! what that may be.
//!
//! ```js
//! socket.on("add", (a, b, callback) => callback(a + b));
//! socket.on("whoami", (callback) => callback({ name: "Ada" }));
//! ```
//!
//! ```
//! # use sala::{Reply, Server, Socket};
//! #[derive(serde::Serialize)]
//! struct User {
//!     name: String,
//! }
//!
//! # let io = Server::new();
//! io.on("add", async |_socket: Socket, (a, b): (i64, i64)| a + b);
//! io.on("whoami", async |_socket: Socket| Reply(User { name: "Ada".into() }));
//! ```
//!
//! An `Err` does not go to the client but to `on_error`. `?` works on errors of all kinds in a
//! function that returns [`HandlerResult`](crate::HandlerResult).
//!
//! ```
//! # use sala::{HandlerResult, Server, Socket};
//! # let io = Server::new();
//! io.on("parse", async |_socket: Socket, text: String| -> HandlerResult<i64> {
//!     Ok(text.trim().parse()?)
//! });
//! ```
//!
//! # The answer first, and then work
//!
//! A handler whose work goes on after the answer takes an [`Ack`] as its third parameter.
//!
//! ```js
//! socket.on("upload", async (name, callback) => {
//!   callback({ ticket: 17 });
//!   await transcode(name);
//! });
//! ```
//!
//! ```
//! # use sala::{Ack, Error, Server, Socket};
//! # async fn transcode(_: &str) {}
//! #[derive(serde::Serialize)]
//! struct Ticket {
//!     ticket: u32,
//! }
//!
//! # let io = Server::new();
//! io.on("upload", async |_socket: Socket, name: String, ack: Ack<Ticket>| {
//!     ack.send(&Ticket { ticket: 17 })?;
//!     transcode(&name).await;
//!     Ok::<(), Error>(())
//! });
//! ```
//!
//! # State
//!
//! A closure may capture what it needs. It is cloned for each call, so capture an
//! [`Arc`]; a closure that changes what it captured does not compile, because the change would be
//! lost with the clone. What many handlers need is given to
//! [`ServerBuilder::state`](crate::ServerBuilder::state) instead.
//!
//! ```
//! # use sala::{Server, Socket};
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! let count = Arc::new(AtomicU64::new(0));
//! # let io = Server::new();
//! io.on("count", async move |_socket: Socket| count.fetch_add(1, Ordering::Relaxed));
//! ```
//!
//! # When handlers run
//!
//! In the task of their connection. Handlers start in the order in which the packets arrived, and
//! what one does before its first `.await` happens before the next packet is looked at; while they
//! wait they overlap. Work that keeps a processor busy belongs into `tokio::task::spawn_blocking`.
//! A handler runs to its end even if the client leaves meanwhile; what it sends goes nowhere then.
//! A panic closes that one connection and is reported.

mod ack;
mod admit;
mod connect;
mod disconnect;
pub(crate) mod erased;
mod reply;
mod server_side;
mod shape;

pub use self::ack::Ack;
pub(crate) use self::ack::AckSlot;
pub use self::admit::{AdmitHandler, IntoVerdict};
pub(crate) use self::admit::{ErasedAdmit, erase_admit};
pub use self::connect::ConnectHandler;
pub use self::disconnect::DisconnectHandler;
pub(crate) use self::disconnect::{ErasedDisconnect, erase_disconnect};
pub(crate) use self::erased::{Erased, ErasedHandler, EventKey, Failure, HandlerFuture};
pub(crate) use self::reply::Finished;
pub use self::reply::{IntoOutcome, IntoReply, Reply};
pub use self::server_side::ServerSideHandler;
pub(crate) use self::server_side::{ErasedServerSide, ServerAck, erase_server_side};
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
