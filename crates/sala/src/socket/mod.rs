//! The server's side of one client in one namespace.

pub(crate) mod acks;
mod catch_up;
mod data;
mod extra;
mod handshake;
pub(crate) mod inner;
mod listeners;
mod remote;
mod send;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sala_adapter::{IntoRooms, Room, RoomSet, SocketId};
use sala_engine::{Request, SessionHandle};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::data::TypeMap;
pub use self::data::{Data, Extensions, SocketData};
pub use self::handshake::Handshake;
use self::inner::{Phase, SocketInner};
pub use self::listeners::{Incoming, Outgoing};
pub(crate) use self::remote::Elsewhere;
pub use self::remote::RemoteSocket;
use crate::client::Work;
use crate::emit::{AckFuture, Broadcast, Emit};
use crate::error::Error;
use crate::event::Event;
use crate::namespace::Namespace;
use crate::server::Server;

/// One client in one namespace, seen from the server.
///
/// A handle: cloning is cheap, and all clones are the same socket. It may be kept for ever; once
/// the client has left, [`is_connected`](Self::is_connected) is false and what is sent goes
/// nowhere.
#[derive(Clone)]
pub struct Socket(pub(crate) Arc<SocketInner>);

/// # Who it is
impl Socket {
    /// The id of the socket: 20 random characters, which the client knows as its `socket.id`. New
    /// for each connection, unless the connection was [recovered](Self::recovered).
    ///
    /// (Clients of Socket.IO 2 compute it themselves: there it is made of the session id.)
    #[must_use]
    pub fn id(&self) -> &SocketId {
        &self.0.id
    }

    /// The namespace.
    #[must_use]
    pub fn nsp(&self) -> &Namespace {
        &self.0.nsp
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> Server {
        self.0.nsp.server()
    }

    /// The connection beneath, shared with the client's sockets in other namespaces: its transport,
    /// its queue, its events. Closing it ends all of them with `forced close`.
    #[must_use]
    pub fn conn(&self) -> &SessionHandle {
        &self.0.session
    }

    /// The HTTP request that opened the connection.
    #[must_use]
    pub fn request(&self) -> &Request {
        self.0.session.request()
    }

    /// How the client came: headers, query, `auth`, times, address.
    #[must_use]
    pub fn handshake(&self) -> Handshake<'_> {
        Handshake::here(self)
    }

    /// Whether id, rooms, data and missed packets were restored when the client connected.
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.0.recovered
    }

    /// Whether the socket is in its namespace: from just before the client is told so until its
    /// rooms have been left. So it is true in `disconnecting` handlers and false in `disconnect`
    /// handlers.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.0.phase(), Phase::Connected | Phase::Leaving)
    }

    /// What was given to [`ServerBuilder::state`](crate::ServerBuilder::state).
    ///
    /// ```
    /// use sala::{Server, Socket};
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// struct Visits(AtomicU64);
    ///
    /// let io = Server::builder().state(Visits(AtomicU64::new(0))).build();
    /// io.on_connect(async |socket: Socket| {
    ///     socket.state::<Visits>().0.fetch_add(1, Ordering::Relaxed);
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// If the server has no state of this type. [`try_state`](Self::try_state) does not.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(&self) -> &T {
        self.try_state().unwrap_or_else(|| {
            panic!(
                "the server has no state of type {}: give it to `Server::builder().state(..)`",
                std::any::type_name::<T>()
            )
        })
    }

    /// What was given to [`ServerBuilder::state`](crate::ServerBuilder::state), if there is one of
    /// this type.
    #[must_use]
    pub fn try_state<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.nsp.shared.state.get()
    }

    /// Named values that go with the socket to other servers and to a recovered connection.
    #[must_use]
    pub fn data(&self) -> SocketData<'_> {
        SocketData(&self.0)
    }

    /// Values of any type that the application keeps with the socket in this process.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.0.extra().extensions
    }
}

/// # Rooms
impl Socket {
    /// The rooms that the socket is in, its own first. None after the disconnection.
    #[must_use]
    pub fn rooms(&self) -> RoomSet {
        self.0.rooms.rooms(&self.0.id)
    }

    /// Whether the socket is in a room.
    #[must_use]
    pub fn is_in(&self, room: impl Into<Room>) -> bool {
        self.0.rooms.contains(&self.0.id, &room.into())
    }

    /// Joins one room or several, at once. In a middleware it takes effect when the client is let
    /// in. After the disconnection nothing happens.
    ///
    /// A name longer than [`max_room_name`](crate::ServerBuilder::max_room_name) is not joined and
    /// reported to [`on_error`](crate::ServerBuilder::on_error).
    pub fn join(&self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        self.0.nsp.inner.join(self, &rooms);
    }

    /// Leaves a room. A room that the socket is not in is no error.
    pub fn leave(&self, room: impl Into<Room>) {
        self.0.nsp.inner.leave(self, &room.into());
    }
}

