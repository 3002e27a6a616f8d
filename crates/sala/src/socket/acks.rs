//! Acknowledgements in both directions.
//!
//! [`AckSender`] answers an event of the client. [`Acks`] holds, for one socket, who waits for
//! answers of the client.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::fast::RandomState;
use sala_adapter::SocketId;
use sala_proto::Args;
use serde::Serialize;

use super::Socket;
use crate::error::Error;

/// Sends the answer to one event, once.
#[derive(Clone)]
pub(crate) struct AckSender {
    socket: Socket,
    id: u64,
    /// Shared by the handlers of one event; absent if there is only one who could answer.
    sent: Option<Arc<AtomicBool>>,
}

impl AckSender {
    pub(crate) fn new(socket: Socket, id: u64) -> Self {
        Self { socket, id, sent: None }
    }

    /// Makes clones of this sender answer once together.
    pub(crate) fn share(&mut self) {
        self.sent.get_or_insert_default();
    }

    /// Sends the answer: a tuple spreads over the client's arguments, `()` is none, anything else
    /// is one. A client that has left is not an error; neither is a second answer, which is
    /// dropped, as in the reference.
    pub(crate) fn send<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        if self.sent.is_some_and(|sent| sent.swap(true, Ordering::AcqRel)) {
            return Ok(());
        }
        let frame = self.socket.codec().ack(self.socket.nsp_name(), self.id, value)?;
        self.socket.send_frame(frame);
        Ok(())
    }
}

/// Somebody who waits for acknowledgements of clients.
pub(crate) trait AckSink: Send + Sync {
    /// The client answered. Runs in the session's task.
    fn reply(&self, from: &SocketId, args: &Args<'_>);

    /// The client left without an answer.
    fn gone(&self, from: &SocketId);
}

/// Who waits for answers of one client. Nothing is allocated while nobody does.
#[derive(Default)]
pub(crate) enum Acks {
    #[default]
    Empty,
    Waiting(Box<HashMap<u64, Arc<dyn AckSink>, RandomState>>),
    /// The socket is gone.
    Closed,
}

impl Acks {
    /// Remembers who waits for the answer with this id.
    ///
    /// # Errors
    ///
    /// If the socket is gone, or if `limit` answers are already waited for.
    pub(crate) fn insert(
        &mut self,
        id: u64,
        sink: Arc<dyn AckSink>,
        limit: usize,
    ) -> Result<(), NotWaiting> {
        if matches!(self, Self::Empty) {
            *self = Self::Waiting(Box::default());
        }
        match self {
            Self::Waiting(map) if map.len() < limit => {
                map.insert(id, sink);
                Ok(())
            }
            Self::Waiting(_) => Err(NotWaiting::TooMany),
            Self::Empty | Self::Closed => Err(NotWaiting::Gone),
        }
    }

    /// Whoever waits for this answer, who is then forgotten.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Arc<dyn AckSink>> {
        let Self::Waiting(map) = self else {
            return None;
        };
        let sink = map.remove(&id);
        if map.is_empty() {
            *self = Self::Empty;
        }
        sink
    }

    /// Takes everybody out; nobody can wait from now on.
    pub(crate) fn close(&mut self) -> Vec<Arc<dyn AckSink>> {
        match std::mem::replace(self, Self::Closed) {
            Self::Waiting(map) => map.into_values().collect(),
            Self::Empty | Self::Closed => Vec::new(),
        }
    }
}

/// Why nobody waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotWaiting {
    Gone,
    TooMany,
}
