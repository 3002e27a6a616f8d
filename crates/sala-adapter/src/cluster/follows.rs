//! What this server has to hear of: namespaces and rooms. Changes are noted here by whoever makes
//! them and applied by the reader; a room that comes and goes in between costs nothing.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::{Map, lock};
use crate::adapter::RoomChange;
use crate::backend::{Follow, RoomsFollowed};
use crate::target::Room;

pub(super) struct Follows {
    which: RoomsFollowed,
    state: Mutex<State>,
    /// The reader waits for it.
    changed: Notify,
    /// Those who wait for the reader.
    applied: Notify,
}

#[derive(Default)]
struct State {
    namespaces: Map<Room, Namespace>,
    /// What may have to be changed, with the number of the change.
    dirty: VecDeque<(u64, Key)>,
    issued: u64,
    applied: u64,
}

#[derive(Clone)]
struct Key {
    namespace: Room,
    /// `None`: the namespace itself.
    room: Option<Room>,
}

#[derive(Default)]
struct Namespace {
    own: Status,
    /// The reader has returned from following it.
    confirmed: bool,
    rooms: Map<Room, Status>,
}

#[derive(Clone, Copy, Default)]
struct Status {
    wanted: bool,
    /// What the inlet was told.
    told: bool,
    /// Whether it is in the list of changes.
    dirty: bool,
}

/// What the reader has to do next.
pub(super) struct Changes {
    pub(super) follows: Vec<Follow>,
    /// To be given to [`Follows::applied`].
    number: u64,
}

impl Follows {
    pub(super) fn new(which: RoomsFollowed) -> Self {
        Self {
            which,
            state: Mutex::default(),
            changed: Notify::new(),
            applied: Notify::new(),
        }
    }

    /// A namespace is to be followed.
    pub(super) fn enter(&self, namespace: &Room) {
        self.lock().want(namespace, None, true);
        self.changed.notify_one();
    }

    /// A namespace and its rooms are no longer to be followed.
    pub(super) fn leave(&self, namespace: &Room) {
        self.lock().leave(namespace);
        self.changed.notify_one();
        self.applied.notify_waiters();
    }

    /// A room has changed. Rooms of namespaces that are not followed are left alone.
    pub(super) fn room(&self, namespace: &Room, change: RoomChange<'_>) {
        match self.which {
            RoomsFollowed::None => return,
            RoomsFollowed::Public if change.own && change.room.is_as_long_as_a_socket_id() => {
                return;
            }
            RoomsFollowed::Public | RoomsFollowed::All => {}
        }
        self.lock()
            .want(namespace, Some(change.room), change.occupied);
        self.changed.notify_one();
    }

    /// Waits for changes. Cancel-safe. For one reader at a time.
    pub(super) async fn changed(&self) {
        while self.lock().dirty.is_empty() {
            self.changed.notified().await;
        }
    }

    /// The next changes, at most `limit`; `None` if there are none.
    pub(super) fn take(&self, limit: usize) -> Option<Changes> {
        self.lock().take(limit)
    }

    /// The inlet has made these changes.
    pub(super) fn applied(&self, changes: &Changes) {
        self.lock().confirm(changes);
        self.applied.notify_waiters();
    }

    /// The inlet is gone: the next one has to be told everything.
    pub(super) fn reset(&self) {
        self.lock().reset();
        self.changed.notify_one();
        self.applied.notify_waiters();
    }

    /// Whether messages for the namespace arrive; also if it is not wanted any more.
    pub(super) fn hears(&self, namespace: &Room) -> bool {
        let state = self.lock();
        let found = state.namespaces.get(namespace);
        found.is_none_or(|it| it.confirmed || !it.own.wanted)
    }

    /// Waits until all changes so far are made. Cancel-safe.
    pub(super) async fn ready(&self) {
        let issued = self.lock().issued;
        self.until(|| self.lock().applied >= issued).await;
    }

    /// Waits for something that depends on what is followed. Cancel-safe.
    pub(super) async fn until(&self, condition: impl Fn() -> bool) {
        loop {
            let mut applied = pin!(self.next_applied());
            applied.as_mut().enable();
            if condition() {
                return;
            }
            applied.await;
        }
    }

