//! A small set of rooms.

use std::fmt;

use foldhash::fast::RandomState;
use indexmap::IndexSet;
use indexmap::set;

use super::{Room, SocketId};

/// A set of room names in order of insertion (until one is removed).
///
/// Made for the common sizes: none and one room need no allocation. 24 bytes.
#[derive(Clone, Default)]
pub struct RoomSet(Set);

#[derive(Clone, Default)]
enum Set {
    #[default]
    Empty,
    One(Room),
    Many(Box<IndexSet<Room, RandomState>>),
}

impl RoomSet {
    /// A set without rooms.
    #[must_use]
    pub const fn new() -> Self {
        Self(Set::Empty)
    }

    /// How many rooms there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Set::Empty => 0,
            Set::One(_) => 1,
            Set::Many(rooms) => rooms.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `room` is in the set.
    #[must_use]
    pub fn contains(&self, room: &Room) -> bool {
        match &self.0 {
            Set::Empty => false,
            Set::One(only) => only == room,
            Set::Many(rooms) => rooms.contains(room),
        }
    }

    /// Whether a room is in both sets.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        let (few, many) = if self.len() <= other.len() {
            (self, other)
        } else {
            (other, self)
        };
        few.iter().any(|room| many.contains(room))
    }

    /// Adds a room and returns whether it is new.
    pub fn insert(&mut self, room: Room) -> bool {
        match &mut self.0 {
            Set::Empty => {
                self.0 = Set::One(room);
                true
            }
            Set::One(only) if *only == room => false,
            Set::One(only) => {
                let mut rooms = IndexSet::with_capacity_and_hasher(2, RandomState::default());
                rooms.insert(only.clone());
                rooms.insert(room);
                self.0 = Set::Many(Box::new(rooms));
                true
            }
            Set::Many(rooms) => rooms.insert(room),
        }
    }

    /// Removes a room and returns whether it was there. The last room takes its place in the
    /// order.
    pub fn remove(&mut self, room: &Room) -> bool {
        match &mut self.0 {
            Set::Empty => false,
            Set::One(only) => {
                let found = only == room;
                if found {
                    self.0 = Set::Empty;
                }
                found
            }
            Set::Many(rooms) => {
                let found = rooms.swap_remove(room);
                if rooms.is_empty() {
                    self.0 = Set::Empty;
                }
                found
            }
        }
    }

    /// The rooms.
    #[must_use]
    pub fn iter(&self) -> RoomIter<'_> {
        RoomIter(match &self.0 {
            Set::Empty => Iter::One(None),
            Set::One(room) => Iter::One(Some(room)),
            Set::Many(rooms) => Iter::Many(rooms.iter()),
        })
    }
}

impl fmt::Debug for RoomSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

/// Sets are equal if they hold the same rooms, in whatever order.
impl PartialEq for RoomSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|room| other.contains(room))
    }
}

impl Eq for RoomSet {}

impl<R: Into<Room>> FromIterator<R> for RoomSet {
    fn from_iter<I: IntoIterator<Item = R>>(rooms: I) -> Self {
        let mut set = Self::new();
        set.extend(rooms);
        set
    }
}

impl<R: Into<Room>> Extend<R> for RoomSet {
    fn extend<I: IntoIterator<Item = R>>(&mut self, rooms: I) {
        for room in rooms {
            self.insert(room.into());
        }
    }
}

impl<'a> IntoIterator for &'a RoomSet {
    type Item = &'a Room;
    type IntoIter = RoomIter<'a>;

    fn into_iter(self) -> RoomIter<'a> {
        self.iter()
    }
}

/// Iterator over the rooms of a [`RoomSet`].
#[derive(Clone, Debug)]
pub struct RoomIter<'a>(Iter<'a>);

#[derive(Clone, Debug)]
enum Iter<'a> {
    One(Option<&'a Room>),
    Many(set::Iter<'a, Room>),
}

impl<'a> Iterator for RoomIter<'a> {
    type Item = &'a Room;

    fn next(&mut self) -> Option<&'a Room> {
        match &mut self.0 {
            Iter::One(room) => room.take(),
            Iter::Many(rooms) => rooms.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Iter::One(room) => room.iter().size_hint(),
            Iter::Many(rooms) => rooms.size_hint(),
        }
    }
}

impl ExactSizeIterator for RoomIter<'_> {}

/// One room or several: what `to`, `except`, `join` and the like accept.
///
/// Implemented for text, [`Room`], [`SocketId`], references to them, [`RoomSet`], and arrays,
/// slices and vectors of anything that becomes a room.
pub trait IntoRooms {
    /// Adds the rooms to `set`.
    fn add_to(self, set: &mut RoomSet);

    /// The rooms as a set.
    fn into_rooms(self) -> RoomSet
    where
        Self: Sized,
    {
        let mut set = RoomSet::new();
        self.add_to(&mut set);
        set
    }
}

macro_rules! one_room {
    ($($type:ty),*) => {$(
        impl IntoRooms for $type {
            fn add_to(self, set: &mut RoomSet) {
                set.insert(self.into());
            }
        }
    )*};
}

one_room!(&str, String, &String, Room, &Room, SocketId, &SocketId);

impl<R: Into<Room>, const N: usize> IntoRooms for [R; N] {
    fn add_to(self, set: &mut RoomSet) {
        set.extend(self);
    }
}

impl<R: Into<Room>> IntoRooms for Vec<R> {
    fn add_to(self, set: &mut RoomSet) {
        set.extend(self);
    }
}

impl<'a, R> IntoRooms for &'a [R]
where
    &'a R: Into<Room>,
{
    fn add_to(self, set: &mut RoomSet) {
        set.extend(self);
    }
}

impl<'a, R> IntoRooms for &'a Vec<R>
where
    &'a R: Into<Room>,
{
    fn add_to(self, set: &mut RoomSet) {
        set.extend(self);
    }
}

impl IntoRooms for RoomSet {
    fn add_to(self, set: &mut RoomSet) {
        if set.is_empty() {
            *set = self;
        } else {
            set.extend(&self);
        }
    }
}

impl IntoRooms for &RoomSet {
    fn add_to(self, set: &mut RoomSet) {
        set.extend(self);
    }
}
