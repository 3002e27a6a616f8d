//! Rules given before clients come: canned handlers, gates, middlewares, dynamic namespaces.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sala::{Ack, Attempt, GatedEvent, HandlerError, RawArgs, Refused, RoomEvent, Socket};
use sala_interop::server::{channel::report, options::millis};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::watch::{data_of, on_place, rooms_of};
use crate::{Place, Probe, Space, lock, show};
use sala_interop::server::value::{args, items, shown, texts, to_sent, to_shown};

/// What is to happen in a namespace besides reporting.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) handled: HashSet<String>,
    pub(crate) greetings: Vec<Vec<Value>>,
    pub(crate) outgoing: bool,
    pub(crate) farewell: Option<String>,
    counts: Arc<Counts>,
}

/// What the canned handler `count` has seen.
#[derive(Default)]
struct Counts {
    seen: AtomicI64,
    inversions: AtomicI64,
}

impl Probe {
    pub(crate) fn parent(&self, command: &Value) -> Value {
        let parent = if let Some(pattern) = command["pattern"].as_str() {
            // The patterns in use end in a number.
            let start = pattern
                .strip_prefix('^')
                .and_then(|rest| rest.strip_suffix(r"\d+$"))
                .expect("the twin knows one kind of pattern")
                .to_owned();
            self.0.io.of_matching(move |name| {
                name.strip_prefix(start.as_str()).is_some_and(|id| {
                    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())
                })
            })
        } else {
            let rule = command["rule"].clone();
            self.0
                .io
                .of_dynamic(async move |name, auth| allows(rule.clone(), name, auth).await)
        };
        let name = parent.name().to_owned();
        let space = Space {
            place: Place::Parent(parent),
            rules: Arc::default(),
        };
        self.watch(&space);
        lock(&self.0.spaces).insert(name.clone(), space);
        json!(name)
    }

    pub(crate) fn admit(&self, space: &Space, steps: &Value) {
        let (probe, steps) = (self.clone(), steps.clone());
        on_place!(space, nsp => nsp.admit(async move |attempt: Attempt| probe.steps(&steps, &attempt).await));
    }

    async fn steps(&self, steps: &Value, attempt: &Attempt) -> Result<(), Refused> {
        for step in items(steps) {
            let nsp = attempt.nsp().name();
            if step["report"].is_string() {
                report(
                    "middleware",
                    json!({"nsp": nsp, "name": step["report"], "id": attempt.id().as_str()}),
                );
            }
            if let Some(room) = step["join"].as_str() {
                attempt.join(room);
            }
            if let Some((name, rest)) = items(&step["emit"]).split_first() {
                attempt
                    .emit(name.as_str().expect("a name"), &args(rest))
                    .expect("it can be sent");
            }
            for (key, value) in step["data"].as_object().into_iter().flatten() {
                attempt.data().set(key, value).expect("data is JSON");
            }
            let auth: Value = attempt
                .handshake()
                .raw_auth()
                .to_values()
                .first()
                .map_or(Value::Null, to_shown);
            if step["needToken"].is_string() && auth["token"] != step["needToken"] {
                return Err(Refused::new("bad token"));
            }
            if step["needQuery"]
                .as_str()
                .is_some_and(|key| attempt.handshake().query(key).is_none())
            {
                return Err(Refused::new("bad query"));
            }
            if step["refuse"].is_object() {
                return Err(refusal(&step["refuse"]));
            }
            if step["hold"] == true {
                let (release, released) = oneshot::channel();
                let token = self.token();
                lock(&self.0.waiting).insert(token, release);
                report(
                    "waiting",
                    json!({"nsp": nsp, "token": token, "connected": attempt.is_connected()}),
                );
                released.await.unwrap_or(Ok(()))?;
            }
        }
        Ok(())
    }

    pub(crate) fn handle(&self, space: &Space, command: &Value) {
        let event = command["event"]
            .as_str()
            .expect("a handler has an event")
            .to_owned();
        lock(&space.rules).handled.insert(event.clone());
        let counts = lock(&space.rules).counts.clone();
        let rule = Arc::new(Canned {
            event: event.clone(),
            rule: command.clone(),
            counts,
        });
        on_place!(space, nsp => nsp.on(event, async move |socket: Socket, args: RawArgs, ack: Ack<RawArgs>| {
            rule.run(&socket, shown(&args), ack).await
        }));
    }
}

/// A canned handler.
struct Canned {
    event: String,
    rule: Value,
    counts: Arc<Counts>,
}

