//! Whom something is for, being put together.

use std::sync::Arc;

use sala_adapter::{IntoRooms, Message, Target};
use sala_proto::{RawArgs, is_reserved};
use serde::Serialize;

use crate::{EmitError, Emitter, Sending};

/// Something for all sockets that a target means, being put together: made by the methods of
/// [`Emitter`], ends in [`emit`](Self::emit) or one of the other commands.
///
/// Without rooms, all sockets of the namespace are meant; with rooms, those in any of them, each once.
/// The emitter stays as it is, and so does what a clone of this was made of.
///
/// Nothing is sent before the future of the last call is polled. *Cancel safety:* if it is dropped then, the
/// message is sent or not.
#[derive(Clone)]
#[must_use = "nothing is sent before `emit` is called and awaited"]
pub struct Broadcast<'a> {
    emitter: &'a Emitter,
    target: Target,
}

impl<'a> Broadcast<'a> {
    pub(crate) fn new(emitter: &'a Emitter, target: Target) -> Self {
        Self { emitter, target }
    }

    /// To the sockets in these rooms as well; the first rooms replace "everybody". The id of a socket is
    /// the name of a room.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.target = self.target.to(rooms);
        self
    }

    /// The same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Not to the sockets in these rooms, whatever other rooms they are in.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.target = self.target.except(rooms);
        self
    }

    /// The packet may be dropped for each client whose connection cannot take it at that instant.
    pub fn volatile(mut self) -> Self {
        self.target = self.target.volatile();
        self
    }

    /// Says whether the packet may be compressed. Default: it may, where the connection compresses.
    pub fn compress(mut self, compress: bool) -> Self {
        self.target = self.target.compress(compress);
        self
    }

    /// Sends an event. Nobody being there is no error.
    ///
    /// A tuple spreads over the arguments, `()` is none, anything else is one. serde sees arrays of
    /// fixed size as tuples: wrap one in a tuple, `&([1, 2],)`, to send it as one argument. `bytes::Bytes`
    /// is binary data.
    ///
    /// # Errors
    ///
    /// [`EmitError::Reserved`] if clients keep the name for themselves, [`EmitError::Encode`] if the data cannot
    /// be encoded, [`EmitError::Backend`] if the broker does not take it.
    pub fn emit<T: Serialize + ?Sized>(self, event: &str, data: &T) -> Sending {
        let target = self.target;
        let message = packet(event, data).map(|packet| Message::Broadcast {
            packet,
            target,
            request: None,
        });
        self.emitter.send(message)
    }

    /// Makes the sockets join rooms.
    ///
    /// # Errors
    ///
    /// [`EmitError::Backend`].
    pub fn sockets_join(self, rooms: impl IntoRooms) -> Sending {
        let (target, rooms) = (self.target, rooms.into_rooms());
        self.emitter.send(Ok(Message::Join { target, rooms }))
    }

    /// Makes the sockets leave rooms.
    ///
    /// # Errors
    ///
    /// [`EmitError::Backend`].
    pub fn sockets_leave(self, rooms: impl IntoRooms) -> Sending {
        let (target, rooms) = (self.target, rooms.into_rooms());
        self.emitter.send(Ok(Message::Leave { target, rooms }))
    }

    /// Disconnects the sockets from the namespace, and if `close` is set their connections as well.
    ///
    /// # Errors
    ///
    /// [`EmitError::Backend`].
    pub fn disconnect_sockets(self, close: bool) -> Sending {
        let target = self.target;
        self.emitter.send(Ok(Message::Disconnect { target, close }))
    }
}

fn packet<T: Serialize + ?Sized>(event: &str, data: &T) -> Result<RawArgs, EmitError> {
    if is_reserved(event) {
        return Err(EmitError::Reserved(event.into()));
    }
    RawArgs::new_event(event, data).map_err(|error| EmitError::Encode(Arc::new(error)))
}
