//! Commands.

use sala::{Broadcast, RawArgs, Socket};
use sala_interop::server::{channel::report, options::millis};
use serde_json::{Value, json};

use crate::rules::{gate, refusal, rooms, watch_rooms};
use crate::value::{args, items, shown, to_shown};
use crate::{Place, Probe, Space, lock, show};

type Answer = Result<Value, String>;

/// Done, with nothing to say.
const DONE: Answer = Ok(Value::Null);

fn text(error: impl ToString) -> String {
    error.to_string()
}

impl Probe {
    pub(crate) async fn run(self, name: String, command: Value) -> Answer {
        match name.as_str() {
            "emit" => self.emit(&command).await,
            "burst" => {
                for emit in items(&command["commands"]) {
                    self.emit(emit).await?;
                }
                DONE
            }
            "ack" => {
                let ack = command["token"]
                    .as_u64()
                    .and_then(|token| lock(&self.0.acks).remove(&token));
                let ack = ack.ok_or("this was answered already")?;
                ack.send(&args(items(&command["args"]))).map_err(text)?;
                DONE
            }
            "release" => {
                let held = command["token"]
                    .as_u64()
                    .and_then(|token| lock(&self.0.waiting).remove(&token));
                let verdict = if command["refuse"].is_object() {
                    Err(refusal(&command["refuse"]))
                } else {
                    Ok(())
                };
                // The client may have gone meanwhile.
                let _ = held.ok_or("nobody waits")?.send(verdict);
                DONE
            }
            "join" | "leave" | "disconnect" | "fetch" => self.change(&name, &command).await,
            "state" => Ok(show::state(&self.socket(&command["socket"]).await?)),
            "setData" => {
                let socket = self.socket(&command["socket"]).await?;
                for (key, value) in command["data"].as_object().into_iter().flatten() {
                    socket.data().set(key, value).map_err(text)?;
                }
                DONE
            }
            "closeConn" => {
                let socket = self.socket(&command["socket"]).await?;
                if command["discard"] == true {
                    socket.conn().close_now()
                } else {
                    socket.conn().close()
                }
                DONE
            }
            "close" => {
                let probe = self.clone();
                tokio::spawn(async move {
                    probe.0.io.close().await;
                    probe.0.closed.notify_one();
                });
                DONE
            }
            "parent" => Ok(self.parent(&command)),
            "make" => {
                drop(self.0.io.of(command["nsp"].as_str().unwrap_or_default()));
                DONE
            }
            "namespaces" => Ok(show::namespaces(&self.0.io)),
            "count" => Ok(json!(self.0.io.engine().clients_count())),
            "sync" => DONE,
            _ => self.set_up(&name, &command),
        }
    }

    /// Commands that shape a namespace.
    fn set_up(&self, name: &str, command: &Value) -> Answer {
        let known = lock(&self.0.spaces).contains_key(command["nsp"].as_str().unwrap_or("/"));
        let space = self.space(&command["nsp"]);
        match name {
            "of" if !known => self.watch(&space),
            "of" => {}
            "use" => self.admit(&space, &command["steps"]),
            "gate" => gate(&space, command),
            "handle" => self.handle(&space, command),
            "greet" => lock(&space.rules)
                .greetings
                .push(items(&command["args"]).to_vec()),
            "outgoing" => lock(&space.rules).outgoing = true,
            "farewell" => {
                lock(&space.rules).farewell = command["event"].as_str().map(str::to_owned)
            }
            "watchRooms" => watch_rooms(&space),
            // Server-side events come with the cluster.
            "on" => {}
            "serverSideEmit" => {
                let (event, rest) = items(&command["args"])
                    .split_first()
                    .ok_or("an emit has a name")?;
                self.0
                    .io
                    .server_side_emit(event.as_str().unwrap_or_default(), &args(rest))
                    .map_err(text)?;
            }
            "members" => match &space.place {
                Place::Namespace(nsp) => return Ok(show::members(nsp)),
                Place::Parent(_) => return Err("a parent has no members".into()),
            },
            other => return Err(format!("unknown command {other}")),
        }
        DONE
    }

    async fn emit(&self, command: &Value) -> Answer {
        let (event, rest) = items(&command["args"])
            .split_first()
            .ok_or("an emit has a name")?;
        let event = event.as_str().unwrap_or_default();
        let socket = match &command["socket"] {
            Value::Null => None,
            id => Some(self.socket(id).await?),
        };
        let space = self.space(&command["nsp"]);
        for i in 0..command["repeat"].as_u64().unwrap_or(1) {
            let mut all = rest.to_vec();
            if command["repeat"].is_u64() {
                all.push(json!(i));
            }
            let data = args(&all);
            match &socket {
                Some(socket) if !broadcasts(command) => emit_one(socket, event, &data, command)?,
                socket => emit_many(
                    operator(socket.as_ref(), &space, command),
                    event,
                    &data,
                    command,
                )?,
            }
        }
        DONE
    }

