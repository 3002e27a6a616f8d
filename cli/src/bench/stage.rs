//! How far a run has come; every client follows it.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::watch;

/// The parts of a run, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Connecting,
    /// Load that is not measured.
    Warmup,
    Measured,
    /// Nothing is emitted any more; the last answers may come.
    Draining,
}

/// The phase, cheap to look at and possible to wait for.
#[derive(Debug)]
pub(super) struct Stage {
    now: AtomicU8,
    changes: watch::Sender<Phase>,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self {
            now: AtomicU8::new(Phase::Connecting as u8),
            changes: watch::Sender::new(Phase::Connecting),
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.now.store(phase as u8, Ordering::Release);
        self.changes.send_replace(phase);
    }

    fn is(&self, phase: Phase) -> bool {
        self.now.load(Ordering::Acquire) == phase as u8
    }

    /// Whether events are to be emitted.
    pub(super) fn emits(&self) -> bool {
        self.is(Phase::Warmup) || self.is(Phase::Measured)
    }

    /// Whether what is emitted now counts.
    pub(super) fn measures(&self) -> bool {
        self.is(Phase::Measured)
    }

    /// Waits until the connecting is over. Cancel safe.
    pub(super) async fn started(&self) {
        // The sender is `self`: it cannot be gone.
        let _ = self
            .changes
            .subscribe()
            .wait_for(|phase| *phase != Phase::Connecting)
            .await;
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self.changes.borrow() {
            Phase::Connecting => "connecting",
            Phase::Warmup => "warming up",
            Phase::Measured => "measuring",
            Phase::Draining => "waiting for answers",
        })
    }
}
