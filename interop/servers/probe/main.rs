//! A Socket.IO server whose every event is reported and whose every action is commanded by a test.
//!
//! The twin of `reference/probe.js`; the commands are described in `sala_interop::probe`.

mod act;
mod cluster;
mod rules;
mod show;
mod watch;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sala::{
    Ack, Codec, Namespace, ParentNamespace, RawArgs, Recovery, Refused, Server, ServerBuilder,
    Socket,
};
use sala_interop::server::application::{HEADER_TIMEOUT, Middlewares, Pages};
use sala_interop::server::channel::{report, serve_commands};
use sala_interop::server::{listen, options, terminated};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tower_layer::Layer;

/// What the commands work on.
#[derive(Clone)]
struct Probe(Arc<State>);

struct State {
    io: Server,
    options: Value,
    /// Every socket that ever connected: tests also command those that have left.
    sockets: Mutex<HashMap<String, Socket>>,
    spaces: Mutex<HashMap<String, Space>>,
    acks: Mutex<HashMap<u64, Ack<RawArgs>>>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<(), Refused>>>>,
    /// What emits without pause, by the name in its events.
    loads: Mutex<HashMap<String, AbortHandle>>,
    tokens: AtomicU64,
    closed: Notify,
}

/// A namespace or a parent of namespaces, with its rules.
#[derive(Clone)]
struct Space {
    place: Place,
    rules: Arc<Mutex<rules::Rules>>,
}

#[derive(Clone)]
enum Place {
    Namespace(Namespace),
    Parent(ParentNamespace),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while it is held")
}

impl Probe {
    fn token(&self) -> u64 {
        self.0.tokens.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A socket by its id. A test may know of it before its handler has run.
    async fn socket(&self, id: &Value) -> Result<Socket, String> {
        let id = id.as_str().unwrap_or_default();
        for _ in 0..1000 {
            if let Some(socket) = lock(&self.0.sockets).get(id) {
                return Ok(socket.clone());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(format!("no socket {id}"))
    }

    /// A namespace by its name, made and watched if need be.
    fn space(&self, name: &Value) -> Space {
        let name = name.as_str().unwrap_or("/");
        if let Some(space) = lock(&self.0.spaces).get(name) {
            return space.clone();
        }
        let nsp = self.0.io.of(name);
        let key = nsp.name().to_owned();
        if let Some(space) = lock(&self.0.spaces).get(&key) {
            return space.clone();
        }
        let space = Space {
            place: Place::Namespace(nsp),
            rules: Arc::default(),
        };
        lock(&self.0.spaces).insert(key, space.clone());
        space
    }
}

async fn server(options: &Value) -> Server {
    let mut builder: ServerBuilder = Server::builder()
        .engine(|config| options::engine(options, config))
        .on_error(cluster::trouble);
    if let Some(path) = options["path"].as_str() {
        builder = builder.path(path);
    }
    if let Some(add) = options["addTrailingSlash"].as_bool() {
        builder = builder.add_trailing_slash(add);
    }
    if let Some(serve) = options["serveClient"].as_bool() {
        builder = builder.serve_client(serve);
    }
    if let Some(timeout) = options::millis(&options["connectTimeout"]) {
        builder = builder.connect_timeout(timeout);
    }
    if options["cleanupEmptyChildNamespaces"] == true {
        builder = builder.cleanup_empty_child_namespaces(true);
    }
    if options["parser"] == "msgpack" {
        builder = builder.codec(Codec::MsgPack);
    }
    let recovery = &options["connectionStateRecovery"];
    if recovery.is_object() {
        let mut given = Recovery::new();
        if let Some(duration) = options::millis(&recovery["maxDisconnectionDuration"]) {
            given = given.max_disconnection_duration(duration);
        }
        if let Some(skip) = recovery["skipMiddlewares"].as_bool() {
            given = given.skip_middlewares(skip);
        }
        builder = builder.recovery(given);
    }
    if options["adapter"].is_object() {
        builder = cluster::adapter(builder, &options["adapter"]).await;
    }
    builder.build()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let options = options::read();
    let io = server(&options).await;
    io.on_new_namespace(|nsp| report("new_namespace", json!({"name": nsp.name()})));
    let probe = Probe(Arc::new(State {
        io: io.clone(),
        options: options.clone(),
        sockets: Mutex::default(),
        spaces: Mutex::default(),
        acks: Mutex::default(),
        waiting: Mutex::default(),
        loads: Mutex::default(),
        tokens: AtomicU64::new(0),
        closed: Notify::new(),
    }));
    probe.watch(&probe.space(&json!("/")));
    let service = Middlewares::of(&options, io.layer().layer(Pages::of(&options)));
    let commanded = probe.clone();
    tokio::spawn(serve_commands(move |name, command| {
        commanded.clone().run(name, command)
    }));
    let stopped = terminated();
    let stop = async {
        tokio::select! {
            () = stopped => {
                io.close().await;
                true
            }
            () = probe.0.closed.notified() => false,
        }
    };
    let (ending, ended) = oneshot::channel();
    let stop = async {
        // The receiver is awaited below.
        let _ = ending.send(stop.await);
    };
    let listener = listen("PORT", 0).await;
    if options["use"].is_null() {
        io.engine().serve(listener, service, stop).await?;
    } else {
        // Middlewares see every request only if all of them pass through hyper.
        sala_engine::serve(listener, service, HEADER_TIMEOUT, stop).await?;
    }
    if ended.await == Ok(false) {
        // Closed on command: the test may go on asking.
        terminated().await;
    }
    // The thread that reads stdin cannot be stopped.
    std::process::exit(0);
}
