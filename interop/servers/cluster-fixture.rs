//! Several processes behind one port, told by `CLUSTER` (see [`Options`]) what to be like, and by clients
//! what to do.

#![expect(clippy::print_stdout, reason = "the tests read it")]

use std::process::ExitCode;
use std::time::Duration;

use sala::engine::http::Cors;
use sala::{Namespace, Recovery, Server, Socket};
use sala_cluster::{Balance, Entrance, Forwarding, Network, Primary, Role, Worker, role};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Deserialize)]
#[serde(default)]
struct Options {
    workers: usize,
    balance: String,
    forwarding: String,
    recovery: bool,
    grace_ms: u64,
    spread_ms: u64,
    hang_ms: u64,
    /// How often the adapter says that it is there; after three times that it is taken for gone.
    heartbeat_ms: u64,
    control: Option<String>,
    balancers: Vec<String>,
    /// Whose `X-Forwarded-For` is believed.
    proxies: Vec<String>,
    /// A site whose pages may read replies.
    cors: Option<String>,
    /// Has a second listener, whose connections the primary is handed as if it had decrypted them.
    entrance: bool,
    /// What workers do instead of serving.
    mishap: Option<String>,
    /// A file that makes new workers die while it exists.
    flag: Option<std::path::PathBuf>,
    program: Option<Vec<String>>,
    /// How many official workers, and how messages to them are written.
    node: usize,
    json: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 4,
            balance: Balance::default().to_string(),
            forwarding: Forwarding::default().to_string(),
            recovery: true,
            grace_ms: 5000,
            spread_ms: 200,
            hang_ms: 30_000,
            heartbeat_ms: 5000,
            control: None,
            balancers: Vec::new(),
            proxies: Vec::new(),
            cors: None,
            entrance: false,
            mishap: None,
            flag: None,
            program: None,
            node: 0,
            json: false,
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().collect();
    if let [_, order, path] = args.as_slice() {
        return tell(order, path);
    }
    let options = std::env::var("CLUSTER").unwrap_or_else(|_| "{}".into());
    let options: Options = serde_json::from_str(&options).expect("CLUSTER is JSON of the options");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    match runtime.block_on(run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster-fixture: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What `sala cluster reload` does.
fn tell(order: &str, path: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let told = sala_cluster::order(path.as_ref(), order, |line| println!("{line}"));
    match runtime.expect("a runtime can be made").block_on(told) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    misbehave(&options)?;
    match role().await? {
        Role::Primary(primary) => Ok(lead(primary, options).await?),
        Role::Worker(worker) => Ok(work(&worker, &options).await?),
    }
}

async fn lead(primary: Primary, options: Options) -> Result<(), Box<dyn std::error::Error>> {
    log();
    let networks =
        |list: &[String]| -> Result<Vec<Network>, _> { list.iter().map(|it| it.parse()).collect() };
    let mut primary = primary
        .workers(options.workers)
        .balance(options.balance.parse()?)
        .forwarding(options.forwarding.parse()?)
        .grace(Duration::from_millis(options.grace_ms))
        .spread(Duration::from_millis(options.spread_ms))
        .hang_timeout(Duration::from_millis(options.hang_ms))
        .proxy_protocol(networks(&options.balancers)?)
        .trusted_proxies(networks(&options.proxies)?);
    if options.recovery {
        primary = primary.recovery(sala_cluster::Retention::default());
    }
    if options.node > 0 {
        let script = sala_interop::project_dir().join("servers/official-worker.js");
        primary = primary.node_workers(options.node, [script]);
    }
    if options.json {
        primary = primary.serialization(sala_cluster::Serialization::Json);
    }
    if let Some(path) = &options.control {
        primary = primary.control(path);
    }
    if let Some([program, arguments @ ..]) = options.program.as_deref() {
        primary = primary.program(program, arguments);
    }
    let listens = std::env::var("LISTEN_FDS").is_ok();
    let primary = if listens {
        primary
    } else {
        primary.listen("127.0.0.1:0")
    };
    let bound = primary.bind()?;
    println!("listening on http://{}", bound.addresses()[0]);
    if options.entrance {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("entrance {}", listener.local_addr()?);
        tokio::spawn(admit(listener, bound.entrance()));
    }
    Ok(bound.run().await?)
}

/// What a program does with its TLS streams.
async fn admit(listener: TcpListener, entrance: Entrance) {
    while let Ok((stream, _)) = listener.accept().await {
        let entrance = entrance.clone();
        let peer = ([192, 0, 2, 50], 7).into();
        // A stream that nobody could pass on.
        let stream = tokio::io::BufStream::new(stream);
        tokio::spawn(async move { entrance.admit(stream, peer, true).await });
    }
}

async fn work(worker: &Worker, options: &Options) -> std::io::Result<()> {
    log();
    let flagged = options.flag.as_ref().is_some_and(|flag| flag.exists());
    if options.mishap.as_deref() == Some("die") || flagged {
        return Err(std::io::Error::other("told to die"));
    }
    let heartbeat = Duration::from_millis(options.heartbeat_ms);
    let backend = worker.backend().heartbeat_interval(heartbeat);
    let backend = backend.heartbeat_timeout(heartbeat * 3);
    let mut builder = Server::builder().adapter(backend);
    if options.recovery {
        builder = builder.recovery(Recovery::new());
    }
    if let Some(origin) = &options.cors {
        let cors = Cors::builder().origin(origin.as_str()).build();
        builder = builder.cors(Some(cors.map_err(std::io::Error::other)?));
    }
    let io = builder.build();
    handlers(&io, worker.number());
    io.serve_intake(worker.intake()).await
}

/// The first worker writes what no primary understands into its channel, before it becomes a good one.
fn misbehave(options: &Options) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    if std::env::var("SALA_WORKER").as_deref() != Ok("1") {
        return Ok(());
    }
    let nonsense: &[u8] = match options.mishap.as_deref() {
        // Whole frames: of no known kind, too short, a connection without a descriptor.
        Some("garble") => b"\0\0\0\x01\xeeX\0\0\0\0\x06\0\0\0\x06\x07\0\0\0\0\0\0",
        Some("break") => &[0xff; 100],
        _ => return Ok(()),
    };
    let channel = std::io::stdin().as_fd().try_clone_to_owned()?;
    std::os::unix::net::UnixStream::from(channel).write_all(nonsense)
}

fn log() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}

