//! What a namespace reports.

use sala::{Ack, DisconnectReason, GatedEvent, HandlerError, RawArgs, Socket};
use sala_engine::ConnectionEvent;
use sala_interop::server::{channel::report, options};
use serde_json::{Value, json};

use crate::{Probe, Space, lock, rules};
use sala_interop::server::value::{args, shown, to_shown};

/// The one handler of all events that have no canned one. Their name becomes the first argument.
const ANY: &str = "any event of the probe";

/// Runs the same code for both kinds of namespaces.
macro_rules! on_place {
    ($space:expr, $nsp:ident => $body:expr) => {
        match &$space.place {
            crate::Place::Namespace($nsp) => drop($body),
            crate::Place::Parent($nsp) => drop($body),
        }
    };
}

pub(crate) use on_place;

impl Probe {
    /// Reports what happens in a namespace.
    pub(crate) fn watch(&self, space: &Space) {
        let (probe, rules) = (self.clone(), space.rules.clone());
        let connect = async move |socket: Socket| probe.welcome(&socket, &rules);
        on_place!(space, nsp => nsp.on_connect(connect));

        let rules = space.rules.clone();
        on_place!(space, nsp => nsp.on_disconnecting(async move |socket: Socket, reason: DisconnectReason| {
            let farewell = lock(&rules).farewell.clone();
            leaving(&socket, reason, farewell.as_deref());
        }));
        on_place!(space, nsp => nsp.on_disconnect(left));

        let rules = space.rules.clone();
        on_place!(space, nsp => nsp.gate(async move |_: Socket, mut event: GatedEvent| -> Result<GatedEvent, HandlerError> {
            let handled = lock(&rules).handled.contains(event.name());
            if !handled {
                let mut all = vec![json!(event.name())];
                all.extend(shown(event.args()));
                event.set_args(&args(&all))?;
                event.set_name(ANY);
            }
            Ok(event)
        }));
        let probe = self.clone();
        on_place!(space, nsp => nsp.on(ANY, async move |socket: Socket, args: RawArgs, ack: Ack<RawArgs>| {
            let mut args = shown(&args);
            let name = args.remove(0);
            let token = ack.is_requested().then(|| probe.token());
            if let Some(token) = token {
                lock(&probe.0.acks).insert(token, ack);
            }
            let fields = json!({"id": socket.id().as_str(), "nsp": socket.nsp().name(), "name": name, "args": args, "ack": token});
            report("event", fields);
        }));
    }

    fn welcome(&self, socket: &Socket, rules: &std::sync::Mutex<rules::Rules>) {
        let id = socket.id().to_string();
        lock(&self.0.sockets).insert(id.clone(), socket.clone());
        let own = id.clone();
        socket.on_error(move |context| {
            report(
                "error",
                json!({"id": own, "message": context.error.to_string()}),
            )
        });
        self.trace(socket);
        let (greetings, outgoing) = {
            let rules = lock(rules);
            (rules.greetings.clone(), rules.outgoing)
        };
        if outgoing {
            let own = id.clone();
            socket.on_any_outgoing(move |_, packet| {
                let mut all = vec![json!(packet.name())];
                all.extend(packet.args().map(|args| shown(&args)).unwrap_or_default());
                report("outgoing", json!({"id": own, "args": all}));
            });
        }
        for greeting in greetings {
            let (name, rest) = greeting.split_first().expect("an emit has a name");
            socket
                .emit(name.as_str().expect("a name is text"), &args(rest))
                .expect("a greeting can be sent");
        }
        report(
            "connection",
            json!({
                "id": id,
                "nsp": socket.nsp().name(),
                "conn": socket.conn().id().as_str(),
                "recovered": socket.recovered(),
                "auth": socket.handshake().raw_auth().to_values().first().map_or(Value::Null, to_shown),
                "rooms": rooms_of(socket),
                "data": data_of(socket),
            }),
        );
    }

    fn trace(&self, socket: &Socket) {
        let upgrade = options::reports(&self.0.options, "upgrade");
        let create = options::reports(&self.0.options, "packetCreate");
        if !upgrade && !create {
            return;
        }
        let id = socket.id().to_string();
        socket.conn().observe(move |event| match event {
            ConnectionEvent::Upgrade(_) if upgrade => {
                report("upgrade", json!({"id": id, "transport": "websocket"}))
            }
            ConnectionEvent::PacketCreate { frame, .. } if create => {
                let text = String::from_utf8_lossy(&frame.first().payload()[1..]).into_owned();
                report(
                    "packetCreate",
                    json!({"id": id, "packet": {"type": "message", "data": text}}),
                );
            }
            _ => {}
        });
    }
}

/// The rooms of a socket.
pub(crate) fn rooms_of(socket: &Socket) -> Vec<String> {
    socket.rooms().iter().map(ToString::to_string).collect()
}

/// The data of a socket.
pub(crate) fn data_of(socket: &Socket) -> Value {
    to_shown(&socket.data().snapshot().to_value())
}

fn leaving(socket: &Socket, reason: DisconnectReason, farewell: Option<&str>) {
    let rooms = rooms_of(socket);
    let fields = json!({
        "id": socket.id().as_str(),
        "nsp": socket.nsp().name(),
        "reason": reason.to_string(),
        "rooms": rooms,
        "connected": socket.is_connected(),
    });
    report("disconnecting", fields);
    if let Some(event) = farewell {
        socket
            .to(rooms)
            .emit(event, socket.id().as_str())
            .expect("a farewell can be sent");
    }
}

async fn left(socket: Socket, reason: DisconnectReason, description: Option<String>) {
    let fields = json!({
        "id": socket.id().as_str(),
        "nsp": socket.nsp().name(),
        "reason": reason.to_string(),
        "description": description,
        "rooms": rooms_of(&socket),
        "connected": socket.is_connected(),
    });
    report("disconnect", fields);
}
