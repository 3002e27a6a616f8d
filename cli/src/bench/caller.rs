//! The part of a client that wants its emits acknowledged: echo and churn.

use std::collections::HashMap;

use super::Run;
use super::client::{Client, Error, Kind, Packet};
use super::pace::Turns;
use super::payload::{arguments, array};
use super::plan::Scenario;

/// What is asked of the server, over and over.
#[derive(Debug)]
enum Request {
    /// The payload, to come back; the text before it.
    Echo(String),
    /// By turns to join a room and to leave it; the texts of both.
    Membership([String; 2]),
}

/// One client that emits, waits for the answers, and compares them.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    run: &'a Run,
    client: Client,
    turns: Turns,
    request: Request,
    unanswered: HashMap<u64, Emitted>,
    next: u64,
    limit: usize,
}

#[derive(Debug)]
struct Emitted {
    due: u64,
    measured: bool,
}

impl<'a> Caller<'a> {
    pub(super) fn new(run: &'a Run, client: Client, index: usize, turns: Turns) -> Self {
        let plan = &run.plan;
        let request = if plan.scenario == Scenario::Churn {
            let room = plan.room(index);
            Request::Membership([
                array(&[&plan.events.join, &room]),
                array(&[&plan.events.leave, &room]),
            ])
        } else {
            Request::Echo(arguments(&[&plan.events.echo]))
        };
        let limit = if turns.are_fixed() {
            plan.most_unanswered()
        } else {
            plan.in_flight
        };
        Self {
            run,
            client,
            turns,
            request,
            unanswered: HashMap::new(),
            next: 0,
            limit,
        }
    }

    /// Calls until the connection is lost.
    pub(super) async fn work(mut self) -> Error {
        loop {
            self.emit();
            tokio::select! {
                biased;
                packet = self.client.next() => match packet {
                    Ok(packet) => self.settle(&packet),
                    Err(error) => return error,
                },
                () = self.turns.wait() => {}
            }
        }
    }

    /// Emits what is due.
    fn emit(&mut self) {
        let stats = &self.run.stats;
        while self.run.stage.emits() && self.unanswered.len() < self.limit {
            let now = stats.now();
            let Some(due) = self.turns.take(now) else {
                return;
            };
            let measured = self.run.stage.measures();
            if measured {
                stats.sent.add(1);
                stats.expected.add(1);
                stats.lateness.add(now - due);
            }
            let id = self.next;
            self.next += 1;
            self.unanswered.insert(id, Emitted { due, measured });
            match &self.request {
                Request::Echo(text) => {
                    self.run
                        .plan
                        .payload
                        .emit(&mut self.client, Some(id), text, id)
                }
                Request::Membership(texts) => {
                    self.client.emit(Some(id), &[&texts[id as usize % 2]], None)
                }
            }
        }
    }

    fn settle(&mut self, packet: &Packet) {
        let Kind::Ack(id) = packet.kind else { return };
        match self.unanswered.remove(&id) {
            Some(emitted) if self.is_right(packet, id) => {
                self.run.stats.answered(emitted.due, emitted.measured)
            }
            _ => self.run.stats.mismatched.add(1),
        }
    }

    fn is_right(&self, packet: &Packet, id: u64) -> bool {
        match self.request {
            Request::Echo(_) => self.run.plan.payload.is_answer(packet, id),
            Request::Membership(_) => true,
        }
    }
}
