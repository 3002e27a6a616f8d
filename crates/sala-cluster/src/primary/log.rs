//! The packets that lost sessions may miss, and those sessions, kept for all workers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use sala_adapter::Target;
use sala_adapter::recovery::{MemoryStore, PrivateId, Retention, SavedSession};
use sala_adapter::target::RoomSet;

use crate::channel::bus::{Answer, Ask, Logged, Publish};
use crate::channel::wire::Text;

/// A message as it went out, with its offset.
type Packet = (Text, Bytes);
type Store = MemoryStore<Packet, Bytes>;

/// The most namespaces that have a log. Those beyond it have none, so that whoever opens namespaces
/// without end costs no more memory.
const MAX_NAMESPACES: usize = 10_000;

/// One log for each namespace, bounded by the retention. It outlives the workers, so that a client of
/// a worker that ended finds its session, and what it missed, on any other.
#[derive(Debug)]
pub(crate) struct Log {
    retention: Retention,
    namespaces: HashMap<Text, Store>,
    swept: Instant,
}

impl Log {
    pub(crate) fn new(retention: Retention) -> Self {
        Self {
            retention,
            namespaces: HashMap::new(),
            swept: Instant::now(),
        }
    }

    /// Logs a message and tells its offset; empty if it cannot be logged.
    pub(crate) fn append(&mut self, publish: &Publish, logged: &Logged) -> Text {
        let now = Instant::now();
        self.sweep(now);
        let Some(store) = self.store(&publish.namespace, now) else {
            return "".into();
        };
        let target = Target::all()
            .to(rooms(&logged.rooms))
            .except(rooms(&logged.except));
        let packet = store.append(&target, now, |offset| {
            // Copied: a part of a frame would keep all of its buffer, which no limit counts.
            let body = Bytes::copy_from_slice(&publish.body);
            let packet = (Text::from(offset.as_str()), body);
            Ok::<_, Infallible>((packet, publish.body.len()))
        });
        let Ok((offset, _)) = packet;
        offset
    }

    /// Answers a question of a worker.
    pub(crate) fn answer(log: Option<&Mutex<Self>>, ask: Ask) -> Answer {
        let Some(log) = log else { return Answer::Off };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        log.sweep(now);
        match ask {
            Ask::Save {
                namespace,
                pid,
                sid,
                rooms: joined,
                data,
            } => {
                if let Some(store) = log.store(&namespace, now) {
                    let session = SavedSession {
                        sid: sid.as_str().into(),
                        pid: pid.as_str().into(),
                        rooms: rooms(&joined),
                        data: Bytes::copy_from_slice(&data),
                    };
                    store.save(session, now);
                }
                Answer::Saved
            }
            Ask::Take {
                namespace,
                pid,
                offset,
            } => log.take(&namespace, pid.as_str(), offset.as_str(), now),
            Ask::Missed {
                namespace,
                rooms: joined,
                after,
            } => {
                let store = log.namespaces.get(&namespace);
                match store.and_then(|store| store.missed(&rooms(&joined), after.as_str())) {
                    Some(packets) => Answer::Missed(packets),
                    None => Answer::Unknown,
                }
            }
        }
    }

    fn take(&mut self, namespace: &Text, pid: &str, offset: &str, now: Instant) -> Answer {
        let Some(store) = self.namespaces.get_mut(namespace) else {
            return Answer::Unknown;
        };
        let Some(restored) = store.take(PrivateId::from(pid).as_str(), offset, now) else {
            return Answer::Unknown;
        };
        let session = restored.session;
        Answer::Taken {
            sid: session.sid.as_str().into(),
            rooms: session
                .rooms
                .iter()
                .map(|room| room.as_str().into())
                .collect(),
            data: session.data,
            missed: restored.missed,
        }
    }

    fn store(&mut self, namespace: &Text, now: Instant) -> Option<&mut Store> {
        if !self.namespaces.contains_key(namespace) {
            if self.namespaces.len() >= MAX_NAMESPACES {
                return None;
            }
            let store = Store::new(self.retention.clone(), SystemTime::now(), now);
            self.namespaces.insert(namespace.as_str().into(), store);
        }
        self.namespaces.get_mut(namespace)
    }

    /// Forgets what has expired, now and then.
    fn sweep(&mut self, now: Instant) {
        if now.duration_since(self.swept) < Store::SWEEP_INTERVAL {
            return;
        }
        self.swept = now;
        self.namespaces.retain(|_, store| {
            store.sweep(now);
            let usage = store.usage();
            usage.sessions + usage.packets > 0
        });
    }
}

fn rooms(names: &[Text]) -> RoomSet {
    names.iter().map(|name| name.as_str()).collect()
}
