//! E.1 to E.5: the server's side of a socket.

use std::time::{Duration, Instant};

use sala_interop::{Probe, Sio};
use sala_testkit::http::{self};
use sala_testkit::polling::Polling;
use serde_json::{Value, json};

use crate::support::{A_MOMENT, connect, gone};

async fn state(probe: &mut Probe, id: &str) -> Value {
    probe.run(json!({"do": "state", "socket": id})).await
}

// --- E.1 attributes -----------------------------------------------------------------------------

#[tokio::test]
async fn the_id_of_a_socket_is_not_the_id_of_its_session() {
    // A038, E001, and a measured pitfall: whoever sees the public id can inject packets
    let (mut probe, client, id) = connect(json!({})).await;
    assert_eq!(id.len(), 20);
    assert_ne!(client.open["sid"], id);
    assert_eq!(
        state(&mut probe, &id).await["conn"]["id"],
        client.open["sid"]
    );
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={id}");
    let reply = http::post(probe.addr(), &target, "42[\"injected\"]").await;
    assert_eq!((reply.status, &reply.json()["code"]), (400, &json!(1)));
}

#[tokio::test]
async fn the_handshake_shows_the_first_request() {
    // E002, E003, E005, E006, E007, E009, E015
    let mut probe = Probe::start(json!({})).await;
    let target = "/socket.io/?EIO=4&transport=polling&x=1&y=%C3%A9";
    let reply = http::send(probe.addr(), "GET", target, &[("X-First", "Yes")], b"").await;
    let session = Polling::from_reply(probe.addr(), target, &reply);
    let other = [("X-First", "No"), ("X-Second", "1")];
    http::send(
        probe.addr(),
        "POST",
        &session.target,
        &other,
        b"40{\"a\":1}",
    )
    .await;
    let id = probe.event("connection").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let state = state(&mut probe, &id).await;
    let handshake = &state["handshake"];
    assert_eq!(handshake["headers"]["x-first"], "Yes");
    assert_eq!(handshake["headers"]["x-second"], Value::Null);
    assert_eq!(
        handshake["query"],
        json!({"EIO": "4", "transport": "polling", "x": "1", "y": "é"})
    );
    assert_eq!(handshake["url"], target);
    assert_eq!(handshake["auth"], json!({"a": 1}));
    assert_eq!(
        (&handshake["secure"], &handshake["xdomain"]),
        (&json!(false), &json!(false))
    );
    let address = handshake["address"].as_str().unwrap();
    assert!(
        ["127.0.0.1", "::ffff:127.0.0.1"].contains(&address),
        "{address}"
    );
    let issued = handshake["issued"].as_u64().unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    assert!(issued <= now && now - issued < 60_000, "{issued}");
    assert!(handshake["time"].as_str().unwrap().len() > 10);
    assert_eq!(
        (
            &state["request"]["url"],
            &state["request"]["headers"]["x-first"]
        ),
        (&json!(target), &json!("Yes"))
    );
}

#[tokio::test]
async fn an_origin_marks_a_request_from_elsewhere() {
    // E008
    let mut probe = Probe::start(json!({})).await;
    let target = "/socket.io/?EIO=4&transport=polling";
    let reply = http::send(
        probe.addr(),
        "GET",
        target,
        &[("Origin", "http://a.com")],
        b"",
    )
    .await;
    Polling::from_reply(probe.addr(), target, &reply)
        .send("40")
        .await;
    let id = probe.event("connection").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(state(&mut probe, &id).await["handshake"]["xdomain"], true);
}

