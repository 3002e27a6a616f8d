//! What waits to be sent to the broker: one queue per server, bounded in bytes.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::lock;
use super::namespace::{Namespace, Sign};
use crate::message::Envelope;

/// How many messages are sent at once.
const BATCH_MESSAGES: usize = 256;

/// About how many bytes are sent at once; a single message may be larger.
const BATCH_BYTES: usize = 1024 * 1024;

/// A message that waits.
pub(super) struct Entry {
    pub(super) envelope: Envelope,
    pub(super) ticket: Ticket,
}

/// What the base remembers of a message while the backend has it.
pub(super) struct Ticket {
    pub(super) namespace: Arc<Namespace>,
    /// Its bytes, which count until it is settled.
    pub(super) weight: usize,
    /// If it is a sign of life, which one.
    pub(super) sign: Option<Sign>,
    /// Its place in the [lane](super::lane) of the namespace, if this server's own sockets wait for
    /// its offset.
    pub(super) logged: Option<u64>,
}

/// How urgent a message is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// In its turn, refused if too much waits.
    Ordinary,
    /// Before all others and never refused: the others take this server for gone if it comes late.
    Now,
}

/// Why a message was not taken.
pub(super) enum Refusal {
    Full,
    Closed,
}

pub(super) struct Queue {
    state: Mutex<State>,
    max_bytes: usize,
    /// The writer waits for it.
    filled: Notify,
    /// Those who wait for the queue to be sent.
    settled: Notify,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// What waits and what the backend has.
    messages: usize,
    bytes: usize,
    /// How many messages were taken ever, and how many of them are settled.
    taken: u64,
    done: u64,
    closed: bool,
}

/// What the writer does next.
pub(super) enum Next {
    Send(Vec<Entry>),
    /// The first message wants answers, which cannot arrive before its namespace is followed.
    Follow(Arc<Namespace>),
    /// The queue is closed and empty.
    End,
}

impl Queue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            max_bytes,
            filled: Notify::new(),
            settled: Notify::new(),
        }
    }

    /// Adds a message. One that is larger than the bound is taken if nothing else waits.
    pub(super) fn push(&self, entry: Entry, urgency: Urgency) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refusal::Closed);
        }
        let bytes = state.bytes + entry.ticket.weight;
        if urgency == Urgency::Ordinary && state.messages > 0 && bytes > self.max_bytes {
            return Err(Refusal::Full);
        }
        state.bytes = bytes;
        state.messages += 1;
        state.taken += 1;
        match urgency {
            Urgency::Now => state.entries.push_front(entry),
            Urgency::Ordinary => state.entries.push_back(entry),
        }
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for something to send. Cancel-safe. For one writer at a time.
    pub(super) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.lock().next() {
                return next;
            }
            self.filled.notified().await;
        }
    }

    /// Takes back what was not sent, in its old place.
    pub(super) fn give_back(&self, unsent: impl DoubleEndedIterator<Item = Entry>) {
        let mut state = self.lock();
        for entry in unsent.rev() {
            state.entries.push_front(entry);
        }
    }

    /// So many messages of so many bytes are sent, or given up.
    pub(super) fn settle(&self, messages: usize, bytes: usize) {
        let mut state = self.lock();
        state.messages -= messages;
        state.bytes -= bytes;
        state.done += messages as u64;
        drop(state);
        self.settled.notify_waiters();
    }

    /// Waits until as many messages as were taken so far are settled. Cancel-safe.
    pub(super) async fn flushed(&self) {
        let taken = self.lock().taken;
        loop {
            let mut settled = pin!(self.settled.notified());
            settled.as_mut().enable();
            if self.lock().done >= taken {
                return;
            }
            settled.await;
        }
    }

    /// Takes nothing more; what is there is still to be sent.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// Gives everything up.
    pub(super) fn clear(&self) -> VecDeque<Entry> {
        let entries = std::mem::take(&mut self.lock().entries);
        let bytes = entries.iter().map(|entry| entry.ticket.weight).sum();
        self.settle(entries.len(), bytes);
        entries
    }

    /// How many messages are not settled, and how many bytes.
    pub(super) fn len(&self) -> (usize, usize) {
        let state = self.lock();
        (state.messages, state.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn next(&mut self) -> Option<Next> {
        match self.entries.front() {
            None => self.closed.then_some(Next::End),
            Some(first) if first.must_follow() => {
                Some(Next::Follow(first.ticket.namespace.clone()))
            }
            Some(_) => Some(Next::Send(self.batch())),
        }
    }

    fn batch(&mut self) -> Vec<Entry> {
        let mut bytes = 0;
        let mut count = 0;
        for entry in self.entries.iter().take(BATCH_MESSAGES) {
            bytes += entry.ticket.weight;
            if count > 0 && (bytes > BATCH_BYTES || entry.must_follow()) {
                break;
            }
            count += 1;
        }
        self.entries.drain(..count).collect()
    }
}

impl Entry {
    fn must_follow(&self) -> bool {
        let message = &self.envelope.message;
        let wants_answers = message.asks().is_some() || message.number() == Some(1);
        wants_answers && !self.ticket.namespace.hears()
    }
}
