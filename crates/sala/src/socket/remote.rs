//! Sockets as `fetch_sockets` finds them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sala_adapter::message::SocketSnapshot;
use sala_adapter::{IntoRooms, RoomSet, SocketId};
use sala_proto::{Value, to_value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Data, Handshake, Socket};
use crate::emit::{AckFuture, Broadcast, Emit};
use crate::error::Error;
use crate::event::Event;
use crate::namespace::Namespace;

/// A socket as [`fetch_sockets`](crate::Namespace::fetch_sockets) found it: what it was then, and
/// what can be done to it from any server of the cluster.
///
/// Whether the client is connected to this server or to another one makes no difference; what is done
/// to it may take a little longer there.
#[derive(Clone)]
pub struct RemoteSocket {
    place: Place,
    rooms: RoomSet,
    data: Data,
}

/// Where the client is connected.
#[derive(Clone)]
enum Place {
    Here(Socket),
    Elsewhere(Arc<Elsewhere>),
}

/// A socket of another server.
pub(crate) struct Elsewhere {
    pub(crate) nsp: Namespace,
    pub(crate) id: SocketId,
    handshake: Value,
}

impl RemoteSocket {
    pub(crate) fn here(socket: Socket) -> Self {
        Self {
            rooms: socket.rooms(),
            data: socket.data().snapshot(),
            place: Place::Here(socket),
        }
    }

    pub(crate) fn elsewhere(nsp: &Namespace, found: SocketSnapshot) -> Self {
        Self {
            place: Place::Elsewhere(Arc::new(Elsewhere {
                nsp: nsp.clone(),
                id: found.id,
                handshake: found.handshake,
            })),
            rooms: found.rooms,
            data: Data::from_value(found.data),
        }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &SocketId {
        match &self.place {
            Place::Here(socket) => socket.id(),
            Place::Elsewhere(socket) => &socket.id,
        }
    }

    /// How the client came.
    #[must_use]
    pub fn handshake(&self) -> Handshake<'_> {
        match &self.place {
            Place::Here(socket) => socket.handshake(),
            Place::Elsewhere(socket) => Handshake::elsewhere(&socket.handshake),
        }
    }

    /// The rooms it was in, its own among them.
    #[must_use]
    pub fn rooms(&self) -> &RoomSet {
        &self.rooms
    }

    /// Its `data` then.
    #[must_use]
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Whether it is connected to this server.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self.place, Place::Here(_))
    }

    /// Sends an event to it.
    ///
    /// # Errors
    ///
    /// As [`Emit::emit`].
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Error> {
        self.begin().emit(event, data)
    }

    /// Sends a typed event to it: see [`Event`].
    ///
    /// # Errors
    ///
    /// As [`Emit::emit`].
    pub fn send<E: Event>(&self, event: &E) -> Result<(), Error> {
        self.begin().send(event)
    }

    /// How long to wait for the acknowledgement of what is emitted next.
    pub fn timeout(&self, timeout: Duration) -> Emit<'_> {
        self.begin().timeout(timeout)
    }

    /// Sends an event and returns a future of the answer: see [`Emit::emit_with_ack`].
    ///
    /// # Errors
    ///
    /// As [`Emit::emit_with_ack`].
    pub fn emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> AckFuture<R> {
        self.begin().emit_with_ack(event, data)
    }

    /// Makes it join rooms.
    pub fn join(&self, rooms: impl IntoRooms) {
        match &self.place {
            Place::Here(socket) => socket.join(rooms),
            Place::Elsewhere(socket) => socket.meant().sockets_join(rooms),
        }
    }

    /// Makes it leave rooms.
    pub fn leave(&self, rooms: impl IntoRooms) {
        match &self.place {
            Place::Here(socket) => {
                let rooms = rooms.into_rooms();
                rooms.iter().for_each(|room| socket.leave(room));
            }
            Place::Elsewhere(socket) => socket.meant().sockets_leave(rooms),
        }
    }

    /// Disconnects it; with `close`, its connection is closed too.
    pub fn disconnect(&self, close: bool) {
        match &self.place {
            Place::Here(socket) => socket.disconnect(close),
            Place::Elsewhere(socket) => socket.meant().disconnect_sockets(close),
        }
    }

    fn begin(&self) -> Emit<'_> {
        match &self.place {
            Place::Here(socket) => Emit::new(socket),
            Place::Elsewhere(socket) => Emit::elsewhere(socket),
        }
    }
}

impl Elsewhere {
    /// All that has its id for a room: itself, wherever it is now.
    fn meant(&self) -> Broadcast<'_> {
        self.nsp.to(&self.id).expect_single_response()
    }
}

impl Socket {
    /// What other servers are told of this socket.
    pub(crate) fn describe(&self) -> Result<SocketSnapshot, Error> {
        Ok(SocketSnapshot {
            id: self.id().clone(),
            handshake: to_value(&self.handshake())?,
            rooms: self.rooms(),
            data: self.data().snapshot().to_value(),
        })
    }
}

impl fmt::Debug for RemoteSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSocket")
            .field("id", self.id())
            .field("rooms", &self.rooms)
            .field("local", &self.is_local())
            .finish_non_exhaustive()
    }
}
