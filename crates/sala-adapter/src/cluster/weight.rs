//! How much a message weighs in a queue.

use crate::message::{Envelope, Message, SocketSnapshot};
use crate::target::{RoomSet, Target};

/// What every message costs, whatever it says: itself and its place in the queue.
pub(super) const MESSAGE: usize = size_of::<Envelope>();

/// What a name costs beside its text.
const NAME: usize = 24;

/// About how many bytes a message takes while it waits.
pub(super) fn of_message(message: &Message) -> usize {
    MESSAGE
        + match message {
            Message::Broadcast { packet, target, .. } => packet.weight() + of_target(target),
            Message::Join { target, rooms } | Message::Leave { target, rooms } => {
                of_target(target) + of_rooms(rooms)
            }
            Message::Disconnect { target, .. } | Message::FetchSockets { target, .. } => {
                of_target(target)
            }
            Message::FetchSocketsResponse { sockets, .. } => sockets.iter().map(of_socket).sum(),
            Message::ServerSideEmit { packet, .. } => packet.weight(),
            Message::ServerSideEmitResponse { answer, .. }
            | Message::BroadcastAck { answer, .. } => answer.weight(),
            Message::FetchRoomsResponse { rooms, .. } | Message::FetchIds { rooms, .. } => {
                of_rooms(rooms)
            }
            Message::FetchIdsResponse { ids, .. } => {
                ids.iter().map(|id| NAME + id.as_bytes().len()).sum()
            }
            Message::InitialHeartbeat
            | Message::Heartbeat
            | Message::AdapterClose
            | Message::BroadcastClientCount { .. }
            | Message::FetchRooms { .. } => 0,
        }
}

fn of_target(target: &Target) -> usize {
    of_rooms(&target.rooms) + of_rooms(&target.except)
}

fn of_rooms(rooms: &RoomSet) -> usize {
    rooms.iter().map(|room| NAME + room.as_bytes().len()).sum()
}

fn of_socket(socket: &SocketSnapshot) -> usize {
    size_of::<SocketSnapshot>()
        + socket.id.as_bytes().len()
        + socket.handshake.weight()
        + of_rooms(&socket.rooms)
        + socket.data.weight()
}