/// # Emitting
///
/// The first methods send to this client; the others begin a [`Broadcast`] that leaves it out.
impl Socket {
    /// Sends an event to this client. Never waits. A client that has left is no error.
    ///
    /// A tuple spreads over the arguments, `()` is none, anything else is one. serde sees arrays of
    /// fixed size as tuples: wrap one in a tuple, `&([1, 2],)`, to send it as one argument. Bytes
    /// are sent as such by types that serialize as bytes ([`Bytes`](bytes::Bytes),
    /// `serde_bytes`); a `Vec<u8>` is a list of numbers.
    ///
    /// ```
    /// # fn example(socket: &sala::Socket) -> Result<(), sala::Error> {
    /// socket.emit("hello", "world")?;
    /// socket.emit("move", &(1.5, 2.5))?; // two arguments
    /// socket.emit("ready", &())?; // none
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_reserved_event`](Error::is_reserved_event) if clients keep the name for themselves,
    /// [`is_serialization`](Error::is_serialization) if the data cannot be encoded.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Error> {
        Emit::new(self).emit(event, data)
    }

    /// Sends a typed event to this client: see [`Event`].
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn send<E: Event>(&self, event: &E) -> Result<(), Error> {
        Emit::new(self).send(event)
    }

    /// Sends an event at once and returns a future of the client's answer: see
    /// [`Emit::emit_with_ack`].
    ///
    /// # Errors
    ///
    /// As [`Emit::emit_with_ack`].
    pub fn emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> AckFuture<R> {
        Emit::new(self).emit_with_ack(event, data)
    }

    /// Sends a typed event at once and returns a future of the client's typed answer: see [`Event`].
    ///
    /// # Errors
    ///
    /// As [`Emit::emit_with_ack`].
    pub fn ask<E: Event<Ack: Send + 'static>>(&self, event: &E) -> AckFuture<E::Ack> {
        Emit::new(self).ask(event)
    }

    /// What is emitted next may be dropped if the connection cannot take it at once.
    pub fn volatile(&self) -> Emit<'_> {
        Emit::new(self).volatile()
    }

    /// Says whether what is emitted next may be compressed.
    pub fn compress(&self, compress: bool) -> Emit<'_> {
        Emit::new(self).compress(compress)
    }

    /// How long to wait for the acknowledgement of what is emitted next.
    pub fn timeout(&self, timeout: Duration) -> Emit<'_> {
        Emit::new(self).timeout(timeout)
    }

    /// To the sockets in these rooms, without this one: one room, or several of which each will do.
    /// The id of a socket is the name of a room.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast<'_> {
        Emit::new(self).to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl IntoRooms) -> Broadcast<'_> {
        Emit::new(self).to(rooms)
    }

    /// To all sockets of the namespace, without this one and those in these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast<'_> {
        Emit::new(self).except(rooms)
    }

    /// To all sockets of the namespace, without this one. (As in the reference, a socket that has
    /// left the room of its own id is not left out.)
    pub fn broadcast(&self) -> Broadcast<'_> {
        Emit::new(self).broadcast()
    }

    /// To all sockets of the namespace on this server, without this one.
    pub fn local(&self) -> Broadcast<'_> {
        Emit::new(self).local()
    }

    /// Resolves when less than half of the connection's send queue is in use, or the connection is
    /// over: await it between large messages, to pace them to the client.
    ///
    /// *Cancel safety:* dropping the future loses nothing.
    pub async fn ready(&self) {
        self.0.session.ready().await;
    }

    /// Bytes that wait to be sent to the client, over all its namespaces.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.0.session.buffered_bytes()
    }
}

/// # Leaving
impl Socket {
    /// Disconnects the client from this namespace; with `close`, from all namespaces, and then the
    /// connection is closed. What was emitted before still arrives. Official clients do not
    /// reconnect by themselves then. The reason is `server namespace disconnect`.
    ///
    /// `disconnecting` and `disconnect` handlers run soon after, in the task of the connection.
    /// Nothing happens in a middleware (return an error there) or after the disconnection.
    pub fn disconnect(&self, close: bool) {
        match self.0.nsp.inner.link() {
            Some(link) => {
                let socket = self.clone();
                link.in_order(move || socket.disconnect_now(close));
            }
            None => self.disconnect_now(close),
        }
    }

    /// The same without waiting for what is on its way through the log of the cluster.
    pub(crate) fn disconnect_now(&self, close: bool) {
        if self.announce_leave() {
            let work = Work::Leave(self.clone(), close);
            self.0.inbox.push(&self.0.session, work);
        }
    }

    /// Tells the client that it is out, unless it is already.
    pub(crate) fn announce_leave(&self) -> bool {
        if !self.0.advance(Phase::Connected, Phase::Leaving) {
            return false;
        }
        let nsp = &self.0.nsp;
        match nsp.shared.encode_disconnect(nsp.name()) {
            Ok(frame) => self.send_frame(&frame),
            // Only a parser of the user can fail here.
            Err(error) => tracing::warn!(%error, "the DISCONNECT packet cannot be encoded"),
        }
        true
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.0.id)
            .field("nsp", &self.0.nsp.name())
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}
