//! Who is in which room of one namespace, and who is meant by a target.
//!
//! # Locks
//!
//! A socket's [`Membership`] → a shard of sockets → a shard of rooms. Of each kind at most one is
//! held at a time, and a lock is taken only while those held stand before it in this line. No lock
//! is held when a method returns.
//!
//! Callbacks run under a read lock and must only push to an outbox or copy what they need; the
//! observer runs under a write lock and must only push to a queue. Neither may call back into
//! [`Rooms`] or a [`Membership`].

mod members;
mod membership;
mod select;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use indexmap::map::Entry;
use sala_adapter::{Room, RoomSet, SocketId};
use std::hash::BuildHasher as _;

use self::members::Members;
pub(crate) use self::membership::Membership;
use self::membership::{Joined, Opened};

/// Shards of the registry of sockets: touched when sockets come and go, and by emits to an id.
const SOCKET_SHARDS: usize = 16;
/// Shards of the rooms: touched by each join, leave and emit.
const ROOM_SHARDS: usize = 64;
/// Tables of rooms and members up to this capacity stay as they are: those who join and leave in turn
/// shall not pay for a table each time.
const SMALL: usize = 8;

type Map<K, V> = IndexMap<K, V, RandomState>;
type Shards<K, V> = Box<[RwLock<Map<K, V>>]>;
type Observer = Box<dyn Fn(RoomEvent<'_>) + Send + Sync>;

/// The sockets of one namespace and the rooms they are in.
///
/// `S` is a handle to a socket, cheap to clone (an `Arc`). A socket that joined nothing costs one
/// entry in the registry: the room named by its own id is implied by that entry and stored nowhere
/// else. A namespace allocates its shards when the first socket comes.
///
/// Each change of one socket in one room is atomic. A selection over several rooms looks at one
/// after the other: a socket that moves between them at the same moment may be found in neither,
/// but is never given out twice.
pub(crate) struct Rooms<S> {
    hasher: RandomState,
    sockets: OnceLock<Shards<SocketId, Present<S>>>,
    rooms: OnceLock<Shards<Room, Members<S>>>,
    /// How many sockets have left their own room. As long as it is zero (nearly always), excluding
    /// an id needs no look into the registry.
    strays: AtomicUsize,
    observer: OnceLock<Observer>,
}

/// A socket in the registry.
struct Present<S> {
    socket: S,
    /// Whether it is in the room named by its id.
    in_own: bool,
}

/// What happened to a room. A room exists as long as it has members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoomEvent<'a> {
    /// The room is about to get its first member. It is `own` if it is named after a socket of this
    /// server.
    Create { room: &'a Room, own: bool },
    /// A socket joined.
    Join(&'a Room, &'a SocketId),
    /// A socket left.
    Leave(&'a Room, &'a SocketId),
    /// The last member has left.
    Delete { room: &'a Room, own: bool },
}

/// Why a socket was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// It was removed, or admitted, before.
    NotPending,
    /// Another socket has this id.
    Taken,
}

impl<S: Clone> Rooms<S> {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            sockets: OnceLock::new(),
            rooms: OnceLock::new(),
            strays: AtomicUsize::new(0),
            observer: OnceLock::new(),
        }
    }

    /// Reports what happens to rooms from now on; set once, `false` if there is an observer
    /// already. Events of one room come in the order in which things happened: create before join,
    /// leave before delete, none twice.
    pub(crate) fn observe(&self, observer: impl Fn(RoomEvent<'_>) + Send + Sync + 'static) -> bool {
        self.observer.set(Box::new(observer)).is_ok()
    }

    /// Makes a socket known: from now on targets find it, in its own room and in those that it
    /// joined before.
    pub(crate) fn admit(
        &self,
        id: &SocketId,
        socket: &S,
        membership: &Membership,
    ) -> Result<(), NotAdmitted> {
        let mut joined = membership.lock();
        let Joined::Pending(pending) = &mut *joined else {
            return Err(NotAdmitted::NotPending);
        };
        self.register(id, socket)?;
        let own = Room::from(id);
        let mut rooms = RoomSet::new();
        for room in pending.iter().filter(|room| **room != own) {
            rooms.insert(self.enter(room, id, socket));
        }
        *joined = Joined::Open(Opened {
            rooms,
            in_own: true,
        });
        Ok(())
    }

    /// Joins rooms; those it is in already do not count. `false` if the socket has been removed:
    /// then nothing happens. Rooms joined before [`admit`](Self::admit) are only noted.
    pub(crate) fn join<'a>(
        &self,
        id: &SocketId,
        socket: &S,
        membership: &Membership,
        rooms: impl IntoIterator<Item = &'a Room>,
    ) -> bool {
        match &mut *membership.lock() {
            Joined::Left => return false,
            Joined::Pending(pending) => pending.extend(rooms),
            Joined::Open(opened) => {
                let own = Room::from(id);
                for room in rooms {
                    if *room == own {
                        self.set_in_own(id, opened, true);
                    } else if !opened.rooms.contains(room) {
                        opened.rooms.insert(self.enter(room, id, socket));
                    }
                }
            }
        }
        true
    }

    /// Leaves one room, which may be the socket's own. Returns whether it was in it.
    pub(crate) fn leave(&self, id: &SocketId, membership: &Membership, room: &Room) -> bool {
        match &mut *membership.lock() {
            Joined::Left => false,
            Joined::Pending(pending) => pending.remove(room),
            Joined::Open(opened) if *room == Room::from(id) => self.set_in_own(id, opened, false),
            Joined::Open(opened) => {
                let found = opened.rooms.remove(room);
                if found {
                    self.exit(room, id);
                }
                found
            }
        }
    }

    /// Leaves every room and the namespace, for good: a `join` that comes later does nothing.
    /// Returns the rooms that the socket was in, its own first, or `None` if it was removed before.
    ///
    /// After it returned, the id may be used again (by a recovered session).
    pub(crate) fn remove(&self, id: &SocketId, membership: &Membership) -> Option<RoomSet> {
        let mut joined = membership.lock();
        let opened = match std::mem::replace(&mut *joined, Joined::Left) {
            Joined::Left => return None,
            Joined::Pending(pending) => return Some(pending),
            Joined::Open(opened) => opened,
        };
        // The guard stays until all is done: a second call must not return before.
        let mut rooms = RoomSet::new();
        self.unregister(id);
        if opened.in_own {
            rooms.insert(id.into());
        }
        for room in &opened.rooms {
            self.exit(room, id);
            rooms.insert(room.clone());
        }
        drop(joined);
        Some(rooms)
    }

    /// The socket with this id.
    pub(crate) fn get(&self, id: &SocketId) -> Option<S> {
        let shard = read(self.socket_shard(id)?);
        shard.get(id).map(|present| present.socket.clone())
    }

    /// How many sockets there are.
    pub(crate) fn len(&self) -> usize {
        let shards = self.sockets.get().into_iter().flatten();
        shards.map(|shard| read(shard).len()).sum()
    }

    /// How many sockets are in a room: 0 if there is no such room.
    pub(crate) fn room_size(&self, room: &Room) -> usize {
        let owner = usize::from(self.has_owner(room));
        let Some(shards) = self.rooms.get() else {
            return owner;
        };
        owner
            + read(self.pick(shards, room))
                .get(room)
                .map_or(0, Members::len)
    }

    /// The names of all rooms, in no particular order, those of single sockets included.
    pub(crate) fn names(&self) -> RoomSet {
        let mut names = RoomSet::new();
        for shard in self.sockets.get().into_iter().flatten() {
            let shard = read(shard);
            let present = shard.iter().filter(|(_, present)| present.in_own);
            names.extend(present.map(|(id, _)| id));
        }
        for shard in self.rooms.get().into_iter().flatten() {
            names.extend(read(shard).keys());
        }
        names
    }

    /// Enters the registry and the own room.
    fn register(&self, id: &SocketId, socket: &S) -> Result<(), NotAdmitted> {
        let shards = self.sockets.get_or_init(|| shards(SOCKET_SHARDS));
        let mut shard = write(self.pick(shards, id));
        let Entry::Vacant(place) = shard.entry(id.clone()) else {
            return Err(NotAdmitted::Taken);
        };
        place.insert(Present {
            socket: socket.clone(),
            in_own: true,
        });
        self.report_own(id, true);
        Ok(())
    }

    /// Leaves the own room and the registry.
    fn unregister(&self, id: &SocketId) {
        let Some(shard) = self.socket_shard(id) else {
            return;
        };
        let mut shard = write(shard);
        let Some(present) = shard.swap_remove(id) else {
            return;
        };
        // Down to nothing, because coming and going costs far more than a small table does.
        shrink(&mut shard, 0);
        if present.in_own {
            self.report_own(id, false);
        } else {
            self.strays.fetch_sub(1, Relaxed);
        }
    }

    /// Joins or leaves the own room. Returns whether that changed anything.
    fn set_in_own(&self, id: &SocketId, opened: &mut Opened, in_own: bool) -> bool {
        if opened.in_own == in_own {
            return false;
        }
        opened.in_own = in_own;
        let Some(shard) = self.socket_shard(id) else {
            return true;
        };
        let mut shard = write(shard);
        if let Some(present) = shard.get_mut(id) {
            present.in_own = in_own;
            if in_own {
                self.strays.fetch_sub(1, Relaxed);
            } else {
                self.strays.fetch_add(1, Relaxed);
            }
            self.report_own(id, in_own);
        }
        true
    }

    /// Adds a member to a room that is not its own. Returns the name, shared with the index.
    fn enter(&self, room: &Room, id: &SocketId, socket: &S) -> Room {
        let owner = self.lock_owner(room);
        let shards = self.rooms.get_or_init(|| shards(ROOM_SHARDS));
        let mut shard = write(self.pick(shards, room));
        let (created, name) = match shard.get_full_mut(room) {
            Some((_, name, members)) => {
                members.insert(id.clone(), socket.clone());
                (false, name.clone())
            }
            None => {
                let members = Members::one(id.clone(), socket.clone());
                shard.insert(room.clone(), members);
                (true, room.clone())
            }
        };
        if let Some(observer) = self.observer.get() {
            let owner = owner.as_ref();
            if created && !owner.is_some_and(|owner| owner.is_in(room)) {
                let own = owner.is_some_and(|owner| owner.exists(room));
                observer(RoomEvent::Create { room, own });
            }
            observer(RoomEvent::Join(room, id));
        }
        name
    }

    /// Removes a member from a room that is not its own, and an empty room from the index.
    fn exit(&self, room: &Room, id: &SocketId) {
        let owner = self.lock_owner(room);
        let Some(shards) = self.rooms.get() else {
            return;
        };
        let mut shard = write(self.pick(shards, room));
        let Some(members) = shard.get_mut(room) else {
            return;
        };
        if !members.remove(id) {
            return;
        }
        let deleted = members.is_empty();
        if deleted {
            shard.swap_remove(room);
            shrink(&mut shard, SMALL);
        }
        if let Some(observer) = self.observer.get() {
            observer(RoomEvent::Leave(room, id));
            let owner = owner.as_ref();
            if deleted && !owner.is_some_and(|owner| owner.is_in(room)) {
                let own = owner.is_some_and(|owner| owner.exists(room));
                observer(RoomEvent::Delete { room, own });
            }
        }
    }

    /// Reports that a socket entered or left its own room, whose registry shard the caller holds.
    /// Others may be in that room too, and then it existed before or goes on to exist.
    fn report_own(&self, id: &SocketId, entered: bool) {
        let Some(observer) = self.observer.get() else {
            return;
        };
        let room = Room::from(id);
        let shard = self
            .rooms
            .get()
            .map(|shards| read(self.pick(shards, &room)));
        let alone = !shard.is_some_and(|shard| shard.contains_key(&room));
        match (entered, alone) {
            (true, true) => {
                observer(RoomEvent::Create {
                    room: &room,
                    own: true,
                });
                observer(RoomEvent::Join(&room, id));
            }
            (true, false) => observer(RoomEvent::Join(&room, id)),
            (false, false) => observer(RoomEvent::Leave(&room, id)),
            (false, true) => {
                observer(RoomEvent::Leave(&room, id));
                observer(RoomEvent::Delete {
                    room: &room,
                    own: true,
                });
            }
        }
    }

    /// The registry shard of the socket that a room may be named after, so that the owner cannot
    /// come or go while members change. Needed only if somebody wants to know.
    fn lock_owner(&self, room: &Room) -> Option<Owner<'_, S>> {
        self.observer.get()?;
        let shard = self.socket_shard(&SocketId::from(room))?;
        Some(Owner(read(shard)))
    }

    /// Whether a room has members.
    pub(crate) fn has_room(&self, room: &Room) -> bool {
        self.has_owner(room)
            || self
                .rooms
                .get()
                .is_some_and(|shards| read(self.pick(shards, room)).contains_key(room))
    }

    /// Whether a socket with this id is in its own room.
    fn has_owner(&self, room: &Room) -> bool {
        let shard = self.socket_shard(&SocketId::from(room));
        shard.is_some_and(|shard| Owner(read(shard)).is_in(room))
    }

    fn socket_shard(&self, id: &SocketId) -> Option<&RwLock<Map<SocketId, Present<S>>>> {
        Some(self.pick(self.sockets.get()?, id))
    }

    fn pick<'a, T>(&self, shards: &'a [T], key: &impl std::hash::Hash) -> &'a T {
        // The upper half is the better mixed one.
        let hash = self.hasher.hash_one(key) >> 32;
        &shards[hash as usize % shards.len()]
    }
}

struct Owner<'a, S>(RwLockReadGuard<'a, Map<SocketId, Present<S>>>);

impl<S> Owner<'_, S> {
    fn exists(&self, room: &Room) -> bool {
        self.0.contains_key(&SocketId::from(room))
    }

    fn is_in(&self, room: &Room) -> bool {
        let present = self.0.get(&SocketId::from(room));
        present.is_some_and(|present| present.in_own)
    }
}

fn shards<K, V>(count: usize) -> Shards<K, V> {
    std::iter::repeat_with(RwLock::default)
        .take(count)
        .collect()
}

/// Gives memory back once a table of more than `small` is used to less than a quarter.
#[inline]
fn shrink<K: std::hash::Hash + Eq, V>(map: &mut Map<K, V>, small: usize) {
    if map.capacity() > small && map.len() * 4 < map.capacity() {
        shrink_to_twice(map);
    }
}

/// Apart, so that joins and leaves do not carry its code along.
#[cold]
#[inline(never)]
fn shrink_to_twice<K: std::hash::Hash + Eq, V>(map: &mut Map<K, V>) {
    map.shrink_to(map.len() * 2);
}

/// Nothing that runs under these locks leaves a map half changed, so poisoning says nothing.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
