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
    /// Absent if only one handler could answer.
    shared: Option<Arc<SharedAck>>,
}

/// What the handlers of one event know of each other's answers.
struct SharedAck {
    socket: Socket,
    id: u64,
    sent: AtomicBool,
    /// Somebody answered with nothing, which another one may still better.
    empty: AtomicBool,
}

impl AckSender {
    pub(crate) fn new(socket: Socket, id: u64) -> Self {
        Self {
            socket,
            id,
            shared: None,
        }
    }

    /// Makes clones of this sender answer once together: the first answer is sent, but one without
    /// data (a handler that returns `()`) waits until nobody is left who could give a better one.
    pub(crate) fn share(&mut self) {
        self.shared = Some(Arc::new(SharedAck {
            socket: self.socket.clone(),
            id: self.id,
            sent: AtomicBool::new(false),
            empty: AtomicBool::new(false),
        }));
    }

    /// Sends the answer: a tuple spreads over the client's arguments, `()` is none, anything else
    /// is one. A client that has left is not an error; neither is a second answer, which is
    /// dropped, as in the reference.
    pub(crate) fn send<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        if let Some(shared) = &self.shared {
            if size_of_val(value) == 0 {
                shared.empty.store(true, Ordering::Release);
                return Ok(());
            }
            if shared.sent.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
        }
        send(&self.socket, self.id, value)
    }
}

impl Drop for SharedAck {
    fn drop(&mut self) {
        if *self.empty.get_mut() && !*self.sent.get_mut() {
            // Nothing always encodes, but for a parser of the user.
            send(&self.socket, self.id, &()).ok();
        }
    }
}

fn send<T: Serialize + ?Sized>(socket: &Socket, id: u64, value: &T) -> Result<(), Error> {
    let nsp = socket.nsp();
    let frame = nsp.shared.encode_ack(nsp.name(), id, value)?;
    match nsp.inner.link() {
        // What the handler emitted before comes before.
        Some(link) => {
            let socket = socket.clone();
            link.in_order(move || socket.send_frame(&frame));
        }
        None => socket.send_frame(&frame),
    }
    Ok(())
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
    #[expect(
        clippy::box_collection,
        reason = "a map in place would triple what an idle socket pays"
    )]
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
