//! How a server takes part in its cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::event::ClusterEvent;
use crate::target::ServerId;

type OnEvent = Arc<dyn Fn(ClusterEvent<'_>) + Send + Sync>;

/// How a server takes part in its cluster. The defaults suit most.
///
/// ```
/// use std::time::Duration;
/// use sala_adapter::cluster::{ClusterEvent, ClusterOptions};
///
/// let options = ClusterOptions::default()
///     .max_queued_bytes(16 * 1024 * 1024)
///     .retry_delays(Duration::from_millis(50), Duration::from_secs(1))
///     .on_event(|event| {
///         if event.is_first() {
///             eprintln!("cluster: {event}");
///         }
///     });
/// ```
#[derive(Clone)]
#[must_use]
pub struct ClusterOptions {
    pub(super) server_id: Option<ServerId>,
    pub(super) max_queued_bytes: usize,
    pub(super) max_answer_bytes: usize,
    pub(super) first_retry: Duration,
    pub(super) longest_retry: Duration,
    pub(super) open_timeout: Duration,
    pub(super) send_timeout: Duration,
    pub(super) close_timeout: Duration,
    pub(super) offset_patience: Option<Duration>,
    pub(super) on_event: OnEvent,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            server_id: None,
            max_queued_bytes: 64 * 1024 * 1024,
            max_answer_bytes: 64 * 1024 * 1024,
            first_retry: Duration::from_millis(100),
            longest_retry: Duration::from_millis(600),
            open_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            offset_patience: None,
            on_event: Arc::new(|_| ()),
        }
    }
}

impl ClusterOptions {
    /// By which id the other servers know this one. Default: 16 random hexadecimal digits. Two servers of a
    /// cluster must never have the same: each would take the messages of the other for its own.
    pub fn server_id(mut self, id: impl Into<ServerId>) -> Self {
        self.server_id = Some(id.into());
        self
    }

    /// How many bytes may wait to be sent to the broker, or to be confirmed by it; at the bound the next message is refused
    /// with [`AdapterError::Backlogged`](crate::AdapterError::Backlogged). Default: 64 MiB, which
    /// carries 1 MiB/s of broadcasts through a minute without the broker (a restart, a failover) and
    /// fits into the memory of any server.
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_queued_bytes = bytes;
        self
    }

    /// How many bytes of answers one request collects; what comes after that is left out, so that
    /// the request ends with a timeout that names the server. Default: 64 MiB: more than
    /// 50,000 sockets with a browser's handshake.
    pub fn max_answer_bytes(mut self, bytes: usize) -> Self {
        self.max_answer_bytes = bytes;
        self
    }

    /// How long to wait before the broker is tried again: `first`, then twice as long each time, up
    /// to `longest`; each time up to a half less, by chance, so that the servers of a cluster do not
    /// come all at once. After an outage, what is queued is held back for `longest` once more, unless
    /// the broker keeps a log: by then the other servers are back to receive it. Default: 100 ms and
    /// 600 ms, so that delivery resumes within two seconds of the broker's return, on a busy machine too.
    pub fn retry_delays(mut self, first: Duration, longest: Duration) -> Self {
        self.first_retry = first;
        self.longest_retry = longest.max(first);
        self
    }

    /// How long one attempt to connect may take. Default: 10 s.
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }

    /// How long the broker may take to accept a batch of messages (at most 256 messages or 1 MiB) before
    /// the connection is given up and made anew. Default: 10 s.
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.send_timeout = timeout;
        self
    }

    /// How long [`Cluster::close`](super::Cluster::close) may take to say goodbye and send what is
    /// queued. Default: 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// How long this server's own sockets wait for the offset of a broadcast that can be recovered. After
    /// that they are served without one: a client that then loses its connection receives that
    /// message twice. Default: what the [backend](crate::backend::Profile::offset_patience) says, 1 s if
    /// there is a broker.
    pub fn offset_patience(mut self, patience: Duration) -> Self {
        self.offset_patience = Some(patience);
        self
    }

    /// Told of everything that an operator should know. Called by the tasks of the cluster, and by
    /// whoever hands over a message that is refused, with no lock held: must not wait. A panic in it is
    /// caught and ignored. A further listener is added, and called after those before.
    pub fn on_event(mut self, listener: impl Fn(ClusterEvent<'_>) + Send + Sync + 'static) -> Self {
        let before = self.on_event;
        self.on_event = Arc::new(move |event| {
            before(event);
            listener(event);
        });
        self
    }
}

impl fmt::Debug for ClusterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterOptions")
            .field("server_id", &self.server_id)
            .field("max_queued_bytes", &self.max_queued_bytes)
            .field("max_answer_bytes", &self.max_answer_bytes)
            .field("retry_delays", &(self.first_retry, self.longest_retry))
            .field("open_timeout", &self.open_timeout)
            .field("send_timeout", &self.send_timeout)
            .field("close_timeout", &self.close_timeout)
            .field("offset_patience", &self.offset_patience)
            .finish_non_exhaustive()
    }
}
