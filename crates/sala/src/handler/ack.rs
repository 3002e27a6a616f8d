//! The acknowledgement as an argument.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;

use super::erased::Failure;
use super::reply::Finished;
use super::server_side::ServerAck;
use crate::error::{Error, ErrorKind};
use crate::socket::acks::AckSender;

/// Answers an event, once, whenever the handler likes: the third argument of a
/// [`Handler`](super::Handler).
///
/// Take it if work goes on after the answer; otherwise return the answer. It may outlive the
/// handler, move to another task, and be dropped: the client is then not answered.
///
/// ```no_run
/// use sala::{Ack, Socket};
///
/// async fn upload(_socket: Socket, name: String, ack: Ack<u32>) -> Result<(), sala::Error> {
///     ack.send(&17)?; // the client knows its ticket now
///     transcode(&name).await;
///     Ok(())
/// }
/// # async fn transcode(_: &str) {}
/// ```
#[must_use = "an acknowledgement that is dropped leaves the client without an answer"]
pub struct Ack<R: ?Sized> {
    sender: Option<AckSender>,
    reply: PhantomData<fn(&R)>,
}

impl<R: Serialize + ?Sized> Ack<R> {
    /// Sends the answer: a tuple spreads over the arguments of the client's callback, `()` is none,
    /// anything else is one. Nothing is sent if the client did not ask for an answer or has left;
    /// neither is an error, as in the reference.
    ///
    /// # Errors
    ///
    /// [`is_serialization`](Error::is_serialization) if the answer cannot be encoded.
    pub fn send(mut self, reply: &R) -> Result<(), Error> {
        self.sender
            .take()
            .map_or(Ok(()), |sender| sender.send(reply))
    }
}

impl<R: ?Sized> Ack<R> {
    /// Whether the client asked for an answer.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.sender.is_some()
    }
}

impl<R: ?Sized> Drop for Ack<R> {
    fn drop(&mut self) {
        if self.sender.is_some() {
            tracing::debug!("an acknowledgement was dropped before it was sent");
        }
    }
}

impl<R: ?Sized> fmt::Debug for Ack<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack")
            .field("requested", &self.is_requested())
            .finish_non_exhaustive()
    }
}

/// The acknowledgement of one call, until somebody takes it.
pub struct AckSlot(Asker);

/// Who asked.
enum Asker {
    Nobody,
    Client(AckSender),
    Server(Arc<ServerAck>),
}

impl AckSlot {
    pub(super) fn client(ack: Option<AckSender>) -> Self {
        Self(ack.map_or(Asker::Nobody, Asker::Client))
    }

    pub(super) fn server(ack: Option<Arc<ServerAck>>) -> Self {
        Self(ack.map_or(Asker::Nobody, Asker::Server))
    }

    pub(crate) fn take<R: ?Sized>(&mut self) -> Ack<R> {
        // Handlers of events of other servers take no `Ack`.
        let sender = match std::mem::replace(&mut self.0, Asker::Nobody) {
            Asker::Client(sender) => Some(sender),
            Asker::Nobody | Asker::Server(_) => None,
        };
        Ack {
            sender,
            reply: PhantomData,
        }
    }

    /// Ends a call with an answer.
    pub(crate) fn finish<T: Serialize + ?Sized>(self, answer: &T) -> Finished {
        let sent = match self.0 {
            Asker::Nobody => return Finished::OK,
            Asker::Client(sender) => sender.send(answer),
            Asker::Server(ack) => ack.send(answer),
        };
        Finished(sent.map_err(|error| Failure {
            kind: ErrorKind::Encode,
            error: error.into(),
        }))
    }
}
