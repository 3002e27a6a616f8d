//! What a namespace and the cluster ask of each other.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sala_proto::RawArgs;

use crate::message::SocketSnapshot;
use crate::recovery::{Offset, RecoveryStore};
use crate::target::{Room, RoomSet, ServerId, Target};

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
    /// order of the calls, commands and requests included.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Backlogged`] if the queue is full, [`AdapterError::Closed`] after
    /// [`close`](Self::close). Delivery to the sockets of this server is not affected by either.
    fn broadcast(&self, packet: RawArgs, target: &Target) -> Result<(), AdapterError>;

    /// Has the other servers do something with their sockets. Never waits, as
    /// [`broadcast`](Self::broadcast).
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    fn command(&self, command: Command, target: &Target) -> Result<(), AdapterError>;

    /// Has the other servers run the namespace's listeners for this event, without an answer. Never
    /// waits, as [`broadcast`](Self::broadcast).
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    fn server_side_emit(&self, packet: RawArgs) -> Result<(), AdapterError>;

    /// Asks the other servers something and collects their answers; the caller adds its own. The
    /// question is sent by this call, not when the future is first polled.
    ///
    /// *Cancel safety:* dropping the future forgets the request; answers that still arrive are
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Timeout`] with what did arrive if not everybody answered in time (`None`: the
    /// backend's default); [`AdapterError::Unreachable`] if the broker is down; otherwise as
    /// [`broadcast`](Self::broadcast).
    fn request(
        &self,
        request: Request,
        target: &Target,
        timeout: Option<Duration>,
    ) -> BoxFuture<'static, Result<Answers, AdapterError>>;

    /// How many servers there are, this one included: 1 if it is alone.
    ///
    /// *Cancel safety:* may be dropped at any time.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request), with no answers.
    fn server_count(&self) -> BoxFuture<'static, Result<usize, AdapterError>>;

    /// Where lost sessions are kept for any server of the cluster, if the backend can. Then
    /// broadcasts that can be missed go through [`broadcast_logged`](Self::broadcast_logged).
    fn recovery(&self) -> Option<Arc<dyn RecoveryStore>>;

    /// Hands a broadcast to the log of the cluster, and through [`Local::broadcast`] to the sockets
    /// of this server once its [`Offset`] is known. Never waits. Broadcasts of one namespace are
    /// delivered in the order of the calls. If the log cannot be reached, this server's sockets are
    /// served at once, without an offset, and the message stays queued for the others.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast); the sockets of this server are served all the same.
    fn broadcast_logged(&self, packet: RawArgs, target: &Target) -> Result<(), AdapterError>;

    /// Calls `deliver` once everything that was handed to
    /// [`broadcast_logged`](Self::broadcast_logged) before has been delivered to this server's
    /// sockets: at once if nothing waits. For what must not overtake such a broadcast but is not
    /// itself logged.
    fn after_logged(&self, deliver: Box<dyn FnOnce() + Send>);

    /// Told when the first socket of this server enters a room and when the last one leaves it, so
    /// that a backend may subscribe to the rooms that matter here. Called in the order of the
    /// changes of a room, while an index of rooms is locked: notes the change and returns.
    fn interest(&self, change: RoomChange<'_>);

    /// Resolves when all that this server has to hear so far (namespaces, rooms) is subscribed to:
    /// from then on the other servers count this one and reach it. Resolves too when the adapter is
    /// closed.
    ///
    /// *Cancel safety:* may be dropped at any time.
    fn ready(&self) -> BoxFuture<'static, ()>;

    /// Tells the other servers that this namespace leaves, and forgets it. Called once, when the server
    /// closes or an empty child namespace is cleaned up; any later call of another method fails with
    /// [`AdapterError::Closed`]. What was handed over before is still sent.
    ///
    /// *Cancel safety:* if dropped, the adapter is closed all the same.
    fn close(&self) -> BoxFuture<'static, ()>;
}

/// What the cluster asks of one namespace of this server.
///
/// Called by the task that receives from the broker, one call at a time and in the order in which
/// messages arrived: must not wait.
pub trait Local: Send + Sync {
    /// Delivers an event to the sockets of this server that match. With an offset, that becomes the
    /// last argument for connection state recovery.
    fn broadcast(&self, packet: &RawArgs, target: &Target, offset: Option<&Offset>);

    /// Delivers an event that wants an answer of each client. Returns to how many it was sent;
    /// `answers` is called with the first argument of each answer, and dropped when no more can
    /// come. The target's `timeout` flag says how long they are waited for.
    fn broadcast_with_ack(&self, packet: &RawArgs, target: &Target, answers: AckSink) -> usize;

    /// Does something with the sockets of this server that match.
    fn command(&self, command: &Command, target: &Target);

    /// The sockets of this server that match.
    fn sockets(&self, target: &Target) -> Vec<SocketSnapshot>;

    /// Runs the listeners of this server for a server-side event. The first answer goes to `answer`,
    /// if there is one.
    fn server_side_emit(&self, packet: &RawArgs, answer: Option<AckSink>);

    /// All rooms of this server, those of single sockets included.
    fn rooms(&self) -> RoomSet;

    /// Whether the room exists on this server.
    fn has_room(&self, room: &Room) -> bool;
}

/// Takes the first argument of an answer, or none. May be called from any thread.
pub type AckSink = Arc<dyn Fn(RawArgs) + Send + Sync>;

/// Something that servers do with those of their sockets that match the target.
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
#[derive(Clone, Debug)]
pub enum Request {
    /// Who matches the target? Answered with [`Answers::Sockets`].
    Sockets,
    /// Send this event to those that match, with acknowledgement. Answered with
    /// [`Answers::Acks`].
    Emit(RawArgs),
    /// Run the namespace's listeners for this event on the servers themselves. Answered with
    /// [`Answers::Servers`]; the target is ignored.
    ServerSide(RawArgs),
}

/// What the other servers answered.
#[derive(Clone, Debug)]
pub enum Answers {
    /// Sockets that match the target.
    Sockets(Vec<SocketSnapshot>),
    /// Acknowledgements of clients.
    Acks {
        /// How many clients the event was sent to, as far as is known.
        expected: usize,
        /// What each of them answered, in the order of arrival.
        replies: Vec<RawArgs>,
    },
    /// What each server's listener answered, in the order of arrival.
    Servers(Vec<RawArgs>),
}

/// The first socket of this server entered a room, or the last one left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomChange<'a> {
    /// The room.
    pub room: &'a Room,
    /// Whether it is named after a socket of this server.
    pub own: bool,
    /// Whether it has members now.
    pub occupied: bool,
}

/// Why the cluster did not do what was asked.
#[derive(Clone, Debug)]
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
    /// The broker cannot be reached, so nobody was asked.
    Unreachable {
        /// What is wrong with the link.
        reason: Arc<str>,
        /// The servers that were there before, as far as is known.
        missing: Missing,
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
        /// Servers that were heard from lately but did not answer: probably those.
        silent: Vec<ServerId>,
    },
}

impl Missing {
    /// Whether all servers have answered.
    fn is_nobody(&self) -> bool {
        match self {
            Self::Servers(servers) => servers.is_empty(),
            Self::Count {
                received, expected, ..
            } => received >= expected,
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = match self {
            Self::Servers(servers) => {
                write!(f, "missing {} responses", servers.len())?;
                servers
            }
            Self::Count {
                received,
                expected,
                silent,
            } => {
                write!(f, "only {received} responses received out of {expected}")?;
                silent
            }
        };
        for (i, name) in names.iter().enumerate() {
            write!(f, "{}{name}", if i == 0 { " (silent: " } else { ", " })?;
        }
        f.write_str(if names.is_empty() { "" } else { ")" })
    }
}

impl fmt::Display for AdapterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout {
                missing,
                partial: Answers::Acks { expected, replies },
                ..
            } => {
                f.write_str("operation has timed out: ")?;
                if missing.is_nobody() {
                    let answered = replies.len();
                    write!(
                        f,
                        "{answered} of {expected} clients of other servers answered"
                    )
                } else {
                    missing.fmt(f)
                }
            }
            Self::Timeout { missing, .. } => write!(f, "timeout reached: {missing}"),
            Self::Unreachable { reason, missing } => {
                write!(f, "the cluster cannot be reached ({reason}): {missing}")
            }
            Self::Backlogged => f.write_str("the queue towards the cluster is full"),
            Self::Closed => f.write_str("the adapter is closed"),
        }
    }
}

impl std::error::Error for AdapterError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout(missing: Missing) -> String {
        timeout_with(missing, Answers::Sockets(Vec::new()))
    }

    fn timeout_with(missing: Missing, partial: Answers) -> String {
        let waited = Duration::from_secs(5);
        AdapterError::Timeout {
            missing,
            waited,
            partial,
        }
        .to_string()
    }

    #[test]
    fn a_timeout_says_who_is_missing_in_the_words_of_the_reference() {
        assert_eq!(
            timeout(Missing::Servers(vec!["a".into(), "b".into()])),
            "timeout reached: missing 2 responses (silent: a, b)"
        );
        let counted = |silent| Missing::Count {
            received: 1,
            expected: 2,
            silent,
        };
        assert_eq!(
            timeout(counted(Vec::new())),
            "timeout reached: only 1 responses received out of 2"
        );
        assert_eq!(
            timeout(counted(vec!["a".into()])),
            "timeout reached: only 1 responses received out of 2 (silent: a)"
        );
    }

    /// One client of another server kept silent, and the error told that "only 3 responses received out of 3", which
    /// sent the reader to the servers.
    #[test]
    fn a_timeout_of_clients_does_not_blame_their_servers() {
        let answers = || Answers::Acks {
            expected: 6,
            replies: vec![RawArgs::from_values(Vec::new()); 5],
        };
        let all = Missing::Count {
            received: 3,
            expected: 3,
            silent: Vec::new(),
        };
        assert_eq!(
            timeout_with(all, answers()),
            "operation has timed out: 5 of 6 clients of other servers answered"
        );
        assert_eq!(
            timeout_with(Missing::Servers(vec!["a".into()]), answers()),
            "operation has timed out: missing 1 responses (silent: a)"
        );
    }
}
