//! Options.

use std::sync::Arc;
use std::time::Duration;

use sala_adapter::Backend;
use sala_adapter::cluster::ClusterOptions;
use sala_adapter::recovery::Retention;
use sala_engine::{EngineConfig, Refusal, Request};
use sala_proto::{Codec, Limits};

use crate::cluster::{self, StartCluster};
use crate::error::ErrorContext;
use crate::server::Server;
use crate::socket::TypeMap;

pub(crate) type ErrorHook = Arc<dyn Fn(&ErrorContext<'_>) + Send + Sync>;

/// The options of a [`Server`], with the reference's defaults and with limits that the reference
/// does not have.
///
/// ```
/// use std::time::Duration;
/// use sala::Server;
///
/// let io = Server::builder()
///     .connect_timeout(Duration::from_secs(10))
///     .max_payload(100_000)
///     .state("shared by all handlers")
///     .build();
/// ```
#[must_use]
pub struct ServerBuilder {
    pub(crate) engine: EngineConfig,
    pub(crate) path: (String, bool),
    pub(crate) options: Options,
    pub(crate) state: TypeMap,
    pub(crate) on_error: Option<ErrorHook>,
    pub(crate) adapter: Option<StartCluster>,
    pub(crate) cluster: ClusterOptions,
}

/// What the parts of the server look at.
pub(crate) struct Options {
    pub(crate) codec: Codec,
    pub(crate) limits: Limits,
    pub(crate) connect_timeout: Duration,
    pub(crate) attachment_timeout: Duration,
    pub(crate) max_namespaces: usize,
    pub(crate) max_pending_connects: usize,
    pub(crate) max_child_namespaces: usize,
    pub(crate) max_pending_acks: usize,
    pub(crate) max_room_name: usize,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) cleanup_empty_child_namespaces: bool,
    #[cfg(feature = "client-files")]
    pub(crate) serve_client: bool,
}

/// Connection state recovery: a client whose connection broke for a short while gets its id, its
/// rooms, its data and the packets that it missed back.
///
/// While it is on, each event that is neither volatile nor asks for an acknowledgement carries an
/// offset as its last argument, and is kept in memory for as long as it may be missed.
///
/// ```
/// use std::time::Duration;
/// use sala::{Recovery, Server};
///
/// let io = Server::builder()
///     .recovery(Recovery::new().max_disconnection_duration(Duration::from_secs(30)))
///     .build();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Recovery {
    pub(crate) retention: Retention,
    pub(crate) duration: Duration,
    pub(crate) skip_middlewares: bool,
}

impl Default for Recovery {
    fn default() -> Self {
        Self::new()
    }
}

impl Recovery {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            retention: Retention::default(),
            duration: Duration::from_secs(120),
            skip_middlewares: true,
        }
    }

    /// How long a session and a packet can be recovered. Default 120 s.
    pub fn max_disconnection_duration(mut self, duration: Duration) -> Self {
        self.retention = self.retention.max_disconnection_duration(duration);
        self.duration = duration;
        self
    }

    /// Whether middlewares are left out for a recovered connection: they let the client in before.
    /// Default true.
    pub fn skip_middlewares(mut self, skip: bool) -> Self {
        self.skip_middlewares = skip;
        self
    }

    /// How many lost sessions a namespace keeps; the one lost first gives way. Default 65,536.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.retention = self.retention.max_sessions(sessions);
        self
    }

    /// How many packets a namespace keeps; the oldest gives way, and clients that would need it
    /// connect as new ones. Default 65,536.
    pub fn max_packets(mut self, packets: usize) -> Self {
        self.retention = self.retention.max_packets(packets);
        self
    }

    /// How many bytes the kept packets of a namespace may take; the oldest give way. Default
    /// 32 MiB.
    pub fn max_packet_bytes(mut self, bytes: usize) -> Self {
        self.retention = self.retention.max_packet_bytes(bytes);
        self
    }
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            engine: EngineConfig::new(),
            path: ("/socket.io".to_owned(), true),
            options: Options {
                codec: Codec::default(),
                limits: Limits::default(),
                connect_timeout: Duration::from_secs(45),
                attachment_timeout: Duration::from_secs(30),
                max_namespaces: 100,
                max_pending_connects: 10,
                max_child_namespaces: 10_000,
                max_pending_acks: 10_000,
                max_room_name: 1024,
                recovery: None,
                cleanup_empty_child_namespaces: false,
                #[cfg(feature = "client-files")]
                serve_client: true,
            },
            state: TypeMap::default(),
            on_error: None,
            adapter: None,
            cluster: ClusterOptions::default(),
        }
    }
}

