//! Sockets as `fetch_sockets` finds them.

use std::fmt;
use std::time::Duration;

use sala_adapter::{IntoRooms, RoomSet, SocketId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Data, Handshake, Socket};
use crate::emit::{AckFuture, Emit};
use crate::error::Error;

/// A socket as [`fetch_sockets`](crate::Namespace::fetch_sockets) found it: what it was then, and
/// what can be done to it from any server of the cluster.
#[derive(Clone)]
pub struct RemoteSocket {
    socket: Socket,
    rooms: RoomSet,
    data: Data,
}

impl RemoteSocket {
    pub(crate) fn local(socket: Socket) -> Self {
        Self {
            rooms: socket.rooms(),
            data: socket.data().snapshot(),
            socket,
        }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &SocketId {
        self.socket.id()
    }

    /// How the client came.
    #[must_use]
    pub fn handshake(&self) -> Handshake<'_> {
        self.socket.handshake()
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

    /// Sends an event to it.
    ///
    /// # Errors
    ///
    /// As [`Emit::emit`].
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Error> {
        self.socket.emit(event, data)
    }

    /// How long to wait for the acknowledgement of what is emitted next.
    pub fn timeout(&self, timeout: Duration) -> Emit<'_> {
        self.socket.timeout(timeout)
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
        self.socket.emit_with_ack(event, data)
    }

    /// Makes it join rooms.
    pub fn join(&self, rooms: impl IntoRooms) {
        self.socket.join(rooms);
    }

    /// Makes it leave rooms.
    pub fn leave(&self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        rooms.iter().for_each(|room| self.socket.leave(room));
    }

    /// Disconnects it; with `close`, its connection is closed too.
    pub fn disconnect(&self, close: bool) {
        self.socket.disconnect(close);
    }
}

impl fmt::Debug for RemoteSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSocket")
            .field("id", self.id())
            .field("rooms", &self.rooms)
            .finish_non_exhaustive()
    }
}
