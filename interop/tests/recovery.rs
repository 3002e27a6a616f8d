//! C.8: connection state recovery.

use std::time::Duration;

use sala_interop::{Probe, Sio, differs};
use serde_json::{Value, json};

use crate::support::A_MOMENT;

/// A client with recovery: its socket id and its private session id.
struct Recoverable {
    client: Sio,
    sid: String,
    pid: String,
    offset: String,
}

impl Recoverable {
    async fn connect(probe: &mut Probe) -> Self {
        Self::connect_with(probe, "").await
    }

    async fn connect_with(probe: &mut Probe, payload: &str) -> Self {
        let mut client = Sio::open(probe.addr()).await;
        client.text(format!("40{payload}")).await;
        let reply = client.expect_json("40").await;
        let text = |key: &str| reply[key].as_str().unwrap().to_owned();
        let (sid, pid) = (text("sid"), text("pid"));
        probe
            .event_where("connection", |connection| connection["id"] == *sid)
            .await;
        Self {
            client,
            sid,
            pid,
            offset: String::new(),
        }
    }

    /// Has the server emit to this client and remembers the offset.
    async fn hear(&mut self, probe: &mut Probe, word: &str) {
        probe
            .run(json!({"do": "emit", "socket": self.sid, "args": [word]}))
            .await;
        let packet = self.client.expect_json("42").await;
        assert_eq!(
            (packet[0].as_str(), packet.as_array().unwrap().len()),
            (Some(word), 2)
        );
        self.offset = packet[1].as_str().unwrap().to_owned();
    }

    /// Ends the connection abruptly.
    async fn vanish(self, probe: &mut Probe) -> Lost {
        drop(self.client);
        let gone = probe.event("disconnect").await;
        assert_eq!(gone["reason"], "transport close");
        Lost {
            sid: self.sid,
            pid: self.pid,
            offset: self.offset,
        }
    }
}

struct Lost {
    sid: String,
    pid: String,
    offset: String,
}

impl Lost {
    fn payload(&self) -> String {
        json!({"pid": self.pid, "offset": self.offset}).to_string()
    }
}

async fn start(more: Value) -> Probe {
    let mut options = json!({"connectionStateRecovery": {}});
    options
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Probe::start(options).await
}

/// The packets up to the reply to CONNECT, and that reply.
async fn until_connected(client: &mut Sio) -> (Vec<Value>, Value) {
    let mut missed = Vec::new();
    loop {
        let text = client.next_text().await;
        if let Some(json) = text.strip_prefix("40") {
            return (missed, serde_json::from_str(json).unwrap());
        }
        missed.push(serde_json::from_str(text.strip_prefix("42").unwrap()).unwrap());
    }
}

#[tokio::test]
async fn the_reply_holds_a_private_id() {
    // B012, C062
    let mut probe = start(json!({})).await;
    let lost = Recoverable::connect(&mut probe).await;
    assert_ne!(lost.sid, lost.pid);
}

#[tokio::test]
async fn events_carry_an_offset_unless_they_want_an_ack_or_are_volatile() {
    // C065, E050
    let mut probe = start(json!({})).await;
    let mut me = Recoverable::connect(&mut probe).await;
    let id = me.sid.clone();
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["hi", 1]}))
        .await;
    let first = me.client.expect_json("42").await;
    assert_eq!(
        (&first[0], &first[1], first.as_array().unwrap().len()),
        (&json!("hi"), &json!(1), 3)
    );
    probe
        .run(json!({"do": "emit", "args": ["all", {"$bin": "AQ=="}]}))
        .await;
    let second = me.client.expect_json("451-").await;
    assert_eq!(second.as_array().unwrap().len(), 3);
    assert_ne!(first[2], second[2]);
    me.client.expect_binary(&[1]).await;
    // Whether a transport is idle again cannot be seen from outside.
    tokio::time::sleep(sala_testkit::polling::SETTLE).await;
    probe
        .run(json!({"do": "emit", "socket": id, "flags": ["volatile"], "args": ["v"]}))
        .await;
    me.client.expect(r#"42["v"]"#).await;
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["ask"], "ack": 1}))
        .await;
    me.client.expect(r#"420["ask"]"#).await;
}

