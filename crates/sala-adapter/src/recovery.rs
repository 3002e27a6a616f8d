//! Connection state recovery: a client whose connection broke for a short time comes back with the
//! same id, rooms and data, and receives what it missed.
//!
//! When a connection breaks for a recoverable reason, the server saves the session. Every event
//! that can be missed (no acknowledgement, not volatile) gets an [`Offset`], appended to its
//! arguments, and is logged with its target. A client that returns with its private id and the last
//! offset it saw takes the session back, with the logged packets since then that were meant for it.
//!
//! [`MemoryStore`] does this within one process. [`RecoveryStore`] is the contract of a store that
//! lives elsewhere, and so can survive a restart of the server.

mod memory;
mod offset;

use std::fmt;
use std::time::Duration;

use sala_proto::{RawArgs, Value};

pub use self::memory::{MemoryStore, Usage};
use crate::adapter::BoxFuture;
use crate::target::{RoomSet, SocketId};
use crate::text::{Text, text_shown, text_type};

text_type! {
    /// The private id of a session (`pid` in the CONNECT reply): whoever presents it may have the
    /// session, so it is a secret between server and client. Not shown by `Debug`.
    PrivateId
}

impl PrivateId {
    /// Makes an id of 20 characters (`0-9A-Za-z-_`, 120 random bits).
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    #[must_use]
    pub fn random() -> Self {
        Self(Text::random())
    }
}

impl fmt::Debug for PrivateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateId(..)")
    }
}

text_type! {
    /// The place of a packet in the log of its namespace, as the client sees it. Opaque: only the
    /// store that made it knows the order.
    Offset
}
text_shown!(Offset);

/// What is kept of a socket whose connection broke.
///
/// `D` is the socket's `data`: any type for a store in memory, a tree for one elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedSession<D = Value> {
    /// The id that the socket gets again.
    pub sid: SocketId,
    /// The secret by which the client proves that the session is its own.
    pub pid: PrivateId,
    /// The rooms it was in, its own included unless it had left it.
    pub rooms: RoomSet,
    /// What the application attached to the socket.
    pub data: D,
}

/// A session taken back from a store.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored<P, D = Value> {
    /// The session as it was saved.
    pub session: SavedSession<D>,
    /// The packets it missed, oldest first. To be sent before the CONNECT reply.
    pub missed: Vec<P>,
}

/// How long, and how much of, sessions and packets are kept for one namespace.
///
/// ```
/// use std::time::Duration;
/// use sala_adapter::recovery::Retention;
///
/// let retention = Retention::default().max_disconnection_duration(Duration::from_secs(30));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Retention {
    pub(crate) max_disconnection_duration: Duration,
    pub(crate) max_sessions: usize,
    pub(crate) max_packets: usize,
    pub(crate) max_packet_bytes: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            max_disconnection_duration: Duration::from_secs(120),
            max_sessions: 65_536,
            max_packets: 65_536,
            max_packet_bytes: 32 * 1024 * 1024,
        }
    }
}

impl Retention {
    /// How long a session and a packet can be recovered. Default: 120 s, as in the reference.
    pub fn max_disconnection_duration(mut self, duration: Duration) -> Self {
        self.max_disconnection_duration = duration;
        self
    }

    /// How many lost sessions are kept; the one lost first gives way, and its client connects as a
    /// new one. Default: 65,536, which is about 20 MiB of sessions with few rooms and little data.
    /// The reference has no such limit.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// How many packets are kept; the oldest gives way, and clients that need it connect as new
    /// ones. Default: 65,536. The reference has no such limit.
    pub fn max_packets(mut self, packets: usize) -> Self {
        self.max_packets = packets;
        self
    }

    /// How many bytes the kept packets and their targets may take; the oldest packets give way.
    /// Default: 32 MiB. The reference has no such limit.
    pub fn max_packet_bytes(mut self, bytes: usize) -> Self {
        self.max_packet_bytes = bytes;
        self
    }
}

/// A session taken back from a [`RecoveryStore`]: each missed packet comes with its offset.
pub type TakenSession = Restored<(RawArgs, Offset), Value>;

/// A store of lost sessions outside of this process, beside a log of packets that the adapter writes
/// ([`Adapter::broadcast_logged`](crate::Adapter::broadcast_logged)).
///
/// One store serves all namespaces of a server. The in-memory store is not behind this trait: it
/// answers at once and keeps packets as they were encoded.
pub trait RecoveryStore: Send + Sync {
    /// Keeps a session until it is taken, or until `ttl` has passed.
    ///
    /// *Cancel safety:* if dropped, the session is saved or not.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached. The session is then lost.
    fn save<'a>(
        &'a self,
        namespace: &'a str,
        session: SavedSession<Value>,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), RecoveryError>>;

    /// Takes a session back, together with the packets after `offset` whose target
    /// [matches](crate::Target::matches) its rooms, each with its own offset. Atomic: of two calls for the
    /// same session one gets it. `None` if session or offset are unknown or expired.
    ///
    /// *Cancel safety:* if dropped, the session may be gone; its client then connects as a new one.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached. The client then connects as a new one.
    fn take<'a>(
        &'a self,
        namespace: &'a str,
        pid: &'a PrivateId,
        offset: &'a Offset,
    ) -> BoxFuture<'a, Result<Option<TakenSession>, RecoveryError>>;

    /// The packets that such a session has missed between the end of what [`take`](Self::take) gave
    /// and now; `after` is the last offset that was given.
    ///
    /// *Cancel safety:* may be dropped at any time.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached.
    fn missed<'a>(
        &'a self,
        namespace: &'a str,
        rooms: &'a RoomSet,
        after: &'a Offset,
    ) -> BoxFuture<'a, Result<Vec<(RawArgs, Offset)>, RecoveryError>>;
}

/// A recovery store could not be reached or did not understand.
#[derive(Debug)]
pub struct RecoveryError(Box<dyn std::error::Error + Send + Sync>);

impl RecoveryError {
    /// Wraps the error of a store's client library.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the recovery store failed")
    }
}

impl std::error::Error for RecoveryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}