impl Canned {
    async fn run(
        &self,
        socket: &Socket,
        given: Vec<Value>,
        ack: Ack<RawArgs>,
    ) -> Result<(), HandlerError> {
        let text = |index: usize| {
            given
                .get(index)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let out = self.rule["out"].as_str().unwrap_or_default();
        let mut answer = Vec::new();
        match self.rule["with"].as_str().unwrap_or_default() {
            "ack-back" => answer = given,
            "emit-back" => socket.emit(&format!("{}-back", self.event), &args(&given))?,
            "emit-many" => {
                for i in 0..given[0].as_i64().unwrap_or_default() {
                    socket.emit(out, &i)?;
                }
                answer = given;
            }
            "ask" => {
                let reply: RawArgs = socket.emit_with_ack(out, &args(&given)).await?;
                socket.emit(&format!("{}-answer", self.event), &reply)?;
            }
            "join" => socket.join(text(0)),
            "leave" => socket.leave(text(0)),
            "to" => socket.to(text(0)).emit(&text(1), &args(&given[2..]))?,
            "in" => socket
                .nsp()
                .to(text(0))
                .emit(&text(1), &args(&given[2..]))?,
            "volatile" => socket.volatile().emit(&text(0), &args(&given[1..]))?,
            "disconnect" => socket.disconnect(self.rule["close"] == true),
            "close-conn" => socket.conn().close(),
            "whoami" => {
                answer = vec![json!({
                    "id": socket.id().as_str(),
                    "recovered": socket.recovered(),
                    "rooms": rooms_of(socket),
                    "data": data_of(socket),
                    "handshake": show::handshake(&socket.handshake()),
                })];
            }
            "set-data" => {
                for (key, value) in given[0].as_object().into_iter().flatten() {
                    socket.data().set(key, value)?;
                }
            }
            "count" => {
                let seen = self.counts.seen.fetch_add(1, Ordering::Relaxed);
                if given.first() != Some(&json!(seen)) {
                    self.counts.inversions.fetch_add(1, Ordering::Relaxed);
                }
                answer = vec![
                    json!(seen + 1),
                    json!(self.counts.inversions.load(Ordering::Relaxed)),
                ];
            }
            "counted" => answer = vec![json!(self.counts.seen.load(Ordering::Relaxed))],
            "throw" => panic!("a bad handler"),
            other => panic!("unknown handler {other}"),
        }
        ack.send(&args(&answer))?;
        Ok(())
    }
}

/// A per-packet middleware.
pub(crate) fn gate(space: &Space, rule: &Value) {
    let rule = rule.clone();
    on_place!(space, nsp => nsp.gate(async move |_: Socket, mut event: GatedEvent| -> Result<GatedEvent, HandlerError> {
        if rule["event"] != event.name() {
            return Ok(event);
        }
        if let Some(text) = rule["refuse"].as_str() {
            return Err(text.into());
        }
        if rule["replace"].is_array() {
            event.set_args(&args(items(&rule["replace"])))?;
        }
        if let Some(delay) = millis(&rule["delay"]) {
            tokio::time::sleep(delay).await;
        }
        Ok(event)
    }));
}

async fn allows(rule: Value, name: String, auth: RawArgs) -> bool {
    let auth = auth.to_values().first().map_or(Value::Null, to_shown);
    report("matcher", json!({"name": name, "auth": auth}));
    if let Some(delay) = millis(&rule["delay"]) {
        tokio::time::sleep(delay).await;
    }
    if rule["error"].is_string() {
        return false;
    }
    if rule["token"].is_string() {
        return auth["token"] == rule["token"];
    }
    rule["name"] == name
}

/// A refusal as the channel describes it.
pub(crate) fn refusal(given: &Value) -> Refused {
    let refused = Refused::new(given["message"].as_str().unwrap_or_default());
    match &given["data"] {
        Value::Null => refused,
        data => refused.with_data(&to_sent(data)),
    }
}

/// Reports what happens to the rooms of a namespace.
pub(crate) fn watch_rooms(space: &Space) {
    let Place::Namespace(nsp) = &space.place else {
        return;
    };
    nsp.on_room_event(|event| {
        let (name, room, id) = match event {
            RoomEvent::Create(room) => ("create-room", room, None),
            RoomEvent::Join(room, id) => ("join-room", room, Some(id.as_str())),
            RoomEvent::Leave(room, id) => ("leave-room", room, Some(id.as_str())),
            RoomEvent::Delete(room) => ("delete-room", room, None),
        };
        report(
            "room",
            json!({"name": name, "room": room.as_str(), "id": id}),
        );
    });
}

/// Rooms that a command names.
pub(crate) fn rooms(value: &Value) -> Vec<String> {
    texts(value)
}
