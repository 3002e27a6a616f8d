//! Failures measured in other servers, each a test. Those that a row covers are in the row's module.

use std::time::Duration;

use sala_interop::{Probe, Sio, differs};
use sala_testkit::http;
use sala_testkit::polling::Polling;
use sala_testkit::ws::Ws;
use sala_testkit::{within, within_long};
use serde_json::{Value, json};

use crate::support::A_MOMENT;

#[tokio::test]
async fn twenty_thousand_events_of_one_client_reach_their_handler_in_order() {
    // elsewhere: 230 inversions
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "handle", "nsp": "/", "event": "n", "with": "count"}))
        .await;
    let (mut client, _) = Sio::connect(probe.addr()).await;
    let events: Vec<String> = (0..20_000).map(|i| format!(r#"42["n",{i}]"#)).collect();
    for chunk in events.chunks(500) {
        client
            .texts(&chunk.iter().map(String::as_str).collect::<Vec<_>>())
            .await;
    }
    client.text(r#"421["n",20000]"#).await;
    let ack = within_long(Duration::from_secs(30), "the last ack", client.read()).await;
    assert_eq!(ack, sala_testkit::ws::Message::Text("431[20001,0]".into()));
}

#[tokio::test]
async fn an_event_right_after_the_reply_is_never_lost() {
    // elsewhere: lost 19 times in 300
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "handle", "nsp": "/", "event": "first", "with": "ack-back"}))
        .await;
    for i in 0..300 {
        let mut client = Sio::open(probe.addr()).await;
        client.text("40").await;
        client.expect_json("40").await;
        client.text(format!(r#"420["first",{i}]"#)).await;
        client.expect(&format!("430[{i}]")).await;
    }
}

#[tokio::test]
async fn a_thousand_emits_in_one_handler_are_all_delivered() {
    // elsewhere: 128 arrived, the ack was lost too
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "handle", "nsp": "/", "event": "many", "with": "emit-many", "out": "n"}))
        .await;
    let (mut client, _) = Sio::connect(probe.addr()).await;
    client.text(r#"420["many",1000]"#).await;
    for i in 0..1000 {
        client.expect(&format!(r#"42["n",{i}]"#)).await;
    }
    client.expect("430[1000]").await;
}

#[tokio::test]
async fn the_payload_limit_holds_on_every_transport() {
    // elsewhere: not on WebSocket
    let mut probe = Probe::start(json!({"maxHttpBufferSize": 1000})).await;
    let text = format!(r#"42["x","{}"]"#, "y".repeat(1000));
    let (mut client, _) = Sio::connect(probe.addr()).await;
    client.text(&text).await;
    client.expect_close(Some(1009)).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    assert_eq!(session.post(&text).await.status, 413);
    probe.expect_none("event").await;
}

#[tokio::test]
async fn packets_that_start_with_a_multi_byte_character_do_no_harm() {
    // elsewhere: panic
    let mut probe = Probe::start(json!({"allowEIO3": true})).await;
    for packet in ["é", "€42", "4é", "42é", "40é", "45é", "4😀[]", "42/é", "b€"] {
        let mut client = Sio::open(probe.addr()).await;
        client.text(packet).await;
        let session = Polling::open(probe.addr(), "/socket.io/").await;
        session.post(packet).await;
        let mut old = Ws::open(probe.addr(), "/socket.io/?EIO=3&transport=websocket").await;
        old.text(packet).await;
    }
    Sio::connect(probe.addr()).await;
    assert!(probe.process().is_running());
}

#[tokio::test]
async fn attachments_are_never_separated_from_their_packet() {
    // elsewhere: binary frames interleaved with other packets
    let mut probe = Probe::start(json!({})).await;
    let (mut client, id) = Sio::connect(probe.addr()).await;
    probe.event("connection").await;
    let commands: Vec<Value> = (0..50)
        .flat_map(|i| {
            [
                json!({"socket": id, "args": ["bin", i, {"$bin": "AQ=="}, {"$bin": "Ag=="}]}),
                json!({"args": ["text", i]}),
            ]
        })
        .collect();
    probe
        .run(json!({"do": "burst", "commands": commands}))
        .await;
    for i in 0..50 {
        client
            .expect(&format!(
                r#"452-["bin",{i},{{"_placeholder":true,"num":0}},{{"_placeholder":true,"num":1}}]"#
            ))
            .await;
        client.expect_binary(&[1]).await;
        client.expect_binary(&[2]).await;
        client.expect(&format!(r#"42["text",{i}]"#)).await;
    }
}

#[tokio::test]
async fn a_failed_join_leaves_no_rooms_behind() {
    // elsewhere: rooms stayed when the connection failed
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "use", "nsp": "/", "steps": [{"join": "a"}, {"join": "b"}, {"refuse": {"message": "no"}}]})).await;
    for _ in 0..20 {
        let mut client = Sio::open(probe.addr()).await;
        client.text("40").await;
        client.expect(r#"44{"message":"no"}"#).await;
    }
    assert_eq!(
        probe.run(json!({"do": "members"})).await,
        json!({"sockets": [], "rooms": {}})
    );
}

#[tokio::test]
async fn a_timed_out_ack_is_forgotten() {
    // elsewhere: ack maps leaked and timeouts were not honoured
    let mut probe = Probe::start(json!({})).await;
    let (mut client, id) = Sio::connect(probe.addr()).await;
    probe.event("connection").await;
    for i in 0..50 {
        probe
            .run(json!({"do": "emit", "socket": id, "args": ["ask"], "ack": i, "timeout": 30}))
            .await;
        client.expect(&format!(r#"42{i}["ask"]"#)).await;
    }
    for _ in 0..50 {
        assert_eq!(
            probe.event("acked").await["error"],
            "operation has timed out"
        );
    }
    for i in 0..50 {
        client.text(format!("43{i}[1]")).await;
    }
    client.text(r#"42["sync"]"#).await;
    probe.event("event").await;
    probe.expect_none("acked").await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_bounded() {
    // I044: the queue of a slow client has a limit in bytes
    if differs("I044", "its queue grows without a bound") {
        return;
    }
    let mut probe = Probe::start(json!({})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    probe.event("connection").await;
    let flood = json!({"do": "emit", "args": ["x", "y".repeat(100_000)], "repeat": 200});
    // The emit may report that the client is too slow.
    let _ = probe.attempt(flood).await;
    let gone = probe.event("disconnect").await;
    assert_eq!(gone["reason"], "transport error");
}

#[tokio::test]
async fn everything_up_to_the_bound_is_delivered() {
    // I044
    let mut probe = Probe::start(json!({"pingInterval": 60_000})).await;
    let (mut client, id) = Sio::connect(probe.addr()).await;
    probe.event("connection").await;
    let text = "y".repeat(10_000);
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["x", text], "repeat": 300}))
        .await;
    for i in 0..300 {
        assert!(client.next_text().await.ends_with(&format!(r#"y",{i}]"#)));
    }
}

#[tokio::test]
async fn many_sessions_opened_and_dropped_leave_nothing() {
    // elsewhere: half-upgraded sessions leaked
    let mut probe =
        Probe::start(json!({"pingInterval": 300, "pingTimeout": 300, "upgradeTimeout": 100})).await;
    for i in 0..100 {
        let session = Polling::open(probe.addr(), "/socket.io/").await;
        session.send("40").await;
        match i % 4 {
            0 => drop(Ws::open(probe.addr(), &session.upgrade_target()).await),
            1 => {
                let mut ws = Ws::open(probe.addr(), &session.upgrade_target()).await;
                ws.text("2probe").await;
                ws.expect("3probe").await;
            }
            2 => drop(session.start_get_now().await),
            _ => {}
        }
    }
    let empty = async {
        while probe.run(json!({"do": "count"})).await != 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("all sessions to end", empty).await;
    assert_eq!(
        probe.run(json!({"do": "members"})).await,
        json!({"sockets": [], "rooms": {}})
    );
}

#[tokio::test]
async fn a_poll_that_is_held_while_the_upgrade_ends_harms_nobody() {
    // elsewhere: a writer panicked when a poll held its lock
    let mut probe = Probe::start(json!({})).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let session = Polling::open(probe.addr(), "/socket.io/").await;
        session.send("40").await;
        session.poll().await;
        let pending = session.start_get_now().await;
        let mut ws = Ws::open(probe.addr(), &session.upgrade_target()).await;
        ws.texts(&["2probe", "5"]).await;
        ws.expect("3probe").await;
        ws.text(r#"420["x"]"#).await;
        let token = probe.event("event").await["ack"].clone();
        probe
            .run(json!({"do": "ack", "token": token, "args": []}))
            .await;
        ws.expect("430[]").await;
        held.push((ws, pending));
    }
    probe.expect_none("disconnect").await;
}

#[tokio::test]
async fn one_bad_handler_harms_nobody_else() {
    // C060
    if differs("C060", "an exception in a listener ends the process") {
        return;
    }
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "handle", "nsp": "/", "event": "boom", "with": "throw"}))
        .await;
    let (mut bystander, _) = Sio::connect(probe.addr()).await;
    let (mut client, id) = Sio::connect(probe.addr()).await;
    client.text(r#"42["boom"]"#).await;
    probe
        .event_where("disconnect", |gone| gone["id"] == *id)
        .await;
    bystander.text(r#"42["alive"]"#).await;
    assert_eq!(probe.event("event").await["name"], "alive");
    assert!(probe.process().is_running());
}

#[tokio::test]
async fn an_upgrade_that_is_aborted_again_and_again_costs_nothing() {
    // elsewhere: an aborted probe closed the polling session
    let mut probe = Probe::start(json!({})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    session.poll().await;
    for i in 0..20 {
        let mut ws = Ws::open(probe.addr(), &session.upgrade_target()).await;
        if i % 2 == 0 {
            ws.text("2probe").await;
        }
        ws.into_connection().reset();
    }
    session.send(r#"42["alive"]"#).await;
    assert_eq!(probe.event("event").await["name"], "alive");
    probe.expect_none("disconnect").await;
}

#[tokio::test]
async fn the_codes_of_refusals_are_numbers() {
    // elsewhere: `"code":"0"`
    let probe = Probe::start(json!({})).await;
    for target in [
        "/socket.io/",
        "/socket.io/?EIO=4&transport=polling&sid=x",
        "/socket.io/?EIO=3&transport=polling",
    ] {
        assert!(
            http::get(probe.addr(), target).await.json()["code"].is_u64(),
            "{target}"
        );
    }
}

#[tokio::test]
async fn volatile_packets_are_never_sent_late() {
    // elsewhere: the latest was kept and sent later, out of order
    let mut probe = Probe::start(json!({})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    session.poll().await;
    for i in 0..5 {
        probe
            .run(json!({"do": "emit", "flags": ["volatile"], "args": ["v", i]}))
            .await;
    }
    probe.run(json!({"do": "emit", "args": ["r"]})).await;
    assert_eq!(session.poll().await, [r#"42["r"]"#]);
    let mut pending = session.start_get().await;
    sala_testkit::quiet_for(A_MOMENT, "a late packet", pending.connection().fill()).await;
}
