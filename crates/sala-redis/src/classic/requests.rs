//! The types of requests, as numbers.

use sala_adapter::Message;

pub(super) const SOCKETS: u64 = 0;
pub(super) const ALL_ROOMS: u64 = 1;
pub(super) const REMOTE_JOIN: u64 = 2;
pub(super) const REMOTE_LEAVE: u64 = 3;
pub(super) const REMOTE_DISCONNECT: u64 = 4;
pub(super) const REMOTE_FETCH: u64 = 5;
pub(super) const SERVER_SIDE_EMIT: u64 = 6;
pub(super) const BROADCAST: u64 = 7;
pub(super) const BROADCAST_CLIENT_COUNT: u64 = 8;
pub(super) const BROADCAST_ACK: u64 = 9;

/// The type of what is sent as a request; `None` if there is no such request.
pub(super) fn number(message: &Message) -> Option<u64> {
    Some(match message {
        Message::FetchIds { .. } => SOCKETS,
        Message::FetchRooms { .. } => ALL_ROOMS,
        Message::Join { .. } => REMOTE_JOIN,
        Message::Leave { .. } => REMOTE_LEAVE,
        Message::Disconnect { .. } => REMOTE_DISCONNECT,
        Message::FetchSockets { .. } => REMOTE_FETCH,
        Message::ServerSideEmit { .. } => SERVER_SIDE_EMIT,
        Message::Broadcast {
            request: Some(_), ..
        } => BROADCAST,
        _ => return None,
    })
}