#[tokio::test]
async fn a_lost_client_gets_back_its_id_rooms_data_and_what_it_missed() {
    // C063, C068, C069, C074, E016, J16
    let mut probe = start(json!({})).await;
    let mut me = Recoverable::connect(&mut probe).await;
    probe
        .run(json!({"do": "join", "socket": me.sid, "rooms": ["mine", "yours"]}))
        .await;
    probe
        .run(json!({"do": "setData", "socket": me.sid, "data": {"user": "a"}}))
        .await;
    me.hear(&mut probe, "seen").await;
    let lost = me.vanish(&mut probe).await;

    for command in [
        json!({"args": ["all", 1]}),
        json!({"to": ["mine"], "args": ["room", 2]}),
        json!({"to": ["other"], "args": ["never"]}),
        json!({"except": ["yours"], "args": ["never"]}),
        json!({"to": [lost.sid], "args": ["private", 3]}),
        json!({"flags": ["volatile"], "args": ["never"]}),
    ] {
        let mut command = command;
        command["do"] = json!("emit");
        probe.run(command).await;
    }

    let mut client = Sio::open(probe.addr()).await;
    client.text(format!("40{}", lost.payload())).await;
    let (missed, reply) = until_connected(&mut client).await;
    let names: Vec<&str> = missed
        .iter()
        .map(|packet| packet[0].as_str().unwrap())
        .collect();
    assert_eq!(names, ["all", "room", "private"]);
    assert_eq!(missed[0][1], 1);
    assert_eq!(
        (&reply["sid"], &reply["pid"]),
        (&json!(lost.sid), &json!(lost.pid))
    );
    let connection = probe.event("connection").await;
    assert_eq!(
        (&connection["recovered"], &connection["data"]),
        (&json!(true), &json!({"user": "a"}))
    );
    let rooms = connection["rooms"].as_array().unwrap();
    assert!(
        ["mine", "yours", &lost.sid]
            .iter()
            .all(|room| rooms.contains(&json!(room))),
        "{rooms:?}"
    );

    probe
        .run(json!({"do": "emit", "to": ["mine"], "args": ["live"]}))
        .await;
    assert_eq!(client.expect_json("42").await[0], "live");
}

#[tokio::test]
async fn missed_attachments_are_sent_again() {
    // C068
    let mut probe = start(json!({})).await;
    let mut me = Recoverable::connect(&mut probe).await;
    me.hear(&mut probe, "seen").await;
    let lost = me.vanish(&mut probe).await;
    probe
        .run(json!({"do": "emit", "args": ["bin", {"$bin": "AQI="}]}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    client.text(format!("40{}", lost.payload())).await;
    let packet = client.expect_json("451-").await;
    assert_eq!(packet[0], "bin");
    client.expect_binary(&[1, 2]).await;
    assert_eq!(client.expect_json("40").await["sid"], lost.sid);
}

#[tokio::test]
async fn a_client_that_missed_nothing_is_recovered_as_well() {
    // C068
    let mut probe = start(json!({})).await;
    let mut me = Recoverable::connect(&mut probe).await;
    me.hear(&mut probe, "seen").await;
    let lost = me.vanish(&mut probe).await;
    let mut client = Sio::open(probe.addr()).await;
    client.text(format!("40{}", lost.payload())).await;
    assert_eq!(client.expect_json("40").await["sid"], lost.sid);
}

#[tokio::test]
async fn what_cannot_be_recovered_is_a_new_connection() {
    // C067, C070
    let mut probe = start(json!({})).await;
    let mut me = Recoverable::connect(&mut probe).await;
    me.hear(&mut probe, "seen").await;
    let lost = me.vanish(&mut probe).await;
    let attempts = [
        json!({"pid": "zzz", "offset": lost.offset}),
        json!({"pid": lost.pid, "offset": "zzz"}),
        json!({"pid": lost.pid}),
        json!({"offset": lost.offset}),
        json!({"pid": 1, "offset": 2}),
        json!({"pid": {"a": 1}, "offset": []}),
    ];
    for attempt in attempts {
        let again = Recoverable::connect_with(&mut probe, &attempt.to_string()).await;
        assert_ne!(again.sid, lost.sid, "{attempt}");
        assert_ne!(again.pid, lost.pid, "{attempt}");
    }
}

#[tokio::test]
async fn recovery_is_for_connections_that_were_lost() {
    // C064
    let mut probe = start(json!({})).await;
    for (how, reason, recoverable) in [
        ("leave", "client namespace disconnect", false),
        ("kick", "server namespace disconnect", false),
        ("garbage", "parse error", false),
        ("violation", "forced close", true),
        ("reset", "transport close", true),
    ] {
        let mut me = Recoverable::connect(&mut probe).await;
        me.hear(&mut probe, "seen").await;
        match how {
            "leave" => me.client.text("41").await,
            "kick" => drop(
                probe
                    .run(json!({"do": "disconnect", "socket": me.sid, "close": true}))
                    .await,
            ),
            "garbage" => me.client.text("7").await,
            "violation" => me.client.text("40").await,
            _ => me.client.connection().finish_sending().await,
        }
        let gone = probe.event("disconnect").await;
        assert_eq!(gone["reason"], reason);
        let payload = json!({"pid": me.pid, "offset": me.offset}).to_string();
        let again = Recoverable::connect_with(&mut probe, &payload).await;
        assert_eq!(again.sid == me.sid, recoverable, "{reason}");
        drop(again);
        probe.event("disconnect").await;
    }
}

#[tokio::test]
async fn a_ping_timeout_can_be_recovered() {
    // C064
    let mut probe = start(json!({"pingInterval": 150, "pingTimeout": 100})).await;
    let mut me = Recoverable::connect(&mut probe).await;
    me.hear(&mut probe, "seen").await;
    assert_eq!(probe.event("disconnect").await["reason"], "ping timeout");
    let payload = json!({"pid": me.pid, "offset": me.offset}).to_string();
    let again = Recoverable::connect_with(&mut probe, &payload).await;
    assert_eq!(again.sid, me.sid);
}

#[tokio::test]
async fn recovery_ends_after_a_while() {
    // C071
    let mut probe =
        start(json!({"connectionStateRecovery": {"maxDisconnectionDuration": 150}})).await;
    let mut me = Recoverable::connect(&mut probe).await;
    me.hear(&mut probe, "seen").await;
    let lost = me.vanish(&mut probe).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let again = Recoverable::connect_with(&mut probe, &lost.payload()).await;
    assert_ne!(again.sid, lost.sid);
}

#[tokio::test]
async fn middlewares_are_skipped_by_default() {
    // C072
    let mut probe = start(json!({})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"report": "m"}]}))
        .await;
    let mut me = Recoverable::connect(&mut probe).await;
    me.hear(&mut probe, "seen").await;
    let lost = me.vanish(&mut probe).await;
    assert_eq!(probe.taken("middleware").await.len(), 1);
    let again = Recoverable::connect_with(&mut probe, &lost.payload()).await;
    assert_eq!(again.sid, lost.sid);
    probe.expect_none("middleware").await;
    // On a failed recovery they always run.
    Recoverable::connect_with(&mut probe, r#"{"pid":"zzz","offset":"x"}"#).await;
    assert_eq!(probe.taken("middleware").await.len(), 1);
}

