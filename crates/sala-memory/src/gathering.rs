//! A barrier at which nobody waits for ever.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where threads wait until all have come, or until its time is over.
pub(crate) struct Gathering {
    missing: Mutex<usize>,
    complete: Condvar,
    end: Instant,
}

impl Gathering {
    pub(crate) fn new(threads: usize, patience: Duration) -> Self {
        Self {
            missing: Mutex::new(threads),
            complete: Condvar::new(),
            end: Instant::now() + patience,
        }
    }

    /// Blocks the thread. Returns whether all came; who comes late does not wait.
    pub(crate) fn wait(&self) -> bool {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        *missing = missing.saturating_sub(1);
        if *missing == 0 {
            self.complete.notify_all();
            return true;
        }
        let left = self.end.saturating_duration_since(Instant::now());
        let (missing, _) = self
            .complete
            .wait_timeout_while(missing, left, |missing| *missing > 0)
            .unwrap_or_else(PoisonError::into_inner);
        *missing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn all_go_on_as_soon_as_the_last_one_comes() {
        let gathering = Gathering::new(3, HOUR);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| gathering.wait())).collect();
            for thread in threads {
                assert!(thread.join().unwrap());
            }
        });
    }

    #[test]
    fn nobody_waits_for_ever_for_those_who_do_not_come() {
        let patience = Duration::from_millis(20);
        let gathering = Gathering::new(2, patience);
        let begun = Instant::now();
        assert!(!gathering.wait());
        assert!(begun.elapsed() >= patience / 2);
    }

    #[test]
    fn who_comes_late_does_not_wait() {
        let gathering = Gathering::new(100, Duration::ZERO);
        for _ in 0..99 {
            assert!(!gathering.wait());
        }
        assert!(gathering.wait());
    }
}
