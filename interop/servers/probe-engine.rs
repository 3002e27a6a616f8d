//! An Engine.IO server whose every event is reported and whose every action is commanded by a test.
//!
//! The twin of `reference/probe-engine.js`; the commands are described in `sala_interop::probe`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sala_engine::{
    App, CloseReason, Connection, ConnectionEvent, Data, Engine, EngineConfig, EngineLayer,
    PacketType, Scope, SessionHandle, serve,
};
use sala_interop::server::application::{HEADER_TIMEOUT, Middlewares, Pages};
use sala_interop::server::channel::{bytes, report, serve_commands};
use sala_interop::server::{data_value, echo_frame, listen, message_frame, options, terminated};
use serde_json::{Value, json};
use tower_layer::Layer;

const TRACEABLE: [&str; 7] = [
    "packet",
    "packetCreate",
    "flush",
    "drain",
    "heartbeat",
    "upgrading",
    "upgrade",
];

/// Every session that was ever opened: tests also command those that have ended.
type Sessions = Arc<Mutex<HashMap<String, Arc<Session>>>>;

struct Session {
    handle: SessionHandle,
    sent: Mutex<Sent>,
}

/// What was sent and not yet written: the reference offers a callback for each message.
#[derive(Default)]
struct Sent {
    queued: Vec<Option<Value>>,
    writing: Vec<Option<Value>>,
    upgrading: bool,
}

struct Probe {
    options: Value,
    sessions: Sessions,
}

struct ProbeConnection {
    session: Arc<Session>,
    id: String,
    echo: bool,
}

impl App for Probe {
    type Connection = ProbeConnection;

    fn connect(&self, handle: &SessionHandle, _: &mut Scope<'_, '_>) -> ProbeConnection {
        let id = handle.id().to_string();
        let session = Arc::new(Session {
            handle: handle.clone(),
            sent: Mutex::default(),
        });
        self.sessions
            .lock()
            .expect("no panic inside")
            .insert(id.clone(), session.clone());
        let request = handle.request();
        report(
            "open",
            json!({
                "id": id,
                "protocol": options::revision_number(handle.revision()),
                "address": request.remote_address().map(|address| address.ip().to_string()),
                "transport": options::transport_name(handle.transport()),
                "url": request.url(),
                "query": request.query().iter().collect::<HashMap<_, _>>(),
                "headers": request.headers().collect::<HashMap<_, _>>(),
                "state": state(handle),
            }),
        );
        let wanted: Vec<&str> = TRACEABLE
            .into_iter()
            .filter(|kind| options::reports(&self.options, kind))
            .collect();
        let (observed, own_id) = (Arc::downgrade(&session), id.clone());
        handle.observe(move |event| {
            if let Some(session) = observed.upgrade() {
                session.follow(event, &own_id);
            }
            trace(event, &own_id, &wanted);
        });
        ProbeConnection {
            session,
            id,
            echo: self.options["echo"] == true,
        }
    }
}

impl Connection for ProbeConnection {
    fn message(&mut self, data: Data<'_>, _: &mut Scope<'_, '_>) {
        report("data", json!({"id": self.id, "data": data_value(&data)}));
        if self.echo {
            // A client that has gone needs no echo.
            let _ = self.session.handle.send(echo_frame(&data));
        }
    }

    fn close(&mut self, reason: CloseReason, description: Option<&str>, _: &mut Scope<'_, '_>) {
        let queued = std::mem::take(&mut *self.session.sent.lock().expect("no panic inside"))
            .queued
            .len();
        let fields = json!({"id": self.id, "reason": reason.as_str(), "description": description, "queued": queued, "state": "closed"});
        report("close", fields);
    }
}

impl Session {
    /// Keeps account of what was written, as the reference does for its callbacks.
    fn follow(&self, event: &ConnectionEvent<'_>, id: &str) {
        let mut sent = self.sent.lock().expect("no panic inside");
        match event {
            ConnectionEvent::Flush(_) => sent.writing = std::mem::take(&mut sent.queued),
            ConnectionEvent::Drain => {
                let callbacks = std::mem::take(&mut sent.writing).into_iter().flatten();
                for mut callback in callbacks {
                    callback["id"] = json!(id);
                    report("sent", callback);
                }
            }
            ConnectionEvent::Upgrading(_) => sent.upgrading = true,
            ConnectionEvent::Upgrade(_) => sent.upgrading = false,
            _ => {}
        }
    }
}

