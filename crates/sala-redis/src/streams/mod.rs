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
mod own;
mod places;
mod reader;
mod session;
mod store;
#[cfg(test)]
mod vectors;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sala_adapter::Envelope;
use sala_adapter::backend::{Backend, BackendError, Context, Link, Members, Profile};
use sala_adapter::codec::CodecError;

use self::count::SubscriberCount;
use self::entry::Fields;
pub use self::inlet::StreamsInlet;
use self::ledger::Ledger;
pub use self::options::StreamsOptions;
pub use self::outlet::StreamsOutlet;
use self::own::Own;
use self::places::Places;
pub use self::session::{decode as decode_session, encode as encode_session};
use self::store::SessionStore;
use crate::Redis;
use crate::connect::{Connector, Renewed};

/// Reads an entry of a stream: its fields, names and values by turns, in any order.
///
/// # Errors
///
/// If it is no message, with what is wrong; [`UnknownType`](sala_adapter::codec::CodecErrorKind::UnknownType) if it is from a newer server.
pub fn decode_entry(fields: Vec<Bytes>) -> Result<Envelope, CodecError> {
    Fields::from_pairs(fields)?.decode()
}

/// Writes the entry of a message: its fields, names and values by turns.
///
/// # Errors
///
/// If it is a message that only the classic adapter knows, or cannot be expressed.
pub fn encode_entry(envelope: &Envelope, only_plaintext: bool) -> Result<Vec<Bytes>, CodecError> {
    Fields::encode(envelope, only_plaintext).map(Fields::into_pairs)
}

/// What the errors call it.
const NAME: &str = "redis streams";

/// The backend over Redis Streams: what `@socket.io/redis-streams-adapter` 0.3 is for Node.js, connection
/// state recovery included.
///
/// Broadcasts and commands (join, leave, disconnect) are entries of a stream. Each server reads
/// it at its own pace, and goes on where it stopped when its connection breaks: nothing is lost in an outage
/// while the stream is long enough ([`max_len`](StreamsOptions::max_len)), and nothing is written or delivered twice.
/// What waits for an answer (`fetch_sockets`, events with acknowledgement, server-side events) goes over
/// pub/sub, and is lost for a server that does not listen at that moment.
///
/// It needs Redis 6.2 or newer, 7.0 with sharded pub/sub; one server, a Cluster, or a master behind Sentinel. Redis
/// has to keep its data on disk (`appendonly yes`) if messages and sessions are to survive its own restart. After a
/// failover those that the replica had not received yet are lost; the servers are told.
///
/// A server uses a connection for each stream that it reads, one to write (in a Cluster one for each stream),
/// one for pub/sub, and one for the rest; with recovery also one for sessions.
///
/// With access rules (ACL) the user needs `+hello +ping +client|setinfo +client|info +client|kill +xadd +xread
/// +xrange +xrevrange +multi +exec +publish +subscribe +unsubscribe +pubsub|numsub +set +getdel`, with sharded pub/sub `+spublish +ssubscribe
/// +sunsubscribe +pubsub|shardnumsub`, `+cluster|slots` in a Cluster, the keys `~socket.io* ~sio:session:*` and the channels `&socket.io#*`.
///
/// ```no_run
/// # async fn run() -> Result<(), sala_adapter::BackendError> {
/// use sala_redis::Streams;
///
/// let backend = Streams::connect("redis://127.0.0.1:6379").await?;
///
/// let backend = Streams::options()
///     .max_len(50_000)
///     .connect("redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster")
///     .await?;
/// # let _ = backend;
/// # Ok(())
/// # }
/// ```
pub struct Streams {
    options: Arc<StreamsOptions>,
    connector: Connector,
    places: Arc<Mutex<Places>>,
    ledger: Arc<Mutex<Ledger>>,
    own: Arc<Own>,
}

impl Streams {
    /// With the default [`options`](Self::options).
    ///
    /// # Errors
    ///
    /// As [`StreamsOptions::connect`].
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn connect(redis: impl Into<Redis>) -> Result<Self, BackendError> {
        Self::options().connect(redis).await
    }

    /// The options, with the defaults of the reference.
    pub fn options() -> StreamsOptions {
        StreamsOptions::default()
    }

    fn new(options: StreamsOptions, connector: Connector) -> Self {
        Self {
            options: Arc::new(options),
            connector,
            places: Arc::default(),
            ledger: Arc::default(),
            own: Arc::default(),
        }
    }
}

impl Backend for Streams {
    type Outlet = StreamsOutlet;
    type Inlet = StreamsInlet;

    fn profile(&self) -> Profile {
        let store = SessionStore::new(self.options.clone(), self.connector.clone());
        let mut profile = Profile::new(NAME, Members::Counted);
        profile.request_timeout = self.options.request_timeout;
        profile.recovery = Some(Arc::new(store));
        profile
    }

    async fn open(
        &mut self,
        context: &Context,
    ) -> Result<Link<StreamsOutlet, StreamsInlet>, BackendError> {
        let (options, connector) = (&self.options, &self.connector);
        let commands = Renewed::over(connector.clone(), connector.commands().await?);
        let subscriber = match options.sharded {
            true => connector.shard_subscriber().await?,
            false => connector.subscriber().await?,
        };
        let counter = SubscriberCount {
            options: options.clone(),
            commands: commands.clone(),
        };
        let inlet = StreamsInlet::new(
            options.clone(),
            context.server.clone(),
            connector.clone(),
            self.places.clone(),
            self.own.clone(),
            subscriber,
            commands,
        );
        Ok(Link {
            outlet: StreamsOutlet::of_server(
                options.clone(),
                connector.clone(),
                context.server.clone(),
                self.ledger.clone(),
                self.own.clone(),
            ),
            inlet,
            counter: Some(Arc::new(counter)),
        })
    }
}
