//! The server as one of several.

use sala::{ErrorContext, ErrorKind, Namespace, RawArgs, ServerBuilder, Value as Sent};
use sala_interop::server::adapter::{classic, redis, sharded, streams};
use sala_interop::server::{channel::report, options::millis};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::act::{Answer, DONE, all_acked, event, send_one, text};
use crate::rules::rooms;
use crate::watch::on_place;
use crate::{Place, Probe, Space, lock};
use sala_interop::server::value::{args, items, shown};

/// Joins the cluster that the option `adapter` describes; ends the process with a sentence if that is not possible.
pub(crate) async fn adapter(builder: ServerBuilder, given: &Value) -> ServerBuilder {
    let (redis, options) = (redis(&given["redis"]), &given["options"]);
    let joined = match given["kind"].as_str() {
        Some("classic") => classic(options)
            .connect(redis)
            .await
            .map(|backend| builder.adapter(backend)),
        Some("sharded") => sharded(options)
            .connect(redis)
            .await
            .map(|backend| builder.adapter(backend)),
        Some("streams") => streams(options)
            .connect(redis)
            .await
            .map(|backend| builder.adapter(backend)),
        _ => panic!("the twin does not know the adapter {given}"),
    };
    joined.unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1)
    })
}

/// Reports what the server tells its operator of the cluster.
pub(crate) fn trouble(context: &ErrorContext<'_>) {
    if matches!(context.kind, ErrorKind::Cluster) {
        report("trouble", json!({"error": context.error.to_string()}));
    }
}

/// Reports events of other servers, and answers them if there is an answer.
pub(crate) fn listen(space: &Space, command: &Value) {
    let event = command["event"]
        .as_str()
        .expect("an event has a name")
        .to_owned();
    let (name, answer) = (event.clone(), command["answer"].clone());
    let handler = async move |_: Namespace, given: RawArgs| {
        report("server", json!({"event": name, "args": shown(&given)}));
        match &answer {
            Value::Array(answer) => Ok(args(answer)),
            _ => Err("nobody answers this"),
        }
    };
    on_place!(space, nsp => nsp.on_server_side(event, handler));
}

impl Probe {
    pub(crate) async fn in_cluster(&self, name: &str, command: &Value) -> Answer {
        match name {
            "serverSideEmit" => self.tell_servers(command),
            "serverCount" => {
                let count = self.namespace(command)?.server_count().await;
                Ok(json!(count.map_err(text)?))
            }
            "remote" => self.remote(command).await,
            "load" => self.load(command),
            "unload" => {
                let load = lock(&self.0.loads).remove(command["name"].as_str().unwrap_or_default());
                load.ok_or("there is no such load")?.abort();
                DONE
            }
            _ => self.stats(),
        }
    }

    fn namespace(&self, command: &Value) -> Result<Namespace, String> {
        match self.space(&command["nsp"]).place {
            Place::Namespace(nsp) => Ok(nsp),
            Place::Parent(_) => Err("a parent has no servers".into()),
        }
    }

    fn tell_servers(&self, command: &Value) -> Answer {
        let nsp = self.namespace(command)?;
        let (event, rest) = event(command)?;
        let (event, data) = (event.to_owned(), args(rest));
        if command["ack"].is_null() {
            nsp.server_side_emit(&event, &data).map_err(text)?;
            return DONE;
        }
        let token = command["ack"].clone();
        tokio::spawn(async move {
            let answers = nsp.server_side_emit_with_ack::<Sent>(&event, &data);
            all_acked(token, answers).await;
        });
        DONE
    }

    /// Acts on one socket of any server.
    async fn remote(&self, command: &Value) -> Answer {
        let id = command["id"].as_str().unwrap_or_default();
        let nsp = self.namespace(command)?;
        let found = nsp.to(id).fetch_sockets().await.map_err(text)?;
        let socket = found
            .first()
            .ok_or_else(|| format!("no socket {id} on any server"))?;
        match command["act"].as_str().unwrap_or_default() {
            "emit" => {
                let (event, rest) = event(command)?;
                match millis(&command["timeout"]) {
                    Some(timeout) => {
                        send_one(socket.timeout(timeout), event, &args(rest), command)?
                    }
                    None => socket.emit(event, &args(rest)).map_err(text)?,
                }
            }
            "join" => socket.join(rooms(&command["rooms"])),
            "leave" => socket.leave(rooms(&command["rooms"])),
            "disconnect" => socket.disconnect(command["close"] == true),
            other => return Err(format!("a socket cannot {other}")),
        }
        DONE
    }

    /// Emits without pause: the event, a name and a running number.
    fn load(&self, command: &Value) -> Answer {
        let mut pace = interval(millis(&command["every"]).ok_or("a load has a pace")?);
        pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let name = command["args"][1].as_str().ok_or("a load has a name")?;
        let (probe, mut emit) = (self.clone(), command.clone());
        let given = items(&command["args"]).to_vec();
        let load = tokio::spawn(async move {
            for number in 0_u64.. {
                pace.tick().await;
                emit["args"] = given.iter().cloned().chain([json!(number)]).collect();
                // What cannot be sent is reported by the cluster.
                let _ = probe.emit(&emit).await;
            }
        });
        lock(&self.0.loads).insert(name.to_owned(), load.abort_handle());
        DONE
    }

    /// What the link with the cluster has counted.
    fn stats(&self) -> Answer {
        let stats = self.0.io.stats().cluster.ok_or("the server is alone")?;
        Ok(json!({
            "sent": stats.sent,
            "received": stats.received,
            "own": stats.own,
            "ignored": stats.ignored,
            "malformed": stats.malformed,
            "failed": stats.failed,
            "backlogged": stats.backlogged,
            "lost": stats.lost,
            "panics": stats.panics,
            "outages": stats.outages,
            "queuedBytes": stats.queued_bytes,
            "pendingRequests": stats.pending_requests,
            "connected": stats.connected,
        }))
    }
}
