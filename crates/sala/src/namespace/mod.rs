//! Namespaces: who handles what, and who is there.

mod table;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sala_adapter::{Room, RoomSet, SocketId};

use self::table::Table;
use crate::rooms::Rooms;
use crate::server::{Server, ServerInner};
use crate::socket::Socket;
use crate::versioned::Versioned;

/// A namespace: a channel of its own over the shared connections, with its own handlers,
/// middlewares, rooms and acknowledgement ids.
///
/// A handle: cloning is cheap.
#[derive(Clone)]
pub struct Namespace {
    pub(crate) inner: Arc<NamespaceInner>,
    pub(crate) shared: Arc<ServerInner>,
}

pub(crate) struct NamespaceInner {
    name: Box<str>,
    pub(crate) table: Versioned<Table>,
    pub(crate) rooms: Rooms<Socket>,
    next_ack: AtomicU64,
}

impl NamespaceInner {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            table: Versioned::default(),
            rooms: Rooms::new(),
            next_ack: AtomicU64::new(0),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// An id for an event that asks for acknowledgements. One counter serves all sockets, so that a
    /// broadcast is one frame.
    pub(crate) fn next_ack(&self) -> u64 {
        self.next_ack.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn join(&self, socket: &Socket, rooms: &RoomSet) {
        self.rooms.join(socket.id(), socket, &socket.0.rooms, rooms);
    }

    pub(crate) fn leave(&self, socket: &Socket, room: &Room) {
        self.rooms.leave(socket.id(), &socket.0.rooms, room);
    }
}

impl Namespace {
    /// The name, which starts with a slash.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> Server {
        Server::from_inner(self.shared.clone())
    }

    /// The connected socket of this server with this id.
    #[must_use]
    pub fn socket(&self, id: &SocketId) -> Option<Socket> {
        self.inner.rooms.get(id)
    }

    /// How many sockets of this server are connected to the namespace.
    #[must_use]
    pub fn sockets_count(&self) -> usize {
        self.inner.rooms.len()
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name())
            .field("sockets", &self.sockets_count())
            .finish_non_exhaustive()
    }
}
