//! I: every known advisory as a test, and limits the reference does not have.

use std::time::{Duration, Instant};

use sala_interop::{Probe, Sio, differs};
use sala_testkit::http::{self, Connection, request};
use sala_testkit::polling::Polling;
use sala_testkit::within_long;
use sala_testkit::ws::{Frame, Ws, handshake_bytes, handshake_headers, opcode};
use serde_json::json;

use crate::support::{POLLING, WEBSOCKET, refused};

/// Asserts that the server still opens sessions.
async fn alive(probe: &mut Probe) {
    assert!(probe.process().is_running());
    let reply = http::get(probe.addr(), "/engine.io/?EIO=4&transport=polling").await;
    assert_eq!(reply.status, 200);
}

/// Asserts that `work` ends soon: it must be linear in what was sent.
async fn soon<F: Future>(what: &str, work: F) -> F::Output {
    let started = Instant::now();
    let result = within_long(Duration::from_secs(20), what, work).await;
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(8), "{what} took {elapsed:?}");
    result
}

#[tokio::test]
async fn ids_are_not_predictable() {
    // I001: no two of a batch share their first or last eleven characters' worth of randomness
    let probe = Probe::engine(json!({})).await;
    let mut connection = Connection::open(probe.addr()).await;
    let mut heads = std::collections::HashSet::new();
    for _ in 0..500 {
        let sid = crate::support::sid(&connection.request("GET", POLLING, &[], b"").await);
        assert!(heads.insert(sid[..12].to_owned()), "{sid}");
    }
}

