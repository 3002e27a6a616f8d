//! How the two tasks share their thread, and how they hear of the end.

use tokio::sync::watch;
use tokio::task::yield_now;

/// How many steps a task makes before it lets others run.
const STEPS: u32 = 64;

/// Lets other tasks run now and then, also if a backend is always ready.
#[derive(Default)]
pub(super) struct Pace(u32);

impl Pace {
    pub(super) async fn step(&mut self) {
        self.0 += 1;
        if self.0 >= STEPS {
            self.0 = 0;
            yield_now().await;
        }
    }
}

/// Something that happens once, and that many may wait for. Clones are one.
#[derive(Clone)]
pub(super) struct Signal(watch::Sender<bool>);

impl Signal {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets it happen. Returns whether it had not before.
    pub(super) fn raise(&self) -> bool {
        !self.0.send_replace(true)
    }

    pub(super) fn is_raised(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it has happened. Cancel-safe.
    pub(super) async fn raised(&self) {
        // Cannot fail: the sender is `self`.
        let _ = self.0.subscribe().wait_for(|raised| *raised).await;
    }
}
