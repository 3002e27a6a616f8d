//! What a broker crate implements, so that [`Cluster`](crate::cluster::Cluster) can carry messages
//! over its broker.
//!
//! A backend is two small halves: an [`Outlet`] that sends and an [`Inlet`] that receives. Everything
//! else exists once, in the cluster base: who is a member, which answers are missing, what to do when the
//! broker goes away and when it comes back.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::adapter::BoxFuture;
use crate::message::Envelope;
use crate::recovery::{Offset, RecoveryStore};
use crate::target::{Room, ServerId};

/// A way to reach the other servers.
///
/// The base calls [`open`](Self::open) at the start and whenever a half has failed with
/// [`BackendErrorKind::Unreachable`]; it waits longer from failure to failure. What must survive from one
/// connection to the next (the place in a stream) lives in the backend itself.
pub trait Backend: Send + 'static {
    /// The half that sends.
    type Outlet: Outlet;
    /// The half that receives.
    type Inlet: Inlet;

    /// What kind of backend it is. Asked once, before the first connection.
    fn profile(&self) -> Profile;

    /// Connects. The base then has the inlet follow what is needed, from the start.
    ///
    /// *Cancel safety:* must be safe to drop; the base bounds the time.
    fn open(
        &mut self,
        context: &Context,
    ) -> impl Future<Output = Result<Link<Self::Outlet, Self::Inlet>, BackendError>> + Send;
}

/// What the base must know of a backend.
#[derive(Clone)]
#[non_exhaustive]
pub struct Profile {
    /// Its name in logs and errors, such as `redis sharded pub/sub`.
    pub name: &'static str,
    /// How the servers know of each other.
    pub members: Members,
    /// Which rooms the inlet wants to follow one by one.
    pub rooms: RoomsFollowed,
    /// How long to wait for answers of other servers if the caller does not say. Default 5 s, as in
    /// the reference.
    pub request_timeout: Duration,
    /// Where sessions are kept for connection state recovery on any server, if the backend can: then
    /// [`Outlet::send`] gives an offset for each broadcast, and the reader one for each that arrives.
    pub recovery: Option<Arc<dyn RecoveryStore>>,
    /// How long this server's own sockets wait for the offset of a broadcast, with recovery, if the
    /// caller does not say. Default 1 s.
    pub offset_patience: Duration,
}

impl Profile {
    /// A backend whose members are counted by the broker, with no rooms to follow and no recovery.
    #[must_use]
    pub fn new(name: &'static str, members: Members) -> Self {
        Self {
            name,
            members,
            rooms: RoomsFollowed::None,
            request_timeout: Duration::from_secs(5),
            recovery: None,
            offset_patience: Duration::from_secs(1),
        }
    }
}

/// How the servers of a cluster know of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// The broker knows how many there are: [`Link::counter`].
    Counted,
    /// Each server says from time to time that it is there.
    Heartbeats {
        /// How long a server may be silent before it says that it is there. The reference: 5 s.
        interval: Duration,
        /// After which silence a server is taken for gone. The reference: 10 s.
        timeout: Duration,
    },
}

/// Which rooms of this server the inlet wants to hear of ([`Follow::Room`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomsFollowed {
    /// None: all messages of a namespace come anyway.
    None,
    /// Those that are not the own room of a socket, and those own rooms that senders do not
    /// [recognize](Room::is_as_long_as_a_socket_id).
    Public,
    /// All.
    All,
}

/// What a backend may ask about this server.
#[derive(Clone)]
pub struct Context {
    /// Who we are.
    pub server: ServerId,
    /// Which namespaces and rooms exist here.
    pub rooms: Arc<dyn RoomIndex>,
}

/// Which rooms exist on this server.
pub trait RoomIndex: Send + Sync {
    /// Whether any socket of this server is in the room, so that a message for that room alone can be
    /// left undecoded if not.
    fn has_room(&self, namespace: &str, room: &Room) -> bool;
}

/// A connection to the broker.
pub struct Link<O, I> {
    /// The half that sends.
    pub outlet: O,
    /// The half that receives.
    pub inlet: I,
    /// Counts the servers, where [`Members::Counted`].
    pub counter: Option<Arc<dyn Counter>>,
}

/// Counts servers by asking the broker.
pub trait Counter: Send + Sync {
    /// How many servers follow this namespace, this one included if it does.
    ///
    /// *Cancel safety:* may be dropped at any time.
    ///
    /// # Errors
    ///
    /// If the broker does not answer.
    fn count<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<usize, BackendError>>;
}

