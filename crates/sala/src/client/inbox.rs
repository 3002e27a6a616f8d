//! What other tasks leave for the task of a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sala_engine::SessionHandle;
use sala_proto::RawArgs;

use super::rejoin::{Asked, CaughtUp};
use crate::error::Refused;
use crate::namespace::admission::Seat;
use crate::socket::Socket;

/// Where other tasks leave work for the task of a connection.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Whether there is work: spares the lock on each message.
    pending: AtomicBool,
    work: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    list: Vec<Work>,
    /// The connection is over. Nothing is kept then: work holds sockets, which hold the inbox.
    shut: bool,
}

/// Something that must happen in the connection's task.
pub(crate) enum Work {
    /// The parents have been asked for a namespace, for a client that sent this.
    Resolved(Box<str>, Option<RawArgs>, Option<Seat>),
    /// The store has been asked for a session.
    Taken(Box<Asked>),
    /// The store has been asked what such a session has missed since.
    CaughtUp(Box<CaughtUp>),
    /// The middlewares have decided.
    Decided(Socket, Result<(), Refused>),
    /// The client has been told that this socket is out of its namespace. If true, all others of
    /// the connection follow, and it is closed.
    Leave(Socket, bool),
}

impl Inbox {
    /// Leaves work and has the connection's task look at it.
    pub(crate) fn push(&self, session: &SessionHandle, work: Work) {
        // What work holds that comes too late is dropped without the lock.
        drop(self.offer(session, work));
    }

    /// The same; gives the work back if the connection is over.
    #[must_use]
    pub(super) fn offer(&self, session: &SessionHandle, work: Work) -> Option<Work> {
        {
            let mut waiting = self.lock();
            if waiting.shut {
                return Some(work);
            }
            waiting.list.push(work);
        }
        self.pending.store(true, Ordering::Release);
        session.poke();
        None
    }

    /// Takes what is there, if there is anything.
    pub(super) fn take(&self) -> Option<Vec<Work>> {
        if !self.pending.load(Ordering::Acquire) {
            return None;
        }
        self.pending.store(false, Ordering::Release);
        let work = std::mem::take(&mut self.lock().list);
        (!work.is_empty()).then_some(work)
    }

    /// Takes nothing any more. Gives back what was left.
    pub(super) fn shut(&self) -> Vec<Work> {
        let mut waiting = self.lock();
        waiting.shut = true;
        std::mem::take(&mut waiting.list)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