impl ServerBuilder {
    /// Where requests go. Default `/socket.io`.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path.0);
        self
    }

    /// Whether a slash is appended to the path, so that only what lies beneath it is the server's.
    /// Default true.
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.path.1 = add;
        self
    }

    /// Changes any option of the engine beneath, those without a method here included. The path
    /// is set by [`path`](Self::path).
    ///
    /// ```
    /// use sala::Server;
    ///
    /// let io = Server::builder().engine(|engine| engine.max_sessions(Some(50_000))).build();
    /// ```
    pub fn engine(mut self, change: impl FnOnce(EngineConfig) -> EngineConfig) -> Self {
        self.engine = change(self.engine);
        self
    }

    /// How packets are written: the reference's `parser`. Clients must use the same. Default
    /// [`Codec::default`], JSON.
    pub fn codec(mut self, codec: Codec) -> Self {
        self.options.codec = codec;
        self
    }

    /// Bounds on one packet: attachments, nesting, lengths of names.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// How long a connection may stay without joining a namespace before it is closed. Default
    /// 45 s; zero counts as the default, as in the reference.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = if timeout.is_zero() {
            Duration::from_secs(45)
        } else {
            timeout
        };
        self
    }

    /// How long the attachments of one packet may take to arrive before the connection is closed:
    /// until then the server keeps the first ones. Default 30 s.
    pub fn attachment_timeout(mut self, timeout: Duration) -> Self {
        self.options.attachment_timeout = timeout;
        self
    }

    /// How many namespaces one connection may be in. Default 100. Each costs some hundred bytes. A
    /// further one is refused.
    pub fn max_namespaces_per_connection(mut self, count: usize) -> Self {
        self.options.max_namespaces = count;
        self
    }

    /// How many namespaces one connection may wait for while middlewares run. Default 10. A further
    /// one is refused.
    pub fn max_pending_connects(mut self, count: usize) -> Self {
        self.options.max_pending_connects = count;
        self
    }

    /// How many children a [parent namespace](crate::ParentNamespace) may have, since clients
    /// choose their names. Default 10,000. A further one is refused as an unknown namespace.
    pub fn max_child_namespaces(mut self, count: usize) -> Self {
        self.options.max_child_namespaces = count;
        self
    }

    /// How many acknowledgements may be waited for from one client at a time. Default 10,000. An
    /// emit beyond fails.
    pub fn max_pending_acks(mut self, count: usize) -> Self {
        self.options.max_pending_acks = count;
        self
    }

    /// How many bytes the name of a room may have; names often come from clients. Default 1024.
    /// Joining a room with a longer name does nothing and is reported to
    /// [`on_error`](Self::on_error).
    pub fn max_room_name(mut self, bytes: usize) -> Self {
        self.options.max_room_name = bytes;
        self
    }

    /// Turns connection state recovery on: the reference's `connectionStateRecovery`. Default off.
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.options.recovery = Some(recovery);
        self
    }

    /// Whether a child namespace is removed when its last socket has left. Default false, as in the
    /// reference.
    pub fn cleanup_empty_child_namespaces(mut self, cleanup: bool) -> Self {
        self.options.cleanup_empty_child_namespaces = cleanup;
        self
    }

    /// Whether the client's files are served under the path. Default true.
    #[cfg(feature = "client-files")]
    pub fn serve_client(mut self, serve: bool) -> Self {
        self.options.serve_client = serve;
        self
    }

    /// Something that handlers share, one value for each type: see
    /// [`Socket::state`](crate::Socket::state).
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.state.insert(value);
        self
    }

    /// Hears of everything that went wrong on behalf of a client and that nobody else is told:
    /// arguments that are not of the type that a handler takes, errors and panics of handlers,
    /// packets refused by a [gate](crate::Namespace::gate), slow clients, undecodable packets.
    /// Default: a `tracing` event of level `WARN` with socket, namespace and event.
    pub fn on_error(mut self, hook: impl Fn(&ErrorContext<'_>) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Arc::new(hook));
        self
    }

    /// Makes this server one of several: the reference's `adapter`. Takes any backend: that of a broker crate,
    /// or your own. Default: the server is alone.
    ///
    /// Nothing else changes: the same calls now mean the clients of all servers. See the guide's page on
    /// clusters for what fails in which way when the broker is away.
    ///
    /// ```
    /// # fn example(backend: impl sala::Backend) {
    /// let io = sala::Server::builder().adapter(backend).build();
    /// # }
    /// ```
    pub fn adapter(mut self, backend: impl Backend) -> Self {
        self.adapter = Some(cluster::erase(backend));
        self
    }

    /// How the server takes part in its cluster: its id, the bound of its queue, delays and timeouts. What
    /// goes wrong is told to [`on_error`](Self::on_error) as well as to the options' own listener.
    pub fn cluster(mut self, options: ClusterOptions) -> Self {
        self.cluster = options;
        self
    }

    /// Makes the server.
    ///
    /// # Panics
    ///
    /// With an [`adapter`](Self::adapter), outside of a tokio runtime: the link with the cluster is a task.
    pub fn build(self) -> Server {
        Server::from_builder(self)
    }
}

