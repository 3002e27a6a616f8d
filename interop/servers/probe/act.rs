//! Commands.

use sala::{AckError, Broadcast, Emit, RawArgs, Socket, Value as Sent};
use sala_interop::server::{channel::report, options::millis};
use serde_json::{Value, json};

use crate::rules::{gate, refusal, rooms, watch_rooms};
use crate::{Place, Probe, Space, cluster, lock, show};
use sala_interop::server::value::{args, items, shown, to_sent, to_shown};

pub(crate) type Answer = Result<Value, String>;

/// Done, with nothing to say.
pub(crate) const DONE: Answer = Ok(Value::Null);

pub(crate) fn text(error: impl ToString) -> String {
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
                    socket.data().set(key, &to_sent(value)).map_err(text)?;
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
            "serverSideEmit" | "serverCount" | "remote" | "load" | "unload" | "stats" => {
                self.in_cluster(&name, &command).await
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
            "on" => cluster::listen(&space, command),
            "members" => match &space.place {
                Place::Namespace(nsp) => return Ok(show::members(nsp)),
                Place::Parent(_) => return Err("a parent has no members".into()),
            },
            other => return Err(format!("unknown command {other}")),
        }
        DONE
    }

    pub(crate) async fn emit(&self, command: &Value) -> Answer {
        let (event, rest) = event(command)?;
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
                return Ok(found.iter().map(show::found).collect());
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
    send_one(emit, event, data, command)
}

/// Emits to one client, of any server.
pub(crate) fn send_one(
    mut emit: Emit<'_>,
    event: &str,
    data: &RawArgs,
    command: &Value,
) -> Result<(), String> {
    if let Some(timeout) = millis(&command["timeout"]) {
        emit = emit.timeout(timeout);
    }
    if command["ack"].is_null() {
        return emit.emit(event, data).map_err(text);
    }
    let answer = emit.emit_with_ack::<RawArgs>(event, data);
    let token = command["ack"].clone();
    tokio::spawn(async move {
        match answer.await {
            Ok(args) => acked(token, None, shown(&args)),
            Err(error) => acked(token, Some(error.to_string()), vec![]),
        }
    });
    Ok(())
}

fn acked(token: Value, error: Option<String>, answer: Vec<Value>) {
    report(
        "acked",
        json!({"ack": token, "error": error, "answer": answer}),
    );
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
    let answers = operator.emit_with_ack::<Sent>(event, data);
    tokio::spawn(all_acked(command["ack"].clone(), answers));
    Ok(())
}

/// Reports the answers of several clients or servers.
pub(crate) async fn all_acked(
    token: Value,
    answers: impl Future<Output = Result<Vec<Sent>, AckError<Sent>>>,
) {
    let (error, answers) = match answers.await {
        Ok(answers) => (None, answers),
        Err(error) => (Some(error.to_string()), error.into_responses()),
    };
    acked(token, error, vec![answers.iter().map(to_shown).collect()]);
}

/// The event of a command, and its arguments.
pub(crate) fn event(command: &Value) -> Result<(&str, &[Value]), String> {
    let (event, rest) = items(&command["args"])
        .split_first()
        .ok_or("an emit has a name")?;
    Ok((event.as_str().unwrap_or_default(), rest))
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
