//! The server's side of one client in one namespace.

pub(crate) mod acks;
mod data;
mod extra;
mod handshake;
pub(crate) mod inner;
mod remote;

use std::fmt;
use std::sync::Arc;

use sala_adapter::{IntoRooms, Room, RoomSet, SocketId};
use sala_engine::{Frame, Request, SessionHandle};

pub use self::data::{Extensions, SocketData};
pub use self::handshake::Handshake;
use self::inner::{Phase, SocketInner};
pub use self::remote::RemoteSocket;
use crate::namespace::Namespace;
use crate::server::Server;

/// One client in one namespace, seen from the server.
///
/// A handle: cloning is cheap, and all clones are the same socket. It may be kept for ever; once
/// the client has left, [`is_connected`](Self::is_connected) is false and what is sent goes
/// nowhere.
#[derive(Clone)]
pub struct Socket(pub(crate) Arc<SocketInner>);

impl Socket {
    /// The id of the socket: 20 random characters, which the client knows as its `socket.id`. New
    /// for each connection, unless the connection was [recovered](Self::recovered).
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

    /// The connection beneath, shared with the client's sockets in other namespaces.
    #[must_use]
    pub fn conn(&self) -> &SessionHandle {
        &self.0.session
    }

    /// The HTTP request that opened the connection.
    #[must_use]
    pub fn request(&self) -> &Request {
        self.0.session.request()
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

    /// The rooms that the socket is in, its own first. None after the disconnection.
    #[must_use]
    pub fn rooms(&self) -> RoomSet {
        self.0.rooms.rooms(&self.0.id)
    }

    /// Joins one room or several. Takes effect at once, in a middleware when the client has been
    /// accepted. After the disconnection nothing happens.
    pub fn join(&self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        self.0.nsp.inner.join(self, &rooms);
    }

    /// Leaves a room. A room that the socket is not in is no error.
    pub fn leave(&self, room: impl Into<Room>) {
        self.0.nsp.inner.leave(self, &room.into());
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
