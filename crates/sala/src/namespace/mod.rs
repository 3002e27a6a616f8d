//! Namespaces: who handles what, and who is there.

pub(crate) mod admission;
pub(crate) mod directory;
pub(crate) mod dynamic;
mod events;
mod operate;
mod register;
pub(crate) mod table;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use sala_adapter::{Room, RoomSet, SocketId};

pub use self::admission::Attempt;
use self::dynamic::ParentInner;
pub use self::dynamic::ParentNamespace;
pub use self::events::RoomEvent;
use self::events::RoomEvents;
use self::table::Table;
use crate::cluster::{Link, ServerSide};
use crate::error::ErrorKind;
use crate::recovery::RecoveryLog;
use crate::rooms::Rooms;
use crate::server::{Server, ServerInner};
use crate::socket::Socket;
use crate::socket::inner::Phase;
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
    parent: Option<Arc<ParentInner>>,
    pub(crate) table: Versioned<Table>,
    pub(crate) rooms: Rooms<Socket>,
    events: Arc<RoomEvents>,
    pub(crate) recovery: Option<RecoveryLog>,
    /// The same namespace on the other servers, if there are any.
    pub(crate) link: OnceLock<Link>,
    pub(crate) server_side: ServerSide,
    pub(crate) clients: Clients,
    next_ack: AtomicU64,
    /// Whether anybody ever listened to outgoing events.
    watched: AtomicBool,
}

/// How many clients are in a namespace or want in.
#[derive(Default)]
pub(crate) struct Clients(AtomicUsize);

impl Clients {
    pub(crate) fn enter(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether it was the last one.
    pub(crate) fn exit(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl NamespaceInner {
    pub(crate) fn new(name: &str, recovery: Option<RecoveryLog>) -> Self {
        Self {
            name: name.into(),
            parent: None,
            table: Versioned::default(),
            rooms: Rooms::new(),
            events: Arc::default(),
            recovery,
            link: OnceLock::new(),
            server_side: ServerSide::default(),
            clients: Clients::default(),
            next_ack: AtomicU64::new(0),
            watched: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn parent(&self) -> Option<&Arc<ParentInner>> {
        self.parent.as_ref()
    }

    /// The same namespace on the other servers: none on a server that is alone.
    pub(crate) fn link(&self) -> Option<&Link> {
        self.link.get()
    }

    /// Whether what can be missed goes through the log of the cluster.
    pub(crate) fn has_store(&self) -> bool {
        self.link.get().is_some_and(|link| link.store.is_some())
    }

    /// The log of connection state recovery in memory: where it is on, and no log of a cluster takes its
    /// place.
    pub(crate) fn log(&self) -> Option<&RecoveryLog> {
        self.recovery.as_ref().filter(|_| !self.has_store())
    }

    /// Enters a cluster. Nobody else knows the namespace yet.
    pub(crate) fn connect(&self, link: Link) {
        self.events.inform(&self.rooms, link.adapter.clone());
        self.link.set(link).ok(); // a namespace is made once
    }

    /// An id for an event that asks for acknowledgements. One counter serves all sockets, so that a
    /// broadcast is one frame.
    pub(crate) fn next_ack(&self) -> u64 {
        self.next_ack.fetch_add(1, Ordering::Relaxed)
    }

    /// Somebody listens to outgoing events from now on.
    pub(crate) fn watch(&self) {
        self.watched.store(true, Ordering::Release);
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    pub(crate) fn join(&self, socket: &Socket, rooms: &RoomSet) {
        let limit = socket.0.nsp.shared.options.max_room_name;
        let fits = |room: &&Room| room.as_bytes().len() <= limit;
        self.rooms.join(
            socket.id(),
            socket,
            &socket.0.rooms,
            rooms.iter().filter(fits),
        );
        self.tell_room_events();
        if !rooms.iter().all(|room| fits(&room)) {
            socket.failed(
                None,
                ErrorKind::Limit,
                "the name of a room is too long".into(),
            );
        }
    }

    pub(crate) fn leave(&self, socket: &Socket, room: &Room) {
        self.rooms.leave(socket.id(), &socket.0.rooms, room);
        self.tell_room_events();
    }

    /// Tells listeners what has happened to rooms, now that no lock is held.
    pub(crate) fn tell_room_events(&self) {
        self.events.tell();
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
        let socket = self.inner.rooms.get(id)?;
        // One that is catching up is found by targets, but not in yet.
        (socket.0.phase() > Phase::Connecting).then_some(socket)
    }

    /// The connected sockets of this server.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        self.select(&sala_adapter::Target::all())
    }

    /// How many sockets of this server are connected.
    #[must_use]
    pub fn sockets_count(&self) -> usize {
        self.inner.rooms.len()
    }

    /// The names of all rooms on this server, in no particular order. The rooms named by the ids of
    /// single sockets are among them.
    #[must_use]
    pub fn rooms(&self) -> RoomSet {
        self.inner.rooms.names()
    }

    /// How many sockets of this server are in a room.
    #[must_use]
    pub fn room_size(&self, room: impl Into<Room>) -> usize {
        self.inner.rooms.room_size(&room.into())
    }

    /// The rooms of the socket with this id; `None` if it is not connected to this server.
    #[must_use]
    pub fn socket_rooms(&self, id: &SocketId) -> Option<RoomSet> {
        self.socket(id).map(|socket| socket.rooms())
    }

    /// Calls `listener` whenever a room comes into being or goes, and whenever a socket joins or
    /// leaves one: the adapter's events of the reference. The rooms named by the ids of single
    /// sockets count. Create comes before join, leave before delete.
    ///
    /// The listener runs outside of all locks, soon after the change, one call at a time.
    pub fn on_room_event(&self, listener: impl Fn(&RoomEvent) + Send + Sync + 'static) -> &Self {
        self.inner
            .events
            .listen(&self.inner.rooms, Arc::new(listener));
        self
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Namespace {}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name())
            .field("sockets", &self.sockets_count())
            .finish_non_exhaustive()
    }
}
