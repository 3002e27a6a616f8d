//! What is counted while the load runs.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::histogram::Histogram;

/// Different texts of errors that are kept.
const KINDS_OF_ERRORS: usize = 8;

/// A number that many threads add to.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(super) fn subtract(&self, count: u64) {
        self.0.fetch_sub(count, Relaxed);
    }

    pub(super) fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// All counters of a run. The time is counted in nanoseconds from its beginning.
#[derive(Debug)]
pub(super) struct Stats {
    epoch: Instant,
    /// Clients that are connected now.
    pub(super) live: Counter,
    /// Clients that were connected at some time.
    pub(super) connected: Counter,
    /// Clients that could not be connected.
    pub(super) failed: Counter,
    /// Clients that lost their connection.
    pub(super) closed: Counter,
    /// Acknowledgements or deliveries in the whole run.
    pub(super) answers: Counter,
    /// Events emitted in the measured time.
    pub(super) sent: Counter,
    /// Acknowledgements or deliveries due for them.
    pub(super) expected: Counter,
    /// Those that came.
    pub(super) received: Counter,
    /// Answers in the whole run that were not what was sent, came twice or in the wrong order.
    pub(super) mismatched: Counter,
    /// Broadcasts that did not reach everybody in time.
    pub(super) given_up: Counter,
    /// From the begin of a connection to the namespace's consent.
    pub(super) connecting: Histogram,
    /// From the emit, or from when it was due, to each answer.
    pub(super) latency: Histogram,
    /// From the broadcast to its last delivery.
    pub(super) last: Histogram,
    /// At a fixed rate: from when an emit was due to when it was made.
    pub(super) lateness: Histogram,
    /// Failures since the last client that could be connected.
    pub(super) failed_in_a_row: Counter,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Stats {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            live: Counter::default(),
            connected: Counter::default(),
            failed: Counter::default(),
            closed: Counter::default(),
            answers: Counter::default(),
            sent: Counter::default(),
            expected: Counter::default(),
            received: Counter::default(),
            mismatched: Counter::default(),
            given_up: Counter::default(),
            connecting: Histogram::default(),
            latency: Histogram::default(),
            last: Histogram::default(),
            lateness: Histogram::default(),
            failed_in_a_row: Counter::default(),
            errors: Mutex::default(),
        }
    }

    /// Nanoseconds since the run began.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// An answer came to what was due at `due`.
    pub(super) fn answered(&self, due: u64, measured: bool) {
        self.answers.add(1);
        if measured {
            self.received.add(1);
            self.latency.add(self.now().saturating_sub(due));
        }
    }

    pub(super) fn error(&self, text: String) {
        let mut errors = self
            .errors
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if errors.len() < KINDS_OF_ERRORS || errors.contains_key(&text) {
            *errors.entry(text).or_default() += 1;
        } else {
            *errors.entry("other errors".into()).or_default() += 1;
        }
    }

    /// How often each error occurred.
    pub(super) fn errors(&self) -> BTreeMap<String, u64> {
        self.errors
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}
