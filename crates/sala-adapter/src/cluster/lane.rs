//! The order in which broadcasts of a namespace with recovery reach this server's own sockets.
//!
//! Such a broadcast waits for its offset, and whatever comes after it waits behind it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use sala_proto::RawArgs;
use tokio::time::Instant;

use super::lock;
use crate::recovery::Offset;
use crate::target::Target;

/// What waits, in its order.
#[derive(Default)]
pub(super) struct Lane {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Item>,
    /// Somebody is delivering; the lock is not held meanwhile.
    delivering: bool,
    next: u64,
}

enum Item {
    Logged(Logged),
    After(Box<dyn FnOnce() + Send>),
}

struct Logged {
    number: u64,
    since: Instant,
    /// Whether its offset may still come.
    open: bool,
    ready: Ready,
}

/// A broadcast that can be delivered.
pub(super) struct Ready {
    pub(super) packet: RawArgs,
    pub(super) target: Target,
    pub(super) offset: Option<Offset>,
}

/// What is to be done now. Must not panic.
pub(super) enum Act {
    Deliver(Ready),
    Call(Box<dyn FnOnce() + Send>),
}

impl Lane {
    /// Adds a broadcast. `hand_over` gives it, with its number, to the queue, so that both have
    /// the same order, and says whether an offset will come.
    pub(super) fn log<R>(
        &self,
        packet: RawArgs,
        target: Target,
        now: Instant,
        hand_over: impl FnOnce(u64) -> (bool, R),
    ) -> R {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        let (open, result) = hand_over(number);
        let ready = Ready {
            packet,
            target,
            offset: None,
        };
        state.waiting.push_back(Item::Logged(Logged {
            number,
            since: now,
            open,
            ready,
        }));
        result
    }

    /// Adds what must not overtake the broadcasts before it.
    pub(super) fn after(&self, call: Box<dyn FnOnce() + Send>) {
        self.lock().waiting.push_back(Item::After(call));
    }

    /// The broker has logged a broadcast, or will not.
    pub(super) fn resolve(&self, number: u64, offset: Option<Offset>) {
        let mut state = self.lock();
        let found = state.logged().find(|logged| logged.number == number);
        if let Some(logged) = found.filter(|logged| logged.open) {
            logged.open = false;
            logged.ready.offset = offset;
        }
    }

    /// Waits no longer for the offsets of broadcasts from before `limit`, or of all of them.
    pub(super) fn give_up(&self, limit: Option<Instant>) {
        let mut state = self.lock();
        let late = state
            .logged()
            .take_while(|logged| limit.is_none_or(|limit| logged.since < limit));
        late.for_each(|logged| logged.open = false);
    }

    /// Does what can be done, with no lock held. If somebody is at it already, they do.
    pub(super) fn run(&self, mut act: impl FnMut(Act)) {
        let mut state = self.lock();
        while !state.delivering
            && let Some(next) = state.pop()
        {
            state.delivering = true;
            drop(state);
            act(next);
            state = self.lock();
            state.delivering = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn logged(&mut self) -> impl Iterator<Item = &mut Logged> {
        self.waiting.iter_mut().filter_map(|item| match item {
            Item::Logged(logged) => Some(logged),
            Item::After(_) => None,
        })
    }

    fn pop(&mut self) -> Option<Act> {
        match self.waiting.front()? {
            Item::Logged(logged) if logged.open => None,
            _ => self.waiting.pop_front().map(|item| match item {
                Item::Logged(logged) => Act::Deliver(logged.ready),
                Item::After(call) => Act::Call(call),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A lane, and what came out of it.
    #[derive(Default, Clone)]
    struct Fixture(Arc<(Lane, Mutex<Vec<String>>)>);

    impl Fixture {
        fn log(&self, number: u64, open: bool) {
            let packet = RawArgs::from_values(vec![number.into()]);
            let now = Instant::now();
            self.0.0.log(packet, Target::all(), now, |given| {
                assert_eq!(given, number);
                (open, ())
            });
        }

        fn after(&self, name: &str) {
            let (fixture, name) = (self.clone(), name.to_owned());
            self.0.0.after(Box::new(move || fixture.note(name)));
        }

        fn note(&self, what: String) {
            self.0.1.lock().unwrap().push(what);
        }

        fn run(&self) -> Vec<String> {
            self.0.0.run(|act| match act {
                Act::Deliver(ready) => {
                    let number: u64 = ready.packet.parse().unwrap();
                    let offset = ready.offset.map_or("-".into(), |it| it.to_string());
                    self.note(format!("{number}@{offset}"));
                }
                Act::Call(call) => call(),
            });
            std::mem::take(&mut *self.0.1.lock().unwrap())
        }
    }

    #[test]
    fn what_comes_later_waits_for_the_offset_of_what_came_before() {
        let lane = Fixture::default();
        lane.log(0, true);
        lane.after("a");
        lane.log(1, true);
        assert!(lane.run().is_empty());
        lane.0.0.resolve(1, Some("o1".into()));
        assert!(lane.run().is_empty());
        lane.0.0.resolve(0, Some("o0".into()));
        assert_eq!(lane.run(), ["0@o0", "a", "1@o1"]);
        lane.after("b");
        assert_eq!(lane.run(), ["b"]);
    }

    #[test]
    fn without_the_broker_nothing_waits() {
        let lane = Fixture::default();
        lane.log(0, true);
        lane.0.0.give_up(None);
        lane.0.0.resolve(0, Some("late".into()));
        lane.log(1, false);
        assert_eq!(lane.run(), ["0@-", "1@-"]);
    }

    #[test]
    fn patience_ends_for_the_oldest_first() {
        let lane = Fixture::default();
        lane.log(0, true);
        let limit = Instant::now();
        lane.log(1, true);
        lane.0.0.give_up(Some(limit));
        lane.0.0.resolve(1, Some("o1".into()));
        let out = lane.run();
        assert_eq!(out.last().map(String::as_str), Some("1@o1"));
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn a_delivery_that_adds_another_one_does_not_overtake_itself() {
        let lane = Fixture::default();
        let again = lane.clone();
        lane.0.0.after(Box::new(move || {
            again.after("second");
            assert!(again.run().is_empty(), "somebody is delivering");
            again.note("first".into());
        }));
        assert_eq!(lane.run(), ["first", "second"]);
    }
}
