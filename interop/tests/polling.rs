//! A.4: HTTP long-polling.

use std::time::Duration;

use sala_interop::{Probe, departs};
use sala_testkit::http::{self, Connection, End, Response, request};
use sala_testkit::polling::{Polling, SEPARATOR};
use sala_testkit::ws::Ws;
use serde_json::{Value, json};

use crate::support::{A_MOMENT, POLLING, WEBSOCKET};

async fn open(options: Value) -> (Probe, Polling) {
    let probe = Probe::engine(options).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    (probe, session)
}

/// Asserts that the connection behind `session` was closed for this reason.
#[track_caller]
fn closed(probe: &mut Probe, session: &Polling, reason: &str) -> impl Future<Output = Value> {
    let place = std::panic::Location::caller();
    async move {
        let close = probe
            .event_where("close", |close| close["id"] == *session.sid)
            .await;
        assert!(
            close["reason"] == reason,
            "expected {reason}, got {close} ({place})"
        );
        close
    }
}

/// Asserts that the request on `connection` was not accepted.
async fn assert_failed(connection: &mut Connection) {
    let (bytes, _) = connection.rest().await;
    if departs(
        "A068",
        "a request that is given up is answered 400 before its connection ends",
    ) {
        assert!(
            bytes.starts_with(b"HTTP/1.1 400 "),
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
    } else {
        assert_eq!(bytes, b"");
    }
}

async fn post_as(session: &Polling, content_type: &str, body: &[u8]) -> Response {
    http::send(
        session.addr,
        "POST",
        &session.target,
        &[("Content-Type", content_type)],
        body,
    )
    .await
}

#[tokio::test]
async fn a_get_takes_all_queued_packets() {
    // A055, A204
    let (mut probe, session) = open(json!({})).await;
    for data in ["a", "b", "c"] {
        probe
            .run(json!({"do": "send", "id": session.sid, "data": data}))
            .await;
    }
    let reply = session.get().await;
    assert_eq!(reply.text(), "4a\u{1e}4b\u{1e}4c");
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_get_without_data_is_held_until_there_is_some() {
    // A056
    let (mut probe, session) = open(json!({})).await;
    let mut pending = session.start_get().await;
    probe
        .run(json!({"do": "send", "id": session.sid, "data": "late"}))
        .await;
    assert_eq!(pending.packets().await, ["4late"]);
}

#[tokio::test]
async fn a_ping_bounds_the_wait_of_a_get() {
    // A056, A128
    let (_probe, session) = open(json!({"pingInterval": 200})).await;
    assert_eq!(session.poll().await, ["2"]);
}

#[tokio::test]
async fn bytes_travel_as_base64() {
    // A057
    let (mut probe, session) = open(json!({})).await;
    probe
        .run(json!({"do": "send", "id": session.sid, "data": {"$bin": "AQIDBA=="}}))
        .await;
    assert_eq!(session.poll().await, ["bAQIDBA=="]);
    session.send("bAQIDBA==").await;
    assert_eq!(
        probe.event("data").await["data"],
        json!({"$bin": "AQIDBA=="})
    );
}

#[tokio::test]
async fn a_post_carries_one_or_more_packets() {
    // A058
    let (mut probe, session) = open(json!({})).await;
    let reply = session.post("4hello\u{1e}4world").await;
    assert_eq!((reply.status, reply.text()), (200, "ok"));
    assert_eq!(reply.header("content-type"), Some("text/html"));
    assert_eq!(reply.header("content-length"), Some("2"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(probe.event("data").await["data"], "hello");
    assert_eq!(probe.event("data").await["data"], "world");
}

#[tokio::test]
async fn one_content_type_is_refused() {
    // A059
    let (mut probe, session) = open(json!({})).await;
    let reply = post_as(&session, "application/octet-stream", b"4a").await;
    assert_eq!((reply.status, reply.text()), (400, ""));
    let close = closed(&mut probe, &session, "transport error").await;
    assert_eq!(close["description"], "invalid content");
    session.expect_gone().await;
}

#[tokio::test]
async fn any_other_content_type_is_text() {
    // A059
    let (mut probe, session) = open(json!({})).await;
    for kind in [
        "text/plain",
        "application/json",
        "application/octet-stream; charset=UTF-8",
        "application/x-www-form-urlencoded",
    ] {
        assert_eq!(
            post_as(&session, kind, "4é".as_bytes()).await.text(),
            "ok",
            "{kind}"
        );
        assert_eq!(probe.event("data").await["data"], "é");
    }
    assert_eq!(
        http::send(session.addr, "POST", &session.target, &[], b"4none")
            .await
            .text(),
        "ok"
    );
    assert_eq!(probe.event("data").await["data"], "none");
}

#[tokio::test]
async fn a_body_may_be_chunked_and_split_anywhere() {
    // A060
    let (mut probe, session) = open(json!({})).await;
    let mut connection = Connection::open(session.addr).await;
    let head = [("Transfer-Encoding", "chunked")];
    connection
        .send(request("POST", &session.target, &head, b""))
        .await;
    for piece in [
        &b"2\r\n4\xe2\r\n"[..],
        b"1\r\n\x82\r\n",
        b"3\r\n\xac!!\r\n0\r\n\r\n",
    ] {
        connection.send(piece).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(connection.response().await.text(), "ok");
    assert_eq!(probe.event("data").await["data"], "€!!");
}

#[tokio::test]
async fn bad_utf8_is_replaced() {
    // A060
    let (mut probe, session) = open(json!({})).await;
    session.send(b"4a\xff!").await;
    assert_eq!(probe.event("data").await["data"], "a\u{fffd}!");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_session_lives_on() {
    // A061
    let (mut probe, session) = open(json!({"maxHttpBufferSize": 1000})).await;
    let reply = session.post("4".repeat(1001)).await;
    assert_eq!((reply.status, reply.text()), (413, ""));
    session.send("4small").await;
    assert_eq!(probe.event("data").await["data"], "small");
    probe.expect_none("close").await;
}

#[tokio::test]
async fn a_body_is_refused_as_soon_as_it_passes_the_limit() {
    // A061: the rest need not arrive
    let (_probe, session) = open(json!({"maxHttpBufferSize": 1000})).await;
    let mut connection = Connection::open(session.addr).await;
    connection
        .send(request(
            "POST",
            &session.target,
            &[("Content-Length", "100000")],
            b"",
        ))
        .await;
    connection.send("4".repeat(1001)).await;
    assert_eq!(connection.response().await.status, 413);

    let mut chunked = Connection::open(session.addr).await;
    chunked
        .send(request(
            "POST",
            &session.target,
            &[("Transfer-Encoding", "chunked")],
            b"",
        ))
        .await;
    chunked
        .send(format!("3e9\r\n{}\r\n", "4".repeat(1001)))
        .await;
    assert_eq!(chunked.response().await.status, 413);
    session.send("4small").await;
}

#[tokio::test]
async fn a_body_at_the_limit_is_accepted() {
    // A062: bytes count, not characters
    let (mut probe, session) = open(json!({"maxHttpBufferSize": 1000})).await;
    session.send(format!("4{}", "x".repeat(999))).await;
    assert_eq!(
        probe.event("data").await["data"].as_str().unwrap().len(),
        999
    );
    assert_eq!(
        session.post(format!("4{}", "é".repeat(500))).await.status,
        413
    );
}

#[tokio::test]
async fn an_undecodable_body_closes_the_session() {
    // A063
    for body in ["", "zz", "\u{1e}", "4a\u{1e}", "7"] {
        let (mut probe, session) = open(json!({})).await;
        session.send(body).await;
        closed(&mut probe, &session, "parse error").await;
        session.expect_gone().await;
    }
}

#[tokio::test]
async fn packets_before_an_undecodable_one_are_delivered() {
    // A063
    let (mut probe, session) = open(json!({})).await;
    session.send("4a\u{1e}zz\u{1e}4b").await;
    closed(&mut probe, &session, "parse error").await;
    let data = probe.taken("data").await;
    assert_eq!(data.len(), 1);
    assert_eq!(data[0]["data"], "a");
}

#[tokio::test]
async fn a_client_must_not_ping_in_revision_four() {
    // A064
    for ping in ["2", "2probe"] {
        let (mut probe, session) = open(json!({})).await;
        session.send(ping).await;
        let close = closed(&mut probe, &session, "transport error").await;
        assert_eq!(close["description"], "invalid heartbeat direction");
        session.expect_gone().await;
    }
}

#[tokio::test]
async fn other_packet_types_are_accepted_and_ignored() {
    // A065
    let (mut probe, session) = open(json!({})).await;
    for packet in ["0", "3", "3probe", "5", "6"] {
        session.send(packet).await;
    }
    session.send("4alive").await;
    assert_eq!(probe.event("data").await["data"], "alive");
    probe.expect_none("close").await;
}

#[tokio::test]
async fn a_close_packet_ends_the_session_and_frees_the_pending_get() {
    // A066, A139
    let (mut probe, session) = open(json!({})).await;
    let mut pending = session.start_get().await;
    session.send("1\u{1e}4late").await;
    assert_eq!(pending.packets().await, ["6"]);
    closed(&mut probe, &session, "transport close").await;
    session.expect_gone().await;
    probe.expect_none("data").await;
}

#[tokio::test]
async fn two_gets_at_once_close_the_session() {
    // A067
    let (mut probe, session) = open(json!({})).await;
    let mut first = session.start_get().await;
    let second = session.get().await;
    assert_eq!((second.status, second.text()), (400, ""));
    assert_eq!(first.packets().await, ["1"]);
    let close = closed(&mut probe, &session, "transport error").await;
    assert_eq!(close["description"], "overlap from client");
    session.expect_gone().await;
}

#[tokio::test]
async fn two_posts_at_once_close_the_session() {
    // A068
    let (mut probe, session) = open(json!({})).await;
    let mut first = Connection::open(session.addr).await;
    first
        .send(request(
            "POST",
            &session.target,
            &[("Content-Length", "10")],
            b"4ab",
        ))
        .await;
    tokio::time::sleep(sala_testkit::polling::SETTLE).await;
    let second = session.post("4second").await;
    assert_eq!((second.status, second.text()), (400, ""));
    assert_failed(&mut first).await;
    let close = closed(&mut probe, &session, "transport error").await;
    assert_eq!(close["description"], "data request overlap from client");
    session.expect_gone().await;
}

#[tokio::test]
async fn dropping_a_pending_get_closes_the_session() {
    // A069
    let (mut probe, session) = open(json!({})).await;
    drop(session.start_get().await);
    let close = closed(&mut probe, &session, "transport error").await;
    assert_eq!(close["description"], "poll connection closed prematurely");
    session.expect_gone().await;
}

#[tokio::test]
async fn dropping_a_post_half_way_closes_the_session() {
    // A070
    let (mut probe, session) = open(json!({})).await;
    let mut post = Connection::open(session.addr).await;
    post.send(request(
        "POST",
        &session.target,
        &[("Content-Length", "10")],
        b"4ab",
    ))
    .await;
    tokio::time::sleep(sala_testkit::polling::SETTLE).await;
    drop(post);
    let close = closed(&mut probe, &session, "transport error").await;
    assert_eq!(
        close["description"],
        "data request connection closed prematurely"
    );
    session.expect_gone().await;
}

#[tokio::test]
async fn other_methods_are_refused_and_do_no_harm() {
    // A071, A197
    let (_probe, session) = open(json!({})).await;
    for method in ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"] {
        let reply = http::send(session.addr, method, &session.target, &[], b"").await;
        assert_eq!((reply.status, reply.text()), (500, ""), "{method}");
        session.send("4still alive").await;
    }
}

#[tokio::test]
async fn a_server_that_closes_between_two_polls_says_so_in_the_next() {
    // A072
    let (mut probe, session) = open(json!({})).await;
    probe.run(json!({"do": "close", "id": session.sid})).await;
    assert_eq!(session.poll().await, ["6", "1"]);
    closed(&mut probe, &session, "forced close").await;
    session.expect_gone().await;
}

#[tokio::test]
async fn a_server_that_closes_with_data_queued_sends_it_first() {
    // A072, A145
    let (mut probe, session) = open(json!({})).await;
    probe
        .run(json!({"do": "send", "id": session.sid, "data": "last words"}))
        .await;
    probe.run(json!({"do": "close", "id": session.sid})).await;
    probe
        .run(json!({"do": "send", "id": session.sid, "data": "too late"}))
        .await;
    assert_eq!(session.poll().await, ["4last words"]);
    assert_eq!(session.poll().await, ["6", "1"]);
    closed(&mut probe, &session, "forced close").await;
    session.expect_gone().await;
}

#[tokio::test]
async fn a_server_that_closes_with_a_get_pending_answers_it_at_once() {
    // A073
    let (mut probe, session) = open(json!({})).await;
    let mut pending = session.start_get().await;
    probe.run(json!({"do": "close", "id": session.sid})).await;
    assert_eq!(pending.packets().await, ["1"]);
    closed(&mut probe, &session, "forced close").await;
    session.expect_gone().await;
}

#[tokio::test]
async fn a_server_that_closes_drops_the_post_it_is_reading() {
    // A074
    let (mut probe, session) = open(json!({})).await;
    let mut pending = session.start_get().await;
    let mut post = Connection::open(session.addr).await;
    post.send(request(
        "POST",
        &session.target,
        &[("Content-Length", "10")],
        b"4ab",
    ))
    .await;
    tokio::time::sleep(sala_testkit::polling::SETTLE).await;
    probe.run(json!({"do": "close", "id": session.sid})).await;
    assert_eq!(pending.packets().await, ["1"]);
    assert_failed(&mut post).await;
}

#[tokio::test]
async fn old_browsers_get_their_header() {
    // A075
    let (_probe, session) = open(json!({})).await;
    for agent in [
        "Mozilla/4.0 (compatible;MSIE 8.0)",
        "Mozilla/5.0 (Windows NT 6.3; Trident/7.0; rv:11.0)",
    ] {
        let reply = http::send(
            session.addr,
            "POST",
            &session.target,
            &[("User-Agent", agent)],
            b"6",
        )
        .await;
        assert_eq!(reply.header("x-xss-protection"), Some("0"));
        let reply = http::send(session.addr, "GET", POLLING, &[("User-Agent", agent)], b"").await;
        assert_eq!(reply.header("x-xss-protection"), Some("0"));
    }
    assert_eq!(session.post("6").await.header("x-xss-protection"), None);
}

#[tokio::test]
async fn b64_makes_a_websocket_send_text_and_changes_nothing_for_polling() {
    // A077, A110
    let (mut probe, session) = open(json!({})).await;
    let bytes = json!({"$bin": "AQID"});
    let with = Polling::open_at(session.addr, &format!("{POLLING}&b64=1")).await;
    probe
        .run(json!({"do": "send", "id": with.sid, "data": bytes}))
        .await;
    assert_eq!(with.poll().await, ["bAQID"]);

    let mut ws = Ws::open(session.addr, &format!("{WEBSOCKET}&b64=1")).await;
    let sid = ws.expect_json("0").await["sid"].clone();
    probe
        .run(json!({"do": "send", "id": sid, "data": bytes}))
        .await;
    ws.expect("bAQID").await;
}

#[tokio::test]
async fn the_separator_splits_whatever_holds_it() {
    // A078: escaping is the business of the layer above
    let (mut probe, session) = open(json!({})).await;
    session.send(format!("4a{SEPARATOR}4b")).await;
    assert_eq!(probe.event("data").await["data"], "a");
    assert_eq!(probe.event("data").await["data"], "b");
}

#[tokio::test]
async fn an_empty_text_is_a_message() {
    // A181
    let (mut probe, session) = open(json!({})).await;
    probe
        .run(json!({"do": "send", "id": session.sid, "data": ""}))
        .await;
    assert_eq!(session.poll().await, ["4"]);
    session.send("4").await;
    assert_eq!(probe.event("data").await["data"], "");
}

#[tokio::test]
async fn order_is_kept_within_and_across_posts() {
    // A058
    let (mut probe, session) = open(json!({})).await;
    for start in (0..100).step_by(10) {
        let body: Vec<String> = (start..start + 10).map(|i| format!("4{i}")).collect();
        session.send(body.join("\u{1e}")).await;
    }
    for i in 0..100 {
        assert_eq!(probe.event("data").await["data"], i.to_string());
    }
}

#[tokio::test]
async fn a_poll_may_follow_its_reply_on_the_same_connection_at_once() {
    // A016: pipelined by a proxy; each GET is answered in turn
    let (mut probe, session) = open(json!({})).await;
    let mut connection = Connection::open(session.addr).await;
    for data in ["a", "b", "c"] {
        probe
            .run(json!({"do": "send", "id": session.sid, "data": data}))
            .await;
        assert_eq!(
            connection
                .request("GET", &session.target, &[], b"")
                .await
                .text(),
            format!("4{data}")
        );
    }
    sala_testkit::quiet_for(A_MOMENT, "anything more", connection.fill()).await;
}

#[tokio::test]
async fn the_end_of_a_finished_connection_is_no_error() {
    // A016
    let (mut probe, session) = open(json!({})).await;
    let mut connection = Connection::open(session.addr).await;
    connection
        .request("POST", &session.target, &[], b"4a")
        .await;
    connection.finish_sending().await;
    assert_eq!(connection.rest().await, (vec![], End::Closed));
    session.send("4b").await;
    probe.expect_none("close").await;
}
