//! Named values.

use indexmap::IndexMap;

use super::{Text, Value};

/// Named values in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub struct Object(Members);

/// Most objects have a few members, which are found sooner by looking at all than by hashing.
#[derive(Clone, Debug)]
enum Members {
    Few(Vec<(Text, Value)>),
    Many(Box<IndexMap<Text, Value>>),
}

/// The most members that are looked through.
const FEW: usize = 12;

/// Members as they were read: of those with the same name the last one counts, in the place of the first.
impl From<Vec<(Text, Value)>> for Object {
    #[inline]
    fn from(members: Vec<(Text, Value)>) -> Self {
        if members.len() <= FEW && all_different(&members) {
            Self(Members::Few(members))
        } else {
            members.into_iter().collect()
        }
    }
}

fn all_different(members: &[(Text, Value)]) -> bool {
    let mut names = members.iter().map(|(name, _)| name);
    // One bit for each name: only names with the same one need to be compared.
    let mut seen = 0_u64;
    names.all(|name| {
        let bit = fingerprint(name);
        let new = seen & bit == 0;
        seen |= bit;
        new
    }) || (1..members.len()).all(|at| position(&members[..at], &members[at].0).is_none())
}

/// One of 64 bits, which equal names share.
fn fingerprint(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    let (first, last) = ends.map_or((0, 0), |(&first, &last)| (first, last));
    1 << ((usize::from(first) + 7 * usize::from(last) + 13 * bytes.len()) % 64)
}

impl Default for Members {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Object {
    /// An object without members.
    #[must_use]
    pub const fn new() -> Self {
        Self(Members::Few(Vec::new()))
    }

    /// The member of this name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        match &self.0 {
            Members::Few(members) => position(members, key).map(|at| &members[at].1),
            Members::Many(members) => members.get(key),
        }
    }

    /// The member of this name.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        match &mut self.0 {
            Members::Few(members) => position(members, key).map(|at| &mut members[at].1),
            Members::Many(members) => members.get_mut(key),
        }
    }

    /// Adds a member, or replaces its value in its old place; returns the old value.
    pub fn insert(&mut self, key: impl Into<Text>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        let members = match &mut self.0 {
            Members::Few(members) => members,
            Members::Many(members) => return members.insert(key, value),
        };
        if let Some(at) = position(members, &key) {
            return Some(std::mem::replace(&mut members[at].1, value));
        }
        if members.len() < FEW {
            members.push((key, value));
        } else {
            let mut many: IndexMap<_, _> = members.drain(..).collect();
            many.insert(key, value);
            self.0 = Members::Many(Box::new(many));
        }
        None
    }

    /// Takes a member out; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        match &mut self.0 {
            Members::Few(members) => position(members, key).map(|at| members.remove(at).1),
            Members::Many(members) => members.shift_remove(key),
        }
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Members::Few(members) => members.len(),
            Members::Many(members) => members.len(),
        }
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The members in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        match &self.0 {
            Members::Few(members) => Iter::Few(members.iter()),
            Members::Many(members) => Iter::Many(members.iter()),
        }
    }
}

fn position(members: &[(Text, Value)], key: &str) -> Option<usize> {
    members.iter().position(|(name, _)| name == key)
}

/// Equal members, in any order.
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: Into<Text>, V: Into<Value>> FromIterator<(K, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        let mut object = Self::new();
        for (key, value) in members {
            object.insert(key, value);
        }
        object
    }
}

impl IntoIterator for Object {
    type Item = (Text, Value);
    type IntoIter = std::vec::IntoIter<(Text, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {
            Members::Few(members) => members.into_iter(),
            Members::Many(members) => members.into_iter().collect::<Vec<_>>().into_iter(),
        }
    }
}

enum Iter<'a> {
    Few(std::slice::Iter<'a, (Text, Value)>),
    Many(indexmap::map::Iter<'a, Text, Value>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(members) => members.next().map(|(key, value)| (key.as_str(), value)),
            Self::Many(members) => members.next().map(|(key, value)| (key.as_str(), value)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Few(members) => members.size_hint(),
            Self::Many(members) => members.size_hint(),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Object {
        (0..count).map(|n| (n.to_string(), n as u64)).collect()
    }

    #[test]
    fn an_object_keeps_its_order_whatever_its_size() {
        for count in [0, 1, FEW, FEW + 1, 10 * FEW] {
            let mut object = numbers(count);
            assert_eq!(object.len(), count);
            assert_eq!(object.iter().len(), count);
            for n in 0..count {
                let key = n.to_string();
                let old = object.insert(key.as_str(), true);
                assert_eq!(old, Some(Value::from(n as u64)));
                assert_eq!(object.get(&key), Some(&Value::Bool(true)));
                *object.get_mut(&key).unwrap() = (n as u64).into();
            }
            assert_eq!(object.remove("none"), None);
            if count > 0 {
                assert_eq!(object.remove("0"), Some(0_u64.into()));
            }
            let keys: Vec<_> = object.iter().map(|(key, _)| key.to_owned()).collect();
            let expected: Vec<_> = (1..count).map(|n| n.to_string()).collect();
            assert_eq!(keys, expected);
            let members: Vec<_> = object.into_iter().collect();
            assert_eq!(members.len(), expected.len());
        }
    }

    #[test]
    fn of_members_with_the_same_name_the_last_counts_in_the_place_of_the_first() {
        for count in [2, FEW, FEW + 2] {
            let mut members: Vec<(Text, Value)> = (0..count)
                .map(|n| (n.to_string().as_str().into(), Value::from(n as u64)))
                .collect();
            assert_eq!(Object::from(members.clone()).len(), count);
            members.push(("0".into(), true.into()));
            let object = Object::from(members);
            assert_eq!(object.len(), count);
            assert_eq!(object.iter().next(), Some(("0", &Value::Bool(true))));
        }
        let different = ["a", "i", "", "aa", "ia", "ai", "Aa", "\u{e9}"];
        let members = different.map(|name| (Text::from(name), Value::Null));
        assert_eq!(Object::from(members.to_vec()).len(), different.len());
    }

    #[test]
    fn objects_are_equal_in_any_order_and_form() {
        let mut shrunk = numbers(FEW + 1);
        shrunk.remove(&FEW.to_string());
        let reversed: Object = (0..FEW).rev().map(|n| (n.to_string(), n as u64)).collect();
        assert_eq!(shrunk, reversed);
        assert_eq!(reversed, shrunk);
        assert_ne!(shrunk, numbers(FEW - 1));
        shrunk.insert("0", 1_u64);
        assert_ne!(shrunk, reversed);
    }
}