#[tokio::test]
async fn middlewares_may_run_and_refuse() {
    // C072, C073
    let mut probe = start(json!({"connectionStateRecovery": {"skipMiddlewares": false}})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"report": "m"}, {"needToken": "t"}]}))
        .await;
    let mut me = Recoverable::connect_with(&mut probe, r#"{"token":"t"}"#).await;
    me.hear(&mut probe, "seen").await;
    let lost = me.vanish(&mut probe).await;
    let mut client = Sio::open(probe.addr()).await;
    client.text(format!("40{}", lost.payload())).await;
    client.expect(r#"44{"message":"bad token"}"#).await;
    assert_eq!(probe.taken("middleware").await.len(), 2);
}

#[tokio::test]
async fn a_session_is_taken_once() {
    // C075, J187
    let mut probe = start(json!({})).await;
    let mut me = Recoverable::connect(&mut probe).await;
    me.hear(&mut probe, "seen").await;
    let lost = me.vanish(&mut probe).await;
    let first = Recoverable::connect_with(&mut probe, &lost.payload()).await;
    assert_eq!(first.sid, lost.sid);
    if differs("C075", "it gives the same session to two clients") {
        return;
    }
    let second = Recoverable::connect_with(&mut probe, &lost.payload()).await;
    assert_ne!(second.sid, lost.sid);
}

#[tokio::test]
async fn without_recovery_nothing_is_added() {
    // C078
    let mut probe = Probe::start(json!({})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.text(r#"40{"pid":"a","offset":"b"}"#).await;
    let reply = client.expect_json("40").await;
    assert_eq!(reply.as_object().unwrap().len(), 1);
    let connection = probe.event("connection").await;
    assert_eq!(connection["recovered"], false);
    probe.run(json!({"do": "emit", "args": ["x"]})).await;
    client.expect(r#"42["x"]"#).await;
    client.quiet(A_MOMENT).await;
}

#[tokio::test]
async fn a_session_can_be_recovered_again_and_again() {
    // C068
    let mut probe = start(json!({})).await;
    let mut me = Recoverable::connect(&mut probe).await;
    me.hear(&mut probe, "seen").await;
    let sid = me.sid.clone();
    for round in 0..3 {
        let offset = me.offset.clone();
        let lost = me.vanish(&mut probe).await;
        probe
            .run(json!({"do": "emit", "args": [format!("round {round}")]}))
            .await;
        let mut client = Sio::open(probe.addr()).await;
        client
            .text(format!("40{}", json!({"pid": lost.pid, "offset": offset})))
            .await;
        let (missed, reply) = until_connected(&mut client).await;
        assert_eq!(reply["sid"], sid, "round {round}");
        assert_eq!(missed.len(), 1);
        probe.event("connection").await;
        me = Recoverable {
            client,
            sid: sid.clone(),
            pid: lost.pid,
            offset: missed[0][1].as_str().unwrap().to_owned(),
        };
    }
}
