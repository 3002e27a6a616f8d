//! Broadcasts under way, and who has received them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::atomic::{Ordering, Ordering::Relaxed};

use tokio::sync::Notify;

use super::stats::{Counter, Stats};

const SLOTS: u32 = 1 << 16;

/// How far the numbers of broadcasts under way may be apart. Late deliveries still find what was given up.
pub(super) const SPAN: usize = SLOTS as usize / 2;

/// A broadcast: written by the one who sends, then counted down by those who receive.
#[derive(Debug, Default)]
struct Slot {
    number: AtomicU32,
    room: AtomicUsize,
    due: AtomicU64,
    measured: AtomicBool,
    remaining: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Board {
    slots: Box<[Slot]>,
    /// Clients in each room.
    members: Box<[Counter]>,
    under_way: AtomicUsize,
    /// A broadcast has reached its last receiver.
    pub(super) finished: Notify,
}

impl Board {
    /// No rooms: nothing will be broadcast.
    pub(super) fn new(rooms: usize) -> Self {
        let slots = if rooms == 0 { 0 } else { SLOTS };
        Self {
            slots: (0..slots).map(|_| Slot::default()).collect(),
            members: (0..rooms).map(|_| Counter::default()).collect(),
            under_way: AtomicUsize::new(0),
            finished: Notify::new(),
        }
    }

    pub(super) fn enter(&self, room: usize) {
        self.members[room].add(1);
    }

    pub(super) fn leave(&self, room: usize) {
        self.members[room].subtract(1);
    }

    /// Clients in a room.
    pub(super) fn members(&self, room: usize) -> u64 {
        self.members[room].get()
    }

    /// Broadcasts that have not reached everybody.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Relaxed)
    }

    /// Notes a broadcast before it is sent.
    pub(super) fn post(&self, number: u32, room: usize, members: u64, due: u64, measured: bool) {
        let slot = self.slot(number);
        slot.room.store(room, Relaxed);
        slot.due.store(due, Relaxed);
        slot.measured.store(measured, Relaxed);
        slot.remaining.store(members, Relaxed);
        slot.number.store(number, Ordering::Release);
        self.under_way.fetch_add(1, Relaxed);
    }

    /// Counts a delivery to a member of `room`; `false` if this broadcast was never made, or to another room.
    pub(super) fn deliver(&self, number: u32, room: usize, stats: &Stats) -> bool {
        let slot = self.slot(number);
        if slot.number.load(Ordering::Acquire) != number || slot.room.load(Relaxed) != room {
            return false;
        }
        let (due, measured) = (slot.due.load(Relaxed), slot.measured.load(Relaxed));
        stats.answered(due, measured);
        let before = slot
            .remaining
            .fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1));
        if before == Ok(1) {
            if measured {
                stats.last.add(stats.now().saturating_sub(due));
            }
            self.finish();
        }
        true
    }

    /// Whether the broadcast has reached everybody, or was given up.
    pub(super) fn is_finished(&self, number: u32) -> bool {
        self.slot(number).remaining.load(Relaxed) == 0
    }

    /// Waits no longer for a broadcast; `false` if it has just been finished.
    pub(super) fn give_up(&self, number: u32) -> bool {
        let given_up = self.slot(number).remaining.swap(0, Relaxed) > 0;
        if given_up {
            self.finish();
        }
        given_up
    }

    fn finish(&self) {
        self.under_way.fetch_sub(1, Relaxed);
        self.finished.notify_one();
    }

    fn slot(&self, number: u32) -> &Slot {
        &self.slots[(number % SLOTS) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broadcast_is_over_with_its_last_delivery() {
        let (board, stats) = (Board::new(2), Stats::new());
        board.post(1, 1, 2, 0, true);
        assert!(board.deliver(1, 1, &stats));
        assert_eq!(board.under_way(), 1);
        assert!(board.deliver(1, 1, &stats));
        assert_eq!(board.under_way(), 0);
        assert!(board.is_finished(1));
        assert_eq!(
            (
                stats.received.get(),
                stats.latency.count(),
                stats.last.count()
            ),
            (2, 2, 1)
        );
    }

    #[test]
    fn what_was_never_sent_or_to_another_room_is_no_delivery() {
        let (board, stats) = (Board::new(2), Stats::new());
        board.post(1, 1, 2, 0, true);
        assert!(!board.deliver(2, 1, &stats));
        assert!(!board.deliver(1, 0, &stats));
        assert!(!board.deliver(1 + SLOTS, 1, &stats));
        assert_eq!(stats.answers.get(), 0);
    }

    #[test]
    fn a_late_delivery_of_what_was_given_up_still_counts() {
        let (board, stats) = (Board::new(1), Stats::new());
        board.post(1, 0, 1, 0, true);
        assert!(board.give_up(1));
        assert!(!board.give_up(1));
        assert_eq!(board.under_way(), 0);
        assert!(board.deliver(1, 0, &stats));
        assert_eq!((board.under_way(), stats.received.get()), (0, 1));
    }
}
