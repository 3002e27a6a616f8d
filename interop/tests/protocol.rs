//! B: the Socket.IO protocol.

use std::time::{Duration, Instant};

use sala_interop::{Probe, Sio, differs};
use sala_testkit::polling::Polling;
use sala_testkit::within_long;
use sala_testkit::ws::{Frame, Message, Ws, opcode};
use serde_json::{Value, json};

use crate::support::A_MOMENT;

/// A probe, a client that has joined `/`, and its socket id.
async fn connect(options: Value) -> (Probe, Sio, String) {
    let mut probe = Probe::start(options).await;
    let (client, id) = Sio::connect(probe.addr()).await;
    probe.event("connection").await;
    (probe, client, id)
}

/// Asserts that the server closes the connection and that the socket's reason is `forced close`.
#[track_caller]
fn closed(probe: &mut Probe, client: &mut Sio, what: &str) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let code = client.closed().await;
        assert!(code.is_none(), "{what}: the close frame is empty, not {code:?} ({place})");
        let gone = probe.event("disconnect").await;
        assert!(gone["reason"] == "forced close", "{what}: {gone} ({place})");
    }
}

// --- B.1 packets --------------------------------------------------------------------------------

#[tokio::test]
async fn packets_have_their_text_form() {
    // B001, B002, B003, B033
    let (mut probe, mut client, id) = connect(json!({})).await;
    let emit = |args: Value| json!({"do": "emit", "socket": id, "args": args});
    probe.run(emit(json!(["hi", 1, "2", {"3": "4"}, [5], null, true]))).await;
    client.expect(r#"42["hi",1,"2",{"3":"4"},[5],null,true]"#).await;

    probe.run(json!({"do": "emit", "socket": id, "args": ["ask"], "ack": 1, "timeout": 5000})).await;
    client.expect(r#"420["ask"]"#).await;

    probe.run(emit(json!(["bin", {"$bin": "AQI="}, {"a": [{"$bin": "Aw=="}]}]))).await;
    client.expect(r#"452-["bin",{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]}]"#).await;
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
    probe.run(json!({"do": "emit", "nsp": "/admin", "args": ["test", {"$bin": "AQ=="}]})).await;
    client.expect(r#"451-/admin,["test",{"_placeholder":true,"num":0}]"#).await;
    client.expect_binary(&[1]).await;
    client.text(r#"42/admin,["up",1]"#).await;
    let event = probe.event("event").await;
    assert_eq!((&event["nsp"], &event["id"], &event["args"]), (&json!("/admin"), &json!(id), &json!([1])));
    client.text(r#"42/admin,7["ask"]"#).await;
    let ack = probe.event("event").await["ack"].clone();
    probe.run(json!({"do": "ack", "token": ack, "args": ["yes"]})).await;
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
    client.text(json!(["big", text]).to_string().replacen('[', "42[", 1)).await;
    let event = within_long(Duration::from_secs(20), "the large event", probe.event("event")).await;
    assert!(event["args"][0] == *text);
    probe.run(json!({"do": "emit", "socket": id, "args": ["big", text]})).await;
    assert!(client.next_text().await == format!(r#"42["big","{text}"]"#));
}

// --- B.2 connecting -----------------------------------------------------------------------------

#[tokio::test]
async fn joining_is_answered_with_the_socket_id() {
    // B008, B012, C078
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let mut client = Sio::open(probe.addr()).await;
    for (join, reply) in [("40", "40"), (r#"40/ns,{"a":1}"#, "40/ns,")] {
        client.text(join).await;
        let payload = client.expect_json(reply).await;
        let keys: Vec<_> = payload.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["sid"]);
        let connection = probe.event("connection").await;
        assert_eq!(connection["id"], payload["sid"]);
    }
}

#[tokio::test]
async fn a_client_may_join_any_namespace_without_the_main_one() {
    // B009
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.quiet(A_MOMENT).await;
    client.join("/ns").await;
    assert_eq!(probe.event("connection").await["nsp"], "/ns");
    probe.expect_none("connection").await;
}

#[tokio::test]
async fn the_payload_of_connect_is_the_auth_object() {
    // B010
    let mut probe = Probe::start(json!({})).await;
    for (payload, auth) in [("", json!({})), ("{}", json!({})), (r#"{"token":"abc","deep":{"a":[1]}}"#, json!({"token": "abc", "deep": {"a": [1]}}))] {
        let mut client = Sio::open(probe.addr()).await;
        client.join_with("/", payload).await;
        assert_eq!(probe.event("connection").await["auth"], auth);
    }
}

#[tokio::test]
async fn the_payload_of_connect_must_be_an_object() {
    // B011
    let probe = Probe::start(json!({})).await;
    for payload in ["null", "[]", r#""x""#, "true", "{", "{}x"] {
        let mut client = Sio::open(probe.addr()).await;
        client.text(format!("40{payload}")).await;
        client.expect_close(None).await;
    }
}

#[tokio::test]
async fn an_id_without_payload_is_ignored_in_connect() {
    // B011
    let probe = Probe::start(json!({})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.text("401").await;
    client.expect_json("40").await;
}

#[tokio::test]
async fn the_name_of_a_namespace_ends_at_the_comma_or_with_the_packet() {
    // B013
    let mut probe = Probe::start(json!({})).await;
    for name in ["/ns", "/ns with space", "/é", "/a/b", "/"] {
        probe.run(json!({"do": "of", "nsp": name})).await;
    }
    let mut client = Sio::open(probe.addr()).await;
    client.text("40/ns").await;
    client.expect_json("40/ns,").await;
    for name in ["/ns with space", "/é", "/a/b"] {
        client.join(name).await;
    }
    client.join("/").await;
    client.text(r#"42/,["main"]"#).await;
    assert_eq!(probe.event("event").await["nsp"], "/");
    for name in ["/NS", "/ns?x=1", "/ns/"] {
        client.text(format!("40{name},")).await;
        client.expect(&format!(r#"44{name},{{"message":"Invalid namespace"}}"#)).await;
    }
    client.text("41/ns").await;
    let gone = probe.event("disconnect").await;
    assert_eq!((&gone["nsp"], &gone["reason"]), (&json!("/ns"), &json!("client namespace disconnect")));
}

#[tokio::test]
async fn an_unknown_namespace_is_refused_and_the_connection_stays() {
    // B014, E085
    let probe = Probe::start(json!({})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.text("40/nope,").await;
    client.expect(r#"44/nope,{"message":"Invalid namespace"}"#).await;
    client.join("/").await;
}

#[tokio::test]
async fn a_middleware_refuses_with_message_and_data() {
    // B015
    let mut probe = Probe::start(json!({})).await;
    let cases = [
        ("/a", json!({"message": "no"}), r#"{"message":"no"}"#),
        ("/b", json!({"message": "no", "data": {"code": 7}}), r#"{"message":"no","data":{"code":7}}"#),
        ("/c", json!({"message": "", "data": "x"}), r#"{"message":"","data":"x"}"#),
    ];
    for (nsp, refuse, reply) in cases {
        probe.run(json!({"do": "of", "nsp": nsp})).await;
        probe.run(json!({"do": "use", "nsp": nsp, "steps": [{"refuse": refuse}]})).await;
        let mut client = Sio::open(probe.addr()).await;
        client.text(format!("40{nsp},")).await;
        client.expect(&format!("44{nsp},{reply}")).await;
    }
    probe.expect_none("connection").await;
}

#[tokio::test]
async fn joining_the_same_namespace_twice_closes_the_connection() {
    // B016, and a measured pitfall: the socket was replaced without a disconnect
    let (mut probe, mut client, id) = connect(json!({})).await;
    client.text("40").await;
    client.expect_close(None).await;
    let gone = probe.event("disconnect").await;
    assert_eq!((&gone["id"], &gone["reason"]), (&json!(id), &json!("forced close")));
    probe.expect_none("connection").await;
}

#[tokio::test]
async fn joining_twice_while_a_middleware_waits_gives_one_socket_at_most() {
    // B017, J184
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "use", "nsp": "/", "steps": [{"hold": true}]})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.texts(&["40", "40"]).await;
    let first = probe.event("waiting").await["token"].clone();
    if differs("B017", "it gives one connection two sockets of one namespace") {
        return;
    }
    tokio::time::sleep(A_MOMENT).await;
    for waiting in probe.taken("waiting").await {
        probe.run(json!({"do": "release", "token": waiting["token"]})).await;
    }
    probe.run(json!({"do": "release", "token": first})).await;
    tokio::time::sleep(A_MOMENT).await;
    assert!(probe.taken("connection").await.len() <= 1);
}

#[tokio::test]
async fn packets_for_a_namespace_that_was_not_joined_close_the_connection() {
    // B018
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    for packet in [r#"42["a"]"#, "430[]", "41", r#"42/ns,["a"]"#] {
        let mut client = Sio::open(probe.addr()).await;
        client.text(packet).await;
        client.expect_close(None).await;
    }
    let (mut client, _) = Sio::connect(probe.addr()).await;
    client.text(r#"42/ns,["a"]"#).await;
    closed(&mut probe, &mut client, "an event for another namespace").await;
}

#[tokio::test]
async fn a_connect_error_from_a_client_closes_the_connection() {
    // B019
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"44{"message":"x"}"#).await;
    closed(&mut probe, &mut client, "CONNECT_ERROR").await;
}

#[tokio::test]
async fn a_connection_that_joins_nothing_is_closed_in_time() {
    // B020, C081
    let probe = Probe::start(json!({"connectTimeout": 200})).await;
    let opened = Instant::now();
    let mut client = Sio::open(probe.addr()).await;
    client.expect_close(None).await;
    let millis = opened.elapsed().as_millis();
    assert!((190..900).contains(&millis), "after {millis} ms");
}

#[tokio::test]
async fn a_refused_join_does_not_stop_the_clock() {
    // B020
    let probe = Probe::start(json!({"connectTimeout": 300})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.text("40/nope,").await;
    client.next_text().await;
    client.expect_close(None).await;
}

#[tokio::test]
async fn once_joined_a_connection_stays_even_if_it_leaves_again() {
    // B020, B031
    let (mut probe, mut client, id) = connect(json!({"connectTimeout": 150})).await;
    client.text("41").await;
    assert_eq!(probe.event("disconnect").await["reason"], "client namespace disconnect");
    client.quiet(Duration::from_millis(300)).await;
    assert_ne!(client.join("/").await, id);
}

#[tokio::test]
async fn what_the_connection_handler_emits_follows_the_reply() {
    // B021, C057
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "greet", "nsp": "/", "args": ["welcome", 1]})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.join("/").await;
    client.expect(r#"42["welcome",1]"#).await;
    let connection = probe.event("connection").await;
    assert_eq!(connection["rooms"], json!([connection["id"]]));
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
    probe.run(json!({"do": "ack", "token": event["ack"], "args": ["a", {"b": 2}]})).await;
    client.expect(r#"4317["a",{"b":2}]"#).await;
    // A second answer is impossible, an error, or ignored; in no case is it sent.
    let _ = probe.attempt(json!({"do": "ack", "token": event["ack"], "args": ["again"]})).await;
    client.quiet(A_MOMENT).await;
}

#[tokio::test]
async fn an_ack_may_be_empty() {
    // B023
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"420["name"]"#).await;
    let token = probe.event("event").await["ack"].clone();
    probe.run(json!({"do": "ack", "token": token, "args": []})).await;
    client.expect("430[]").await;
}

#[tokio::test]
async fn an_ack_may_carry_bytes() {
    // B024
    let (mut probe, mut client, id) = connect(json!({})).await;
    client.text(r#"4217["name"]"#).await;
    let token = probe.event("event").await["ack"].clone();
    probe.run(json!({"do": "ack", "token": token, "args": [{"$bin": "AQI="}]})).await;
    client.expect(r#"461-17[{"_placeholder":true,"num":0}]"#).await;
    client.expect_binary(&[1, 2]).await;

    probe.run(json!({"do": "emit", "socket": id, "args": ["ask"], "ack": "bytes"})).await;
    client.expect(r#"420["ask"]"#).await;
    client.text(r#"461-0[{"_placeholder":true,"num":0},"x"]"#).await;
    client.binary([3, 4]).await;
    let acked = probe.event("acked").await;
    assert_eq!((&acked["error"], &acked["answer"]), (&Value::Null, &json!([{"$bin": "AwQ="}, "x"])));
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
    let ask = |id: &str| json!({"do": "emit", "socket": id, "args": ["q"], "ack": 1, "timeout": 5000});
    probe.run(ask(&first_id)).await;
    first.expect(r#"420["q"]"#).await;
    probe.run(ask(&second_id)).await;
    second.expect(r#"421["q"]"#).await;
    probe.run(json!({"do": "emit", "args": ["all"], "ack": 2, "timeout": 5000})).await;
    first.expect(r#"422["all"]"#).await;
    second.expect(r#"422["all"]"#).await;
    probe.run(ask(&third_id)).await;
    second.expect(r#"42/ns,0["q"]"#).await;
}

#[tokio::test]
async fn an_ack_counts_once_and_unknown_ones_are_ignored() {
    // B026
    let (mut probe, mut client, id) = connect(json!({})).await;
    probe.run(json!({"do": "emit", "socket": id, "args": ["ask"], "ack": 7, "timeout": 5000})).await;
    client.expect(r#"420["ask"]"#).await;
    for packet in [r#"43999["a"]"#, r#"43["a"]"#, r#"430["yes",2]"#, r#"430["again"]"#, "430[]"] {
        client.text(packet).await;
    }
    let acked = probe.event("acked").await;
    assert_eq!((&acked["ack"], &acked["error"], &acked["answer"][0]), (&json!(7), &Value::Null, &json!("yes")));
    client.text(r#"42["sync"]"#).await;
    probe.event("event").await;
    probe.expect_none("acked").await;
}

#[tokio::test]
async fn an_answer_after_the_end_reaches_nobody() {
    // B027, E041
    let (mut probe, mut client, id) = connect(json!({})).await;
    probe.run(json!({"do": "emit", "socket": id, "args": ["ask"], "ack": 1})).await;
    client.expect(r#"420["ask"]"#).await;
    client.text("41").await;
    probe.event("disconnect").await;
    client.join("/").await;
    client.text(r#"430["late"]"#).await;
    client.text(r#"42["sync"]"#).await;
    probe.event("event").await;
    let answered: Vec<Value> = probe.taken("acked").await.into_iter().filter(|acked| acked["error"].is_null()).collect();
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
    probe.run(json!({"do": "ack", "token": mine, "args": ["late"]})).await;
    assert!(probe.process().is_running());
}

#[tokio::test]
async fn reserved_names_from_a_client_close_the_connection() {
    // B029
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        let (mut probe, mut client, _) = connect(json!({})).await;
        client.text(format!(r#"42["{name}"]"#)).await;
        closed(&mut probe, &mut client, name).await;
    }
}

#[tokio::test]
async fn an_error_event_from_a_client_is_an_event() {
    // B029, E030, I004
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"42["error","x"]"#).await;
    client.text(r#"42["error"]"#).await;
    client.text(r#"42["alive"]"#).await;
    assert_eq!(probe.event_where("event", |event| event["name"] == "alive").await["name"], "alive");
    probe.expect_none("disconnect").await;
}

#[tokio::test]
async fn an_event_without_payload_is_ignored() {
    // B030
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text("42").await;
    client.text(r#"42["alive"]"#).await;
    assert_eq!(probe.event_where("event", |event| !event["name"].is_null()).await["name"], "alive");
    probe.expect_none("disconnect").await;
}

#[tokio::test]
async fn an_event_must_have_a_name() {
    // B030, I023
    for payload in ["[]", "{}", "[null]", "[{}]", "[[]]", "[true]", r#"[{"toString":"foo"}]"#, r#""a""#, "null"] {
        let (mut probe, mut client, _) = connect(json!({})).await;
        client.text(format!("42{payload}")).await;
        closed(&mut probe, &mut client, payload).await;
    }
}

#[tokio::test]
async fn leaving_is_not_answered_and_joining_again_gives_another_id() {
    // B031, E074
    let (mut probe, mut client, id) = connect(json!({})).await;
    client.text("41").await;
    let gone = probe.event("disconnect").await;
    assert_eq!((&gone["id"], &gone["reason"]), (&json!(id), &json!("client namespace disconnect")));
    client.quiet(A_MOMENT).await;
    assert_ne!(client.join("/").await, id);
    client.text("41{}").await;
    probe.event("connection").await;
    closed(&mut probe, &mut client, "DISCONNECT with a payload").await;
}

// --- B.4 binary attachments ---------------------------------------------------------------------

#[tokio::test]
async fn attachments_are_put_back_in_place() {
    // B033, B034, B035
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"453-["a",{"_placeholder":true,"num":0},[{"deep":{"_placeholder":true,"num":2}}],{"_placeholder":true,"num":1}]"#).await;
    client.binary([1]).await;
    client.binary([]).await;
    client.quiet(Duration::from_millis(30)).await;
    probe.expect_none("event").await;
    client.binary([3]).await;
    let event = probe.event("event").await;
    assert_eq!(event["args"], json!([{"$bin": "AQ=="}, [{"deep": {"$bin": "Aw=="}}], {"$bin": ""}]));
}

#[tokio::test]
async fn attachments_may_be_unused_or_used_twice() {
    // B035
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"452-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}]"#).await;
    client.binary([1]).await;
    client.binary([2]).await;
    assert_eq!(probe.event("event").await["args"], json!([{"$bin": "Ag=="}, {"$bin": "Ag=="}]));
}

#[tokio::test]
async fn ten_attachments_are_fine_and_eleven_are_not() {
    // B036
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"4510-["ten"]"#).await;
    for _ in 0..10 {
        client.binary([1]).await;
    }
    assert_eq!(probe.event("event").await["name"], "ten");
    client.text(r#"4511-["eleven"]"#).await;
    assert_eq!(probe.event("error").await["message"], "too many attachments");
    closed(&mut probe, &mut client, "eleven").await;
}

#[tokio::test]
async fn a_binary_packet_needs_a_sound_number_of_attachments() {
    // B037, B038, I025
    for packet in [r#"450-["a"]"#, r#"45-["a"]"#, r#"451["a"]"#, r#"45["a"]"#, r#"45-1-["a"]"#, r#"451.5-["a"]"#, "451", "451-"] {
        let (mut probe, mut client, _) = connect(json!({})).await;
        client.text(packet).await;
        if packet == "451-" {
            // Accepted by the reference until its attachment arrives.
            client.binary([1]).await;
        } else {
            assert_eq!(probe.event("error").await["message"], "Illegal attachments", "{packet}");
            closed(&mut probe, &mut client, packet).await;
        }
        assert!(probe.process().is_running());
    }
}

#[tokio::test]
async fn a_placeholder_must_name_an_attachment() {
    // B039, I022
    for num in [r#""splice""#, r#""constructor""#, "-1", "1", "1.5", "null", "{}", r#""0""#] {
        let (mut probe, mut client, _) = connect(json!({})).await;
        client.text(format!(r#"451-["a",{{"_placeholder":true,"num":{num}}}]"#)).await;
        client.binary([1]).await;
        assert_eq!(probe.event("error").await["message"], "illegal attachments", "{num}");
        closed(&mut probe, &mut client, num).await;
    }
}

#[tokio::test]
async fn text_between_attachments_closes_the_connection() {
    // B040
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"451-["a",{"_placeholder":true,"num":0}]"#).await;
    client.text(r#"42["b"]"#).await;
    assert_eq!(probe.event("error").await["message"], "got plaintext data when reconstructing a packet");
    closed(&mut probe, &mut client, "text").await;
}

#[tokio::test]
async fn pongs_between_attachments_are_fine() {
    // B040
    let (mut probe, mut client, _) = connect(json!({"pingInterval": 100})).await;
    client.text(r#"452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#).await;
    client.binary([1]).await;
    client.pong().await;
    client.binary([2]).await;
    assert_eq!(probe.event("event").await["name"], "a");
}

#[tokio::test]
async fn bytes_without_a_packet_close_the_connection() {
    // B041
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.binary([1]).await;
    assert_eq!(probe.event("error").await["message"], "got binary data when not reconstructing a packet");
    closed(&mut probe, &mut client, "bytes").await;
}

#[tokio::test]
async fn a_placeholder_in_a_plain_event_is_an_object() {
    // B042
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"42["a",{"_placeholder":true,"num":0}]"#).await;
    assert_eq!(probe.event("event").await["args"], json!([{"_placeholder": true, "num": 0}]));
}

#[tokio::test]
async fn the_bytes_of_one_packet_are_bounded_before_anyone_has_joined() {
    // B044, J185, I041
    let mut probe = Probe::start(json!({"maxHttpBufferSize": 4_000_000})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.text(r#"4510-["a"]"#).await;
    for _ in 0..9 {
        client.binary(vec![0; 3_000_000]).await;
    }
    if differs("B044", "it buffers count times maxHttpBufferSize") {
        return;
    }
    within_long(Duration::from_secs(10), "the refusal", client.closed()).await;
    assert!(probe.process().is_running());
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
        let error = probe.event("error").await["message"].as_str().unwrap().to_owned();
        if packet.starts_with("4a") || packet.starts_with("4x") {
            // The reference prints what its number parser made of it.
            assert!(error.starts_with("unknown packet type"), "{packet}: {error}");
        } else {
            assert_eq!(error, message, "{packet}");
        }
        closed(&mut probe, &mut client, packet).await;
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
    closed(&mut probe, &mut client, "an empty message").await;
}

#[tokio::test]
async fn leading_zeros_of_an_id_are_dropped() {
    // B051
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"4201["a"]"#).await;
    let token = probe.event("event").await["ack"].clone();
    probe.run(json!({"do": "ack", "token": token, "args": []})).await;
    client.expect("431[]").await;
}

#[tokio::test]
async fn an_ack_without_payload_is_accepted() {
    // B053
    let (mut probe, mut client, id) = connect(json!({})).await;
    probe.run(json!({"do": "emit", "socket": id, "args": ["ask"], "ack": 1})).await;
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
    session.send("451-[\"a\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQID").await;
    assert_eq!(probe.event("event").await["args"], json!([{"$bin": "AQID"}]));
    probe.run(json!({"do": "emit", "args": ["b", {"$bin": "AQID"}]})).await;
    assert_eq!(session.poll().await, [r#"451-["b",{"_placeholder":true,"num":0}]"#, "bAQID"]);
}

// --- B.6 other parsers --------------------------------------------------------------------------

#[tokio::test]
async fn msgpack_packets_are_single_binary_frames() {
    // B056, B059
    let mut probe = Probe::start(json!({"parser": "msgpack"})).await;
    let mut client = Sio::open(probe.addr()).await;
    // {"type":0,"nsp":"/"}
    client.binary(*b"\x82\xa4type\x00\xa3nsp\xa1/").await;
    let Message::Binary(reply) = client.next().await else { panic!("a binary frame is expected") };
    assert!(reply.starts_with(b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x81\xa3sid") || reply.windows(4).any(|part| part == b"\xa3sid"), "{reply:?}");
    probe.event("connection").await;
    // {"type":2,"data":["hi",1],"nsp":"/"}
    client.binary(*b"\x83\xa4type\x02\xa4data\x92\xa2hi\x01\xa3nsp\xa1/").await;
    let event = probe.event("event").await;
    assert_eq!((&event["name"], &event["args"]), (&json!("hi"), &json!([1])));
    probe.run(json!({"do": "emit", "args": ["bin", {"$bin": "AQI="}]})).await;
    let Message::Binary(mut packet) = client.next().await else { panic!("a binary frame is expected") };
    // A map: the order of its keys is nobody's business.
    for part in [&b"\x83"[..], b"\xa4type\x02", b"\xa4data\x92\xa3bin\xc4\x02\x01\x02", b"\xa3nsp\xa1/"] {
        let at = packet.windows(part.len()).position(|window| window == part);
        packet.drain(at.unwrap()..at.unwrap() + part.len());
    }
    assert_eq!(packet, b"");
}

#[tokio::test]
async fn broken_msgpack_closes_the_connection() {
    // B045, B059, and measured pitfalls: lengths beyond the input, deep nesting
    let mut deep = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data".to_vec();
    deep.extend(std::iter::repeat_n(0x91, 100_000));
    let broken = [b"\x83\xa4type".to_vec(), b"\xdf\xff\xff\xff\xff".to_vec(), b"\xdb\xff\xff\xff\xff".to_vec(), b"\xc6\xff\xff\xff\xff".to_vec(), b"\x01".to_vec(), b"\xc0".to_vec(), deep, vec![]];
    let mut probe = Probe::start(json!({"parser": "msgpack"})).await;
    for packet in broken {
        let mut client = Sio::open(probe.addr()).await;
        client.binary(packet.clone()).await;
        if packet.len() > 1000 && differs("I049", "a stack overflow is caught as any error, in its own time") {
            continue;
        }
        client.expect_close(None).await;
    }
    assert!(probe.process().is_running());
}

// --- B.7 clients of version 2 -------------------------------------------------------------------

const OLD: &str = "/socket.io/?EIO=3&transport=websocket";

async fn connect_old(probe: &Probe) -> (Ws, String) {
    let mut ws = Ws::open(probe.addr(), OLD).await;
    let sid = ws.expect_json("0").await["sid"].as_str().unwrap().to_owned();
    ws.expect("40").await;
    (ws, sid)
}

#[tokio::test]
async fn an_old_client_joins_the_main_namespace_by_itself() {
    // B061, B063, A038
    let mut probe = Probe::start(json!({"allowEIO3": true})).await;
    let (_old, sid) = connect_old(&probe).await;
    assert_eq!(probe.event("connection").await["id"], sid);
}

#[tokio::test]
async fn an_old_client_is_answered_without_data() {
    // B062, B063
    let mut probe = Probe::start(json!({"allowEIO3": true})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let (mut old, sid) = connect_old(&probe).await;
    old.text("40/ns,").await;
    old.expect("40/ns,").await;
    let connection = probe.event_where("connection", |connection| connection["nsp"] == "/ns").await;
    assert_eq!(connection["id"], format!("/ns#{sid}"));
}

#[tokio::test]
async fn an_old_client_passes_its_auth_as_a_query() {
    // B064
    let mut probe = Probe::start(json!({"allowEIO3": true})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let (mut old, _) = connect_old(&probe).await;
    old.text("40/ns?token=abc&x=a%20b,").await;
    old.expect("40/ns,").await;
    let connection = probe.event_where("connection", |connection| connection["nsp"] == "/ns").await;
    assert_eq!(connection["auth"], json!({"token": "abc", "x": "a b"}));
    let state = probe.run(json!({"do": "state", "socket": connection["id"]})).await;
    assert_eq!(state["handshake"]["query"]["transport"], "websocket");
    old.text(r#"42/ns,["hi"]"#).await;
    assert_eq!(probe.event("event").await["nsp"], "/ns");
}

#[tokio::test]
async fn an_old_client_gets_bare_refusals() {
    // B065, B066
    let mut probe = Probe::start(json!({"allowEIO3": true})).await;
    for (nsp, refuse) in [("/a", json!({"message": "no"})), ("/b", json!({"message": "no", "data": {"a": 1}}))] {
        probe.run(json!({"do": "of", "nsp": nsp})).await;
        probe.run(json!({"do": "use", "nsp": nsp, "steps": [{"refuse": refuse}]})).await;
    }
    let (mut old, _) = connect_old(&probe).await;
    for (join, reply) in [
        ("40/a,", r#"44/a,"no""#),
        ("40/b,", r#"44/b,{"a":1}"#),
        ("40/nope,", r#"44/nope,{"message":"Invalid namespace"}"#),
    ] {
        old.text(join).await;
        old.expect(reply).await;
    }
}

#[tokio::test]
async fn an_old_client_refused_at_the_main_namespace_stays_connected_for_a_while() {
    // B066
    let mut probe = Probe::start(json!({"allowEIO3": true, "connectTimeout": 300})).await;
    probe.run(json!({"do": "use", "nsp": "/", "steps": [{"refuse": {"message": "no"}}]})).await;
    let mut old = Ws::open(probe.addr(), OLD).await;
    old.expect_json("0").await;
    old.expect(r#"44"no""#).await;
    old.expect_close(None).await;
}

#[tokio::test]
async fn an_old_client_exchanges_events_acks_and_bytes() {
    // B067, B068
    let mut probe = Probe::start(json!({"allowEIO3": true})).await;
    let (mut old, sid) = connect_old(&probe).await;
    probe.event("connection").await;
    old.text(r#"421["hi",1]"#).await;
    let token = probe.event("event").await["ack"].clone();
    probe.run(json!({"do": "ack", "token": token, "args": [{"$bin": "AQI="}]})).await;
    old.expect(r#"461-1[{"_placeholder":true,"num":0}]"#).await;
    old.expect_binary(&[4, 1, 2]).await;
    old.text(r#"451-["bin",{"_placeholder":true,"num":0}]"#).await;
    old.binary([4, 9]).await;
    assert_eq!(probe.event("event").await["args"], json!([{"$bin": "CQ=="}]));
    probe.run(json!({"do": "emit", "socket": sid, "args": ["x"]})).await;
    old.expect(r#"42["x"]"#).await;
    old.text("41").await;
    assert_eq!(probe.event("disconnect").await["reason"], "client namespace disconnect");
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
