//! A.3: handshakes and refusals.

use std::collections::HashSet;

use sala_interop::{Probe, differs};
use sala_testkit::http::{self, Connection, request};
use sala_testkit::polling::Polling;
use sala_testkit::ws::{Message, Ws};
use serde_json::{Value, json};

use crate::support::{POLLING, WEBSOCKET, assert_refused, refused, upgrade_refused};

#[tokio::test]
async fn a_websocket_handshake_is_followed_by_the_open_packet() {
    // A036, A084
    let probe = Probe::engine(json!({})).await;
    let mut ws = Ws::open(probe.addr(), WEBSOCKET).await;
    let open = ws.expect_json("0").await;
    let keys: Vec<_> = open.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 5);
    assert_eq!(open["upgrades"], json!([]));
}

#[tokio::test]
async fn session_ids_have_twenty_url_safe_characters_and_differ() {
    // A037
    let probe = Probe::engine(json!({})).await;
    let mut connection = Connection::open(probe.addr()).await;
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let sid = crate::support::sid(&connection.request("GET", POLLING, &[], b"").await);
        assert_eq!(sid.len(), 20);
        assert!(
            sid.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "{sid}"
        );
        assert!(seen.insert(sid));
    }
}

#[tokio::test]
async fn session_ids_can_be_chosen_by_the_application() {
    // A039
    let probe = Probe::engine(json!({"generateId": {"prefix": "custom-id-for-tests"}})).await;
    assert_eq!(
        Polling::open(probe.addr(), "/engine.io/").await.sid,
        "custom-id-for-tests0"
    );
    let open = Ws::open(probe.addr(), WEBSOCKET)
        .await
        .expect_json("0")
        .await;
    assert_eq!(open["sid"], "custom-id-for-tests1");
}

#[tokio::test]
async fn a_failing_id_generator_opens_no_session() {
    // A039
    let mut probe = Probe::engine(json!({"generateId": {"fail": "no more ids"}})).await;
    refused(probe.addr(), POLLING, 3, "Bad request").await;
    let error = probe.event("connection_error").await;
    assert_eq!(
        (&error["code"], &error["context"]["name"]),
        (&json!(3), &json!("ID_GENERATION_ERROR"))
    );
    assert_eq!(probe.run(json!({"do": "count"})).await["count"], 0);
}

#[tokio::test]
async fn an_unknown_transport_is_refused() {
    // A041: names of object members are as unknown as any other
    let mut probe = Probe::engine(json!({})).await;
    for transport in [
        "",
        "&transport=",
        "&transport=tobi",
        "&transport=__proto__",
        "&transport=constructor",
        "&transport=webtransport",
    ] {
        let target = format!("/engine.io/?EIO=4{transport}");
        let reply = http::get(probe.addr(), &target).await;
        assert_refused(&reply, 0, "Transport unknown");
        let error = probe.event("connection_error").await;
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!(0), &json!("Transport unknown")),
            "{target}"
        );
    }
    refused(
        probe.addr(),
        "/engine.io/?EIO=4&transport=tobi",
        0,
        "Transport unknown",
    )
    .await;
    assert_eq!(
        probe.event("connection_error").await["context"],
        json!({"transport": "tobi"})
    );
}

#[tokio::test]
async fn a_session_id_that_is_not_alive_is_unknown() {
    // A042; also a measured pitfall: a malformed sid must not open a session
    let mut probe = Probe::engine(json!({})).await;
    for sid in [
        "nope",
        "__proto__",
        "constructor",
        "%00",
        "AAAAAAAAAAAAAAAAAAAA",
        "a%20b",
    ] {
        let reply = http::get(probe.addr(), &format!("{POLLING}&sid={sid}")).await;
        assert_refused(&reply, 1, "Session ID unknown");
        probe.event("connection_error").await;
        let reply = http::post(probe.addr(), &format!("{POLLING}&sid={sid}"), "4x").await;
        assert_refused(&reply, 1, "Session ID unknown");
        probe.event("connection_error").await;
    }
    refused(
        probe.addr(),
        &format!("{POLLING}&sid=nope"),
        1,
        "Session ID unknown",
    )
    .await;
    assert_eq!(
        probe.event("connection_error").await["context"],
        json!({"sid": "nope"})
    );
    assert_eq!(probe.run(json!({"do": "count"})).await["count"], 0);
}

