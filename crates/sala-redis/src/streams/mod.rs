//! Redis Streams: what servers send is kept for a while in a stream, from which each of them reads.

mod count;
mod entry;
mod id;
mod inlet;
mod lane;
mod ledger;
mod name;
mod options;
mod outlet;
mod places;
mod reader;
mod session;
mod store;
#[cfg(test)]
mod vectors;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sala_adapter::backend::{
    Backend, BackendError, BackendErrorKind, Context, Link, Members, Profile,
};

use self::count::SubscriberCount;
pub use self::inlet::StreamsInlet;
use self::ledger::Ledger;
use self::options::Options;
pub use self::outlet::StreamsOutlet;
use self::places::Places;
use self::store::SessionStore;
use crate::Redis;
use crate::connect::Connector;

/// The cluster over Redis Streams, in the format of `@socket.io/redis-streams-adapter` 0.3, with
/// connection state recovery.
///
/// Broadcasts and commands (join, leave, disconnect) are entries of a stream. Each server reads
/// the stream at its own pace, and goes on where it stopped when its connection breaks: nothing is lost in an
/// outage that is shorter than the stream is long, and nothing is delivered or written twice. What waits for an answer
/// (`fetch_sockets`, events with acknowledgement, server-side events) goes over pub/sub and is lost when
/// nobody listens.
///
/// Needs Redis 6.2; 7.0 with [`sharded_pubsub`](Self::sharded_pubsub). For one server, a Cluster, and a master
/// behind Sentinel. Servers of a cluster, and emitters, must agree on everything but `read_count`, `block_time`,
/// `max_len` and `only_plaintext`. Do not share the channel prefix with a classic or sharded adapter in the
/// same Redis.
///
/// A server uses one connection for each stream that it reads, one to write (in a Cluster one for each stream), one
/// for pub/sub, one for the rest, and with recovery one for sessions.
///
/// ```
/// use sala_redis::{Redis, Streams};
///
/// let streams = Streams::new("redis://127.0.0.1:6379").max_len(50_000);
/// # let _ = streams;
/// ```
#[must_use]
pub struct Streams {
    redis: Redis,
    options: Options,
    places: Arc<Mutex<Places>>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Streams {
    /// Streams of this Redis. Connects when the cluster starts.
    pub fn new(redis: impl Into<Redis>) -> Self {
        Self {
            redis: redis.into(),
            options: Options::default(),
            places: Arc::default(),
            ledger: Arc::default(),
        }
    }

    /// The name of the stream, or what its names begin with if there are several. Default: `socket.io`.
    pub fn stream_name(mut self, name: impl Into<String>) -> Self {
        self.options.stream_name = name.into();
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
        self.options.stream_count = count;
        self
    }

    /// What the names of the pub/sub channels begin with. Default: `socket.io`.
    pub fn channel_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.channel_prefix = prefix.into();
        self
    }

    /// Uses sharded pub/sub for requests and answers, which in a Cluster loads one node instead of
    /// all. Needs Redis 7.0; the same on all servers. Default: no.
    pub fn sharded_pubsub(mut self, sharded: bool) -> Self {
        self.options.sharded = sharded;
        self
    }

    /// How many entries a stream keeps, about (Redis drops them a hundred at a time). It bounds
    /// both how long a server may be away without losing messages, and how long after a disconnection a
    /// client can be recovered; choose it for your busiest minutes. Default: 10,000.
    pub fn max_len(mut self, entries: u64) -> Self {
        self.options.max_len = entries;
        self
    }

    /// How many entries are read at once; so many of the largest messages are held in memory. Default: 100.
    pub fn read_count(mut self, entries: usize) -> Self {
        self.options.read_count = entries;
        self
    }

    /// How long Redis keeps a reader waiting when there is nothing to read. Only says how often it is asked.
    /// Default: 5 s.
    pub fn block_time(mut self, time: Duration) -> Self {
        self.options.block = time;
        self
    }

    /// What the keys of saved sessions begin with. Default: `sio:session:`.
    pub fn session_key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.session_prefix = prefix.into();
        self
    }

    /// Promises that events hold no bytes, so that they need not be looked for. Bytes that are sent all the same
    /// arrive as objects `{type: "Buffer", data: […]}` on the other servers. Default: no.
    pub fn only_plaintext(mut self, plaintext: bool) -> Self {
        self.options.only_plaintext = plaintext;
        self
    }

    /// How long to wait for answers of other servers if the caller does not say. Default: 5 s, as in
    /// the reference, where it cannot be set.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.options.request_timeout = timeout;
        self
    }

    fn connector(&self) -> Result<Connector, BackendError> {
        match self.options.mistake() {
            Some(mistake) => Err(BackendError::new(BackendErrorKind::Misconfigured, mistake)),
            None => Connector::new(&self.redis),
        }
    }
}

impl Backend for Streams {
    type Outlet = StreamsOutlet;
    type Inlet = StreamsInlet;

    fn profile(&self) -> Profile {
        let options = Arc::new(self.options.clone());
        let store = SessionStore::new(options, self.connector().map_err(Arc::new));
        let mut profile = Profile::new("redis streams", Members::Counted);
        profile.request_timeout = self.options.request_timeout;
        profile.recovery = Some(Arc::new(store));
        profile
    }

    async fn open(
        &mut self,
        context: &Context,
    ) -> Result<Link<StreamsOutlet, StreamsInlet>, BackendError> {
        let connector = self.connector()?;
        match self.options.sharded {
            true => connector.check("sharded pub/sub", (7, 0)).await?,
            false => connector.check("the streams backend", (6, 2)).await?,
        }
        let options = Arc::new(self.options.clone());
        let commands = connector.commands().await?;
        let subscriber = match options.sharded {
            true => connector.shard_subscriber().await?,
            false => connector.subscriber().await?,
        };
        let published = connector.is_cluster().then(|| commands.clone());
        let server = context.server.clone();
        let counter = SubscriberCount {
            options: options.clone(),
            commands: commands.clone(),
        };
        Ok(Link {
            outlet: StreamsOutlet::new(
                options.clone(),
                server.clone(),
                connector.clone(),
                self.ledger.clone(),
                published,
            ),
            inlet: StreamsInlet::new(
                options,
                server,
                connector,
                self.places.clone(),
                subscriber,
                commands,
            ),
            counter: Some(Arc::new(counter)),
        })
    }
}