    /// Resolves when something has changed about what is followed, or about the link.
    pub(super) fn next_applied(&self) -> Notified<'_> {
        self.applied.notified()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn want(&mut self, namespace: &Room, room: Option<&Room>, wanted: bool) {
        let entry = match room {
            None => self.namespaces.entry(namespace.clone()).or_default(),
            Some(_) => match self.namespaces.get_mut(namespace) {
                Some(entry) if entry.own.wanted => entry,
                _ => return,
            },
        };
        let status = match room {
            None => &mut entry.own,
            Some(room) if wanted => entry.rooms.entry(room.clone()).or_default(),
            Some(room) => match entry.rooms.get_mut(room) {
                Some(status) => status,
                None => return,
            },
        };
        status.wanted = wanted;
        if !std::mem::replace(&mut status.dirty, true) {
            let room = room.cloned();
            self.note(Key {
                namespace: namespace.clone(),
                room,
            });
        }
    }

    fn note(&mut self, key: Key) {
        self.issued += 1;
        self.dirty.push_back((self.issued, key));
    }

    fn leave(&mut self, namespace: &Room) {
        let Some(entry) = self.namespaces.get(namespace) else {
            return;
        };
        let rooms: Vec<Room> = entry.rooms.keys().cloned().collect();
        for room in &rooms {
            self.want(namespace, Some(room), false);
        }
        self.want(namespace, None, false);
    }

    fn take(&mut self, limit: usize) -> Option<Changes> {
        let (mut number, _) = *self.dirty.front()?;
        let mut follows = Vec::new();
        while follows.len() < limit
            && let Some((issued, key)) = self.dirty.pop_front()
        {
            number = issued;
            follows.extend(self.tell(key));
        }
        Some(Changes { follows, number })
    }

    /// What the inlet has to be told, if anything.
    fn tell(&mut self, key: Key) -> Option<Follow> {
        let Key { namespace, room } = key;
        let entry = self.namespaces.get_mut(&namespace)?;
        let status = match &room {
            None => &mut entry.own,
            Some(room) => entry.rooms.get_mut(room)?,
        };
        status.dirty = false;
        let Status { wanted, told, .. } = *status;
        status.told = wanted;
        if !wanted {
            match &room {
                Some(room) => drop(entry.rooms.remove(room)),
                None => drop(self.namespaces.remove(&namespace)),
            }
        }
        match (wanted != told, wanted, room) {
            (false, _, _) => None,
            (true, true, None) => Some(Follow::Namespace(namespace)),
            (true, false, None) => Some(Follow::LeaveNamespace(namespace)),
            (true, true, Some(room)) => Some(Follow::Room { namespace, room }),
            (true, false, Some(room)) => Some(Follow::LeaveRoom { namespace, room }),
        }
    }

    fn confirm(&mut self, changes: &Changes) {
        self.applied = changes.number;
        for follow in &changes.follows {
            if let Follow::Namespace(name) = follow
                && let Some(entry) = self.namespaces.get_mut(name)
            {
                entry.confirmed = true;
            }
        }
    }

    fn reset(&mut self) {
        self.dirty.clear();
        self.namespaces.retain(|_, entry| entry.own.wanted);
        let again = Status {
            wanted: true,
            told: false,
            dirty: true,
        };
        let mut keys = Vec::new();
        for (name, entry) in &mut self.namespaces {
            entry.confirmed = false;
            entry.own = again;
            entry.rooms.retain(|_, status| status.wanted);
            keys.push(Key {
                namespace: name.clone(),
                room: None,
            });
            for (room, status) in &mut entry.rooms {
                *status = again;
                keys.push(Key {
                    namespace: name.clone(),
                    room: Some(room.clone()),
                });
            }
        }
        keys.into_iter().for_each(|key| self.note(key));
        if self.dirty.is_empty() {
            self.applied = self.issued;
        }
    }
}

#[cfg(test)]
mod tests;
