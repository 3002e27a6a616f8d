//! Counters of the cluster.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a server's link with its cluster has done so far. Numbers only grow unless they say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterStats {
    /// Messages that the broker took.
    pub sent: u64,
    /// Messages of others that concerned this server.
    pub received: u64,
    /// Own messages that the broker sent back. Ignored.
    pub own: u64,
    /// Messages for namespaces that this server does not have or of types that it does not know, answers to others,
    /// and answers that came too late. Ignored.
    pub ignored: u64,
    /// What arrived and was no message, or too large to keep.
    pub malformed: u64,
    /// Messages that could not be sent and never will be.
    pub failed: u64,
    /// Messages that were refused because too much was queued.
    pub backlogged: u64,
    /// How often messages of others were lost on the way here.
    pub lost: u64,
    /// How often the application panicked over a message of another server.
    pub panics: u64,
    /// How often the broker went away, or was not there at the start.
    pub outages: u64,
    /// Now: messages that wait to be sent or confirmed.
    pub queued_messages: usize,
    /// Now: their bytes.
    pub queued_bytes: usize,
    /// Now: requests that wait for answers.
    pub pending_requests: usize,
    /// Now: other servers that are known, by heartbeat, or because they said something in the last minute.
    pub members: usize,
    /// Now: whether the broker is connected.
    pub connected: bool,
}

/// The counters while they count.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: Counter,
    pub(super) received: Counter,
    pub(super) own: Counter,
    pub(super) ignored: Counter,
    pub(super) malformed: Counter,
    pub(super) failed: Counter,
    pub(super) backlogged: Counter,
    pub(super) lost: Counter,
    pub(super) panics: Counter,
    pub(super) outages: Counter,
}

impl Counters {
    pub(super) fn read(&self) -> ClusterStats {
        ClusterStats {
            sent: self.sent.read(),
            received: self.received.read(),
            own: self.own.read(),
            ignored: self.ignored.read(),
            malformed: self.malformed.read(),
            failed: self.failed.read(),
            backlogged: self.backlogged.read(),
            lost: self.lost.read(),
            panics: self.panics.read(),
            outages: self.outages.read(),
            ..ClusterStats::default()
        }
    }
}

/// A number that grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