#[tokio::test]
async fn packets_that_fail_to_decode_harm_one_connection_only() {
    // I004
    let mut probe = Probe::start(json!({})).await;
    let (mut bystander, _) = Sio::connect(probe.addr()).await;
    for packet in [
        "4x",
        r#"42["error"]"#,
        r#"42[{"toString":"foo"}]"#,
        r#"42["__proto__"]"#,
        r#"40/__proto__,"#,
        r#"42/constructor,["x"]"#,
    ] {
        let (mut client, _) = Sio::connect(probe.addr()).await;
        client.text(packet).await;
    }
    bystander.text(r#"42["alive"]"#).await;
    probe
        .event_where("event", |event| event["name"] == "alive")
        .await;
    assert!(probe.process().is_running());
}

#[tokio::test]
async fn bodies_of_very_many_packets_take_linear_time() {
    // I008
    let mut probe = Probe::engine(json!({"allowEIO3": true})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    let noops = format!("6{}", "\u{1e}6".repeat(99_999));
    assert_eq!(
        soon("a body of noops", session.post(noops)).await.status,
        200
    );
    let separators = "\u{1e}".repeat(200_000);
    soon("a body of separators", session.post(separators)).await;
    let old = http::get(probe.addr(), "/engine.io/?EIO=3&transport=polling").await;
    let open = old
        .text()
        .split_once(':')
        .unwrap()
        .1
        .strip_prefix('0')
        .unwrap()
        .to_owned();
    let open: serde_json::Value = serde_json::from_str(&open).unwrap();
    let target = format!(
        "/engine.io/?EIO=3&transport=polling&sid={}",
        open["sid"].as_str().unwrap()
    );
    soon(
        "an old body of noops",
        http::post(probe.addr(), &target, "1:6".repeat(66_666)),
    )
    .await;
    alive(&mut probe).await;
}

#[tokio::test]
async fn a_refused_upgrade_may_be_reset_at_once() {
    // I010
    let mut probe = Probe::engine(json!({})).await;
    for _ in 0..300 {
        let mut connection = Connection::open(probe.addr()).await;
        connection
            .send(handshake_bytes(&format!("{WEBSOCKET}&sid=nope"), &[]))
            .await;
        connection.reset();
    }
    alive(&mut probe).await;
}

#[tokio::test]
async fn odd_transports_on_an_upgrade_are_refused() {
    // I011
    let mut probe = Probe::engine(json!({})).await;
    for transport in [
        "__proto__",
        "constructor",
        "polling",
        "webtransport",
        "",
        "%00",
        "WEBSOCKET",
    ] {
        let target = format!("/engine.io/?EIO=4&transport={transport}");
        if let Ok(mut ws) = Ws::attempt(probe.addr(), &target, &[]).await {
            ws.closed().await;
        }
    }
    alive(&mut probe).await;
}

#[tokio::test]
async fn refused_bodies_leave_nothing_open() {
    // I013
    let mut probe = Probe::engine(json!({})).await;
    let descriptors = |id: u32| {
        std::fs::read_dir(format!("/proc/{id}/fd"))
            .map(Iterator::count)
            .unwrap_or_default()
    };
    let id = probe.process().id().unwrap();
    let kind = [("Content-Type", "application/octet-stream")];
    let mut connection = Connection::open(probe.addr()).await;
    let before = descriptors(id);
    for _ in 0..200 {
        let opened = connection.request("GET", POLLING, &[], b"").await;
        let target = format!("{POLLING}&sid={}", crate::support::sid(&opened));
        assert_eq!(
            connection
                .request("POST", &target, &kind, b"4a")
                .await
                .status,
            400
        );
    }
    let after = descriptors(id);
    assert!(after < before + 20, "{before} descriptors became {after}");
    alive(&mut probe).await;
}

#[tokio::test]
async fn a_session_cannot_be_entered_with_another_revision() {
    // I014
    for options in [json!({}), json!({"allowEIO3": true})] {
        let mut probe = Probe::engine(options).await;
        let session = Polling::open(probe.addr(), "/engine.io/").await;
        let bare = format!("/engine.io/?transport=websocket&sid={}", session.sid);
        for heartbeat in ["2", "3"] {
            let attempt =
                Ws::open_and_send(probe.addr(), &bare, &[Frame::new(opcode::TEXT, heartbeat)])
                    .await;
            let Err((reply, _)) = attempt else {
                panic!("must be refused")
            };
            assert_eq!((reply.status, reply.text()), (400, "Bad request"));
        }
        refused(
            probe.addr(),
            &bare.replace("websocket", "polling"),
            3,
            "Bad request",
        )
        .await;
        session.send("4alive").await;
        alive(&mut probe).await;
    }
}

#[tokio::test]
async fn very_long_headers_of_packets_take_linear_time() {
    // I021, I050
    let mut probe = Probe::start(json!({})).await;
    let million = 990_000;
    for packet in [
        format!("42{}", "1".repeat(million)),
        format!("42{}[\"x\"]", "1".repeat(100_000)),
        format!("40/{}", "a".repeat(million)),
        format!("42/{}", "/".repeat(million)),
        format!("45{}", "1".repeat(million)),
        format!("45{}-", "1".repeat(million)),
        "9".repeat(million),
    ] {
        let mut client = Sio::open(probe.addr()).await;
        client.text(&packet).await;
        // Refused or closed, but at once.
        soon("the answer to a long packet", client.next()).await;
    }
    let (_client, _) = Sio::connect(probe.addr()).await;
    assert!(probe.process().is_running());
}

#[tokio::test]
async fn a_huge_number_of_attachments_is_refused_at_once() {
    // I024, I040
    let mut probe = Probe::start(json!({})).await;
    for count in ["11", "59999999", "99999999999999999999999"] {
        let mut client = Sio::open(probe.addr()).await;
        client.text(format!(r#"45{count}-["a"]"#)).await;
        client.expect_close(None).await;
    }
    assert!(probe.process().is_running());
}

#[tokio::test]
async fn a_request_with_thousands_of_headers_is_an_error() {
    // I030, I043
    let mut probe = Probe::engine(json!({})).await;
    let mut headers: Vec<(String, String)> = (0..2000)
        .map(|i| (format!("X-{i}"), "1".to_owned()))
        .collect();
    headers.extend(
        handshake_headers()
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut connection = Connection::open(probe.addr()).await;
    connection
        .send(request("GET", WEBSOCKET, &headers, b""))
        .await;
    let reply = connection.response().await;
    assert!((400..500).contains(&reply.status), "{reply:?}");
    alive(&mut probe).await;
}

#[tokio::test]
async fn endless_request_heads_are_cut_off() {
    // I043
    let mut probe = Probe::engine(json!({})).await;
    let mut connection = Connection::open(probe.addr()).await;
    connection.send(b"GET /engine.io/?EIO=4 HTTP/1.1\r\n").await;
    for _ in 0..100 {
        connection
            .send([b"X-Long: ".to_vec(), vec![b'a'; 10_000], b"\r\n".to_vec()].concat())
            .await;
    }
    let (bytes, _) = connection.rest().await;
    assert!(
        bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 4"),
        "{:?}",
        String::from_utf8_lossy(&bytes)
    );
    alive(&mut probe).await;
}

#[tokio::test]
async fn malformed_requests_are_errors() {
    // I043
    let mut probe = Probe::engine(json!({})).await;
    for head in [
        "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: [::1\r\nHost: b\r\n\r\n",
        "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nBad Header\r\n\r\n",
        "GET /engine.io/?EIO=4&transport=polling HTTP/9.9\r\n\r\n",
        "\r\n\r\n\r\n",
        "GET http:// HTTP/1.1\r\n\r\n",
        "POST /engine.io/?EIO=4 HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /engine.io/?EIO=4 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let mut connection = Connection::open(probe.addr()).await;
        connection.send(head).await;
        connection.finish_sending().await;
        connection.rest().await;
    }
    alive(&mut probe).await;
}

#[tokio::test]
async fn inflation_bombs_are_refused() {
    // I034
    let mut probe = Probe::engine(json!({"perMessageDeflate": true})).await;
    let mut ws = Ws::open_with(
        probe.addr(),
        WEBSOCKET,
        &[("Sec-WebSocket-Extensions", "permessage-deflate")],
    )
    .await;
    ws.read_frame().await.unwrap();
    let bomb = {
        use std::io::Write;
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        for _ in 0..8 {
            encoder.write_all(&vec![b'4'; 1_000_000]).unwrap();
        }
        encoder.flush().unwrap();
        encoder.get_ref()[..encoder.get_ref().len() - 4].to_vec()
    };
    assert!(bomb.len() < 1_000_000, "{}", bomb.len());
    ws.frame(Frame {
        rsv: 4,
        ..Frame::new(opcode::TEXT, bomb)
    })
    .await;
    let refused = ws.expect_close(Some(1009));
    soon("the refusal of a bomb", refused).await;
    alive(&mut probe).await;
}

#[tokio::test]
async fn deep_json_overflows_no_stack() {
    // I049
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "handle", "nsp": "/", "event": "x", "with": "count"}))
        .await;
    let deep = format!("42[\"x\",{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    let broken = format!("42{}", "[".repeat(500_000));
    let auth = format!("40{}", "{\"a\":".repeat(100_000));
    for packet in [deep, broken, auth] {
        let (mut client, _) = Sio::connect(probe.addr()).await;
        client.text(&packet).await;
        let mut other = Sio::open(probe.addr()).await;
        other.join("/").await;
        assert!(probe.process().is_running());
    }
}

#[tokio::test]
async fn long_names_are_no_keys_forever() {
    // I051
    let mut probe = Probe::start(json!({})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.text(format!("40/{},", "n".repeat(900_000))).await;
    within_long(Duration::from_secs(10), "an answer", client.next()).await;
    assert_eq!(probe.run(json!({"do": "namespaces"})).await, json!(["/"]));
}

#[tokio::test]
async fn many_pending_joins_are_bounded() {
    // I046
    if differs("I046", "it runs as many middlewares as a client asks for") {
        return;
    }
    let mut probe = Probe::start(json!({})).await;
    let parent = probe
        .run(json!({"do": "parent", "pattern": r"^/dyn-\d+$"}))
        .await;
    probe
        .run(json!({"do": "use", "nsp": parent, "steps": [{"hold": true}]}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    for i in 0..1000 {
        client.text(format!("40/dyn-{i},")).await;
    }
    client.next().await;
    let waiting = probe.taken("waiting").await.len();
    assert!(waiting <= 100, "{waiting} joins are pending");
}

#[tokio::test]
async fn namespaces_of_one_connection_are_bounded() {
    // I045
    if differs("I045", "one connection may join any number of namespaces") {
        return;
    }
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "parent", "pattern": r"^/dyn-\d+$"}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    for i in 0..500 {
        client.text(format!("40/dyn-{i},")).await;
        if !client.next_text().await.starts_with("40") {
            return;
        }
    }
    panic!("500 namespaces were joined");
}

#[tokio::test]
async fn a_stranger_cannot_use_a_session_by_its_public_id() {
    // I001, A038
    let mut probe = Probe::start(json!({})).await;
    let (_victim, id) = Sio::connect(probe.addr()).await;
    probe.event("connection").await;
    for transport in ["polling", "websocket"] {
        let target = format!("/socket.io/?EIO=4&transport={transport}&sid={id}");
        let reply = http::get(probe.addr(), &target).await;
        assert_eq!(reply.json()["code"], 1);
    }
}

#[tokio::test]
async fn origins_of_websockets_can_be_listed() {
    // I038: cross-origin rules of browsers do not cover WebSockets
    if differs("I038", "it has no such option") {
        return;
    }
    let probe = Probe::engine(json!({"allowedOrigins": ["http://a.com"]})).await;
    let from = |origin: &'static str| [("Origin", origin)];
    Ws::open_with(probe.addr(), WEBSOCKET, &from("http://a.com")).await;
    Ws::open(probe.addr(), WEBSOCKET).await;
    for origin in ["http://b.com", "http://a.com.evil", "https://a.com", "null"] {
        let attempt = Ws::attempt(probe.addr(), WEBSOCKET, &from(origin)).await;
        let Err((reply, _)) = attempt else {
            panic!("{origin} must be refused")
        };
        assert_eq!(
            (reply.status, reply.text()),
            (400, "Origin not allowed"),
            "{origin}"
        );
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off() {
    // I047
    if differs(
        "I047",
        "a slow body holds the session until its heartbeat ends it",
    ) {
        return;
    }
    let mut probe = Probe::engine(json!({"postTimeout": 200})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    let mut post = Connection::open(probe.addr()).await;
    let length = [("Content-Length", "100")];
    post.send(request("POST", &session.target, &length, b"4a"))
        .await;
    assert_eq!(post.response().await.status, 408);
    assert_eq!(probe.event("close").await["reason"], "transport error");
}

#[tokio::test]
async fn a_flood_of_handshakes_is_bounded() {
    // I048
    if differs(
        "I048",
        "each handshake costs a session until its heartbeat ends it",
    ) {
        return;
    }
    let probe = Probe::engine(json!({"maxSilentSessions": 3})).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(Polling::open(probe.addr(), "/engine.io/").await);
    }
    let refused = http::get(probe.addr(), POLLING).await;
    assert_eq!(refused.status, 503);
    // One that speaks makes room for another.
    sessions[0].send("4hello").await;
    Polling::open(probe.addr(), "/engine.io/").await;
}
