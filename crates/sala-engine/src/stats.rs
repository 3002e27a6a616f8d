//! Counters of the engine.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Live counters. Only rare events are counted here; nothing on the path of a message.
#[derive(Default)]
pub(crate) struct Counters {
    opened: AtomicU64,
    refused: AtomicU64,
    over_limit: AtomicU64,
    upgraded: AtomicU64,
    slow_consumers: AtomicU64,
    volatile_dropped: AtomicU64,
    silent: AtomicUsize,
}

/// A snapshot of what the engine has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineStats {
    /// Sessions open now.
    pub sessions: usize,
    /// Sessions open from which no message has come yet.
    pub silent_sessions: usize,
    /// Sessions ever opened.
    pub opened: u64,
    /// Requests refused with one of the codes 0 to 5.
    pub refused: u64,
    /// Handshakes answered with 503 because a limit was reached or the server was closing.
    pub over_limit: u64,
    /// Sessions that moved from polling to WebSocket.
    pub upgraded: u64,
    /// Sessions cut off because their client read too slowly.
    pub slow_consumers: u64,
    /// Volatile messages dropped because the transport was not writable.
    pub volatile_dropped: u64,
}

impl Counters {
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Relaxed);
        self.silent.fetch_add(1, Relaxed);
    }

    pub(crate) fn no_longer_silent(&self) {
        self.silent.fetch_sub(1, Relaxed);
    }

    pub(crate) fn silent(&self) -> usize {
        self.silent.load(Relaxed)
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn over_limit(&self) {
        self.over_limit.fetch_add(1, Relaxed);
    }

    pub(crate) fn upgraded(&self) {
        self.upgraded.fetch_add(1, Relaxed);
    }

    pub(crate) fn slow_consumer(&self) {
        self.slow_consumers.fetch_add(1, Relaxed);
    }

    pub(crate) fn volatile_dropped(&self) {
        self.volatile_dropped.fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self, sessions: usize) -> EngineStats {
        EngineStats {
            sessions,
            silent_sessions: self.silent(),
            opened: self.opened.load(Relaxed),
            refused: self.refused.load(Relaxed),
            over_limit: self.over_limit.load(Relaxed),
            upgraded: self.upgraded.load(Relaxed),
            slow_consumers: self.slow_consumers.load(Relaxed),
            volatile_dropped: self.volatile_dropped.load(Relaxed),
        }
    }
}
