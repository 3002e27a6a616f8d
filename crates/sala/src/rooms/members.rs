//! The members of one room.

use sala_adapter::SocketId;

use super::{Map, SMALL, shrink};

/// The members of one room, each with its handle. Most rooms have a few, which are found sooner by looking
/// at all than by hashing, and whose list is one piece of memory: with many rooms each piece has to come
/// from memory when a room's turn comes.
pub(super) enum Members<S> {
    Few(Vec<(SocketId, S)>),
    Many(Box<Map<SocketId, S>>),
}

/// The most members that are looked through. Back to a list it goes at half of them, so that a room around
/// the limit is not moved to and fro.
const FEW: usize = 8;

impl<S> Members<S> {
    pub(super) fn one(id: SocketId, socket: S) -> Self {
        Self::Few(vec![(id, socket)])
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(members) => members.len(),
            Self::Many(members) => members.len(),
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Few(members) => members.capacity(),
            Self::Many(members) => members.capacity(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a member, or replaces its handle.
    pub(super) fn insert(&mut self, id: SocketId, socket: S) {
        let members = match self {
            Self::Few(members) => members,
            Self::Many(members) => {
                members.insert(id, socket);
                return;
            }
        };
        if let Some((_, present)) = members.iter_mut().find(|(member, _)| *member == id) {
            *present = socket;
        } else if members.len() < FEW {
            members.push((id, socket));
        } else {
            let mut many: Map<_, _> = members.drain(..).collect();
            many.insert(id, socket);
            *self = Self::Many(Box::new(many));
        }
    }

    /// Removes a member; the last one takes its place. Returns whether it was one.
    pub(super) fn remove(&mut self, id: &SocketId) -> bool {
        match self {
            Self::Few(members) => {
                let place = members.iter().position(|(member, _)| member == id);
                place.map(|place| members.swap_remove(place)).is_some()
            }
            Self::Many(members) => {
                let removed = members.swap_remove(id).is_some();
                if members.len() <= FEW / 2 {
                    *self = Self::Few(members.drain(..).collect());
                } else {
                    shrink(members, SMALL);
                }
                removed
            }
        }
    }

    /// Hands each member to `f`.
    pub(super) fn for_each(&self, mut f: impl FnMut(&SocketId, &S)) {
        match self {
            Self::Few(members) => members.iter().for_each(|(id, socket)| f(id, socket)),
            Self::Many(members) => members.iter().for_each(|(id, socket)| f(id, socket)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn id(n: usize) -> SocketId {
        format!("socket-{n}").as_str().into()
    }

    fn numbers(members: &Members<usize>) -> BTreeSet<usize> {
        let mut numbers = BTreeSet::new();
        members.for_each(|member, &n| {
            assert_eq!(*member, id(n));
            assert!(numbers.insert(n), "{n} is there twice");
        });
        assert_eq!(numbers.len(), members.len());
        numbers
    }

    #[test]
    fn a_room_has_its_members_whether_they_are_few_or_many() {
        let mut members = Members::one(id(0), 0);
        for n in 1..3 * FEW {
            members.insert(id(n), n);
            members.insert(id(n), n);
            assert_eq!(numbers(&members), (0..=n).collect());
            assert_eq!(matches!(members, Members::Many(_)), n >= FEW);
        }
        for n in 0..3 * FEW {
            assert!(members.remove(&id(n)));
            assert!(!members.remove(&id(n)));
            assert_eq!(numbers(&members), (n + 1..3 * FEW).collect());
        }
        assert!(members.is_empty());
        assert!(matches!(members, Members::Few(_)));
    }
}