/// What clients answer: a number, and the same as a byte.
#[derive(Deserialize)]
struct Reply {
    i: u8,
    bytes: sala::Bytes,
}

impl Reply {
    fn checked(&self) -> Option<u8> {
        (*self.bytes == [self.i]).then_some(self.i)
    }
}

fn handlers(io: &Server, number: usize) {
    io.on("whoami", async move |socket: Socket| {
        let handshake = socket.handshake();
        json!({
            "worker": number,
            "pid": std::process::id(),
            "address": handshake.address(),
            "secure": handshake.is_secure(),
            "forwarded": handshake.header("x-forwarded-for"),
        })
    });
    io.on("join", async |socket: Socket, room: String| {
        socket.join(room)
    });
    io.on("leave", async |socket: Socket, room: String| {
        socket.leave(room)
    });
    io.on(
        "to",
        async |socket: Socket, (room, event, data): (String, String, Value)| {
            socket.nsp().to(room).emit(&event, &data)
        },
    );
    io.on(
        "binary",
        async |socket: Socket, (room, bytes): (String, sala::Bytes)| {
            socket.nsp().to(room).emit("binary", &bytes)
        },
    );
    io.on(
        "all",
        async |socket: Socket, (event, data): (String, Value)| socket.nsp().emit(&event, &data),
    );
    io.on("fetch", async |socket: Socket| {
        match socket.nsp().fetch_sockets().await {
            Ok(sockets) => json!(
                sockets
                    .iter()
                    .map(|it| it.id().to_string())
                    .collect::<Vec<_>>()
            ),
            Err(error) => json!({ "error": error.to_string() }),
        }
    });
    io.on("servers", async |socket: Socket| {
        match socket.nsp().server_count().await {
            Ok(count) => json!(count),
            Err(error) => json!({ "error": error.to_string() }),
        }
    });
    io.on("ask", async |socket: Socket, room: String| {
        let asked = socket.nsp().to(room).timeout(Duration::from_secs(5));
        match asked.emit_with_ack::<Reply>("question", &()).await {
            Ok(replies) => json!(replies.iter().map(Reply::checked).collect::<Vec<_>>()),
            Err(error) => json!({ "error": error.to_string() }),
        }
    });
    io.on_server_side("number", async move |_: Namespace| number);
    io.on("numbers", async |socket: Socket| {
        match socket
            .nsp()
            .server_side_emit_with_ack::<usize>("number", &())
            .await
        {
            Ok(numbers) => json!(numbers),
            Err(error) => json!({ "error": error.to_string() }),
        }
    });
    io.on(
        "all-join",
        async |socket: Socket, (from, to): (String, String)| {
            socket.nsp().in_(from).sockets_join(to);
        },
    );
    io.on(
        "all-leave",
        async |socket: Socket, (from, to): (String, String)| {
            socket.nsp().in_(from).sockets_leave(to);
        },
    );
    io.on("all-disconnect", async |socket: Socket, room: String| {
        socket.nsp().in_(room).disconnect_sockets(true);
    });
    io.on("data", async |socket: Socket, value: Value| {
        socket.data().set("kept", &value)
    });
    io.on("data?", async |socket: Socket| {
        socket.data().get::<Value>("kept")
    });
    // The only thread sleeps: the process hangs.
    io.on("hang", async |_: Socket, millis: u64| {
        std::thread::sleep(Duration::from_millis(millis));
    });
    io.on("abort", async |_: Socket| -> () { std::process::abort() });
    io.on(
        "flood",
        async |socket: Socket, (count, bytes): (usize, usize)| -> Result<usize, sala::Error> {
            let text = "x".repeat(bytes);
            let mut refused = 0;
            for i in 0..count {
                if socket.nsp().to("nobody").emit("flood", &text).is_err() {
                    refused += 1;
                }
                if i % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            Ok(refused)
        },
    );
}
