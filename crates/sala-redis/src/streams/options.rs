//! What can be set, and the names that follow from it.

use std::sync::Arc;
use std::time::Duration;

use sala_adapter::backend::{BackendError, BackendErrorKind};
use sala_adapter::target::ServerId;

use super::{NAME, Streams, StreamsOutlet, name};
use crate::Redis;
use crate::connect::Connector;
use crate::peers::Peers;

/// The options of [`Streams`].
///
/// Servers of a cluster, and emitters, must agree on all but `max_len`, `read_count`, `block_time`, `only_plaintext`,
/// `request_timeout` and `check_peers`.
#[derive(Clone, Debug)]
#[must_use]
pub struct StreamsOptions {
    pub(super) stream_name: String,
    pub(super) stream_count: u32,
    pub(super) channel_prefix: String,
    pub(super) sharded: bool,
    pub(super) max_len: u64,
    pub(super) read_count: usize,
    pub(super) block: Duration,
    pub(super) session_prefix: String,
    pub(super) only_plaintext: bool,
    pub(super) request_timeout: Duration,
    pub(super) check_peers: bool,
}

impl Default for StreamsOptions {
    fn default() -> Self {
        Self {
            stream_name: "socket.io".to_owned(),
            stream_count: 1,
            channel_prefix: "socket.io".to_owned(),
            sharded: false,
            max_len: 10_000,
            read_count: 100,
            block: Duration::from_secs(5),
            session_prefix: "sio:session:".to_owned(),
            only_plaintext: false,
            request_timeout: Duration::from_secs(5),
            check_peers: true,
        }
    }
}

impl StreamsOptions {
    /// The name of the stream, or what its names begin with if there are several. Default: `socket.io`.
    pub fn stream_name(mut self, name: impl Into<String>) -> Self {
        self.stream_name = name.into();
        self
    }

    /// How many streams there are, so that several nodes of a Cluster share the work: a namespace goes to one of
    /// `name-0`, `name-1`, … by its name. Default: 1, with the plain name. All servers must have
    /// the same number.
    ///
    /// With more than one, Node.js servers write what concerns some namespaces (about half of those that are
    /// hashed to other than the first) to streams such as `name--1`, which none of them reads. Sala reads them, so only
    /// the Node.js servers of such a namespace do not hear; a warning names it.
    pub fn stream_count(mut self, count: u32) -> Self {
        self.stream_count = count;
        self
    }

    /// What the names of the pub/sub channels begin with. Default: `socket.io`.
    pub fn channel_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.channel_prefix = prefix.into();
        self
    }

    /// Uses sharded pub/sub for requests and answers, which in a Cluster loads one node instead of
    /// all. Needs Redis 7.0; the same on all servers. Default: no.
    pub fn sharded_pubsub(mut self, sharded: bool) -> Self {
        self.sharded = sharded;
        self
    }

    /// How many entries a stream keeps, about (Redis drops them a hundred at a time). It bounds
    /// both how long a server may be away without losing messages, and how long after a disconnection a
    /// client can be recovered; choose it for your busiest minutes. Default: 10,000.
    pub fn max_len(mut self, entries: u64) -> Self {
        self.max_len = entries;
        self
    }

    /// How many entries are read at once; so many of the largest messages are held in memory. Default: 100.
    pub fn read_count(mut self, entries: usize) -> Self {
        self.read_count = entries;
        self
    }

    /// How long Redis keeps a reader waiting when there is nothing to read. Only says how often it is asked.
    /// Default: 5 s.
    pub fn block_time(mut self, time: Duration) -> Self {
        self.block = time;
        self
    }

    /// What the keys of saved sessions begin with. Default: `sio:session:`.
    pub fn session_key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.session_prefix = prefix.into();
        self
    }

    /// Promises that events hold no bytes, so that they need not be looked for. Bytes that are sent all the same
    /// arrive as objects `{type: "Buffer", data: […]}` on the other servers. Default: no.
    pub fn only_plaintext(mut self, plaintext: bool) -> Self {
        self.only_plaintext = plaintext;
        self
    }

    /// How long to wait for answers of other servers if the caller does not say. Default: 5 s, as in
    /// the reference, where it cannot be set.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Whether to look at start-up if the servers that are there already use another kind of adapter with this prefix:
    /// then [`connect`](Self::connect) fails, because neither would hear the other. Switch it off to replace such servers by this
    /// kind one after the other. Default: yes.
    pub fn check_peers(mut self, check: bool) -> Self {
        self.check_peers = check;
        self
    }

    /// Checks that the Redis can be reached and is what its URL says.
    ///
    /// # Errors
    ///
    /// With a text that says what to do: an option that cannot work, a URL that is none, nobody there, a
    /// wrong password, a Redis that is too old, a Cluster that is none, servers with another kind of adapter.
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn connect(self, redis: impl Into<Redis>) -> Result<Streams, BackendError> {
        let connector = self.checked(&redis.into()).await?;
        if self.check_peers {
            self.look_at_peers(&connector).await?;
        }
        Ok(Streams::new(self, connector))
    }

    /// The half that sends alone, for a process that is no server. As the official emitter it puts
    /// server-side events into the stream too.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn outlet(self, redis: impl Into<Redis>) -> Result<StreamsOutlet, BackendError> {
        let connector = self.checked(&redis.into()).await?;
        Ok(StreamsOutlet::of_emitter(Arc::new(self), connector))
    }

    async fn look_at_peers(&self, connector: &Connector) -> Result<(), BackendError> {
        let peers = Peers::of(connector, &self.channel_prefix).await?;
        peers.check_streams(self.sharded).await?;
        let stream_of = |count| name::stream_of("/", &self.stream_name, count);
        peers
            .check_stream(&self.stream_name, self.stream_count, stream_of)
            .await
    }

    async fn checked(&self, redis: &Redis) -> Result<Connector, BackendError> {
        if let Some(mistake) = self.mistake() {
            return Err(BackendError::new(BackendErrorKind::Misconfigured, mistake));
        }
        let connector = Connector::new(redis)?;
        let least = if self.sharded { (7, 0) } else { (6, 2) };
        connector.check(NAME, least).await?;
        Ok(connector)
    }

    pub(super) fn stream_of(&self, namespace: &str) -> String {
        name::stream_of(namespace, &self.stream_name, self.stream_count)
    }

    pub(super) fn is_read_by_the_reference(&self, namespace: &str) -> bool {
        name::is_read_by_the_reference(namespace, self.stream_count)
    }

    /// The channel of a namespace, or of one server in it.
    pub(super) fn channel(&self, namespace: &str, server: Option<&ServerId>) -> String {
        let prefix = &self.channel_prefix;
        match server {
            Some(server) => format!("{prefix}#{namespace}#{server}#"),
            None => format!("{prefix}#{namespace}#"),
        }
    }

    /// What cannot work, if anything.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        if self.stream_name.is_empty() {
            return Some("the stream needs a name");
        }
        if self.stream_count == 0 {
            return Some("stream_count must be at least 1");
        }
        if self.max_len == 0 {
            return Some("max_len must be at least 1: nothing would be kept to be read");
        }
        if self.read_count == 0 {
            return Some("read_count must be at least 1");
        }
        (self.block.as_millis() == 0)
            .then_some("the block time must be at least 1 ms: Redis takes 0 for ever")
    }
}
