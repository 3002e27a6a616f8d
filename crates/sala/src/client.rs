//! One connection: decodes what the client sends and drives its sockets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use sala_engine::SessionHandle;

use crate::error::Refused;
use crate::socket::Socket;

/// Where other tasks leave work for the task of a connection.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Whether there is work: spares the lock on each message.
    pending: AtomicBool,
    work: Mutex<Vec<Work>>,
}

/// Something that must happen in the connection's task.
pub(crate) enum Work {
    /// The middlewares have decided.
    Decided(Socket, Result<(), Refused>),
    /// The server wants the socket out of its namespace, which it has been told, or, if true, all
    /// sockets of the connection and then the connection closed.
    Leave(Socket, bool),
    /// The server shuts down.
    Shutdown,
}

impl Inbox {
    /// Leaves work and has the connection's task look at it.
    pub(crate) fn push(&self, session: &SessionHandle, work: Work) {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).push(work);
        self.pending.store(true, Ordering::Release);
        session.poke();
    }

    fn take(&self) -> Vec<Work> {
        if !self.pending.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.work.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
