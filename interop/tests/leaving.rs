//! E.7 and E.8: how a socket ends, and why.

use sala_interop::{Probe, Sio, departs};
use sala_testkit::http::{Connection, request};
use sala_testkit::polling::Polling;
use serde_json::json;

use crate::support::{A_MOMENT, connect, gone};

// --- E.7 disconnecting --------------------------------------------------------------------------

#[tokio::test]
async fn a_disconnect_leaves_the_transport_open() {
    // B032, E066, E073
    let (mut probe, mut client, id) = connect(json!({})).await;
    probe.run(json!({"do": "disconnect", "socket": id})).await;
    client.expect("41").await;
    gone(&mut probe, "server namespace disconnect").await;
    assert_ne!(client.join("/").await, id);
}

#[tokio::test]
async fn a_closing_disconnect_takes_every_namespace_along() {
    // E067, E072
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let (mut client, id) = Sio::connect(probe.addr()).await;
    client.join("/ns").await;
    probe
        .run(json!({"do": "disconnect", "socket": id, "close": true}))
        .await;
    let mut told = [client.next_text().await, client.next_text().await];
    told.sort();
    assert_eq!(told, ["41", "41/ns,"]);
    client.expect_close(None).await;
    for _ in 0..2 {
        gone(&mut probe, "server namespace disconnect").await;
    }
    probe.expect_none("disconnect").await;
}

#[tokio::test]
async fn disconnecting_twice_sends_once() {
    // E068
    let (mut probe, mut client, id) = connect(json!({})).await;
    for _ in 0..3 {
        probe.run(json!({"do": "disconnect", "socket": id})).await;
    }
    client.expect("41").await;
    client.quiet(A_MOMENT).await;
    assert_eq!(probe.taken("disconnect").await.len(), 1);
}

#[tokio::test]
async fn while_disconnecting_a_socket_still_has_its_rooms() {
    // E070, E071
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "farewell", "nsp": "/", "event": "bye"}))
        .await;
    let (client, id) = Sio::connect(probe.addr()).await;
    let (mut friend, friend_id) = Sio::connect(probe.addr()).await;
    for member in [&id, &friend_id] {
        probe
            .run(json!({"do": "join", "socket": member, "rooms": ["r"]}))
            .await;
    }
    drop(client);
    let leaving = probe.event("disconnecting").await;
    assert!(leaving["rooms"].as_array().unwrap().contains(&json!("r")));
    friend.expect(&format!(r#"42["bye","{id}"]"#)).await;
    let left = gone(&mut probe, "transport close").await;
    assert_eq!(left["rooms"], json!([]));
}

// --- E.8 reasons --------------------------------------------------------------------------------

#[tokio::test]
async fn a_silent_client_times_out() {
    // E076
    let (mut probe, _client, _) = connect(json!({"pingInterval": 100, "pingTimeout": 100})).await;
    gone(&mut probe, "ping timeout").await;
}

#[tokio::test]
async fn the_end_of_the_transport_is_a_close() {
    // E077
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.close(Some(1000)).await;
    client.gone().await;
    drop(client);
    gone(&mut probe, "transport close").await;
}

#[tokio::test]
async fn an_error_of_the_transport_comes_with_its_description() {
    // E078, E082
    let mut probe = Probe::start(json!({})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    session.poll().await;
    let _pending = session.start_get().await;
    session.get().await;
    let left = gone(&mut probe, "transport error").await;
    assert_eq!(left["description"], "overlap from client");
}

#[tokio::test]
async fn an_undecodable_engine_packet_is_a_parse_error() {
    // E079
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text("7").await;
    gone(&mut probe, "parse error").await;
}

#[tokio::test]
async fn closing_the_connection_is_a_forced_close() {
    // E080
    let (mut probe, mut client, id) = connect(json!({})).await;
    probe.run(json!({"do": "closeConn", "socket": id})).await;
    client.expect_close(None).await;
    gone(&mut probe, "forced close").await;
}

#[tokio::test]
async fn a_violation_by_polling_without_a_pending_get_is_a_forced_server_close() {
    // E081, J186
    let mut probe = Probe::start(json!({})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    session.poll().await;
    session.send("40").await;
    gone(&mut probe, "forced server close").await;
    assert_eq!(session.poll().await, ["6", "1"]);
    session.expect_gone().await;
}

#[tokio::test]
async fn a_violation_by_polling_with_a_pending_get_is_a_forced_close() {
    // E080, J186
    let mut probe = Probe::start(json!({})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    session.poll().await;
    let mut pending = session.start_get().await;
    session.send("40").await;
    assert_eq!(pending.packets().await, ["1"]);
    gone(&mut probe, "forced close").await;
}

#[tokio::test]
async fn a_broken_upload_is_an_error_of_the_transport() {
    // A070, E078
    let mut probe = Probe::start(json!({})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    let mut post = Connection::open(session.addr).await;
    post.send(request(
        "POST",
        &session.target,
        &[("Content-Length", "10")],
        b"42[",
    ))
    .await;
    tokio::time::sleep(sala_testkit::polling::SETTLE).await;
    drop(post);
    gone(&mut probe, "transport error").await;
}

#[tokio::test]
async fn packets_are_shown_as_they_are_made() {
    // E013, E037, A177
    let (mut probe, mut client, id) = connect(json!({"report": ["packetCreate"]})).await;
    probe.forget().await;
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["x", 1]}))
        .await;
    client.expect(r#"42["x",1]"#).await;
    let packet = probe.event("packetCreate").await["packet"].clone();
    assert_eq!(packet["type"], "message");
    if !departs("A177", "a packet is shown as it was encoded") {
        assert_eq!(packet["data"], r#"2["x",1]"#);
    }
}
