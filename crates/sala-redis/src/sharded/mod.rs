//! Sharded pub/sub, Redis 7.0 and newer.

mod channels;
mod inlet;
mod outlet;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sala_adapter::backend::{Backend, Context, Counter, Link, Members, Profile, RoomsFollowed};
use sala_adapter::{BackendError, BoxFuture};

use self::channels::Channels;
pub use self::inlet::ShardedInlet;
pub use self::outlet::ShardedOutlet;
use crate::Redis;
use crate::connect::{Connector, Publisher, Renewed, Way};
use crate::numsub;
use crate::peers::Peers;

/// What the errors call it.
const NAME: &str = "redis sharded pub/sub";

/// The backend over sharded pub/sub: what `createShardedAdapter` is for Node.js.
///
/// In a Redis Cluster each channel lives on one node, so the load is shared; with one Redis it
/// works as well. It needs Redis 7.0 or newer, or Valkey. All servers of a cluster must use the
/// same channel prefix and the same [`SubscriptionMode`].
///
/// Redis keeps nothing: what is sent while a server's connection is down, this server does not hear.
///
/// With access rules (ACL) the user needs `+hello +ping +ssubscribe +sunsubscribe
/// +spublish +pubsub|shardnumsub`, `+cluster|slots` in a Cluster, and the channels `&socket.io#*`.
///
/// ```no_run
/// # async fn run() -> Result<(), sala_adapter::BackendError> {
/// use sala_redis::{Sharded, SubscriptionMode};
///
/// let backend = Sharded::connect("redis://127.0.0.1:6379").await?;
///
/// let backend = Sharded::options()
///     .subscription_mode(SubscriptionMode::DynamicPrivate)
///     .connect("redis+cluster://10.0.0.1:7000,10.0.0.2:7000")
///     .await?;
/// # let _ = backend;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sharded {
    options: ShardedOptions,
    connector: Connector,
}

/// Which rooms have a channel of their own, so that a server without members there hears nothing of
/// what is sent to them. A broadcast to several rooms, to none, or with acknowledgement always goes
/// through the channel of the namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SubscriptionMode {
    /// None: each server has two channels for each namespace, and hears everything. For few servers, or
    /// when most servers have members in most rooms.
    Static,
    /// All but those of single sockets. The default.
    ///
    /// As in the reference a room whose name has 20 characters is taken for a socket's, and what is sent to it
    /// reaches it through the channel of the namespace.
    #[default]
    Dynamic,
    /// All, those of single sockets included: for many messages to single sockets. Each socket then
    /// costs a subscription.
    DynamicPrivate,
}

/// The options of [`Sharded`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ShardedOptions {
    prefix: String,
    mode: SubscriptionMode,
    request_timeout: Duration,
    check_peers: bool,
}

impl Default for ShardedOptions {
    fn default() -> Self {
        Self {
            prefix: "socket.io".to_owned(),
            mode: SubscriptionMode::default(),
            request_timeout: Duration::from_secs(5),
            check_peers: true,
        }
    }
}

impl ShardedOptions {
    /// How the names of all channels begin (`channelPrefix`). Default: `socket.io`. Must not be
    /// that of another kind of adapter on the same Redis.
    pub fn channel_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Which rooms have a channel (`subscriptionMode`). Default: [`SubscriptionMode::Dynamic`].
    pub fn subscription_mode(mut self, mode: SubscriptionMode) -> Self {
        self.mode = mode;
        self
    }

    /// How long the answers of other servers are waited for, if the caller does not say. Default:
    /// 5 s.
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
    /// With a text that says what to do: a URL that is none, nobody there, a wrong password, a Redis
    /// before 7.0, a Cluster that is none, servers with another kind of adapter.
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn connect(self, redis: impl Into<Redis>) -> Result<Sharded, BackendError> {
        let connector = self.checked(&redis.into()).await?;
        if self.check_peers {
            let peers = Peers::of(&connector, &self.prefix).await?;
            let is_static = self.mode == SubscriptionMode::Static;
            peers.check_sharded(is_static).await?;
        }
        Ok(Sharded {
            options: self,
            connector,
        })
    }

    /// The half that sends alone, for a process that is no server. It sends everything through the channel of the
    /// namespace, which servers in every mode hear: its own [mode](Self::subscription_mode) means nothing.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn outlet(mut self, redis: impl Into<Redis>) -> Result<ShardedOutlet, BackendError> {
        self.mode = SubscriptionMode::Static;
        let connector = self.checked(&redis.into()).await?;
        let publisher = Publisher::new(connector, Way::Sharded).once();
        Ok(ShardedOutlet::new(self.channels(), publisher))
    }

    async fn checked(&self, redis: &Redis) -> Result<Connector, BackendError> {
        let connector = Connector::new(redis)?;
        connector.check("sharded pub/sub", (7, 0)).await?;
        Ok(connector)
    }

    fn outlet_over(&self, connector: Connector) -> ShardedOutlet {
        let publisher = Publisher::new(connector, Way::Sharded);
        ShardedOutlet::new(self.channels(), publisher)
    }

    fn channels(&self) -> Channels {
        Channels {
            prefix: self.prefix.as_str().into(),
            mode: self.mode,
        }
    }
}

impl fmt::Debug for Sharded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharded")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Sharded {
    /// With the default [`options`](Self::options).
    ///
    /// # Errors
    ///
    /// As [`ShardedOptions::connect`].
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn connect(redis: impl Into<Redis>) -> Result<Self, BackendError> {
        Self::options().connect(redis).await
    }

    /// The options, with the defaults of the reference.
    pub fn options() -> ShardedOptions {
        ShardedOptions::default()
    }
}

impl Backend for Sharded {
    type Outlet = ShardedOutlet;
    type Inlet = ShardedInlet;

    fn profile(&self) -> Profile {
        let mut profile = Profile::new(NAME, Members::Counted);
        profile.rooms = match self.options.mode {
            SubscriptionMode::Static => RoomsFollowed::None,
            SubscriptionMode::Dynamic => RoomsFollowed::Public,
            SubscriptionMode::DynamicPrivate => RoomsFollowed::All,
        };
        profile.request_timeout = self.options.request_timeout;
        profile
    }

    async fn open(
        &mut self,
        context: &Context,
    ) -> Result<Link<ShardedOutlet, ShardedInlet>, BackendError> {
        let subscriber = self.connector.shard_subscriber().await?;
        let mut outlet = self.options.outlet_over(self.connector.clone());
        let counter = ShardCounter {
            channels: self.options.channels(),
            commands: Renewed::over(self.connector.clone(), outlet.commands().await?),
        };
        let limits = self.connector.limits();
        let inlet = ShardedInlet::new(
            self.options.channels(),
            context.server.clone(),
            subscriber,
            limits,
        );
        Ok(Link {
            outlet,
            inlet,
            counter: Some(Arc::new(counter)),
        })
    }
}

/// Asks Redis how many servers follow a namespace.
struct ShardCounter {
    channels: Channels,
    commands: Arc<Renewed>,
}

impl Counter for ShardCounter {
    fn count<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<usize, BackendError>> {
        let channel = self.channels.namespace(namespace);
        Box::pin(numsub::count(&self.commands, "SHARDNUMSUB", channel))
    }
}
