//! Whom a target means.

use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

use foldhash::fast::RandomState;
use sala_adapter::{Room, RoomSet, SocketId, Target};

use super::{Rooms, read};

/// Sockets that a target leaves out.
enum Excluded {
    None,
    /// The usual case: the sender.
    One(SocketId),
    Many(HashSet<SocketId, RandomState>),
}

impl Excluded {
    fn contains(&self, id: &SocketId) -> bool {
        match self {
            Self::None => false,
            Self::One(excluded) => excluded == id,
            Self::Many(excluded) => excluded.contains(id),
        }
    }

    fn add(&mut self, id: &SocketId) {
        match self {
            Self::None => *self = Self::One(id.clone()),
            Self::One(first) => {
                *self = Self::Many(HashSet::from_iter([first.clone(), id.clone()]));
            }
            Self::Many(excluded) => {
                excluded.insert(id.clone());
            }
        }
    }
}

impl<S: Clone> Rooms<S> {
    /// Calls `f` once for each socket that the target means: all of them if it names no room,
    /// otherwise those in any of its rooms; without those in any of its excluded rooms. The flags
    /// do not matter here.
    ///
    /// `f` runs under a read lock: it may push to an outbox and wake its task, nothing longer, and
    /// must not call a method of this type.
    ///
    /// All sockets or one room, with at most one excluded id: a straight iteration that allocates
    /// nothing.
    pub(crate) fn for_each(&self, target: &Target, mut f: impl FnMut(&S)) {
        let excluded = self.excluded(&target.except);
        let mut f = |id: &SocketId, socket: &S| {
            if !excluded.contains(id) {
                f(socket);
            }
        };
        match target.rooms.len() {
            0 => self.for_each_socket(f),
            1 => target
                .rooms
                .iter()
                .for_each(|room| self.for_each_member(room, &mut f)),
            _ => {
                let mut seen: HashSet<SocketId, RandomState> = HashSet::default();
                for room in &target.rooms {
                    self.for_each_member(room, |id, socket| {
                        if seen.insert(id.clone()) {
                            f(id, socket);
                        }
                    });
                }
            }
        }
    }

    /// The sockets that the target means, for what takes longer than a push.
    pub(crate) fn select(&self, target: &Target) -> Vec<S> {
        let mut sockets = Vec::new();
        self.for_each(target, |socket| sockets.push(socket.clone()));
        sockets
    }

    fn for_each_socket(&self, mut f: impl FnMut(&SocketId, &S)) {
        for shard in self.sockets.get().into_iter().flatten() {
            for (id, present) in read(shard).iter() {
                f(id, &present.socket);
            }
        }
    }

    /// The socket that the room is named after, then the others.
    fn for_each_member(&self, room: &Room, mut f: impl FnMut(&SocketId, &S)) {
        let owner = SocketId::from(room);
        if let Some(shard) = self.socket_shard(&owner)
            && let Some(present) = read(shard).get(&owner)
            && present.in_own
        {
            f(&owner, &present.socket);
        }
        if let Some(shards) = self.rooms.get()
            && let Some(members) = read(self.pick(shards, room)).get(room)
        {
            members.for_each(f);
        }
    }

    fn excluded(&self, rooms: &RoomSet) -> Excluded {
        let mut excluded = Excluded::None;
        for room in rooms {
            // Taken for an id without looking it up: if it is none, it excludes nobody.
            if self.strays.load(Relaxed) == 0 || self.has_owner(room) {
                excluded.add(&SocketId::from(room));
            }
            if let Some(shards) = self.rooms.get()
                && let Some(members) = read(self.pick(shards, room)).get(room)
            {
                members.for_each(|id, _| excluded.add(id));
            }
        }
        excluded
    }
}
