//! `sala emit`, `sala join`, `sala leave`, `sala disconnect`: what a worker would do, from a shell.

use clap::Args;
use sala::RawArgs;
use sala_emitter::{EmitError, Emitter};
use sala_redis::{Classic, Redis, Sharded, Streams};

/// Send an event to the clients of a cluster, whatever server they are connected to.
///
/// It ends when Redis has taken the event; nobody tells how many clients got it.
#[derive(Args)]
pub(crate) struct Emit {
    #[command(flatten)]
    to: Cluster,

    /// The event's name
    #[arg(value_name = "EVENT")]
    event: String,

    /// Its arguments, each as JSON: 42 '"text"' '{"a":[1,2]}'
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    args: Vec<String>,

    /// Send it to the servers' own listeners instead of to clients
    #[arg(long, conflicts_with_all = ["rooms", "except", "volatile"])]
    server_side: bool,

    /// Clients whose connection is busy may miss it
    #[arg(long)]
    volatile: bool,
}

/// Make sockets of a cluster join rooms.
#[derive(Args)]
pub(crate) struct Join {
    #[command(flatten)]
    to: Cluster,

    /// The rooms to join
    #[arg(value_name = "ROOM", required = true)]
    joined: Vec<String>,
}

/// Make sockets of a cluster leave rooms.
#[derive(Args)]
pub(crate) struct Leave {
    #[command(flatten)]
    to: Cluster,

    /// The rooms to leave
    #[arg(value_name = "ROOM", required = true)]
    left: Vec<String>,
}

/// Disconnect sockets of a cluster from a namespace.
#[derive(Args)]
pub(crate) struct Disconnect {
    #[command(flatten)]
    to: Cluster,

    /// Close their connections as well, with all namespaces on them
    #[arg(long)]
    close: bool,

    /// Disconnect everybody, if neither --to nor --except says whom
    #[arg(long)]
    all: bool,
}

/// Which sockets of which cluster.
#[derive(Args)]
struct Cluster {
    /// The Redis of the cluster: redis://host:6379, rediss:// with TLS, redis+cluster://a,b,c, or
    /// redis+sentinel://a,b/master
    #[arg(
        long,
        env = "SALA_REDIS",
        hide_env_values = true,
        value_name = "URL",
        default_value = "redis://127.0.0.1:6379"
    )]
    redis: String,

    /// How its servers talk over it
    #[arg(
        long,
        env = "SALA_ADAPTER",
        value_name = "NAME",
        default_value = "streams"
    )]
    adapter: AdapterName,

    /// What names begin with, if not with socket.io: `key` of the classic adapter, the channel prefix
    /// of the sharded one, the name of the stream
    #[arg(long, value_name = "NAME")]
    key: Option<String>,

    /// The namespace
    #[arg(long = "of", value_name = "NAMESPACE", default_value = "/")]
    namespace: String,

    /// Only sockets in this room, or the socket of this id; may be repeated
    #[arg(long = "to", value_name = "ROOM")]
    rooms: Vec<String>,

    /// Not sockets in this room; may be repeated
    #[arg(long, value_name = "ROOM")]
    except: Vec<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum AdapterName {
    /// Pub/sub: `createAdapter` of @socket.io/redis-adapter
    Classic,
    /// Sharded pub/sub: `createShardedAdapter` of @socket.io/redis-adapter
    Sharded,
    /// Streams: @socket.io/redis-streams-adapter
    Streams,
}

impl Cluster {
    async fn emitter(&self) -> Result<Emitter, String> {
        let redis = Redis::from(self.redis.as_str());
        let emitter = match self.adapter {
            AdapterName::Classic => {
                let mut options = Classic::options();
                if let Some(key) = &self.key {
                    options = options.key(key);
                }
                options.outlet(redis).await.map(Emitter::new)
            }
            AdapterName::Sharded => {
                let mut options = Sharded::options();
                if let Some(prefix) = &self.key {
                    options = options.channel_prefix(prefix);
                }
                options.outlet(redis).await.map(Emitter::new)
            }
            AdapterName::Streams => {
                let mut options = Streams::options();
                if let Some(name) = &self.key {
                    options = options.stream_name(name);
                }
                options.outlet(redis).await.map(Emitter::new)
            }
        };
        let emitter = emitter.map_err(|error| format!("--redis: {error}"))?;
        Ok(emitter.of(&self.namespace))
    }
}

pub(crate) fn emit(options: Emit) -> Result<(), String> {
    let values = options.args.iter().map(|text| json(text));
    let args = RawArgs::from_values(values.collect::<Result<_, _>>()?);
    run(async {
        let emitter = options.to.emitter().await?;
        if options.server_side {
            return shown(emitter.server_side_emit(&options.event, &args).await);
        }
        let mut sockets = emitter.to(options.to.rooms).except(options.to.except);
        if options.volatile {
            sockets = sockets.volatile();
        }
        shown(sockets.emit(&options.event, &args).await)
    })
}

pub(crate) fn join(options: Join) -> Result<(), String> {
    run(async {
        let emitter = options.to.emitter().await?;
        let sockets = emitter.to(options.to.rooms).except(options.to.except);
        shown(sockets.sockets_join(options.joined).await)
    })
}

pub(crate) fn leave(options: Leave) -> Result<(), String> {
    run(async {
        let emitter = options.to.emitter().await?;
        let sockets = emitter.to(options.to.rooms).except(options.to.except);
        shown(sockets.sockets_leave(options.left).await)
    })
}

pub(crate) fn disconnect(options: Disconnect) -> Result<(), String> {
    let says_whom = !options.to.rooms.is_empty() || !options.to.except.is_empty();
    if !says_whom && !options.all {
        return Err("say whom with --to or --except, or everybody with --all".to_owned());
    }
    run(async {
        let emitter = options.to.emitter().await?;
        let sockets = emitter.to(options.to.rooms).except(options.to.except);
        shown(sockets.disconnect_sockets(options.close).await)
    })
}

fn run(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(work)
}

fn json(text: &str) -> Result<sala::Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("`{text}` is not JSON ({error}); text needs quotes: '\"{text}\"'"))
}

fn shown(result: Result<(), EmitError>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}