fn trace(event: &ConnectionEvent<'_>, id: &str, wanted: &[&str]) {
    let (kind, mut fields) = match event {
        ConnectionEvent::Upgrading(transport) => (
            "upgrading",
            json!({"transport": options::transport_name(*transport)}),
        ),
        ConnectionEvent::Upgrade(transport) => (
            "upgrade",
            json!({"transport": options::transport_name(*transport)}),
        ),
        ConnectionEvent::Packet { kind, data } => {
            let empty = matches!(data, Data::Text(""));
            let mut packet = json!({"type": kind_name(*kind)});
            if !empty {
                packet["data"] = data_value(data);
            }
            ("packet", json!({"packet": packet}))
        }
        ConnectionEvent::PacketCreate { kind, frame } => {
            let packet = frame.first();
            let data = if packet.is_binary() {
                bytes(packet.payload())
            } else {
                // After the digit of the packet type.
                json!(String::from_utf8_lossy(&packet.payload()[1..]))
            };
            (
                "packetCreate",
                json!({"packet": {"type": kind_name(*kind), "data": data}}),
            )
        }
        ConnectionEvent::Flush(count) => ("flush", json!({"packets": vec!["message"; *count]})),
        ConnectionEvent::Drain => ("drain", json!({})),
        ConnectionEvent::Heartbeat => ("heartbeat", json!({})),
        _ => return,
    };
    if wanted.contains(&kind) {
        fields["id"] = json!(id);
        report(kind, fields);
    }
}

fn kind_name(kind: PacketType) -> &'static str {
    match kind {
        PacketType::Open => "open",
        PacketType::Close => "close",
        PacketType::Ping => "ping",
        PacketType::Pong => "pong",
        PacketType::Message => "message",
        PacketType::Upgrade => "upgrade",
        PacketType::Noop => "noop",
    }
}

fn state(handle: &SessionHandle) -> &'static str {
    match (handle.is_open(), handle.is_closed()) {
        (true, _) => "open",
        (false, false) => "closing",
        (false, true) => "closed",
    }
}

/// The session that a command names. A test may know of it before the session's task has run.
async fn find(command: &Value, sessions: &Sessions) -> Result<Arc<Session>, String> {
    let id = command["id"].as_str().unwrap_or_default();
    for _ in 0..1000 {
        if let Some(session) = sessions.lock().expect("no panic inside").get(id) {
            return Ok(session.clone());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Err(format!("no socket {id}"))
}

async fn run(
    name_of_command: String,
    command: Value,
    engine: Engine<Probe>,
    sessions: Sessions,
) -> Result<Value, String> {
    let session = async || find(&command, &sessions).await;
    match name_of_command.as_str() {
        "sync" => Ok(Value::Null),
        "send" => Ok(send(&*session().await?, &command)),
        "close" => {
            let session = session().await?;
            if command["discard"] == true {
                session.handle.close_now()
            } else {
                session.handle.close()
            }
            Ok(Value::Null)
        }
        "state" => {
            let session = session().await?;
            let sent = session.sent.lock().expect("no panic inside");
            Ok(json!({
                "state": state(&session.handle),
                "transport": options::transport_name(session.handle.transport()),
                "upgraded": session.handle.is_upgraded(),
                "upgrading": sent.upgrading,
                "queued": sent.queued.len(),
            }))
        }
        "count" => {
            let ids: Vec<_> = engine
                .sessions()
                .iter()
                .map(|session| session.id().to_string())
                .collect();
            Ok(json!({"count": engine.clients_count(), "ids": ids}))
        }
        "closeEngine" => {
            engine.close();
            Ok(Value::Null)
        }
        other => Err(format!("unknown command {other}")),
    }
}

fn send(session: &Session, command: &Value) -> Value {
    for i in 0..command["repeat"].as_u64().unwrap_or(1) {
        let callback = command
            .get("callback")
            .map(|callback| json!({"callback": callback, "i": i}));
        // Accounted for before it is sent: the writer may be faster than this line.
        session
            .sent
            .lock()
            .expect("no panic inside")
            .queued
            .push(callback);
        let frame = message_frame(&command["data"]).compress(command["compress"] != false);
        if session.handle.send(frame).is_err() {
            session.sent.lock().expect("no panic inside").queued.pop();
        }
    }
    Value::Null
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut options = options::read();
    options["engine"] = json!(true);
    let sessions = Sessions::default();
    let probe = Probe {
        options: options.clone(),
        sessions: sessions.clone(),
    };
    let engine = Engine::new(options::engine(&options, EngineConfig::new()), probe);
    let service = Middlewares::of(
        &options,
        EngineLayer::new(engine.clone()).layer(Pages::of(&options)),
    );
    let commanded = engine.clone();
    tokio::spawn(serve_commands(move |name, command| {
        run(name, command, commanded.clone(), sessions.clone())
    }));
    let terminated = terminated();
    let stop = async {
        terminated.await;
        engine.close();
    };
    let listener = listen("PORT", 0).await;
    if options["use"].is_null() {
        engine.serve(listener, service, stop).await?;
    } else {
        // Middlewares see every request only if all of them pass through hyper.
        serve(listener, service, HEADER_TIMEOUT, stop).await?;
    }
    // The thread that reads stdin cannot be stopped.
    std::process::exit(0);
}
