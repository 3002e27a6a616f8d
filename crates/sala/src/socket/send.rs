//! What the rest of the crate does with a socket.

use std::sync::{Arc, MutexGuard, PoisonError};

use sala_engine::{Frame, SendError};

use super::acks::{AckSink, Acks, NotWaiting};
use super::{Outgoing, Socket};
use crate::error::{ErrorContext, ErrorKind, HandlerError};
use crate::namespace::table::Table;

/// The client reads too slowly: its queue is full and its connection is being closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooSlow;

impl Socket {
    /// Queues a packet. Somebody who is gone does not miss it. Calls no code of the user.
    pub(crate) fn push(&self, frame: &Frame, volatile: bool) -> Result<(), TooSlow> {
        if volatile {
            // The engine counts those that are dropped.
            self.0.session.send_volatile(frame.clone());
            return Ok(());
        }
        match self.0.session.send(frame.clone()) {
            Err(SendError::Full) => Err(TooSlow),
            Ok(()) | Err(SendError::Closed) => Ok(()),
        }
    }

    /// The listeners of this socket alone, if it ever had any.
    pub(crate) fn own_table(&self) -> Option<Arc<Table>> {
        self.0.extra.get()?.table.get_if_changed()
    }

    /// Sends a packet.
    pub(crate) fn send_frame(&self, frame: &Frame) {
        if self.push(frame, false).is_err() {
            self.report_slow();
        }
    }

    /// Tells the listeners of outgoing events.
    pub(crate) fn show_outgoing(&self, event: &str, frame: &Frame) {
        if !self.0.nsp.inner.is_watched() {
            return;
        }
        let outgoing = Outgoing::new(event, frame, &self.0.nsp.shared.options.codec);
        let shared = self.0.nsp.inner.table.get();
        let own = self.own_table();
        let own = own.iter().flat_map(|own| &own.any_outgoing);
        for listener in shared.any_outgoing.iter().chain(own) {
            (listener.hook)(self, &outgoing);
        }
    }

    /// Tells the application what went wrong on behalf of this client. A panic of its code also
    /// ends the connection, and nothing else.
    pub(crate) fn failed(&self, event: Option<&str>, kind: ErrorKind, error: HandlerError) {
        let nsp = &self.0.nsp;
        let context = ErrorContext {
            socket: Some(self),
            namespace: nsp.name(),
            event,
            kind,
            error: &error,
        };
        for listener in self.own_table().iter().flat_map(|own| &own.errors) {
            (listener.hook)(&context);
        }
        nsp.shared.report(&context);
        if kind == ErrorKind::Panic {
            self.0.session.close_now();
        }
    }

    pub(crate) fn report_slow(&self) {
        self.failed(None, ErrorKind::SlowConsumer, SendError::Full.into());
    }

    /// Has an answer of the client delivered to somebody.
    pub(crate) fn await_ack(&self, id: u64, sink: Arc<dyn AckSink>) -> Result<(), NotWaiting> {
        let limit = self.0.nsp.shared.options.max_pending_acks;
        self.acks().insert(id, sink, limit)
    }

    /// Whoever waits for this answer, who is then forgotten.
    pub(crate) fn take_ack(&self, id: u64) -> Option<Arc<dyn AckSink>> {
        self.acks().remove(id)
    }

    /// Nobody waits for this answer any more.
    pub(crate) fn forget_ack(&self, id: u64) {
        // Whoever waited is dropped after the lock.
        let _sink = self.acks().remove(id);
    }

    /// Tells all who wait that there will be no answer.
    pub(crate) fn give_up_acks(&self) {
        let waiting = self.acks().close();
        for sink in waiting {
            sink.gone(self.id());
        }
    }

    fn acks(&self) -> MutexGuard<'_, Acks> {
        self.0.acks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
