//! B.2: joining namespaces.

use std::time::{Duration, Instant};

use sala_interop::{Probe, Sio, differs};
use serde_json::json;

use crate::support::{A_MOMENT, connect, forced_close};

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
    for (payload, auth) in [
        ("", json!({})),
        ("{}", json!({})),
        (
            r#"{"token":"abc","deep":{"a":[1]}}"#,
            json!({"token": "abc", "deep": {"a": [1]}}),
        ),
    ] {
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
        client
            .expect(&format!(r#"44{name},{{"message":"Invalid namespace"}}"#))
            .await;
    }
    client.text("41/ns").await;
    let gone = probe.event("disconnect").await;
    assert_eq!(
        (&gone["nsp"], &gone["reason"]),
        (&json!("/ns"), &json!("client namespace disconnect"))
    );
}

#[tokio::test]
async fn an_unknown_namespace_is_refused_and_the_connection_stays() {
    // B014, E085
    let probe = Probe::start(json!({})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.text("40/nope,").await;
    client
        .expect(r#"44/nope,{"message":"Invalid namespace"}"#)
        .await;
    client.join("/").await;
}

#[tokio::test]
async fn a_middleware_refuses_with_message_and_data() {
    // B015
    let mut probe = Probe::start(json!({})).await;
    let cases = [
        ("/a", json!({"message": "no"}), r#"{"message":"no"}"#),
        (
            "/b",
            json!({"message": "no", "data": {"code": 7}}),
            r#"{"message":"no","data":{"code":7}}"#,
        ),
        (
            "/c",
            json!({"message": "", "data": "x"}),
            r#"{"message":"","data":"x"}"#,
        ),
    ];
    for (nsp, refuse, reply) in cases {
        probe.run(json!({"do": "of", "nsp": nsp})).await;
        probe
            .run(json!({"do": "use", "nsp": nsp, "steps": [{"refuse": refuse}]}))
            .await;
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
    assert_eq!(
        (&gone["id"], &gone["reason"]),
        (&json!(id), &json!("forced close"))
    );
    probe.expect_none("connection").await;
}

#[tokio::test]
async fn joining_twice_while_a_middleware_waits_gives_one_socket_at_most() {
    // B017, J184
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"hold": true}]}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    client.texts(&["40", "40"]).await;
    let first = probe.event("waiting").await["token"].clone();
    if differs(
        "B017",
        "it gives one connection two sockets of one namespace",
    ) {
        return;
    }
    tokio::time::sleep(A_MOMENT).await;
    for waiting in probe.taken("waiting").await {
        probe
            .run(json!({"do": "release", "token": waiting["token"]}))
            .await;
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
    forced_close(&mut probe, &mut client, "an event for another namespace").await;
}

#[tokio::test]
async fn a_connect_error_from_a_client_closes_the_connection() {
    // B019
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"44{"message":"x"}"#).await;
    forced_close(&mut probe, &mut client, "CONNECT_ERROR").await;
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
    assert_eq!(
        probe.event("disconnect").await["reason"],
        "client namespace disconnect"
    );
    client.quiet(Duration::from_millis(300)).await;
    assert_ne!(client.join("/").await, id);
}

#[tokio::test]
async fn what_the_connection_handler_emits_follows_the_reply() {
    // B021, C057
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "greet", "nsp": "/", "args": ["welcome", 1]}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    client.join("/").await;
    client.expect(r#"42["welcome",1]"#).await;
    let connection = probe.event("connection").await;
    assert_eq!(connection["rooms"], json!([connection["id"]]));
}
