//! What an operator should know.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::lock;
use crate::backend::BackendError;
use crate::target::{Room, ServerId};

/// What has happened to the link with the cluster.
///
/// Things that come in rows (a full queue, malformed messages) say with `first` whether they begin
/// a row: none of the kind was seen for a minute. Log those, and read the rest in
/// [`ClusterStats`](super::ClusterStats).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ClusterEvent<'a> {
    /// The first attempt to connect has succeeded, and all is subscribed to.
    Connected,
    /// The broker cannot be reached, at the start or any more.
    Disconnected {
        /// What is wrong.
        error: &'a BackendError,
        /// Whether the outage begins; otherwise it is another attempt that failed.
        first: bool,
        /// When the next attempt is made.
        retry: Duration,
    },
    /// The outage is over (also one at the start), and all is subscribed to. What was queued is on its way.
    Reconnected {
        /// How long it was.
        after: Duration,
        /// How many bytes were queued.
        queued: usize,
    },
    /// One message could not be sent, and never will be.
    SendFailed {
        /// Its namespace.
        namespace: &'a Room,
        /// Why.
        error: &'a BackendError,
        /// Whether a row begins.
        first: bool,
    },
    /// Something arrived that is no message, or an answer that is too large to keep.
    Malformed {
        /// Where it came from: a channel, a stream, a server.
        source: &'a str,
        /// What is wrong with it.
        error: &'a BackendError,
        /// Whether a row begins.
        first: bool,
    },
    /// Messages of others were lost on the way here.
    Lost {
        /// Why.
        reason: &'a str,
        /// Whether a row begins.
        first: bool,
    },
    /// A message was refused: too much is queued.
    Backlogged {
        /// Its namespace.
        namespace: &'a Room,
        /// Whether a row begins.
        first: bool,
    },
    /// A server was heard of for the first time (only where servers send heartbeats).
    MemberJoined {
        /// The namespace that both have.
        namespace: &'a Room,
        /// The server.
        server: &'a ServerId,
    },
    /// A server is no longer there (only where servers send heartbeats).
    MemberLeft {
        /// The namespace that it has left.
        namespace: &'a Room,
        /// The server.
        server: &'a ServerId,
        /// Whether it fell silent, without saying goodbye.
        silent: bool,
    },
    /// The application panicked while it handled a message of another server. The message is lost, the
    /// cluster goes on.
    Panicked {
        /// The namespace.
        namespace: &'a Room,
        /// Whether a row begins.
        first: bool,
    },
}

impl ClusterEvent<'_> {
    /// Whether it is worth a line in a log: it begins a row, or does not come in rows.
    #[must_use]
    pub fn is_first(&self) -> bool {
        match self {
            Self::Disconnected { first, .. }
            | Self::SendFailed { first, .. }
            | Self::Malformed { first, .. }
            | Self::Lost { first, .. }
            | Self::Backlogged { first, .. }
            | Self::Panicked { first, .. } => *first,
            _ => true,
        }
    }

    /// Whether something is wrong.
    #[must_use]
    pub fn is_problem(&self) -> bool {
        match self {
            Self::Connected | Self::Reconnected { .. } | Self::MemberJoined { .. } => false,
            Self::MemberLeft { silent, .. } => *silent,
            _ => true,
        }
    }
}

impl fmt::Display for ClusterEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Disconnected { error, retry, .. } => {
                write!(f, "disconnected, next attempt in {retry:?}: {error}")
            }
            Self::Reconnected { after, queued } => {
                write!(
                    f,
                    "connected again after {after:?} with {queued} bytes queued"
                )
            }
            Self::SendFailed {
                namespace, error, ..
            } => {
                write!(f, "a message of {namespace} cannot be sent: {error}")
            }
            Self::Malformed { source, error, .. } => {
                write!(f, "malformed message from {source}: {error}")
            }
            Self::Lost { reason, .. } => write!(f, "messages of other servers were lost: {reason}"),
            Self::Backlogged { namespace, .. } => {
                write!(f, "the queue is full, a message of {namespace} is refused")
            }
            Self::MemberJoined { namespace, server } => {
                write!(f, "{server} is there ({namespace})")
            }
            Self::MemberLeft {
                namespace,
                server,
                silent,
            } => {
                let how = if *silent { "fell silent" } else { "has left" };
                write!(f, "{server} {how} ({namespace})")
            }
            Self::Panicked { namespace, .. } => {
                write!(f, "a message for {namespace} made the application panic")
            }
        }
    }
}

/// After how long without the next one a row has ended.
const ROW: Duration = Duration::from_secs(60);

/// What comes in rows.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    SendFailed,
    Malformed,
    Lost,
    Backlogged,
    Panicked,
}

/// When each kind was seen last.
#[derive(Default)]
pub(super) struct Rows(Mutex<[Option<Instant>; 5]>);

impl Rows {
    /// Notes one, and says whether it begins a row.
    pub(super) fn begins(&self, kind: Kind, now: Instant) -> bool {
        let last = lock(&self.0)[kind as usize].replace(now);
        last.is_none_or(|last| now.saturating_duration_since(last) > ROW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_after_a_minute_of_quiet() {
        let (rows, now) = (Rows::default(), Instant::now());
        assert!(rows.begins(Kind::Lost, now));
        assert!(!rows.begins(Kind::Lost, now + ROW));
        assert!(!rows.begins(Kind::Lost, now + 2 * ROW));
        assert!(rows.begins(Kind::Malformed, now + 2 * ROW));
        assert!(rows.begins(Kind::Lost, now + 4 * ROW));
    }
}
