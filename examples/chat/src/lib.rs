//! A chat: rooms, a typing indicator, who is where, and nothing lost when a connection drops.

mod page;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

pub use page::{asked_to_stop, serve, serve_intake};
use sala::{Attempt, DisconnectReason, Error, HandlerResult, Refused, Server, Socket};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// Adds the chat to a server. Turn recovery on in its options.
pub fn chat(io: &Server) {
    io.admit(async |attempt: Attempt| {
        let auth: Value = attempt.auth()?;
        let name = auth["name"].as_str().and_then(|name| clean(name, 24));
        let name = name.ok_or(Refused::new("A name has 1 to 24 characters."))?;
        attempt.data().set("name", name).map_err(Refused::from)
    });
    io.on_connect(presence);
    io.on("join", join);
    io.on("message", message);
    io.on("typing", typing);
    io.on_disconnect(async |socket: Socket, _: DisconnectReason| presence(socket).await);
}

async fn join(socket: Socket, wanted: String) -> HandlerResult<Value> {
    let Some(room) = clean(&wanted, 32) else {
        return Ok(json!({ "error": "The name of a room has 1 to 32 characters." }));
    };
    if let Some(old) = socket.data().get::<String>("room") {
        socket.leave(format!("#{old}"));
    }
    // The prefix keeps people out of the rooms that are named by socket ids.
    socket.join(format!("#{room}"));
    socket.data().set("room", room)?;
    presence(socket).await?;
    Ok(json!({ "room": room }))
}

async fn message(socket: Socket, said: String) -> HandlerResult<Value> {
    let (Some(text), Some((name, room))) = (clean(&said, 2000), whereabouts(&socket)) else {
        return Ok(json!({ "error": "A message has 1 to 2000 characters." }));
    };
    let (id, now) = (socket.id(), SystemTime::now().duration_since(UNIX_EPOCH)?);
    let message = json!({ "id": id, "name": name, "room": room, "text": text, "time": now.as_millis() as u64 });
    let everybody = socket.nsp().to(format!("#{room}"));
    everybody.emit("message", &message)?;
    Ok(json!({}))
}

async fn typing(socket: Socket) -> Result<(), Error> {
    let Some((name, room)) = whereabouts(&socket) else {
        return Ok(());
    };
    let others = socket.volatile().to(format!("#{room}"));
    others.emit("typing", &json!({ "id": socket.id(), "name": name }))
}

/// Tells everybody who is where, one after the other, so that the last list told is the latest.
async fn presence(socket: Socket) -> Result<(), Error> {
    static TURN: Mutex<()> = Mutex::const_new(());
    let _turn = TURN.lock().await;
    let mut rooms = BTreeMap::<String, Vec<Value>>::new();
    for other in socket.nsp().fetch_sockets().await? {
        if let Some(room) = other.data().get("room") {
            let name = other.data().get::<String>("name");
            let person = json!({ "id": other.id(), "name": name });
            rooms.entry(room).or_default().push(person);
        }
    }
    socket.nsp().emit("presence", &rooms)
}

fn whereabouts(socket: &Socket) -> Option<(String, String)> {
    Some((socket.data().get("name")?, socket.data().get("room")?))
}

/// A text without its outer blanks, if it has 1 to `max` characters.
fn clean(text: &str, max: usize) -> Option<&str> {
    Some(text.trim()).filter(|text| (1..=max).contains(&text.chars().count()))
}
