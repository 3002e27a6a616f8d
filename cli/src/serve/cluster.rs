//! Being one server of several.

use clap::{Args, ValueEnum};
use sala::ServerBuilder;
use sala_redis::{Classic, Redis, Sharded, Streams, SubscriptionMode};

#[derive(Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterArgs {
    /// The Redis that connects this server with the others, Node.js servers among them: redis://host:6379,
    /// rediss:// with TLS, redis+cluster://a,b,c, or redis+sentinel://a,b/master
    #[arg(long, env = "SALA_REDIS", hide_env_values = true, value_name = "URL")]
    redis: Option<String>,

    /// How the servers talk over it; the same on all of them
    #[arg(
        long,
        env = "SALA_ADAPTER",
        value_name = "NAME",
        default_value = "streams",
        requires = "redis"
    )]
    adapter: AdapterName,

    /// Which rooms have a channel of their own with `--adapter sharded`; the same on all servers
    #[arg(
        long,
        env = "SALA_SUBSCRIPTION_MODE",
        value_name = "MODE",
        default_value = "dynamic",
        requires = "redis"
    )]
    subscription_mode: Mode,
}

/// `subscriptionMode` of `createShardedAdapter`.
#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// None: every server hears everything
    Static,
    /// All but those of single sockets
    Dynamic,
    /// All
    DynamicPrivate,
}

impl From<Mode> for SubscriptionMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Static => Self::Static,
            Mode::Dynamic => Self::Dynamic,
            Mode::DynamicPrivate => Self::DynamicPrivate,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum AdapterName {
    /// Pub/sub: `createAdapter` of @socket.io/redis-adapter
    Classic,
    /// Sharded pub/sub, Redis 7: `createShardedAdapter` of @socket.io/redis-adapter
    Sharded,
    /// Streams, with recovery on any server: @socket.io/redis-streams-adapter
    Streams,
}

impl ClusterArgs {
    pub(super) fn is_given(&self) -> bool {
        self.redis.is_some()
    }

    /// The builder with the adapter that the options name, connected.
    pub(super) async fn apply(&self, builder: ServerBuilder) -> Result<ServerBuilder, String> {
        let Some(url) = &self.redis else {
            return Ok(builder);
        };
        let redis = Redis::from(url.as_str());
        let joined = match self.adapter {
            AdapterName::Classic => Classic::connect(redis).await.map(|b| builder.adapter(b)),
            AdapterName::Sharded => {
                let options = Sharded::options().subscription_mode(self.subscription_mode.into());
                options.connect(redis).await.map(|b| builder.adapter(b))
            }
            AdapterName::Streams => Streams::connect(redis).await.map(|b| builder.adapter(b)),
        };
        joined.map_err(|error| format!("--redis: {error}"))
    }
}
