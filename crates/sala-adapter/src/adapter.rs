//! What a namespace asks of the other servers of its cluster.

use std::fmt;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::target::{Room, RoomSet, ServerId, SocketId, Target};

/// A boxed future, as the methods of an object-safe trait return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The link of one namespace to the same namespace on the other servers.
///
/// Rooms are always local: the server delivers to its own sockets itself and asks the adapter only
/// to carry the message to the others, who then do the same with theirs. A server that is alone
/// has no adapter at all. Nobody calls the adapter for a target with the `local` flag.
///
/// The trait is object-safe; the server holds an `Arc<dyn Adapter>` for each namespace.
pub trait Adapter: Send + Sync {
    /// Hands a broadcast to the other servers.
    ///
    /// Never waits: the packet is put into a bounded queue. Packets of one namespace leave in the
    /// order of the calls.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Backlogged`] if the queue is full, [`AdapterError::Closed`] after
    /// [`close`](Self::close). Delivery to the sockets of this server is not affected by either.
    fn broadcast(&self, packet: &Outgoing, target: &Target) -> Result<(), AdapterError>;

    /// Has the other servers do something with their sockets. Never waits, as
    /// [`broadcast`](Self::broadcast).
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    fn command(&self, command: Command, target: &Target) -> Result<(), AdapterError>;

    /// Asks the other servers something and collects their answers. The caller adds its own.
    ///
    /// *Cancel safety:* dropping the future forgets the request; answers that still arrive are
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Timeout`] with what did arrive if not everybody answered before `deadline`;
    /// otherwise as [`broadcast`](Self::broadcast).
    fn request<'a>(
        &'a self,
        request: Request,
        target: &'a Target,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Answers, AdapterError>>;

    /// How many servers there are, this one included: 1 if it is alone.
    ///
    /// *Cancel safety:* may be dropped at any time.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request), with no answers.
    fn server_count(&self) -> BoxFuture<'_, Result<usize, AdapterError>>;

    /// Told when the first socket of this server enters a room and when the last one leaves it, so
    /// that an adapter may subscribe to the rooms that matter here. Called in the order of the
    /// changes of a room, while an index of rooms is locked: note the change and return.
    ///
    /// The default does nothing.
    fn interest(&self, change: RoomChange<'_>) {
        let _ = change;
    }

    /// Tells the other servers that this one leaves, sends what is queued and stops. Called once,
    /// when the server closes or an empty child namespace is cleaned up; any later call of another
    /// method fails with [`AdapterError::Closed`].
    ///
    /// *Cancel safety:* if dropped, the adapter is closed but queued messages may be lost.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// An event packet for the sockets of other servers, in the form that every codec can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The event's name and arguments: a JSON array, with a placeholder
    /// (`{"_placeholder":true,"num":0}`) for each binary part.
    pub arguments: Bytes,
    /// The binary parts, in the order of their placeholders' numbers.
    pub attachments: Vec<Bytes>,
}

/// Something that other servers do with those of their sockets that match the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make them join rooms.
    Join(RoomSet),
    /// Make them leave rooms.
    Leave(RoomSet),
    /// Disconnect them from the namespace.
    Disconnect {
        /// Close the connection beneath as well.
        close: bool,
    },
}

/// A question to the other servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Who matches the target? Answered with [`Answers::Sockets`].
    Sockets,
    /// Send this event to those that match, with acknowledgement. Answered with
    /// [`Answers::Acks`].
    Emit(Outgoing),
    /// Run the namespace's listeners for this event on the servers themselves. Answered with
    /// [`Answers::Servers`]; the target is ignored.
    ServerSide(Outgoing),
}

/// What the other servers answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Sockets that match the target.
    Sockets(Vec<SocketSnapshot>),
    /// Acknowledgements of clients.
    Acks {
        /// How many clients the event was sent to.
        expected: usize,
        /// What each of them answered: the arguments of the acknowledgement.
        replies: Vec<Outgoing>,
    },
    /// What each server's listener answered.
    Servers(Vec<Outgoing>),
}

/// A socket as it was on its server when that server was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSnapshot {
    /// Its id.
    pub id: SocketId,
    /// Its handshake, as JSON.
    pub handshake: Bytes,
    /// The rooms it was in.
    pub rooms: RoomSet,
    /// Its `data`, as JSON.
    pub data: Bytes,
}

/// The first socket of this server entered a room, or the last one left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomChange<'a> {
    /// The room.
    pub room: &'a Room,
    /// Whether it has members now.
    pub occupied: bool,
}

/// Why the cluster did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterError {
    /// Not every server answered in time.
    Timeout {
        /// Who did not answer.
        missing: Missing,
        /// How long was waited.
        waited: Duration,
        /// What the others answered.
        partial: Answers,
    },
    /// The queue towards the cluster is full: the message was not sent.
    Backlogged,
    /// The adapter was closed.
    Closed,
}

/// The servers whose answers did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The members are known by name (they send heartbeats).
    Servers(Vec<ServerId>),
    /// Only the broker knows how many there are.
    Count {
        /// How many answered.
        received: usize,
        /// How many were asked.
        expected: usize,
    },
}

impl fmt::Display for AdapterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout {
                missing: Missing::Servers(servers),
                ..
            } => write!(f, "timeout reached: missing {} responses", servers.len()),
            Self::Timeout {
                missing: Missing::Count { received, expected },
                ..
            } => write!(
                f,
                "timeout reached: only {received} responses received out of {expected}"
            ),
            Self::Backlogged => f.write_str("the queue towards the cluster is full"),
            Self::Closed => f.write_str("the adapter is closed"),
        }
    }
}

impl std::error::Error for AdapterError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_timeout_says_who_is_missing_in_the_words_of_the_reference() {
        let timeout = |missing| AdapterError::Timeout {
            missing,
            waited: Duration::from_secs(5),
            partial: Answers::Sockets(Vec::new()),
        };
        let named = timeout(Missing::Servers(vec!["a".into(), "b".into()]));
        assert_eq!(named.to_string(), "timeout reached: missing 2 responses");
        let counted = timeout(Missing::Count {
            received: 1,
            expected: 2,
        });
        assert_eq!(
            counted.to_string(),
            "timeout reached: only 1 responses received out of 2"
        );
    }

    #[test]
    fn an_adapter_is_a_trait_object() {
        struct Alone;
        impl Adapter for Alone {
            fn broadcast(&self, _: &Outgoing, _: &Target) -> Result<(), AdapterError> {
                Err(AdapterError::Closed)
            }
            fn command(&self, _: Command, _: &Target) -> Result<(), AdapterError> {
                Err(AdapterError::Backlogged)
            }
            fn request<'a>(
                &'a self,
                _: Request,
                _: &'a Target,
                _: Instant,
            ) -> BoxFuture<'a, Result<Answers, AdapterError>> {
                Box::pin(async { Ok(Answers::Servers(Vec::new())) })
            }
            fn server_count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
                Box::pin(async { Ok(1) })
            }
            fn close(&self) -> BoxFuture<'_, ()> {
                Box::pin(async {})
            }
        }

        let adapter: Arc<dyn Adapter> = Arc::new(Alone);
        let room = Room::from("a");
        adapter.interest(RoomChange {
            room: &room,
            occupied: true,
        });
        let command = Command::Join(RoomSet::from_iter([room]));
        assert_eq!(
            adapter.command(command, &Target::all()),
            Err(AdapterError::Backlogged)
        );
    }
}