    async fn change(&self, name: &str, command: &Value) -> Answer {
        let rooms = rooms(&command["rooms"]);
        let close = command["close"] == true;
        if !command["socket"].is_null() {
            let socket = self.socket(&command["socket"]).await?;
            match name {
                "join" => socket.join(rooms),
                "leave" => rooms.into_iter().for_each(|room| socket.leave(room)),
                _ => socket.disconnect(close),
            }
            return DONE;
        }
        let space = self.space(&command["nsp"]);
        let operator = operator(None, &space, command);
        match name {
            "join" => operator.sockets_join(rooms),
            "leave" => operator.sockets_leave(rooms),
            "disconnect" => operator.disconnect_sockets(close),
            _ => {
                let found = operator.fetch_sockets().await.map_err(text)?;
                let shown = found.iter().map(|socket| {
                    json!({
                        "id": socket.id().as_str(),
                        "rooms": socket.rooms().iter().map(ToString::to_string).collect::<Vec<_>>(),
                        "data": serde_json::from_str::<Value>(&socket.data().to_json()).expect("data is JSON"),
                        "handshake": {"query": socket.handshake().queries()},
                    })
                });
                return Ok(shown.collect());
            }
        }
        DONE
    }
}

fn has_flag(command: &Value, flag: &str) -> bool {
    items(&command["flags"]).iter().any(|have| have == flag)
}

/// Whether a socket's emit goes to others.
fn broadcasts(command: &Value) -> bool {
    let narrowed = ["to", "inside", "except"]
        .iter()
        .any(|key| !command[*key].is_null());
    narrowed || has_flag(command, "broadcast") || has_flag(command, "local")
}

fn emit_one(socket: &Socket, event: &str, data: &RawArgs, command: &Value) -> Result<(), String> {
    let mut emit = socket.compress(command["compress"] != false);
    if has_flag(command, "volatile") {
        emit = emit.volatile();
    }
    if let Some(timeout) = millis(&command["timeout"]) {
        emit = emit.timeout(timeout);
    }
    if command["ack"].is_null() {
        return emit.emit(event, data).map_err(text);
    }
    let (answer, token) = (
        emit.emit_with_ack::<RawArgs>(event, data),
        command["ack"].clone(),
    );
    tokio::spawn(async move {
        match answer.await {
            Ok(args) => report(
                "acked",
                json!({"ack": token, "error": null, "answer": shown(&args)}),
            ),
            Err(error) => report(
                "acked",
                json!({"ack": token, "error": error.to_string(), "answer": []}),
            ),
        }
    });
    Ok(())
}

fn emit_many(
    operator: Broadcast<'_>,
    event: &str,
    data: &RawArgs,
    command: &Value,
) -> Result<(), String> {
    if command["ack"].is_null() {
        return operator.emit(event, data).map_err(text);
    }
    let (answers, token) = (
        operator.emit_with_ack::<sala::Value>(event, data),
        command["ack"].clone(),
    );
    tokio::spawn(async move {
        let (error, answers) = match answers.await {
            Ok(answers) => (None, answers),
            Err(error) => (Some(error.to_string()), error.into_responses()),
        };
        let answers: Vec<Value> = answers.iter().map(to_shown).collect();
        report(
            "acked",
            json!({"ack": token, "error": error, "answer": [answers]}),
        );
    });
    Ok(())
}

/// The sockets that a command means.
fn operator<'a>(socket: Option<&'a Socket>, space: &'a Space, command: &Value) -> Broadcast<'a> {
    let mut operator = match (socket, &space.place) {
        (Some(socket), _) => socket.broadcast(),
        (None, Place::Namespace(nsp)) => nsp.to(Vec::<String>::new()),
        (None, Place::Parent(parent)) => parent.to(Vec::<String>::new()),
    };
    for key in ["to", "inside"] {
        if !command[key].is_null() {
            operator = operator.to(rooms(&command[key]));
        }
    }
    if !command["except"].is_null() {
        operator = operator.except(rooms(&command["except"]));
    }
    if has_flag(command, "volatile") {
        operator = operator.volatile();
    }
    if has_flag(command, "local") {
        operator = operator.local();
    }
    if let Some(compress) = command["compress"].as_bool() {
        operator = operator.compress(compress);
    }
    if let Some(timeout) = millis(&command["timeout"]) {
        operator = operator.timeout(timeout);
    }
    operator
}
