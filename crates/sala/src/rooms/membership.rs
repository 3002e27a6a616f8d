//! Which rooms one socket is in: the truth, of which the index is a mirror.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sala_adapter::{Room, RoomSet, SocketId};

/// The rooms of one socket, as a part of the socket. Changed through [`Rooms`](super::Rooms) only.
#[derive(Default)]
pub(crate) struct Membership(Mutex<Joined>);

pub(super) enum Joined {
    /// Not admitted yet: middlewares run. Rooms joined now take effect with the admission, so that
    /// no target finds a socket that is not connected, and a refused one leaves no trace.
    Pending(RoomSet),
    /// Member of the namespace.
    Open(Opened),
    /// Disconnected or refused; joins are ignored from now on.
    Left,
}

pub(super) struct Opened {
    /// Without the room named by the socket's own id.
    pub(super) rooms: RoomSet,
    /// Whether the socket is in that one.
    pub(super) in_own: bool,
}

impl Default for Joined {
    fn default() -> Self {
        Self::Pending(RoomSet::new())
    }
}

impl Membership {
    /// The membership of a socket that is not admitted yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The rooms that the socket `id` is in, its own first; none once it was removed.
    pub(crate) fn rooms(&self, id: &SocketId) -> RoomSet {
        match &*self.lock() {
            Joined::Pending(rooms) => rooms.clone(),
            Joined::Open(opened) => {
                let own = opened.in_own.then(|| Room::from(id));
                own.into_iter()
                    .chain(opened.rooms.iter().cloned())
                    .collect()
            }
            Joined::Left => RoomSet::new(),
        }
    }

    /// Whether the socket `id` is in `room`.
    pub(crate) fn contains(&self, id: &SocketId, room: &Room) -> bool {
        match &*self.lock() {
            Joined::Pending(rooms) => rooms.contains(room),
            Joined::Open(opened) => {
                opened.rooms.contains(room) || opened.in_own && *room == Room::from(id)
            }
            Joined::Left => false,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Joined> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