#[tokio::test]
async fn a_handshake_must_be_a_get() {
    // A043, A197
    let mut probe = Probe::engine(json!({})).await;
    for method in ["POST", "PUT", "OPTIONS", "DELETE", "PATCH"] {
        assert_refused(
            &http::send(probe.addr(), method, POLLING, &[], b"").await,
            2,
            "Bad handshake method",
        );
        let error = probe.event("connection_error").await;
        assert_eq!(error["context"], json!({"method": method}));
    }
    assert_eq!(
        http::send(probe.addr(), "HEAD", POLLING, &[], b"")
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_websocket_transport_needs_an_upgrade_request() {
    // A044 TRANSPORT_HANDSHAKE_ERROR
    let mut probe = Probe::engine(json!({})).await;
    refused(probe.addr(), WEBSOCKET, 3, "Bad request").await;
    assert_eq!(
        probe.event("connection_error").await["context"]["name"],
        "TRANSPORT_HANDSHAKE_ERROR"
    );
}

#[tokio::test]
async fn a_request_by_another_transport_than_the_session_uses_is_refused() {
    // A044 TRANSPORT_MISMATCH
    let mut probe = Probe::engine(json!({})).await;
    let mut ws = Ws::open(probe.addr(), WEBSOCKET).await;
    let sid = ws.expect_json("0").await["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    refused(
        probe.addr(),
        &format!("{POLLING}&sid={sid}"),
        3,
        "Bad request",
    )
    .await;
    let error = probe.event("connection_error").await;
    let expected = json!({"name": "TRANSPORT_MISMATCH", "transport": "polling", "previousTransport": "websocket"});
    assert_eq!(error["context"], expected);

    let session = Polling::open(probe.addr(), "/engine.io/").await;
    refused(probe.addr(), &session.upgrade_target(), 3, "Bad request").await;
    session.send("4still alive").await;
}

#[tokio::test]
async fn a_session_keeps_its_revision() {
    // A044 PROTOCOL_MISMATCH, A163, I014
    let mut probe = Probe::engine(json!({"allowEIO3": true})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    refused(
        probe.addr(),
        &session.target.replace("EIO=4", "EIO=3"),
        3,
        "Bad request",
    )
    .await;
    let error = probe.event("connection_error").await;
    assert_eq!(
        error["context"],
        json!({"name": "PROTOCOL_MISMATCH", "protocol": 3, "previousProtocol": 4})
    );
    session.send("4still alive").await;
}

#[tokio::test]
async fn allow_request_can_refuse_with_a_text() {
    // A045
    let mut probe = Probe::engine(json!({"allowRequest": {"refuse": "nope"}})).await;
    let reply = http::get(probe.addr(), POLLING).await;
    assert_refused(&reply, 4, "nope");
    let error = probe.event("connection_error").await;
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!(4), &json!("Forbidden"))
    );
    assert_eq!(error["context"], json!({"message": "nope"}));
    assert_eq!(error["method"], "GET");

    // A051: an upgrade request never gets a 403
    upgrade_refused(probe.addr(), WEBSOCKET, 400, "nope").await;
}

#[tokio::test]
async fn allow_request_can_refuse_without_a_text() {
    // A045
    let probe = Probe::engine(json!({"allowRequest": {"refuse": true}})).await;
    assert_refused(&http::get(probe.addr(), POLLING).await, 4, "Forbidden");
    upgrade_refused(probe.addr(), WEBSOCKET, 400, "Forbidden").await;
}

#[tokio::test]
async fn a_refusal_that_is_not_text_harms_nobody() {
    // A046, I017
    if differs("A046", "refusing an upgrade with a number ends the process") {
        return;
    }
    let mut probe = Probe::engine(json!({"allowRequest": {"refuse": 5, "when": "deny"}})).await;
    upgrade_refused(probe.addr(), &format!("{WEBSOCKET}&deny=1"), 400, "5").await;
    Ws::open(probe.addr(), WEBSOCKET)
        .await
        .expect_json("0")
        .await;
    assert!(probe.process().is_running());
}

#[tokio::test]
async fn only_revision_four_is_served_by_default() {
    // A032, A047
    let mut probe = Probe::engine(json!({})).await;
    for eio in ["", "&EIO=3", "&EIO=5", "&EIO=abc", "&EIO=", "&EIO=04"] {
        let reply = http::get(probe.addr(), &format!("/engine.io/?transport=polling{eio}")).await;
        assert_refused(&reply, 5, "Unsupported protocol version");
        let error = probe.event("connection_error").await;
        assert_eq!(error["context"], json!({"protocol": 3}), "{eio}");
    }
}

#[tokio::test]
async fn any_revision_but_four_is_three_when_three_is_allowed() {
    // A048
    let probe = Probe::engine(json!({"allowEIO3": true})).await;
    for eio in ["", "&EIO=3", "&EIO=5", "&EIO=abc"] {
        let reply = http::get(probe.addr(), &format!("/engine.io/?transport=polling{eio}")).await;
        let (length, packet) = reply.text().split_once(':').unwrap();
        assert_eq!(length.parse(), Ok(packet.len()), "{eio}");
        assert!(packet.starts_with("0{"), "{eio}");
    }
}

#[tokio::test]
async fn faults_are_found_in_the_order_of_the_reference() {
    // A049
    let probe = Probe::engine(json!({"allowRequest": {"refuse": "no", "when": "deny"}})).await;
    let table = [
        ("POST", "transport=x", 0),
        ("POST", "EIO=3&transport=x&sid=x", 0),
        ("GET", "EIO=3&transport=polling&sid=x", 1),
        ("PUT", "EIO=4&transport=polling&sid=x", 1),
        ("POST", "EIO=3&transport=polling&deny=1", 2),
        ("GET", "EIO=3&transport=websocket&deny=1", 3),
        ("GET", "EIO=3&transport=polling&deny=1", 4),
        ("GET", "EIO=3&transport=polling", 5),
    ];
    for (method, query, code) in table {
        let reply = http::send(
            probe.addr(),
            method,
            &format!("/engine.io/?{query}"),
            &[],
            b"",
        )
        .await;
        assert_eq!(reply.json()["code"], code, "{method} {query}");
    }
}

#[tokio::test]
async fn control_characters_in_the_origin_are_refused() {
    // A050, I019
    let probe = Probe::engine(json!({})).await;
    let mut connection = Connection::open(probe.addr()).await;
    connection
        .send(request("GET", POLLING, &[("Origin", "a\u{1}b")], b""))
        .await;
    assert_eq!(connection.response().await.status, 400);
    let fine = http::send(
        probe.addr(),
        "GET",
        POLLING,
        &[("Origin", "http://a\tb")],
        b"",
    )
    .await;
    assert_eq!(fine.status, 200);
}

#[tokio::test]
async fn errors_on_an_upgrade_request_are_plain_text_and_end_the_connection() {
    // A051
    let mut probe = Probe::engine(json!({})).await;
    let reply = upgrade_refused(
        probe.addr(),
        &format!("{WEBSOCKET}&sid=nope"),
        400,
        "Session ID unknown",
    )
    .await;
    assert_eq!(
        reply.header("connection").map(str::to_lowercase).as_deref(),
        Some("close")
    );
    assert_eq!(reply.header("content-type"), Some("text/html"));
    assert_eq!(reply.header("content-length"), Some("18"));
    assert_eq!(probe.event("connection_error").await["code"], 1);
    upgrade_refused(
        probe.addr(),
        "/engine.io/?EIO=4&transport=tobi",
        400,
        "Transport unknown",
    )
    .await;
    upgrade_refused(probe.addr(), "/engine.io/?EIO=4", 400, "Transport unknown").await;
}

#[tokio::test]
async fn a_websocket_of_another_revision_is_refused() {
    // A052
    let mut probe = Probe::engine(json!({})).await;
    let attempt = Ws::attempt(probe.addr(), "/engine.io/?EIO=3&transport=websocket", &[]).await;
    assert_eq!(probe.event("connection_error").await["code"], 5);
    assert_eq!(probe.run(json!({"do": "count"})).await["count"], 0);
    if differs(
        "A052",
        "it sends 101 first and the refusal into the WebSocket stream",
    ) {
        return;
    }
    let Err((reply, _)) = attempt else {
        panic!("must be refused before 101")
    };
    assert_eq!(
        (reply.status, reply.text()),
        (400, "Unsupported protocol version")
    );
}

#[tokio::test]
async fn refusals_are_reported_with_their_request() {
    // A053, A172
    let mut probe = Probe::engine(json!({})).await;
    http::get(probe.addr(), "/engine.io/?EIO=4&transport=tobi&a=b").await;
    let error = probe.event("connection_error").await;
    assert_eq!(error["url"], "/engine.io/?EIO=4&transport=tobi&a=b");
    assert_eq!(error["method"], "GET");
    let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
    assert!(
        ["code", "message", "context"]
            .iter()
            .all(|key| keys.iter().any(|have| have == key)),
        "{keys:?}"
    );
}

#[tokio::test]
async fn an_upgrade_that_names_polling_is_closed() {
    // A054, I011
    let mut probe = Probe::engine(json!({})).await;
    match Ws::attempt(probe.addr(), POLLING, &[]).await {
        Ok(mut ws) => assert_eq!(ws.next().await, Message::Close(None, String::new())),
        Err((reply, _)) => assert_eq!(reply.status, 400),
    }
    let mut alive = Ws::open(probe.addr(), WEBSOCKET).await;
    alive.expect_json("0").await;
    let count: Value = probe.run(json!({"do": "count"})).await;
    assert_eq!(count["count"], 1);
}
