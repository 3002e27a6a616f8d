//! Entries of ours whose place in the stream this server's own sockets wait for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sala_adapter::target::Room;
use tokio::sync::Notify;

use super::id::StreamId;

/// Between the half that writes entries and the one that reads them.
///
/// The answer to `XADD` and the entry itself come over two connections, in any order, and entries of others come
/// between. Own sockets get an entry when it is read, in its place among those of others: a client that saw a later
/// offset first would lose a packet when it recovers, or get one twice.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// By stream, for those that are read.
    streams: Mutex<HashMap<String, Written>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Written {
    /// So many more are under way, and Redis has not said where they are.
    under_way: usize,
    /// Those that were not read yet.
    known: BTreeMap<StreamId, Waiting>,
}

/// A broadcast that waits: its namespace and its number there.
pub(super) type Waiting = (Room, u64);

/// What an entry of ours is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// That of a broadcast that waits for it.
    Of(Waiting),
    /// Perhaps that of one whose answer is still under way.
    Unknown,
    /// Nobody waits for it.
    OfNone,
}

impl Own {
    /// The connection is a new one: nobody waits for what was written over the one before.
    pub(super) fn reopen(&self) {
        self.lock().clear();
    }

    /// A stream is read from here on.
    pub(super) fn begin(&self, stream: &str) {
        self.lock().entry(stream.to_owned()).or_default();
    }

    /// A stream is read no longer.
    pub(super) fn end(&self, stream: &str) {
        self.lock().remove(stream);
    }

    /// An entry is about to be written for which somebody waits. Returns whether it will be read.
    pub(super) fn depart(&self, stream: &str) -> bool {
        let mut streams = self.lock();
        let written = streams.get_mut(stream);
        written.map(|written| written.under_way += 1).is_some()
    }

    /// Redis says where it is, if anywhere. Returns whether it will be read.
    pub(super) fn arrive(&self, stream: &str, id: Option<StreamId>, waiting: Waiting) -> bool {
        let mut streams = self.lock();
        let Some(written) = streams.get_mut(stream) else {
            return false;
        };
        written.under_way = written.under_way.saturating_sub(1);
        if let Some(id) = id {
            written.known.insert(id, waiting);
        }
        drop(streams);
        self.changed.notify_one();
        id.is_some()
    }

    /// The connection that writes has failed: no more answers come.
    pub(super) fn give_up(&self) {
        self.lock()
            .values_mut()
            .for_each(|written| written.under_way = 0);
        self.changed.notify_one();
    }

    /// Whose place this is. What was written before it is not read any more.
    pub(super) fn place(&self, stream: &str, id: StreamId) -> Place {
        let mut streams = self.lock();
        let Some(written) = streams.get_mut(stream) else {
            return Place::OfNone;
        };
        written.known = written.known.split_off(&id);
        match written.known.remove(&id) {
            Some(waiting) => Place::Of(waiting),
            None if written.under_way > 0 => Place::Unknown,
            None => Place::OfNone,
        }
    }

    /// Resolves when more may be known. For one reader. Cancel-safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Written>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId::parse(format!("{ms}-0").as_bytes()).expect("an id")
    }

    fn waiting(number: u64) -> Waiting {
        ("/".into(), number)
    }

    #[test]
    fn the_entry_may_come_before_the_answer_or_after_it() {
        let own = Own::default();
        own.begin("s");
        assert!(own.depart("s") && own.depart("s"));
        assert_eq!(own.place("s", id(5)), Place::Unknown);
        assert!(own.arrive("s", Some(id(5)), waiting(0)));
        assert_eq!(own.place("s", id(5)), Place::Of(waiting(0)));
        assert!(own.arrive("s", Some(id(6)), waiting(1)));
        assert_eq!(own.place("s", id(6)), Place::Of(waiting(1)));
        assert_eq!(own.place("s", id(7)), Place::OfNone);
    }

    #[test]
    fn what_is_not_read_is_not_waited_for() {
        let own = Own::default();
        assert!(!own.depart("s"));
        own.begin("s");
        assert!(own.depart("s"));
        own.end("s");
        assert!(!own.arrive("s", Some(id(5)), waiting(0)));
    }

    #[test]
    fn an_entry_that_was_refused_or_whose_connection_broke_keeps_nobody_waiting() {
        let own = Own::default();
        own.begin("s");
        own.depart("s");
        assert!(!own.arrive("s", None, waiting(0)));
        assert_eq!(own.place("s", id(5)), Place::OfNone);
        own.depart("s");
        own.give_up();
        assert_eq!(own.place("s", id(6)), Place::OfNone);
    }

    #[test]
    fn entries_that_were_passed_over_are_forgotten() {
        let own = Own::default();
        own.begin("s");
        for number in 0..10 {
            own.depart("s");
            own.arrive("s", Some(id(number)), waiting(number));
        }
        assert_eq!(own.place("s", id(8)), Place::Of(waiting(8)));
        assert_eq!(own.lock()["s"].known.len(), 1);
        own.reopen();
        assert_eq!(own.place("s", id(9)), Place::OfNone);
    }
}
