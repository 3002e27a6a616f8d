//! The two parts of a broadcast: those who listen, and the one who speaks.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Interval, interval};

use super::Run;
use super::board::SPAN;
use super::client::{Client, Error, Kind, Packet};
use super::pace::Turns;
use super::payload::arguments;

/// How often it is asked whether a broadcast has taken too long.
const CHECK: Duration = Duration::from_millis(100);

/// Receives until the connection is lost.
pub(super) async fn listen(run: &Run, mut client: Client, room: usize) -> Error {
    let event = arguments(&[&run.plan.events.message]);
    let mut last = 0;
    loop {
        match client.next().await {
            Ok(packet) => heard(run, &packet, &event, room, &mut last),
            Err(error) => return error,
        }
    }
}

/// There is one who speaks, so that the numbers must rise for each who listens.
fn heard(run: &Run, packet: &Packet, event: &str, room: usize, last: &mut u32) {
    if packet.kind != Kind::Event || !packet.data().starts_with(event) {
        return;
    }
    let number = run.plan.payload.number_in(packet, event);
    let number = number.filter(|number| (number.wrapping_sub(*last) as i32) > 0);
    match number {
        Some(number) if run.board.deliver(number, room, &run.stats) => *last = number,
        _ => run.stats.mismatched.add(1),
    }
}

/// The one client that broadcasts.
#[derive(Debug)]
pub(super) struct Speaker<'a> {
    run: &'a Run,
    client: Client,
    turns: Turns,
    /// For each room, the text before the payload.
    texts: Vec<String>,
    number: u32,
    limit: usize,
    /// Broadcasts that may not be finished, and when they were made; the oldest first.
    open: VecDeque<(u32, u64)>,
}

impl<'a> Speaker<'a> {
    pub(super) fn new(run: &'a Run, client: Client, turns: Turns) -> Self {
        let plan = &run.plan;
        let texts = (0..plan.rooms)
            .map(|room| arguments(&[&plan.events.broadcast, &plan.room(room)]))
            .collect();
        let limit = if turns.are_fixed() {
            plan.most_unanswered()
        } else {
            plan.in_flight
        };
        Self {
            run,
            client,
            turns,
            texts,
            number: 0,
            limit,
            open: VecDeque::new(),
        }
    }

    /// Broadcasts until the connection is lost.
    pub(super) async fn work(mut self) -> Error {
        let mut check: Interval = interval(CHECK);
        loop {
            self.emit();
            tokio::select! {
                biased;
                packet = self.client.next() => if let Err(error) = packet {
                    return error;
                },
                () = self.run.board.finished.notified() => {}
                () = self.turns.wait() => {}
                _ = check.tick() => self.give_up(),
            }
        }
    }

    /// Broadcasts what is due, to the rooms in turn.
    fn emit(&mut self) {
        let Run {
            plan,
            stats,
            board,
            stage,
            ..
        } = self.run;
        self.forget_finished();
        while stage.emits() && board.under_way() < self.limit && self.open.len() < SPAN {
            let number = self.number.wrapping_add(1);
            let Some(room) = self.next_room(number) else {
                return;
            };
            let now = stats.now();
            let Some(due) = self.turns.take(now) else {
                return;
            };
            let (members, measured) = (board.members(room).max(1), stage.measures());
            if measured {
                stats.sent.add(1);
                stats.expected.add(members);
                stats.lateness.add(now - due);
            }
            self.number = number;
            self.open.push_back((number, now));
            board.post(number, room, members, due, measured);
            plan.payload
                .emit(&mut self.client, None, &self.texts[room], number.into());
        }
    }

    /// The next room with anybody in it.
    fn next_room(&self, number: u32) -> Option<usize> {
        let rooms = self.texts.len();
        (0..rooms)
            .map(|step| (number as usize + step) % rooms)
            .find(|room| self.run.board.members(*room) > 0)
    }

    fn forget_finished(&mut self) {
        while self
            .open
            .front()
            .is_some_and(|(number, _)| self.run.board.is_finished(*number))
        {
            self.open.pop_front();
        }
    }

    /// Lets the next broadcasts go, if one does not reach everybody.
    fn give_up(&mut self) {
        self.forget_finished();
        let patience = self.run.plan.answer_timeout.as_nanos() as u64;
        let now = self.run.stats.now();
        while let Some((number, _)) = self
            .open
            .front()
            .filter(|(_, since)| now - since > patience)
        {
            if self.run.board.give_up(*number) {
                self.run.stats.given_up.add(1);
            }
            self.open.pop_front();
        }
    }
}
