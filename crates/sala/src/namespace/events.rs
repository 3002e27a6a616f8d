//! Listeners that hear of rooms.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use sala_adapter::adapter::RoomChange;
use sala_adapter::{Adapter, Room, SocketId};

use crate::rooms::{self, Rooms};
use crate::socket::Socket;

/// Something that happened to a room of this server. A room exists as long as it has members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomEvent {
    /// The room is about to get its first member: `create-room`.
    Create(Room),
    /// A socket joined: `join-room`.
    Join(Room, SocketId),
    /// A socket left: `leave-room`.
    Leave(Room, SocketId),
    /// The last member has left: `delete-room`.
    Delete(Room),
}

impl From<rooms::RoomEvent<'_>> for RoomEvent {
    fn from(event: rooms::RoomEvent<'_>) -> Self {
        match event {
            rooms::RoomEvent::Create { room, .. } => Self::Create(room.clone()),
            rooms::RoomEvent::Join(room, id) => Self::Join(room.clone(), id.clone()),
            rooms::RoomEvent::Leave(room, id) => Self::Leave(room.clone(), id.clone()),
            rooms::RoomEvent::Delete { room, .. } => Self::Delete(room.clone()),
        }
    }
}

type RoomHook = Arc<dyn Fn(&RoomEvent) + Send + Sync>;

/// Events that were seen under the locks of the index of rooms, waiting to be told without them.
#[derive(Default)]
pub(super) struct RoomEvents {
    any: AtomicBool,
    /// Whether anybody ever listened.
    wanted: AtomicBool,
    queue: Mutex<VecDeque<RoomEvent>>,
    listeners: Mutex<Vec<RoomHook>>,
    /// Held by whoever tells, so that events are told in order.
    telling: Mutex<()>,
}

impl RoomEvents {
    pub(super) fn listen(self: &Arc<Self>, rooms: &Rooms<Socket>, listener: RoomHook) {
        lock(&self.listeners).push(listener);
        self.wanted.store(true, Ordering::Release);
        let events = Arc::clone(self);
        // Only the first observer is installed; it serves all listeners.
        rooms.observe(move |event| events.note(event));
    }

    /// Has the cluster hear of the rooms that this server has, and the listeners as well.
    pub(super) fn inform(self: &Arc<Self>, rooms: &Rooms<Socket>, adapter: Arc<dyn Adapter>) {
        let events = Arc::clone(self);
        rooms.observe(move |event| {
            if let Some(change) = change(event) {
                adapter.interest(change);
            }
            if events.wanted.load(Ordering::Acquire) {
                events.note(event);
            }
        });
    }

    fn note(&self, event: rooms::RoomEvent<'_>) {
        lock(&self.queue).push_back(event.into());
        self.any.store(true, Ordering::Release);
    }

    /// Tells the listeners what waits. If another thread is at it, that one tells this too.
    pub(super) fn tell(&self) {
        while self.any.load(Ordering::Acquire) {
            let _telling = match self.telling.try_lock() {
                Ok(telling) => telling,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let listeners = lock(&self.listeners).clone();
            self.any.store(false, Ordering::Release);
            loop {
                let Some(event) = lock(&self.queue).pop_front() else {
                    break;
                };
                listeners.iter().for_each(|listener| listener(&event));
            }
        }
    }
}

/// What the cluster has to know of it.
fn change(event: rooms::RoomEvent<'_>) -> Option<RoomChange<'_>> {
    let (room, own, occupied) = match event {
        rooms::RoomEvent::Create { room, own } => (room, own, true),
        rooms::RoomEvent::Delete { room, own } => (room, own, false),
        rooms::RoomEvent::Join(..) | rooms::RoomEvent::Leave(..) => return None,
    };
    Some(RoomChange {
        room,
        own,
        occupied,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
