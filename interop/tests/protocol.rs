//! B.1, B.3, B.5: packets of Socket.IO, events, acknowledgements, invalid packets.

use std::time::Duration;

use sala_interop::{Probe, Sio};
use sala_testkit::polling::Polling;
use sala_testkit::within_long;
use sala_testkit::ws::{Frame, opcode};
use serde_json::{Value, json};

use crate::support::{A_MOMENT, connect, forced_close};

// --- B.1 packets --------------------------------------------------------------------------------

#[tokio::test]
async fn packets_have_their_text_form() {
    // B001, B002, B003, B033
    let (mut probe, mut client, id) = connect(json!({})).await;
    let emit = |args: Value| json!({"do": "emit", "socket": id, "args": args});
    probe
        .run(emit(json!(["hi", 1, "2", {"3": "4"}, [5], null, true])))
        .await;
    client
        .expect(r#"42["hi",1,"2",{"3":"4"},[5],null,true]"#)
        .await;

    probe
        .run(json!({"do": "emit", "socket": id, "args": ["ask"], "ack": 1, "timeout": 5000}))
        .await;
    client.expect(r#"420["ask"]"#).await;

    probe
        .run(emit(
            json!(["bin", {"$bin": "AQI="}, {"a": [{"$bin": "Aw=="}]}]),
        ))
        .await;
    client
        .expect(
            r#"452-["bin",{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]}]"#,
        )
        .await;
    client.expect_binary(&[1, 2]).await;
    client.expect_binary(&[3]).await;
}

#[tokio::test]
async fn packets_of_another_namespace_name_it() {
    // B002, B008, B013
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/admin"})).await;
    let mut client = Sio::open(probe.addr()).await;
    let id = client.join("/admin").await;
    probe
        .run(json!({"do": "emit", "nsp": "/admin", "args": ["test", {"$bin": "AQ=="}]}))
        .await;
    client
        .expect(r#"451-/admin,["test",{"_placeholder":true,"num":0}]"#)
        .await;
    client.expect_binary(&[1]).await;
    client.text(r#"42/admin,["up",1]"#).await;
    let event = probe.event("event").await;
    assert_eq!(
        (&event["nsp"], &event["id"], &event["args"]),
        (&json!("/admin"), &json!(id), &json!([1]))
    );
    client.text(r#"42/admin,7["ask"]"#).await;
    let ack = probe.event("event").await["ack"].clone();
    probe
        .run(json!({"do": "ack", "token": ack, "args": ["yes"]}))
        .await;
    client.expect(r#"43/admin,7["yes"]"#).await;
}

#[tokio::test]
async fn an_event_name_may_be_empty_or_a_number() {
    // B005
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"42["",1]"#).await;
    assert_eq!(probe.event("event").await["name"], "");
    client.text(r#"42[1,"a"]"#).await;
    let event = probe.event("event").await;
    assert!(event["name"] == 1 || event["name"] == "1", "{event}");
    assert_eq!(event["args"], json!(["a"]));
}

#[tokio::test]
async fn a_large_packet_travels_both_ways() {
    // B007
    let (mut probe, mut client, id) = connect(json!({"maxHttpBufferSize": 10_000_000})).await;
    let text = "é".repeat(500_000);
    client
        .text(json!(["big", text]).to_string().replacen('[', "42[", 1))
        .await;
    let event = within_long(
        Duration::from_secs(20),
        "the large event",
        probe.event("event"),
    )
    .await;
    assert!(event["args"][0] == *text);
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["big", text]}))
        .await;
    assert!(client.next_text().await == format!(r#"42["big","{text}"]"#));
}

// --- B.3 events and acks ------------------------------------------------------------------------

#[tokio::test]
async fn events_arrive_in_order() {
    // B022
    let (mut probe, mut client, _) = connect(json!({})).await;
    for i in 0..1000 {
        client.text(format!(r#"42["n",{i}]"#)).await;
    }
    for i in 0..1000 {
        assert_eq!(probe.event("event").await["args"], json!([i]));
    }
}

#[tokio::test]
async fn an_ack_is_sent_once() {
    // B023
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"4217["name",1]"#).await;
    let event = probe.event("event").await;
    assert_eq!(event["args"], json!([1]));
    probe
        .run(json!({"do": "ack", "token": event["ack"], "args": ["a", {"b": 2}]}))
        .await;
    client.expect(r#"4317["a",{"b":2}]"#).await;
    // A second answer is impossible, an error, or ignored; in no case is it sent.
    let _ = probe
        .attempt(json!({"do": "ack", "token": event["ack"], "args": ["again"]}))
        .await;
    client.quiet(A_MOMENT).await;
}

#[tokio::test]
async fn an_ack_may_be_empty() {
    // B023
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"420["name"]"#).await;
    let token = probe.event("event").await["ack"].clone();
    probe
        .run(json!({"do": "ack", "token": token, "args": []}))
        .await;
    client.expect("430[]").await;
}

#[tokio::test]
async fn an_ack_may_carry_bytes() {
    // B024
    let (mut probe, mut client, id) = connect(json!({})).await;
    client.text(r#"4217["name"]"#).await;
    let token = probe.event("event").await["ack"].clone();
    probe
        .run(json!({"do": "ack", "token": token, "args": [{"$bin": "AQI="}]}))
        .await;
    client
        .expect(r#"461-17[{"_placeholder":true,"num":0}]"#)
        .await;
    client.expect_binary(&[1, 2]).await;

    probe
        .run(json!({"do": "emit", "socket": id, "args": ["ask"], "ack": "bytes"}))
        .await;
    client.expect(r#"420["ask"]"#).await;
    client
        .text(r#"461-0[{"_placeholder":true,"num":0},"x"]"#)
        .await;
    client.binary([3, 4]).await;
    let acked = probe.event("acked").await;
    assert_eq!(
        (&acked["error"], &acked["answer"]),
        (&Value::Null, &json!([{"$bin": "AwQ="}, "x"]))
    );
}

#[tokio::test]
async fn ack_ids_count_per_namespace() {
    // B025, D017
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let (mut first, first_id) = Sio::connect(probe.addr()).await;
    let (mut second, second_id) = Sio::connect(probe.addr()).await;
    let third_id = second.join("/ns").await;
    for _ in 0..3 {
        probe.event("connection").await;
    }
    let ask =
        |id: &str| json!({"do": "emit", "socket": id, "args": ["q"], "ack": 1, "timeout": 5000});
    probe.run(ask(&first_id)).await;
    first.expect(r#"420["q"]"#).await;
    probe.run(ask(&second_id)).await;
    second.expect(r#"421["q"]"#).await;
    probe
        .run(json!({"do": "emit", "args": ["all"], "ack": 2, "timeout": 5000}))
        .await;
    first.expect(r#"422["all"]"#).await;
    second.expect(r#"422["all"]"#).await;
    probe.run(ask(&third_id)).await;
    second.expect(r#"42/ns,0["q"]"#).await;
}

#[tokio::test]
async fn an_ack_counts_once_and_unknown_ones_are_ignored() {
    // B026
    let (mut probe, mut client, id) = connect(json!({})).await;
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["ask"], "ack": 7, "timeout": 5000}))
        .await;
    client.expect(r#"420["ask"]"#).await;
    for packet in [
        r#"43999["a"]"#,
        r#"43["a"]"#,
        r#"430["yes",2]"#,
        r#"430["again"]"#,
        "430[]",
    ] {
        client.text(packet).await;
    }
    let acked = probe.event("acked").await;
    assert_eq!(
        (&acked["ack"], &acked["error"], &acked["answer"][0]),
        (&json!(7), &Value::Null, &json!("yes"))
    );
    client.text(r#"42["sync"]"#).await;
    probe.event("event").await;
    probe.expect_none("acked").await;
}

#[tokio::test]
async fn an_answer_after_the_end_reaches_nobody() {
    // B027, E041
    let (mut probe, mut client, id) = connect(json!({})).await;
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["ask"], "ack": 1}))
        .await;
    client.expect(r#"420["ask"]"#).await;
    client.text("41").await;
    probe.event("disconnect").await;
    client.join("/").await;
    client.text(r#"430["late"]"#).await;
    client.text(r#"42["sync"]"#).await;
    probe.event("event").await;
    let answered: Vec<Value> = probe
        .taken("acked")
        .await
        .into_iter()
        .filter(|acked| acked["error"].is_null())
        .collect();
    assert_eq!(answered, Vec::<Value>::new());
}

#[tokio::test]
async fn an_answer_to_a_client_that_has_gone_is_no_error() {
    // B028
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"425["mine"]"#).await;
    let mine = probe.event("event").await["ack"].clone();
    drop(client);
    probe.event("disconnect").await;
    probe
        .run(json!({"do": "ack", "token": mine, "args": ["late"]}))
        .await;
    assert!(probe.process().is_running());
}

#[tokio::test]
async fn reserved_names_from_a_client_close_the_connection() {
    // B029
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ] {
        let (mut probe, mut client, _) = connect(json!({})).await;
        client.text(format!(r#"42["{name}"]"#)).await;
        forced_close(&mut probe, &mut client, name).await;
    }
}

#[tokio::test]
async fn an_error_event_from_a_client_is_an_event() {
    // B029, E030, I004
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"42["error","x"]"#).await;
    client.text(r#"42["error"]"#).await;
    client.text(r#"42["alive"]"#).await;
    assert_eq!(
        probe
            .event_where("event", |event| event["name"] == "alive")
            .await["name"],
        "alive"
    );
    probe.expect_none("disconnect").await;
}

#[tokio::test]
async fn an_event_without_payload_is_ignored() {
    // B030
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text("42").await;
    client.text(r#"42["alive"]"#).await;
    assert_eq!(
        probe
            .event_where("event", |event| !event["name"].is_null())
            .await["name"],
        "alive"
    );
    probe.expect_none("disconnect").await;
}

#[tokio::test]
async fn an_event_must_have_a_name() {
    // B030, I023
    for payload in [
        "[]",
        "{}",
        "[null]",
        "[{}]",
        "[[]]",
        "[true]",
        r#"[{"toString":"foo"}]"#,
        r#""a""#,
        "null",
    ] {
        let (mut probe, mut client, _) = connect(json!({})).await;
        client.text(format!("42{payload}")).await;
        forced_close(&mut probe, &mut client, payload).await;
    }
}

#[tokio::test]
async fn leaving_is_not_answered_and_joining_again_gives_another_id() {
    // B031, E074
    let (mut probe, mut client, id) = connect(json!({})).await;
    client.text("41").await;
    let gone = probe.event("disconnect").await;
    assert_eq!(
        (&gone["id"], &gone["reason"]),
        (&json!(id), &json!("client namespace disconnect"))
    );
    client.quiet(A_MOMENT).await;
    assert_ne!(client.join("/").await, id);
    client.text("41{}").await;
    probe.event("connection").await;
    forced_close(&mut probe, &mut client, "DISCONNECT with a payload").await;
}

// --- B.5 invalid packets ------------------------------------------------------------------------

#[tokio::test]
async fn an_undecodable_packet_is_reported_and_closes_the_connection() {
    // B045, B047, B049, B051, B052, B053, B054, E080
    let table = [
        ("4abc", "unknown packet type a"),
        ("4x", "unknown packet type x"),
        ("47", "unknown packet type 7"),
        ("49", "unknown packet type 9"),
        (r#"42abc["x"]"#, "invalid payload"),
        (r#"42-1["x"]"#, "invalid payload"),
        (r#"42["a"]x"#, "invalid payload"),
        (r#"42["a""#, "invalid payload"),
        ("42{}", "invalid payload"),
        ("430{}", "invalid payload"),
        (r#"43"a""#, "invalid payload"),
        ("42[\u{1}]", "invalid payload"),
    ];
    for (packet, message) in table {
        let (mut probe, mut client, _) = connect(json!({})).await;
        client.text(packet).await;
        let error = probe.event("error").await["message"]
            .as_str()
            .unwrap()
            .to_owned();
        if packet.starts_with("4a") || packet.starts_with("4x") {
            // The reference prints what its number parser made of it.
            assert!(
                error.starts_with("unknown packet type"),
                "{packet}: {error}"
            );
        } else {
            assert_eq!(error, message, "{packet}");
        }
        forced_close(&mut probe, &mut client, packet).await;
    }
}

#[tokio::test]
async fn one_bad_packet_drops_every_namespace_of_the_connection() {
    // B045, B046, E072
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let (mut client, _) = Sio::connect(probe.addr()).await;
    client.join("/ns").await;
    for _ in 0..2 {
        probe.event("connection").await;
    }
    client.text("42/ns,{}").await;
    client.expect_close(None).await;
    for _ in 0..2 {
        assert_eq!(probe.event("disconnect").await["reason"], "forced close");
    }
    assert_eq!(probe.taken("error").await.len(), 2);
}

#[tokio::test]
async fn an_empty_message_closes_the_connection() {
    // B048
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text("4").await;
    forced_close(&mut probe, &mut client, "an empty message").await;
}

#[tokio::test]
async fn leading_zeros_of_an_id_are_dropped() {
    // B051
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"4201["a"]"#).await;
    let token = probe.event("event").await["ack"].clone();
    probe
        .run(json!({"do": "ack", "token": token, "args": []}))
        .await;
    client.expect("431[]").await;
}

#[tokio::test]
async fn an_ack_without_payload_is_accepted() {
    // B053
    let (mut probe, mut client, id) = connect(json!({})).await;
    probe
        .run(json!({"do": "emit", "socket": id, "args": ["ask"], "ack": 1}))
        .await;
    client.expect(r#"420["ask"]"#).await;
    client.text("430").await;
    client.text(r#"42["alive"]"#).await;
    probe.event("event").await;
    probe.expect_none("disconnect").await;
}

#[tokio::test]
async fn a_polling_client_is_told_by_a_close_packet() {
    // B054
    let mut probe = Probe::start(json!({})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    assert!(session.poll().await[0].starts_with("40{"));
    let mut pending = session.start_get().await;
    session.send("4abc").await;
    assert_eq!(pending.packets().await, ["1"]);
    assert_eq!(probe.event("disconnect").await["reason"], "forced close");
}

#[tokio::test]
async fn attachments_travel_by_polling() {
    // B003, B033
    let mut probe = Probe::start(json!({})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    session.poll().await;
    session
        .send("451-[\"a\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQID")
        .await;
    assert_eq!(
        probe.event("event").await["args"],
        json!([{"$bin": "AQID"}])
    );
    probe
        .run(json!({"do": "emit", "args": ["b", {"$bin": "AQID"}]}))
        .await;
    assert_eq!(
        session.poll().await,
        [r#"451-["b",{"_placeholder":true,"num":0}]"#, "bAQID"]
    );
}

// --- the transport below ------------------------------------------------------------------------

#[tokio::test]
async fn a_text_may_be_split_into_fragments() {
    // A090
    let probe = Probe::start(json!({})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.frame(Frame::first(opcode::TEXT, "4")).await;
    client.frame(Frame::next("0", true)).await;
    client.expect_json("40").await;
}
