//! Session id to session.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use sala_engine_proto::Sid;

use crate::session::SessionHandle;

const SHARDS: usize = 64;

/// All live sessions. Consulted by HTTP requests, never by messages.
pub(crate) struct Registry {
    shards: Box<[Mutex<HashMap<Sid, SessionHandle, RandomState>>]>,
    len: AtomicUsize,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            len: AtomicUsize::new(0),
        }
    }

    /// Adds a session; false if its id is taken.
    pub(crate) fn insert(&self, session: &SessionHandle) -> bool {
        let mut shard = self.shard(session.id());
        if shard.contains_key(&session.id()) {
            return false;
        }
        shard.insert(session.id(), session.clone());
        self.len.fetch_add(1, Relaxed);
        true
    }

    pub(crate) fn remove(&self, sid: Sid) {
        let mut shard = self.shard(sid);
        if shard.remove(&sid).is_some() {
            self.len.fetch_sub(1, Relaxed);
            // Give memory back after a wave of clients has gone. However small a table is, it lies in
            // a page of its own size class and keeps the allocator from returning that page.
            if shard.len() * 4 < shard.capacity() {
                let keep = shard.len() * 2;
                shard.shrink_to(keep);
            }
        }
    }

    pub(crate) fn get(&self, sid: &str) -> Option<SessionHandle> {
        let sid = sid.parse().ok()?;
        self.shard(sid).get(&sid).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// A copy of the list: callers act on sessions without holding a lock.
    pub(crate) fn all(&self) -> Vec<SessionHandle> {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.values().cloned());
        }
        all
    }

    fn shard(&self, sid: Sid) -> MutexGuard<'_, HashMap<Sid, SessionHandle, RandomState>> {
        // The end of an id, because a custom generator may put something fixed at its start.
        let sid = sid.as_str().as_bytes();
        let mix = usize::from(sid[Sid::LEN - 1]) + 31 * usize::from(sid[Sid::LEN - 2]);
        self.shards[mix % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
