//! The workers that connections can go to.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::process::Link;
use crate::channel::Refusal;
use crate::channel::control::Connection;
use crate::sticky::{Balance, Prefix};

/// How long a newcomer waits for a worker if there is none at the moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// All workers that live, in the order of their seats.
#[derive(Debug)]
pub(crate) struct Table {
    balance: Balance,
    state: Mutex<State>,
    /// A worker became ready.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    workers: Vec<Entry>,
    turn: usize,
    /// Whose sessions are, where their ids do not tell: those of Node.js workers.
    sessions: HashMap<String, u32, RandomState>,
}

#[derive(Debug)]
struct Entry {
    link: Arc<Link>,
    /// Whether it takes newcomers.
    open: bool,
    /// As the worker last reported.
    sessions: u64,
    /// How many newcomers it had received then, and how many have been sent to it.
    received: u64,
    sent: u64,
}

impl Entry {
    /// The sessions that it has, and those that are on their way.
    fn load(&self) -> u64 {
        self.sessions + self.sent.saturating_sub(self.received)
    }
}

/// A worker as the status shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) worker: u32,
    pub(crate) open: bool,
    pub(crate) sessions: u64,
}

impl Table {
    pub(crate) fn new(balance: Balance) -> Self {
        Self {
            balance,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Adds a worker that has become ready.
    pub(crate) fn add(&self, link: Arc<Link>) {
        let mut state = self.lock();
        let place = state
            .workers
            .partition_point(|entry| (entry.link.seat, entry.link.id) < (link.seat, link.id));
        let entry = Entry {
            open: !link.leaving.load(Ordering::Acquire),
            link,
            sessions: 0,
            received: 0,
            sent: 0,
        };
        state.workers.insert(place, entry);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Sends no more newcomers to a worker, or sends them again.
    pub(crate) fn set_open(&self, id: u32, open: bool) {
        if let Some(entry) = self.lock().find(id) {
            entry.open = open && !entry.link.leaving.load(Ordering::Acquire);
        }
        if open {
            self.changed.notify_waiters();
        }
    }

    pub(crate) fn remove(&self, id: u32) {
        let mut state = self.lock();
        state.workers.retain(|entry| entry.link.id != id);
        state.sessions.retain(|_, owner| *owner != id);
    }

    pub(crate) fn report(&self, id: u32, sessions: u64, received: u64) {
        if let Some(entry) = self.lock().find(id) {
            entry.sessions = sessions;
            entry.received = received;
        }
    }

    /// A Node.js worker has a session, or has it no longer, and so many now.
    pub(crate) fn session(&self, worker: u32, session: String, open: bool, sessions: u64) {
        let mut state = self.lock();
        if open {
            state.sessions.insert(session, worker);
        } else {
            state.sessions.remove(&session);
        }
        if let Some(entry) = state.find(worker) {
            entry.sessions = sessions;
            entry.received = entry.sent;
        }
    }

    pub(crate) fn loads(&self) -> Vec<Load> {
        let load = |entry: &Entry| Load {
            worker: entry.link.id,
            open: entry.open,
            sessions: entry.load(),
        };
        self.lock().workers.iter().map(load).collect()
    }

    /// Resolves when a worker takes newcomers.
    pub(crate) async fn served(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.lock().workers.iter().any(|entry| entry.open) {
                return;
            }
            changed.await;
        }
    }

    /// Whether a prefix is in use.
    pub(crate) fn has(&self, prefix: Prefix) -> bool {
        let state = self.lock();
        state
            .workers
            .iter()
            .any(|entry| entry.link.prefix == prefix)
    }

    /// Sends a connection to the worker that its next request belongs to, or to any if it belongs to
    /// nobody. Gives it back if there is nobody to take it.
    pub(crate) async fn dispatch(
        &self,
        session: Option<&str>,
        mut connection: Connection,
        mut descriptor: OwnedFd,
    ) -> Result<(), OwnedFd> {
        let until = Instant::now() + PATIENCE;
        connection.newcomer = session.is_none();
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            while let Some(link) = self.choose(session) {
                let refusal = match link.control.offer(link.parcel(&connection, descriptor)) {
                    Ok(()) => return Ok(()),
                    Err((refusal, back)) => {
                        descriptor = back.descriptor.expect("it was put in");
                        refusal
                    }
                };
                self.refused(&link, connection.newcomer);
                // One that has gone is no longer in the table; its sessions go to anybody, who
                // answers that they are unknown.
                if refusal == Refusal::Full && !connection.newcomer {
                    return Err(descriptor);
                }
            }
            if tokio::time::timeout_at(until, changed).await.is_err() {
                return Err(descriptor);
            }
        }
    }

    /// In a function of its own, so that the lock is held for no longer than this.
    fn choose(&self, session: Option<&str>) -> Option<Arc<Link>> {
        self.lock().choose(session, self.balance)
    }

    /// A worker hangs, or has just gone: it gets no newcomers until it is heard from.
    fn refused(&self, link: &Link, newcomer: bool) {
        if let Some(entry) = self.lock().find(link.id) {
            entry.open = false;
            entry.sent -= u64::from(newcomer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&mut self, id: u32) -> Option<&mut Entry> {
        self.workers.iter_mut().find(|entry| entry.link.id == id)
    }

    fn owner(&self, session: &str) -> Option<&Entry> {
        if let Some(id) = self.sessions.get(session) {
            return self.workers.iter().find(|entry| entry.link.id == *id);
        }
        let prefix = Prefix::of(session)?;
        let mut ours = self
            .workers
            .iter()
            .filter(|entry| entry.link.node.is_none());
        ours.find(|entry| entry.link.prefix == prefix)
    }

    /// The owner of the session; else the next worker by the balancing method.
    fn choose(&mut self, session: Option<&str>, balance: Balance) -> Option<Arc<Link>> {
        if let Some(owner) = session.and_then(|session| self.owner(session)) {
            return Some(Arc::clone(&owner.link));
        }
        let mut open: Vec<_> = self.workers.iter_mut().filter(|entry| entry.open).collect();
        let loads: Vec<_> = open.iter().map(|entry| entry.load()).collect();
        let index = balance.choose(&loads, &mut self.turn)?;
        let chosen = &mut open[index];
        chosen.sent += u64::from(session.is_none());
        Some(Arc::clone(&chosen.link))
    }
}

#[cfg(test)]
mod tests;
