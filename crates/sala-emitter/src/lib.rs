//! Emits to the clients of a Socket.IO cluster from a process that serves nobody: a worker, a cron job, a
//! command.
//!
//! An [`Emitter`] writes to the broker what a server of the cluster would write, and the servers do the rest,
//! be they Sala or Node.js. It has no clients, hears no answers and costs one connection. It takes the half that
//! sends of any backend ([`Outlet`](sala_adapter::backend::Outlet)), such as those of `sala-redis`:
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use sala_emitter::Emitter;
//! use sala_redis::Streams;
//!
//! let outlet = Streams::options().outlet("redis://127.0.0.1:6379").await?;
//! let emitter = Emitter::new(outlet);
//!
//! emitter.emit("hello", &("world", 42)).await?;
//! emitter.of("/admin").to("room").except("other").emit("news", &()).await?;
//! emitter.in_("room").disconnect_sockets(true).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The crate depends on the contract of the backends (`sala-adapter`) and on no part of the server: 25 crates in all,
//! 76 with Redis and its client.

mod broadcast;
mod error;
mod sender;

use std::sync::Arc;

use sala_adapter::backend::Outlet;
use sala_adapter::target::{Room, ServerId};
use sala_adapter::{BoxFuture, Envelope, IntoRooms, Message, Target};
use sala_proto::RawArgs;
use serde::Serialize;

pub use self::broadcast::Broadcast;
pub use self::error::EmitError;
use self::sender::Sender;

/// Sends something when it is awaited, and ends when the broker has taken it. Borrows nothing.
pub type Sending = BoxFuture<'static, Result<(), EmitError>>;

/// Emits to the sockets of one namespace, whatever server they are connected to. Cheap to clone.
///
/// Messages of one emitter, its clones and those that [`of`](Self::of) makes leave in the order in which their futures
/// are first polled. Up to 1,024 of them may wait to be sent; further ones wait for their turn.
///
/// A future of this crate ends when the broker has taken the message, not when clients have it: nobody tells
/// how many got it. If it fails with [`EmitError::Backend`] because the connection broke
/// ([`is_unreachable`](EmitError::is_unreachable)), the message may or may not have been sent; it is not sent again, and
/// the next one opens a new connection.
#[derive(Clone)]
pub struct Emitter {
    sender: Sender,
    namespace: Room,
}

impl Emitter {
    /// Emits over this half of a backend, to `/`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime: a task does the sending. It ends when the last clone is dropped.
    pub fn new<O: Outlet>(outlet: O) -> Self {
        Self {
            sender: Sender::start(outlet),
            namespace: "/".into(),
        }
    }

    /// Emits to another namespace. A missing slash is added.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn example(emitter: &sala_emitter::Emitter) {
    /// assert_eq!(emitter.of("chat").namespace(), "/chat");
    /// # }
    /// ```
    #[must_use]
    pub fn of(&self, namespace: &str) -> Self {
        let slash = if namespace.starts_with('/') { "" } else { "/" };
        Self {
            sender: self.sender.clone(),
            namespace: format!("{slash}{namespace}").into(),
        }
    }

    /// The namespace it emits to.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.as_str()
    }

    /// To the sockets in these rooms. The id of a socket is the name of a room.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast<'_> {
        self.all().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl IntoRooms) -> Broadcast<'_> {
        self.to(rooms)
    }

    /// Not to the sockets in these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast<'_> {
        self.all().except(rooms)
    }

    /// The packet may be dropped for each client whose connection cannot take it at that instant.
    pub fn volatile(&self) -> Broadcast<'_> {
        self.all().volatile()
    }

    /// Says whether the packet may be compressed. Default: it may, where the connection compresses.
    pub fn compress(&self, compress: bool) -> Broadcast<'_> {
        self.all().compress(compress)
    }

    /// Sends an event to all sockets of the namespace. See [`Broadcast::emit`].
    ///
    /// # Errors
    ///
    /// As [`Broadcast::emit`].
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Sending {
        self.all().emit(event, data)
    }

    /// Makes all sockets of the namespace join rooms.
    ///
    /// # Errors
    ///
    /// [`EmitError::Backend`].
    pub fn sockets_join(&self, rooms: impl IntoRooms) -> Sending {
        self.all().sockets_join(rooms)
    }

    /// Makes all sockets of the namespace leave rooms.
    ///
    /// # Errors
    ///
    /// [`EmitError::Backend`].
    pub fn sockets_leave(&self, rooms: impl IntoRooms) -> Sending {
        self.all().sockets_leave(rooms)
    }

    /// Disconnects all sockets from the namespace, and if `close` is set their connections as well.
    ///
    /// # Errors
    ///
    /// [`EmitError::Backend`].
    pub fn disconnect_sockets(&self, close: bool) -> Sending {
        self.all().disconnect_sockets(close)
    }

    /// Sends an event to the servers themselves, to the listeners that they have for it in this namespace. Every
    /// server gets it.
    ///
    /// # Errors
    ///
    /// [`EmitError::Reserved`] for `connect`, `connection` and `new_namespace`, which servers refuse;
    /// otherwise as [`Broadcast::emit`].
    pub fn server_side_emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Sending {
        let message = server_side(event, data).map(|packet| Message::ServerSideEmit {
            packet,
            request: None,
        });
        self.send(message)
    }

    /// Always fails: an emitter hears no answers. It is here so that whoever looks for it finds out why.
    ///
    /// # Errors
    ///
    /// [`EmitError::Acknowledgement`].
    pub fn server_side_emit_with_ack<T: Serialize + ?Sized>(
        &self,
        _event: &str,
        _data: &T,
    ) -> Result<(), EmitError> {
        Err(EmitError::Acknowledgement)
    }

    fn all(&self) -> Broadcast<'_> {
        Broadcast::new(self, Target::all())
    }

    /// Sends a message, if it is one. Borrows nothing, so that the future may go to another task.
    fn send(&self, message: Result<Message, EmitError>) -> Sending {
        let (sender, namespace) = (self.sender.clone(), self.namespace.clone());
        Box::pin(async move {
            let envelope = Envelope {
                namespace,
                sender: Some(ServerId::emitter()),
                recipient: None,
                message: message?,
            };
            sender.send(envelope).await
        })
    }
}

/// Names that servers keep for themselves.
const SERVER_SIDE_RESERVED: [&str; 3] = ["connect", "connection", "new_namespace"];

fn server_side<T: Serialize + ?Sized>(event: &str, data: &T) -> Result<RawArgs, EmitError> {
    if SERVER_SIDE_RESERVED.contains(&event) {
        return Err(EmitError::Reserved(event.into()));
    }
    RawArgs::new_event(event, data).map_err(|error| EmitError::Encode(Arc::new(error)))
}

/// The page of the guide, whose Rust is compiled by the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/emitters.md")]
mod guide {}