#[tokio::test]
async fn sockets_of_one_connection_share_its_handshake_but_not_its_auth() {
    // E010, E014
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let mut client = Sio::open(probe.addr()).await;
    let first = client.join_with("/", r#"{"a":1}"#).await;
    let second = client.join_with("/ns", r#"{"b":2}"#).await;
    let (first, second) = (
        state(&mut probe, &first).await,
        state(&mut probe, &second).await,
    );
    assert_eq!(
        (&first["handshake"]["auth"], &second["handshake"]["auth"]),
        (&json!({"a": 1}), &json!({"b": 2}))
    );
    assert_eq!(first["handshake"]["url"], second["handshake"]["url"]);
    assert_eq!(first["conn"]["id"], second["conn"]["id"]);
    assert_eq!(
        (&first["nsp"], &second["nsp"]),
        (&json!("/"), &json!("/ns"))
    );
}

#[tokio::test]
async fn rooms_and_data_are_those_of_now() {
    // E011, E012
    let (mut probe, client, id) = connect(json!({})).await;
    let fresh = state(&mut probe, &id).await;
    assert_eq!(
        (&fresh["rooms"], &fresh["data"]),
        (&json!([id]), &json!({}))
    );
    probe
        .run(json!({"do": "join", "socket": id, "rooms": ["a", "b"]}))
        .await;
    probe
        .run(json!({"do": "leave", "socket": id, "rooms": "a"}))
        .await;
    probe
        .run(json!({"do": "setData", "socket": id, "data": {"n": 1}}))
        .await;
    let now = state(&mut probe, &id).await;
    let mut rooms: Vec<&str> = now["rooms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|room| room.as_str().unwrap())
        .collect();
    rooms.sort_unstable_by_key(|room| room.len());
    assert_eq!(
        (rooms, &now["data"]),
        (vec!["b", id.as_str()], &json!({"n": 1}))
    );
    drop(client);
    probe.event("disconnect").await;
    assert_eq!(state(&mut probe, &id).await["rooms"], json!([]));
}

#[tokio::test]
async fn the_connection_shows_its_transport_and_its_upgrade() {
    // E013
    let mut probe = Probe::start(json!({"report": ["upgrade"]})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    let id = probe.event("connection").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    session.poll().await;
    assert_eq!(state(&mut probe, &id).await["conn"]["transport"], "polling");
    let mut ws = sala_testkit::ws::Ws::open(probe.addr(), &session.upgrade_target()).await;
    ws.text("2probe").await;
    ws.expect("3probe").await;
    ws.text("5").await;
    assert_eq!(probe.event("upgrade").await["transport"], "websocket");
    let conn = state(&mut probe, &id).await["conn"].clone();
    assert_eq!(
        (&conn["transport"], &conn["protocol"], &conn["state"]),
        (&json!("websocket"), &json!(4), &json!("open"))
    );
    ws.text(r#"42["still here"]"#).await;
    assert_eq!(probe.event("event").await["id"], id);
}

#[tokio::test]
async fn connected_and_disconnected_are_opposites() {
    // E018
    let (mut probe, client, id) = connect(json!({})).await;
    let now = state(&mut probe, &id).await;
    assert_eq!(
        (&now["connected"], &now["disconnected"], &now["recovered"]),
        (&json!(true), &json!(false), &json!(false))
    );
    drop(client);
    assert_eq!(probe.event("disconnecting").await["connected"], true);
    assert_eq!(probe.event("disconnect").await["connected"], false);
    let now = state(&mut probe, &id).await;
    assert_eq!(
        (&now["connected"], &now["disconnected"]),
        (&json!(false), &json!(true))
    );
}

// --- E.2 receiving ------------------------------------------------------------------------------

#[tokio::test]
async fn two_packets_of_one_body_keep_their_order() {
    // E032
    let mut probe = Probe::start(json!({})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    session.poll().await;
    session.send("42[\"a\"]\u{1e}42[\"b\"]").await;
    assert_eq!(probe.event("event").await["name"], "a");
    assert_eq!(probe.event("event").await["name"], "b");
}

#[tokio::test]
async fn every_kind_of_argument_arrives() {
    // E021, E035, B004
    let (mut probe, mut client, id) = connect(json!({})).await;
    let args = json!([null, true, -1.5, "é\u{1e}\"", [1, [2]], {"a": {"b": []}}, 9_007_199_254_740_991_i64]);
    let packet = json!(
        ["x"]
            .into_iter()
            .map(Value::from)
            .chain(args.as_array().unwrap().clone())
            .collect::<Vec<_>>()
    );
    client.text(format!("42{packet}")).await;
    assert_eq!(probe.event("event").await["args"], args);
    probe
        .run(json!({"do": "emit", "socket": id, "args": packet}))
        .await;
    assert_eq!(client.expect_json("42").await, packet);
}

#[tokio::test]
async fn text_with_the_separator_survives_polling() {
    // A078
    let mut probe = Probe::start(json!({})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    session.poll().await;
    probe
        .run(json!({"do": "emit", "args": ["x", "a\u{1e}b"]}))
        .await;
    assert_eq!(session.poll().await, [r#"42["x","a\u001eb"]"#]);
}

#[tokio::test]
async fn a_gate_may_refuse_an_event() {
    // E025, E027, E028
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "gate", "nsp": "/", "event": "secret", "refuse": "not yours"}))
        .await;
    probe
        .run(json!({"do": "handle", "nsp": "/", "event": "secret", "with": "ack-back"}))
        .await;
    probe
        .run(json!({"do": "handle", "nsp": "/", "event": "open", "with": "ack-back"}))
        .await;
    let (mut client, id) = Sio::connect(probe.addr()).await;
    client.text(r#"421["secret"]"#).await;
    let error = probe.event("error").await;
    assert_eq!(
        (&error["id"], &error["message"]),
        (&json!(id), &json!("not yours"))
    );
    client.text(r#"422["open",1]"#).await;
    client.expect("432[1]").await;
    probe.expect_none("disconnect").await;
}

#[tokio::test]
async fn a_gate_may_change_the_arguments() {
    // E027
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "gate", "nsp": "/", "event": "x", "replace": ["changed", {"$bin": "AQ=="}]})).await;
    probe
        .run(json!({"do": "handle", "nsp": "/", "event": "x", "with": "emit-back"}))
        .await;
    let (mut client, _) = Sio::connect(probe.addr()).await;
    client.text(r#"42["x","original",2]"#).await;
    client
        .expect(r#"451-["x-back","changed",{"_placeholder":true,"num":0}]"#)
        .await;
    client.expect_binary(&[1]).await;
}

#[tokio::test]
async fn a_slow_gate_holds_up_its_own_packet_only() {
    // E033
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "gate", "nsp": "/", "event": "slow", "delay": 100}))
        .await;
    for event in ["slow", "fast"] {
        probe
            .run(json!({"do": "handle", "nsp": "/", "event": event, "with": "ack-back"}))
            .await;
    }
    let (mut client, _) = Sio::connect(probe.addr()).await;
    client.texts(&[r#"421["slow"]"#, r#"422["fast"]"#]).await;
    client.expect("432[]").await;
    client.expect("431[]").await;
}

#[tokio::test]
async fn events_in_flight_are_ignored_once_the_handler_has_disconnected() {
    // E031
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "handle", "nsp": "/", "event": "go", "with": "disconnect"}))
        .await;
    probe
        .run(json!({"do": "handle", "nsp": "/", "event": "never", "with": "ack-back"}))
        .await;
    let (mut client, _) = Sio::connect(probe.addr()).await;
    client.texts(&[r#"42["go"]"#, r#"421["never"]"#]).await;
    gone(&mut probe, "server namespace disconnect").await;
    client.expect("41").await;
    client.quiet(A_MOMENT).await;
}

// --- E.3 emitting -------------------------------------------------------------------------------

#[tokio::test]
async fn emits_leave_in_order_across_namespaces() {
    // E036
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let mut client = Sio::open(probe.addr()).await;
    let first = client.join("/").await;
    let second = client.join("/ns").await;
    for _ in 0..2 {
        probe.event("connection").await;
    }
    let commands: Vec<Value> = (0..30)
        .map(|i| json!({"socket": if i % 3 == 0 { &second } else { &first }, "args": ["n", i]}))
        .collect();
    probe
        .run(json!({"do": "burst", "commands": commands}))
        .await;
    for i in 0..30 {
        let prefix = if i % 3 == 0 { "42/ns," } else { "42" };
        client.expect(&format!(r#"{prefix}["n",{i}]"#)).await;
    }
}

#[tokio::test]
async fn emits_to_a_socket_that_has_gone_are_no_error() {
    // E037
    let (mut probe, client, id) = connect(json!({})).await;
    drop(client);
    probe.event("disconnect").await;
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["x"]}))
        .await;
    probe
        .run(json!({"do": "join", "socket": id, "rooms": ["r"]}))
        .await;
    probe
        .run(json!({"do": "leave", "socket": id, "rooms": "r"}))
        .await;
    probe.run(json!({"do": "disconnect", "socket": id})).await;
    // E054
    assert_eq!(
        probe.run(json!({"do": "members"})).await,
        json!({"sockets": [], "rooms": {}})
    );
}

#[tokio::test]
async fn an_ack_brings_the_answer() {
    // E039, G002
    let (mut probe, mut client, id) = connect(json!({})).await;
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["hi", 1], "ack": "a"}))
        .await;
    client.expect(r#"420["hi",1]"#).await;
    client.text(r#"430["ok",{"x":1}]"#).await;
    let acked = probe.event("acked").await;
    assert_eq!(
        (&acked["ack"], &acked["error"], &acked["answer"]),
        (&json!("a"), &Value::Null, &json!(["ok", {"x": 1}]))
    );
}

#[tokio::test]
async fn an_ack_may_time_out() {
    // E040, E042, E083, G003
    let (mut probe, mut client, id) = connect(json!({})).await;
    let asked = Instant::now();
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["hi"], "ack": 1, "timeout": 100}))
        .await;
    client.expect(r#"420["hi"]"#).await;
    let acked = probe.event("acked").await;
    assert!(asked.elapsed() >= Duration::from_millis(95));
    assert_eq!(acked["error"], "operation has timed out");
    client.text(r#"430["late"]"#).await;
    client.text(r#"42["sync"]"#).await;
    probe.event("event").await;
    probe.expect_none("acked").await;
}

#[tokio::test]
async fn an_ack_in_time_is_no_error() {
    // E040, E043
    let (mut probe, mut client, id) = connect(json!({})).await;
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["hi"], "ack": 1, "timeout": 5000}))
        .await;
    client.expect(r#"420["hi"]"#).await;
    client.text(r#"430["here"]"#).await;
    let acked = probe.event("acked").await;
    assert_eq!(
        (&acked["error"], &acked["answer"]),
        (&Value::Null, &json!(["here"]))
    );
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["plain"]}))
        .await;
    client.expect(r#"42["plain"]"#).await;
}

