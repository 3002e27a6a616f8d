//! `sala serve`: the chat as a command.

mod cluster;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sala::engine::Transport;
use sala::engine::http::{AllowOrigin, Cors};
use sala::{Drain, Recovery, Server, ServerBuilder};
use tokio::net::TcpListener;

use self::cluster::ClusterArgs;
use crate::listen::{Listen, Proxies};
use crate::log::Log;
use crate::units::{Limit, bytes, duration, limit_of_bytes};

/// Serve a chat: a web page, and the Socket.IO server behind it.
///
/// Every option can also be given as the environment variable named beside it; an option on the
/// command line wins.
#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    listen: Listen,

    /// Where Socket.IO requests go
    #[arg(long, env = "SALA_PATH", default_value = "/socket.io", value_parser = path)]
    path: String,

    /// How long clients and their handlers are given when the server stops
    #[arg(long, env = "SALA_GRACE", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    grace: Duration,

    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    origins: Origins,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    recovery: RecoveryArgs,

    #[command(flatten)]
    cluster: ClusterArgs,

    #[command(flatten)]
    log: Log,
}

#[derive(Args)]
#[command(next_help_heading = "Connections")]
struct Connection {
    /// The transports offered
    #[arg(
        long,
        env = "SALA_TRANSPORTS",
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "polling,websocket"
    )]
    transports: Vec<TransportName>,

    /// How often clients are pinged
    #[arg(long, env = "SALA_PING_INTERVAL", value_name = "DURATION", default_value = "25s", value_parser = duration)]
    ping_interval: Duration,

    /// How long a client may take to answer a ping
    #[arg(long, env = "SALA_PING_TIMEOUT", value_name = "DURATION", default_value = "20s", value_parser = duration)]
    ping_timeout: Duration,

    /// How long a client may take to join a namespace
    #[arg(long, env = "SALA_CONNECT_TIMEOUT", value_name = "DURATION", default_value = "45s", value_parser = duration)]
    connect_timeout: Duration,

    #[command(flatten)]
    proxies: Proxies,

    /// Serve clients of Socket.IO 2.x too
    #[arg(long, env = "SALA_ALLOW_V2")]
    allow_v2: bool,

    /// Compress WebSocket messages (up to about 300 KiB for each connection that does)
    #[arg(long, env = "SALA_DEFLATE")]
    deflate: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Pages of other sites")]
struct Origins {
    /// Origins that may read replies, such as `https://app.example.com`; `*` for all
    #[arg(
        long,
        env = "SALA_CORS_ORIGINS",
        value_name = "LIST",
        value_delimiter = ','
    )]
    cors_origins: Vec<String>,

    /// Let those pages send cookies
    #[arg(long, env = "SALA_CORS_CREDENTIALS", requires = "cors_origins")]
    cors_credentials: bool,

    /// Origins that may open a WebSocket, which CORS does not cover; all if left out
    #[arg(
        long,
        env = "SALA_ALLOWED_ORIGINS",
        value_name = "LIST",
        value_delimiter = ','
    )]
    allowed_origins: Vec<String>,
}

#[derive(Args)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// Bytes of one message of a client
    #[arg(long, env = "SALA_MAX_PAYLOAD", value_name = "BYTES", default_value = "1000000", value_parser = bytes)]
    max_payload: usize,

    /// Bytes that may wait for one client before it is cut off; `none` for no limit
    #[arg(
        long, env = "SALA_MAX_BUFFERED_BYTES", value_name = "BYTES",
        default_value = "8MiB", value_parser = limit_of_bytes
    )]
    max_buffered_bytes: Limit,

    /// Connections at once; `none` for no limit
    #[arg(
        long,
        env = "SALA_MAX_SESSIONS",
        value_name = "COUNT",
        default_value = "none"
    )]
    max_sessions: Limit,

    /// Connections at once that have not sent anything yet; `none` for no limit
    #[arg(
        long,
        env = "SALA_MAX_SILENT_SESSIONS",
        value_name = "COUNT",
        default_value = "100000"
    )]
    max_silent_sessions: Limit,

    /// Namespaces that one connection may join
    #[arg(
        long,
        env = "SALA_MAX_NAMESPACES",
        value_name = "COUNT",
        default_value_t = 100
    )]
    max_namespaces: usize,
}

#[derive(Args)]
#[command(next_help_heading = "Recovery")]
struct RecoveryArgs {
    /// How long a client may be away and still get what it missed; 0s turns recovery off
    #[arg(long, env = "SALA_RECOVERY", value_name = "DURATION", default_value = "2m", value_parser = duration)]
    recovery: Duration,

    /// Bytes of messages kept for those who are away
    #[arg(long, env = "SALA_RECOVERY_BYTES", value_name = "BYTES", default_value = "32MiB", value_parser = bytes)]
    recovery_bytes: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum TransportName {
    Polling,
    Websocket,
}

/// Serves until Ctrl-C or SIGTERM.
pub(crate) fn run(options: Serve) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    runtime.spawn(sala_memory::give_back());
    runtime.block_on(serve(options))
}