/// The half of a backend that sends.
pub trait Outlet: Send + 'static {
    /// Sends messages in their order, as many at once as the broker can take. Only those that are
    /// [`Waiting`](State::Waiting) are to be sent; each then is [`Sent`](State::Sent), or
    /// [`Failed`](State::Failed) if the link is fine and only this message was refused (too large,
    /// not expressible).
    ///
    /// # Errors
    ///
    /// If the link has failed: messages that are still waiting may or may not have been sent. The base
    /// opens the backend again and hands the same messages to the new outlet. So a message may arrive
    /// twice, but never after one that was sent later by the same server.
    ///
    /// *Cancel safety:* dropped only when the link is given up: because the other half has failed,
    /// because it took longer than [`send_timeout`](crate::cluster::ClusterOptions::send_timeout), or
    /// because the cluster is closed. What is marked as sent by then is not sent again.
    fn send(
        &mut self,
        batch: &mut [Parcel],
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Sends what may still be buffered and lets go of what the broker keeps for this server.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A message on its way out.
#[derive(Debug)]
pub struct Parcel {
    /// The message.
    pub envelope: Envelope,
    /// What has become of it.
    pub state: State,
    /// The number of a broadcast that waits for its place in the log, if it does; see
    /// [`Delivery::Logged`].
    pub logged: Option<u64>,
}

impl Parcel {
    /// A message that was not sent yet.
    #[must_use]
    pub fn new(envelope: Envelope) -> Self {
        Self {
            envelope,
            state: State::Waiting,
            logged: None,
        }
    }

    /// Whether it has yet to be sent.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting)
    }
}

/// What has become of a message on its way out.
#[derive(Debug)]
pub enum State {
    /// Not sent yet, or not known to have been.
    Waiting,
    /// The broker has it, at this place of its log if it keeps one.
    Sent(Option<Offset>),
    /// The broker has it, and the inlet says where, in the order of the log ([`Delivery::Logged`]): for parcels with
    /// a [number](Parcel::logged).
    Logged,
    /// It cannot be sent.
    Failed(BackendError),
}

/// The half of a backend that receives.
pub trait Inlet: Send + 'static {
    /// Begins or ends to receive what concerns a namespace or a room. Once it has returned, messages
    /// that others send arrive.
    ///
    /// # Errors
    ///
    /// If the link has failed.
    ///
    /// *Cancel safety:* dropped only when the link is given up.
    fn follow(&mut self, change: &Follow) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Makes several changes in their order; a backend may make them at once. As [`follow`](Self::follow)
    /// for each otherwise.
    ///
    /// # Errors
    ///
    /// If the link has failed.
    ///
    /// *Cancel safety:* dropped only when the link is given up.
    fn follow_all(
        &mut self,
        changes: &[Follow],
    ) -> impl Future<Output = Result<(), BackendError>> + Send {
        async move {
            for change in changes {
                self.follow(change).await?;
            }
            Ok(())
        }
    }

    /// The next message.
    ///
    /// # Errors
    ///
    /// If the link has failed.
    ///
    /// *Cancel safety:* dropping the future loses nothing.
    fn recv(&mut self) -> impl Future<Output = Result<Delivery, BackendError>> + Send;

    /// Ends to receive, so that others no longer count this server.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What to receive from now on, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Follow {
    /// All that concerns a namespace.
    Namespace(Room),
    /// No longer.
    LeaveNamespace(Room),
    /// What is sent to this room alone.
    Room {
        /// The namespace.
        namespace: Room,
        /// The room, which has members on this server.
        room: Room,
    },
    /// No longer.
    LeaveRoom {
        /// The namespace.
        namespace: Room,
        /// The room, which has no members on this server any more.
        room: Room,
    },
}

/// What came from the broker.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are messages, and none is kept"
)]
pub enum Delivery {
    /// A message.
    Message {
        /// The message.
        envelope: Envelope,
        /// Its place in the log of the broker, if that keeps one.
        offset: Option<Offset>,
    },
    /// Something that is no message. It was left out.
    Malformed {
        /// Where it came from: a channel, a stream, a topic.
        source: Box<str>,
        /// What is wrong with it.
        error: BackendError,
    },
    /// A broadcast of this server has come to its place among those that others sent, and is
    /// delivered to the sockets of this server now: by backends whose inlet gives everything in the
    /// order of the log, so that no client sees an offset after a later one. The outlet then says
    /// [`State::Logged`], or waits with [`State::Sent`] until [`recv`](Inlet::recv) is called again. Others tell the
    /// offset by `State::Sent` alone.
    Logged {
        /// The namespace.
        namespace: Room,
        /// That of the [parcel](Parcel::logged).
        number: u64,
        /// Its place; `None` if it could not be logged.
        offset: Option<Offset>,
    },
    /// A message that means nothing here: of a type that this version does not know, or on the channel of another
    /// namespace. It was left out.
    Foreign,
    /// Messages were lost, and it is not known which: the server was too slow, or away for longer than
    /// the broker remembers.
    Lost {
        /// Why, for the log.
        reason: Box<str>,
    },
}

/// Why a broker did not do what was asked.
pub struct BackendError {
    kind: BackendErrorKind,
    message: Box<str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Whose fault it is, and so what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// The broker cannot be reached, or the connection broke: try again later.
    Unreachable,
    /// The broker refuses: wrong password, too old, wrong mode, out of memory. Trying again helps only
    /// if somebody changes something.
    Refused,
    /// A message is none of ours, or cannot be expressed.
    Malformed,
    /// A message is larger than the broker or this server takes.
    TooLarge,
    /// The options cannot work.
    Misconfigured,
}

impl BackendError {
    /// An error with a text that says what happened and what to do about it.
    pub fn new(kind: BackendErrorKind, message: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// The same with the error of the client library beneath.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> BackendErrorKind {
        self.kind
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendError")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl std::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
