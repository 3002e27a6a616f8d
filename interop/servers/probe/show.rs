//! What a socket and a namespace look like.

use std::collections::{BTreeMap, HashMap};

use sala::parser::to_value;
use sala::{Handshake, Namespace, RemoteSocket, Server, Socket};
use sala_interop::server::options;
use serde_json::{Value, json};

use crate::watch::{data_of, rooms_of};
use sala_interop::server::value::to_shown;

/// How a client came.
pub(crate) fn handshake(handshake: &Handshake<'_>) -> Value {
    to_shown(&to_value(handshake).expect("a handshake can be written"))
}

/// All that can be read of a socket.
pub(crate) fn state(socket: &Socket) -> Value {
    let conn = socket.conn();
    let request = socket.request();
    json!({
        "id": socket.id().as_str(),
        "connected": socket.is_connected(),
        "disconnected": !socket.is_connected(),
        "recovered": socket.recovered(),
        "rooms": rooms_of(socket),
        "data": data_of(socket),
        "nsp": socket.nsp().name(),
        "handshake": handshake(&socket.handshake()),
        "conn": {
            "id": conn.id().as_str(),
            "protocol": options::revision_number(conn.revision()),
            "transport": options::transport_name(conn.transport()),
            "state": if conn.is_open() { "open" } else { "closed" },
        },
        "request": {
            "url": request.url(),
            "method": request.method().as_str(),
            "headers": request.headers().collect::<HashMap<_, _>>(),
        },
    })
}

/// A socket of any server, as it was found.
pub(crate) fn found(socket: &RemoteSocket) -> Value {
    json!({
        "id": socket.id().as_str(),
        "rooms": socket.rooms().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "data": to_shown(&socket.data().to_value()),
        "handshake": handshake(&socket.handshake()),
    })
}

/// Who is in a namespace, and in which rooms. A room without members shows as an empty list.
pub(crate) fn members(nsp: &Namespace) -> Value {
    let mut rooms: BTreeMap<String, Vec<String>> = nsp
        .rooms()
        .iter()
        .map(|room| (room.to_string(), vec![]))
        .collect();
    let mut sockets = Vec::new();
    for socket in nsp.sockets() {
        sockets.push(socket.id().to_string());
        for room in rooms_of(&socket) {
            rooms.entry(room).or_default().push(socket.id().to_string());
        }
    }
    rooms.values_mut().for_each(|ids| ids.sort());
    sockets.sort();
    json!({"sockets": sockets, "rooms": rooms})
}

/// The names of all namespaces.
pub(crate) fn namespaces(io: &Server) -> Value {
    let mut names: Vec<String> = io
        .namespaces()
        .iter()
        .map(|nsp| nsp.name().to_owned())
        .collect();
    names.sort();
    json!(names)
}