#[tokio::test]
async fn a_socket_emits_to_its_client_alone() {
    // E034, G001
    let (mut probe, mut client, id) = connect(json!({})).await;
    let (mut other, _) = Sio::connect(probe.addr()).await;
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["x"]}))
        .await;
    client.expect(r#"42["x"]"#).await;
    other.quiet(A_MOMENT).await;
}

#[tokio::test]
async fn an_emit_without_data_has_no_arguments() {
    // a measured pitfall: `[null]` was sent
    let (mut probe, mut client, id) = connect(json!({})).await;
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["nothing"]}))
        .await;
    client.expect(r#"42["nothing"]"#).await;
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["null", null]}))
        .await;
    client.expect(r#"42["null",null]"#).await;
}

// --- E.4 outgoing -------------------------------------------------------------------------------

#[tokio::test]
async fn outgoing_packets_are_shown() {
    // E046, E048
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "outgoing", "nsp": "/"})).await;
    let (mut client, id) = Sio::connect(probe.addr()).await;
    probe.event("connection").await;
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["own", {"$bin": "AQ=="}]}))
        .await;
    probe.run(json!({"do": "emit", "args": ["all", 1]})).await;
    assert_eq!(
        probe.event("outgoing").await["args"],
        json!(["own", {"$bin": "AQ=="}])
    );
    assert_eq!(probe.event("outgoing").await["args"], json!(["all", 1]));
    client.text(r#"420["ask"]"#).await;
    let token = probe.event("event").await["ack"].clone();
    probe
        .run(json!({"do": "ack", "token": token, "args": []}))
        .await;
    probe.expect_none("outgoing").await;
}