/// Setters that only hand on to the engine.
macro_rules! engine_options {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*);)*) => {
        impl ServerBuilder {
            $(
                $(#[$doc])*
                pub fn $name(mut self, $($arg: $type),*) -> Self {
                    self.engine = self.engine.$name($($arg),*);
                    self
                }
            )*
        }
    };
}

engine_options! {
    /// How long after the handshake, or after a pong, the server pings. Default 25 s.
    ping_interval(interval: Duration);

    /// How long a client may take to answer a ping. Default 20 s.
    ping_timeout(timeout: Duration);

    /// How long a probing WebSocket may take to commit. Default 10 s.
    upgrade_timeout(timeout: Duration);

    /// The reference's `maxHttpBufferSize`: bytes of one POST body or one WebSocket message. Default
    /// 1 000 000.
    max_payload(bytes: usize);

    /// How many bytes may wait for one client. Default 8 MiB. A client that reads so slowly that
    /// its queue would grow past it is cut off. `None`, the reference's behaviour, lets the queue
    /// grow.
    max_buffered_bytes(bytes: Option<usize>);

    /// How many handlers of one connection may be unfinished. Default 1024. At the limit the server
    /// stops reading from that client until one ends.
    max_running_handlers(count: usize);

    /// The transports offered. Default: polling and WebSocket.
    transports(transports: &[sala_engine::Transport]);

    /// Whether the handshake announces upgrades. Default true.
    allow_upgrades(allow: bool);

    /// The reference's `httpCompression`: compress polling replies of at least this many bytes.
    /// Default 1024; `None` never compresses.
    http_compression(threshold: Option<usize>);

    /// The reference's `perMessageDeflate`. Default `None`: off.
    per_message_deflate(config: Option<sala_engine::DeflateConfig>);

    /// A cookie that carries the session id, for load balancers. Default none.
    cookie(cookie: Option<sala_engine::http::Cookie>);

    /// Cross-origin headers. Default none: browsers then refuse other origins.
    cors(cors: Option<sala_engine::http::Cors>);

    /// The origins that a WebSocket handshake may come from. Default any. Browsers do not apply
    /// cross-origin rules to WebSockets, so a server that trusts cookies should set this.
    allowed_origins(origins: Option<Vec<String>>);

    /// The reference's `allowEIO3`: whether clients of Socket.IO 2.x are served. Default false.
    allow_revision_3(allow: bool);
}

impl ServerBuilder {
    /// Decides, once per connection, whether a handshake is accepted: the reference's
    /// `allowRequest`. A refusal is answered with status 403 and code 4.
    /// A closure is cloned for each call.
    pub fn allow_request<F, Fut>(mut self, decide: F) -> Self
    where
        F: AsyncFn(Arc<Request>) -> Result<(), Refusal>
            + FnOnce(Arc<Request>) -> Fut
            + Clone
            + Send
            + Sync
            + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.engine = self
            .engine
            .allow_request(move |request| decide.clone()(request));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_reference_c005_c006_c009_c010() {
        let options = Server::builder().options;
        assert_eq!(options.connect_timeout, Duration::from_secs(45));
        assert!(options.recovery.is_none() && !options.cleanup_empty_child_namespaces);
        #[cfg(feature = "client-files")]
        assert!(options.serve_client);
        let recovery = Recovery::new();
        let explicit = Recovery::new()
            .max_disconnection_duration(Duration::from_secs(120))
            .skip_middlewares(true);
        assert_eq!(format!("{recovery:?}"), format!("{explicit:?}"));
    }

    #[test]
    fn a_connect_timeout_of_zero_is_the_default_c012() {
        let options = Server::builder().connect_timeout(Duration::ZERO).options;
        assert_eq!(options.connect_timeout, Duration::from_secs(45));
        let options = Server::builder()
            .connect_timeout(Duration::from_millis(1))
            .options;
        assert_eq!(options.connect_timeout, Duration::from_millis(1));
    }
}
