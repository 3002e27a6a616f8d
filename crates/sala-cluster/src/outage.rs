//! Counts what goes wrong, and says when it is worth a line in the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After so much quiet, the next one is another outage.
const QUIET: Duration = Duration::from_secs(60);

/// Something that goes wrong many times in a row when it does.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    count: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl Outage {
    /// Counts one more. Returns whether it is the first of an outage, and so to be logged.
    pub(crate) fn begins(&self) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace(now);
        before.is_none_or(|before| now.duration_since(before) > QUIET)
    }

    /// How many there were since the start.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_and_counted_whole() {
        let outage = Outage::default();
        assert!(outage.begins());
        assert!(!outage.begins());
        *outage.last.lock().unwrap() = Instant::now().checked_sub(QUIET * 2);
        assert!(outage.begins(), "after a minute of quiet it is another one");
        assert_eq!(outage.count(), 3);
    }
}