#[tokio::test]
async fn volatile_packets_that_are_dropped_are_shown_too() {
    // E049
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "outgoing", "nsp": "/"})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    session.poll().await;
    probe.event("connection").await;
    probe
        .run(json!({"do": "emit", "flags": ["volatile"], "args": ["lost"]}))
        .await;
    assert_eq!(probe.event("outgoing").await["args"], json!(["lost"]));
}

// --- E.5 rooms ----------------------------------------------------------------------------------

#[tokio::test]
async fn rooms_come_and_go_with_their_members() {
    // E051, E052, E055
    let (mut probe, client, id) = connect(json!({})).await;
    probe.run(json!({"do": "watchRooms", "nsp": "/"})).await;
    probe
        .run(json!({"do": "join", "socket": id, "rooms": ["a"]}))
        .await;
    probe
        .run(json!({"do": "join", "socket": id, "rooms": ["a"]}))
        .await;
    let report = |event: &Value| {
        (
            event["name"].as_str().unwrap().to_owned(),
            event["room"].as_str().unwrap().to_owned(),
        )
    };
    let told: Vec<_> = probe.taken("room").await.iter().map(report).collect();
    assert_eq!(
        told,
        [
            ("create-room".into(), "a".into()),
            ("join-room".into(), "a".into())
        ]
    );
    probe
        .run(json!({"do": "leave", "socket": id, "rooms": "a"}))
        .await;
    probe
        .run(json!({"do": "leave", "socket": id, "rooms": "a"}))
        .await;
    let told: Vec<_> = probe.taken("room").await.iter().map(report).collect();
    assert_eq!(
        told,
        [
            ("leave-room".into(), "a".into()),
            ("delete-room".into(), "a".into())
        ]
    );
    probe
        .run(json!({"do": "join", "socket": id, "rooms": ["b"]}))
        .await;
    drop(client);
    probe.event("disconnect").await;
    let mut left: Vec<_> = probe
        .taken("room")
        .await
        .iter()
        .map(report)
        .filter(|(name, _)| name == "delete-room")
        .collect();
    left.sort();
    let mut expected = vec![
        ("delete-room".to_owned(), "b".to_owned()),
        ("delete-room".to_owned(), id),
    ];
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(
        probe.run(json!({"do": "members"})).await["rooms"],
        json!({})
    );
}
