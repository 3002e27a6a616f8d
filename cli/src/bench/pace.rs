//! When the next event is due: at once, or at a fixed rate.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::Run;

/// A fixed rate, shared by all who emit: turn `k` is due `k` intervals after the start and belongs to
/// emitter `k mod emitters`.
#[derive(Debug)]
pub(super) struct Pace {
    /// Nanoseconds between two turns.
    interval: f64,
    emitters: Mutex<Vec<Arc<Notify>>>,
    schedule: OnceLock<Schedule>,
}

#[derive(Debug, Clone, Copy)]
struct Schedule {
    start: u64,
    interval: f64,
    emitters: u64,
}

impl Schedule {
    fn due(&self, turn: u64) -> u64 {
        self.start + (turn as f64 * self.interval) as u64
    }

    /// How many turns have become due until `now`.
    fn turns(&self, now: u64) -> u64 {
        (now.saturating_sub(self.start) as f64 / self.interval) as u64 + 1
    }
}

impl Pace {
    pub(super) fn new(per_second: f64) -> Self {
        Self {
            interval: 1e9 / per_second,
            emitters: Mutex::default(),
            schedule: OnceLock::new(),
        }
    }

    /// Adds an emitter; to be called before [`conduct`](Self::conduct).
    fn join(self: &Arc<Self>) -> Turns {
        let wake = Arc::new(Notify::new());
        let mut emitters = self.emitters.lock().unwrap_or_else(PoisonError::into_inner);
        emitters.push(wake.clone());
        Turns(Some(Fixed {
            pace: self.clone(),
            wake,
            turn: emitters.len() as u64 - 1,
        }))
    }

    /// Wakes emitters at their turns, until the phase of emitting is over. To be run by a thread of its own,
    /// because the runtime's timers count in milliseconds.
    pub(super) fn conduct(&self, run: &Run) {
        let emitters =
            std::mem::take(&mut *self.emitters.lock().unwrap_or_else(PoisonError::into_inner));
        let count = emitters.len() as u64;
        if count == 0 {
            return;
        }
        let start = run.stats.now();
        let schedule = *self.schedule.get_or_init(|| Schedule {
            start,
            interval: self.interval,
            emitters: count,
        });
        let mut turn = 0;
        while run.stage.emits() {
            let due = schedule.turns(run.stats.now());
            for turn in turn.max(due.saturating_sub(count))..due {
                emitters[(turn % count) as usize].notify_one();
            }
            turn = due;
            let wait = schedule.due(turn).saturating_sub(run.stats.now());
            std::thread::sleep(Duration::from_nanos(wait).min(Duration::from_millis(50)));
        }
    }
}

/// One emitter's turns.
#[derive(Debug)]
pub(super) struct Turns(Option<Fixed>);

#[derive(Debug)]
struct Fixed {
    pace: Arc<Pace>,
    wake: Arc<Notify>,
    turn: u64,
}

impl Turns {
    /// The turns of one more emitter: always at once, if there is no pace.
    pub(super) fn new(pace: Option<&Arc<Pace>>) -> Self {
        pace.map_or(Self(None), Pace::join)
    }

    /// Whether the next turn waits for its time.
    pub(super) fn are_fixed(&self) -> bool {
        self.0.is_some()
    }

    /// Takes the oldest turn that is due at `now`: when it was due.
    pub(super) fn take(&mut self, now: u64) -> Option<u64> {
        let Some(fixed) = &mut self.0 else {
            return Some(now);
        };
        let schedule = fixed.pace.schedule.get()?;
        let due = schedule.due(fixed.turn);
        if due > now {
            return None;
        }
        fixed.turn += schedule.emitters;
        Some(due)
    }

    /// Waits until a turn may be due; for ever, if turns do not wait for a time. Cancel safe.
    pub(super) async fn wait(&self) {
        match &self.0 {
            Some(fixed) => fixed.wake.notified().await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emitters_share_the_turns_of_a_rate() {
        let pace = Arc::new(Pace::new(1000.0));
        let mut all = [Turns::new(Some(&pace)), Turns::new(Some(&pace))];
        assert_eq!(all[0].take(5), None, "not before the start");
        let schedule = Schedule {
            start: 7,
            interval: 1e6,
            emitters: 2,
        };
        pace.schedule.set(schedule).expect("set once");
        assert_eq!(all[0].take(7), Some(7));
        assert_eq!(all[0].take(1_000_007), None);
        assert_eq!(all[1].take(1_000_007), Some(1_000_007));
        assert_eq!(
            all[0].take(9_000_000),
            Some(2_000_007),
            "late, but counted from when it was due"
        );
        assert_eq!(schedule.turns(7), 1);
        assert_eq!(schedule.turns(2_000_007), 3);
    }

    #[test]
    fn without_a_pace_every_moment_is_a_turn() {
        let mut turns = Turns::new(None);
        assert_eq!((turns.take(1), turns.take(1)), (Some(1), Some(1)));
    }
}
