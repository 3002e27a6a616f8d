//! A.9 and A.11: the life of a connection, its reasons to end and its events.

use sala_interop::Probe;
use sala_testkit::http::{Connection, request};
use sala_testkit::polling::Polling;
use sala_testkit::ws::Ws;
use serde_json::{Value, json};

use crate::support::{A_MOMENT, POLLING, WEBSOCKET};

async fn open_ws(probe: &mut Probe) -> (Ws, String) {
    let mut ws = Ws::open(probe.addr(), WEBSOCKET).await;
    let sid = ws.expect_json("0").await["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    (ws, sid)
}

#[tokio::test]
async fn a_connection_is_open_when_it_is_announced_and_closed_when_it_ends() {
    // A138, A169
    let mut probe = Probe::engine(json!({})).await;
    let (ws, sid) = open_ws(&mut probe).await;
    assert_eq!(probe.event("open").await["state"], "open");
    assert_eq!(
        probe.run(json!({"do": "state", "id": sid})).await["state"],
        "open"
    );
    drop(ws);
    probe.event("close").await;
    assert_eq!(
        probe.run(json!({"do": "state", "id": sid})).await["state"],
        "closed"
    );
}

#[tokio::test]
async fn a_connection_that_waits_for_its_queue_is_closing() {
    // A138: packets of the client are dropped meanwhile
    let mut probe = Probe::engine(json!({})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    probe
        .run(json!({"do": "send", "id": session.sid, "data": "a"}))
        .await;
    probe.run(json!({"do": "close", "id": session.sid})).await;
    assert_eq!(
        probe.run(json!({"do": "state", "id": session.sid})).await["state"],
        "closing"
    );
    session.send("4ignored").await;
    probe.expect_none("data").await;
}

#[tokio::test]
async fn a_close_is_reported_once_with_what_was_still_queued() {
    // A144
    let mut probe = Probe::engine(json!({})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    for _ in 0..3 {
        probe
            .run(json!({"do": "send", "id": session.sid, "data": "a", "callback": "never"}))
            .await;
    }
    session.send("1").await;
    let close = probe.event("close").await;
    assert_eq!(
        (&close["reason"], &close["queued"], &close["state"]),
        (&json!("transport close"), &json!(3), &json!("closed"))
    );
    assert_eq!(
        probe.run(json!({"do": "state", "id": session.sid})).await["queued"],
        0
    );
    probe.expect_none("close").await;
    probe.expect_none("sent").await;
}

#[tokio::test]
async fn a_discarding_close_drops_the_queue() {
    // A146
    let mut probe = Probe::engine(json!({})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    probe
        .run(json!({"do": "send", "id": session.sid, "data": "never"}))
        .await;
    probe
        .run(json!({"do": "close", "id": session.sid, "discard": true}))
        .await;
    assert_eq!(probe.event("close").await["reason"], "forced close");
    session.expect_gone().await;
}

#[tokio::test]
async fn closing_the_engine_closes_every_connection_and_leaves_http_running() {
    // A147, A143, I016
    let mut probe = Probe::engine(json!({"pages": {"/hello": "world"}})).await;
    let (mut ws, _) = open_ws(&mut probe).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    let mut pending = session.start_get().await;
    probe.run(json!({"do": "closeEngine"})).await;
    assert_eq!(pending.packets().await, ["1"]);
    assert_eq!(ws.closed().await, None);
    for _ in 0..2 {
        assert_eq!(probe.event("close").await["reason"], "forced close");
    }
    assert_eq!(
        sala_testkit::http::get(probe.addr(), "/hello").await.text(),
        "world"
    );
    assert_eq!(probe.run(json!({"do": "count"})).await["count"], 0);
}

#[tokio::test]
async fn live_connections_are_counted() {
    // A149
    let mut probe = Probe::engine(json!({})).await;
    let (first, gone) = open_ws(&mut probe).await;
    let (_second, stays) = open_ws(&mut probe).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    assert_eq!(probe.run(json!({"do": "count"})).await["count"], 3);
    drop(first);
    probe.event("close").await;
    let count = probe.run(json!({"do": "count"})).await;
    let mut ids: Vec<&str> = count["ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect();
    ids.sort_unstable();
    let mut expected = [stays.as_str(), session.sid.as_str()];
    expected.sort_unstable();
    assert_eq!((ids, &count["count"]), (expected.to_vec(), &json!(2)));
    assert!(!expected.contains(&gone.as_str()));
}

#[tokio::test]
async fn writes_after_the_end_are_ignored() {
    // A150
    let mut probe = Probe::engine(json!({})).await;
    let (ws, sid) = open_ws(&mut probe).await;
    drop(ws);
    probe.event("close").await;
    probe
        .run(json!({"do": "send", "id": sid, "data": "into the void", "callback": "never"}))
        .await;
    probe.run(json!({"do": "close", "id": sid})).await;
    probe.expect_none("sent").await;
    probe.expect_none("close").await;
}

#[tokio::test]
async fn errors_of_a_discarded_transport_are_swallowed() {
    // A151
    let mut probe = Probe::engine(json!({"echo": true})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    let mut slow_post = Connection::open(session.addr).await;
    slow_post
        .send(request(
            "POST",
            &session.target,
            &[("Content-Length", "10")],
            b"4ab",
        ))
        .await;
    let mut ws = Ws::open(probe.addr(), &session.upgrade_target()).await;
    ws.text("5").await;
    ws.text("4a").await;
    ws.expect("4a").await;
    slow_post.reset();
    ws.text("4b").await;
    ws.expect("4b").await;
    probe.expect_none("close").await;
}

#[tokio::test]
async fn a_connection_shows_its_first_request() {
    // A174, A175
    let mut probe = Probe::engine(json!({})).await;
    let headers = [("X-Custom", "yes")];
    sala_testkit::http::send(
        probe.addr(),
        "GET",
        &format!("{POLLING}&a=b"),
        &headers,
        b"",
    )
    .await;
    let open = probe.event("open").await;
    assert_eq!(
        (&open["protocol"], &open["transport"]),
        (&json!(4), &json!("polling"))
    );
    assert_eq!(open["url"], format!("{POLLING}&a=b"));
    assert_eq!(open["headers"]["x-custom"], "yes");
    let address = open["address"].as_str().unwrap();
    assert!(
        ["127.0.0.1", "::ffff:127.0.0.1"].contains(&address),
        "{address}"
    );

    open_ws(&mut probe).await;
    let open = probe.event("open").await;
    assert_eq!(
        (&open["transport"], &open["url"], &open["address"]),
        (&json!("websocket"), &json!(WEBSOCKET), &json!(address))
    );
}

#[tokio::test]
async fn every_packet_is_shown() {
    // A177, A178
    let report = json!({"report": ["packet", "packetCreate", "heartbeat"], "pingInterval": 1000});
    let mut probe = Probe::engine(report).await;
    let (mut ws, sid) = open_ws(&mut probe).await;
    ws.text("4hello").await;
    assert_eq!(
        probe.event("packet").await["packet"],
        json!({"type": "message", "data": "hello"})
    );
    assert_eq!(probe.event("data").await["data"], "hello");
    ws.binary([1, 2, 3]).await;
    assert_eq!(
        probe.event("packet").await["packet"],
        json!({"type": "message", "data": {"$bin": "AQID"}})
    );

    probe
        .run(json!({"do": "send", "id": sid, "data": "out"}))
        .await;
    let created = probe.event("packetCreate").await;
    assert_eq!(
        (&created["packet"]["type"], &created["packet"]["data"]),
        (&json!("message"), &json!("out"))
    );
    assert_eq!(probe.event("packetCreate").await["packet"]["type"], "ping");
    ws.expect("4out").await;
    ws.expect("2").await;
    ws.text("3").await;
    assert_eq!(probe.event("packet").await["packet"]["type"], "pong");
    probe.event("heartbeat").await;
}

#[tokio::test]
async fn callbacks_follow_the_writes_in_order() {
    // A179
    let mut probe = Probe::engine(json!({})).await;
    let (mut ws, sid) = open_ws(&mut probe).await;
    for i in 0..3 {
        probe
            .run(json!({"do": "send", "id": sid, "data": i.to_string(), "callback": i}))
            .await;
    }
    for i in 0..3 {
        ws.expect(&format!("4{i}")).await;
        assert_eq!(probe.event("sent").await["callback"], i);
    }
}

#[tokio::test]
async fn the_callback_of_a_polling_send_waits_for_the_poll() {
    // A179
    let mut probe = Probe::engine(json!({})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    probe
        .run(json!({"do": "send", "id": session.sid, "data": "a", "callback": 1, "repeat": 3}))
        .await;
    tokio::time::sleep(A_MOMENT).await;
    probe.expect_none("sent").await;
    session.poll().await;
    let order: Vec<Value> = vec![
        probe.event("sent").await["i"].clone(),
        probe.event("sent").await["i"].clone(),
        probe.event("sent").await["i"].clone(),
    ];
    assert_eq!(order, [json!(0), json!(1), json!(2)]);
}

#[tokio::test]
async fn a_drain_follows_its_flush() {
    // A173, A177, A180
    let mut probe = Probe::engine(json!({"report": ["flush", "drain"]})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    probe
        .run(json!({"do": "send", "id": session.sid, "data": "a", "repeat": 2}))
        .await;
    session.poll().await;
    let flush = probe.event("flush").await;
    assert_eq!(flush["packets"], json!(["message", "message"]));
    probe.event("drain").await;
}