async fn serve(options: Serve) -> Result<(), String> {
    options.log.start();
    #[cfg(target_os = "linux")]
    if let Some(worker) = sala_cluster::Worker::inherited()
        .await
        .map_err(|error| error.to_string())?
    {
        return serve_worker(&options, &worker).await;
    }
    let builder = options.cluster.apply(server(&options)?).await?;
    let io = builder.build();
    chat::chat(&io);
    let listener = listen(&options.listen).await?;
    // Whoever is served here is to hear the others from the first moment.
    let joined = io.cluster_ready().await;
    joined.map_err(|error| format!("cannot join the cluster: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let stop =
        chat::asked_to_stop().map_err(|error| format!("cannot listen to signals: {error}"))?;
    announce(address);
    let drain = Drain {
        grace: options.grace,
        ..Drain::default()
    };
    chat::serve(listener, &io, stop, drain)
        .await
        .map_err(|error| error.to_string())
}

/// Serves as a worker of `sala cluster`, which has the port.
#[cfg(target_os = "linux")]
async fn serve_worker(options: &Serve, worker: &sala_cluster::Worker) -> Result<(), String> {
    let builder = server(options)?;
    // A broker reaches the workers of other machines as well.
    let builder = if options.cluster.is_given() {
        options.cluster.apply(builder).await?
    } else {
        builder.adapter(worker.backend())
    };
    let io = builder.build();
    chat::chat(&io);
    chat::serve_intake(worker.intake(), &io)
        .await
        .map_err(|error| error.to_string())
}

/// The server that the options describe.
fn server(options: &Serve) -> Result<ServerBuilder, String> {
    let Serve {
        connection,
        origins,
        limits,
        recovery,
        ..
    } = options;
    let transports: Vec<Transport> = connection
        .transports
        .iter()
        .map(TransportName::transport)
        .collect();
    let mut builder = Server::builder()
        .path(&options.path)
        .transports(&transports)
        .ping_interval(connection.ping_interval)
        .ping_timeout(connection.ping_timeout)
        .connect_timeout(connection.connect_timeout)
        .allow_revision_3(connection.allow_v2)
        .per_message_deflate(connection.deflate.then(Default::default))
        .cors(origins.cors()?)
        .allowed_origins(
            Some(origins.allowed_origins.clone()).filter(|origins| !origins.is_empty()),
        )
        .max_payload(limits.max_payload)
        .max_buffered_bytes(limits.max_buffered_bytes.0)
        .max_namespaces_per_connection(limits.max_namespaces)
        .engine(|engine| {
            engine
                .trusted_proxies(connection.proxies.trusted_proxies.clone())
                .max_sessions(limits.max_sessions.0)
                .max_silent_sessions(limits.max_silent_sessions.0)
        });
    if !recovery.recovery.is_zero() {
        builder = builder.recovery(recovery.options());
    }
    Ok(builder)
}

impl TransportName {
    fn transport(&self) -> Transport {
        match self {
            Self::Polling => Transport::Polling,
            Self::Websocket => Transport::WebSocket,
        }
    }
}

impl Origins {
    fn cors(&self) -> Result<Option<Cors>, String> {
        let origin = match self.cors_origins.as_slice() {
            [] => return Ok(None),
            [any] if any == "*" && self.cors_credentials => {
                return Err(
                    "browsers refuse `*` with credentials: name the origins in --cors-origins"
                        .into(),
                );
            }
            [any] if any == "*" => AllowOrigin::Any,
            list => AllowOrigin::from(list.to_vec()),
        };
        let cors = Cors::builder()
            .origin(origin)
            .credentials(self.cors_credentials)
            .build();
        cors.map(Some)
            .map_err(|error| format!("--cors-origins: {error}"))
    }
}

impl RecoveryArgs {
    fn options(&self) -> Recovery {
        Recovery::new()
            .max_disconnection_duration(self.recovery)
            .max_packet_bytes(self.recovery_bytes)
    }
}

/// Opens the port, or says what to do.
async fn listen(Listen { host, port }: &Listen) -> Result<TcpListener, String> {
    TcpListener::bind((host.as_str(), *port))
        .await
        .map_err(|error| {
            let advice = match error.kind() {
                ErrorKind::AddrInUse => {
                    "another program listens there; stop it, or choose another --port (0 for any)"
                }
                ErrorKind::PermissionDenied => {
                    "ports below 1024 are reserved; choose another --port"
                }
                ErrorKind::AddrNotAvailable => {
                    "this machine has no such address; try --host 127.0.0.1 or 0.0.0.0"
                }
                _ => "is --host right?",
            };
            format!("cannot listen on {host}:{port}: {error}\n      {advice}")
        })
}

/// Tells people and programs that clients can come.
#[expect(clippy::print_stdout, reason = "the line is the command's output")]
fn announce(address: SocketAddr) {
    println!("listening on http://{address}");
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/')
        && text.len() > 1
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
    {
        Ok(text.into())
    } else {
        Err("a path starts with / and consists of letters, digits, `.`, `_` and `-`, such as /socket.io".into())
    }
}
