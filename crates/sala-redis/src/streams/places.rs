//! How far each stream has been read. Outlives connections.

use std::collections::HashMap;

use sala_adapter::target::Room;

use super::id::StreamId;

/// How far the streams have been read, and for which namespaces.
///
/// The place in a stream moves when an entry is handed on, not when it is read: what was read but not
/// yet handed on when a connection broke is read again.
#[derive(Debug, Default)]
pub(super) struct Places {
    streams: HashMap<String, StreamId>,
    namespaces: HashMap<Room, Followed>,
}

#[derive(Debug)]
struct Followed {
    stream: String,
    /// Entries up to here were written before anybody here listened.
    since: StreamId,
    /// Followed over the present connection, not only over the one before.
    claimed: bool,
}

impl Places {
    /// The connection is a new one: what is to be followed will be said again.
    pub(super) fn reopen(&mut self) {
        for followed in self.namespaces.values_mut() {
            followed.claimed = false;
        }
    }

    /// Everything that is to be followed from before has been said: forgets the rest, so that a
    /// namespace that comes back much later does not begin where it once ended.
    pub(super) fn settle(&mut self) {
        self.namespaces.retain(|_, followed| followed.claimed);
        let namespaces = &self.namespaces;
        let is_used = |stream: &String| namespaces.values().any(|other| other.stream == *stream);
        self.streams.retain(|stream, _| is_used(stream));
    }

    /// Whether a namespace was followed before.
    pub(super) fn knows(&self, namespace: &Room) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// Follows a namespace of a stream whose last entry is `now`. Returns where to begin to read the
    /// stream: where the last connection broke, or else at its end.
    pub(super) fn follow(&mut self, namespace: &Room, stream: &str, now: StreamId) -> StreamId {
        let followed = self
            .namespaces
            .entry(namespace.clone())
            .or_insert(Followed {
                stream: stream.to_owned(),
                since: now,
                claimed: true,
            });
        followed.claimed = true;
        *self.streams.entry(stream.to_owned()).or_insert(now)
    }

    /// Follows a namespace no longer. Returns whether its stream is of no more use.
    pub(super) fn leave(&mut self, namespace: &Room) -> Option<String> {
        let stream = self.namespaces.remove(namespace)?.stream;
        if self.namespaces.values().any(|other| other.stream == stream) {
            return None;
        }
        self.streams.remove(&stream);
        Some(stream)
    }

    /// Follows nothing any more. Returns what was followed.
    pub(super) fn leave_all(&mut self) -> Vec<Room> {
        self.streams.clear();
        self.namespaces
            .drain()
            .map(|(namespace, _)| namespace)
            .collect()
    }

    /// Goes past an entry. Returns whether it is for a namespace that is followed.
    pub(super) fn pass(&mut self, stream: &str, id: StreamId, namespace: Option<&Room>) -> bool {
        if let Some(place) = self.streams.get_mut(stream) {
            *place = id;
        }
        let followed = namespace.and_then(|namespace| self.namespaces.get(namespace));
        followed.is_some_and(|followed| id > followed.since)
    }

    /// The stream has become shorter: goes on from its present end.
    pub(super) fn step_back(&mut self, stream: &str, end: StreamId) {
        if let Some(place) = self.streams.get_mut(stream) {
            *place = end;
        }
        for followed in self.namespaces.values_mut() {
            if followed.stream == stream {
                followed.since = followed.since.min(end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: &str) -> StreamId {
        StreamId::parse(format!("{ms}-0").as_bytes()).expect("an id")
    }

    fn room(name: &str) -> Room {
        name.into()
    }

    #[test]
    fn reading_goes_on_where_the_connection_broke() {
        let mut places = Places::default();
        let root = room("/");
        assert_eq!(places.follow(&root, "s", id("5")), id("5"));
        assert!(places.pass("s", id("6"), Some(&root)));
        places.reopen();
        assert_eq!(places.follow(&root, "s", id("9")), id("6"));
        places.settle();
        assert!(places.pass("s", id("7"), Some(&root)));
    }

    #[test]
    fn a_namespace_that_comes_later_does_not_hear_what_was_said_before() {
        let mut places = Places::default();
        let (root, chat) = (room("/"), room("/chat"));
        places.follow(&root, "s", id("5"));
        assert_eq!(places.follow(&chat, "s", id("8")), id("5"));
        assert!(!places.pass("s", id("8"), Some(&chat)));
        assert!(places.pass("s", id("9"), Some(&chat)));
        assert!(!places.pass("s", id("10"), Some(&room("/other"))));
        assert!(!places.pass("s", id("11"), None));
    }

    #[test]
    fn a_stream_is_of_use_as_long_as_one_of_its_namespaces_is_followed() {
        let mut places = Places::default();
        places.follow(&room("/"), "s", id("5"));
        places.follow(&room("/chat"), "s", id("5"));
        assert_eq!(places.leave(&room("/")), None);
        assert_eq!(places.leave(&room("/chat")).as_deref(), Some("s"));
        assert_eq!(places.leave(&room("/chat")), None);
        assert_eq!(places.follow(&room("/"), "s", id("9")), id("9"));
    }

    #[test]
    fn what_was_left_while_the_connection_was_down_begins_anew() {
        let mut places = Places::default();
        places.follow(&room("/"), "s", id("5"));
        places.follow(&room("/gone"), "t", id("5"));
        places.reopen();
        places.follow(&room("/"), "s", id("9"));
        places.settle();
        assert_eq!(places.follow(&room("/gone"), "t", id("9")), id("9"));
    }

    #[test]
    fn a_stream_that_became_shorter_is_read_from_its_new_end() {
        let mut places = Places::default();
        let root = room("/");
        places.follow(&root, "s", id("500"));
        places.step_back("s", StreamId::START);
        assert!(places.pass("s", id("3"), Some(&root)));
    }
}
