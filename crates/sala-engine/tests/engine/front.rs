//! HTTP under the engine's path, on the engine's own listener.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use sala_engine::{CloseReason, Drain, EngineConfig, EngineLayer, Otherwise};
use sala_testkit::http::{Connection, End, request};
use sala_testkit::polling::Polling;
use sala_testkit::within;
use sala_testkit::ws::{Frame, Ws, handshake_bytes, opcode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower_layer::Layer as _;
use tower_service::Service;

use crate::common::{Seen, Server, config, start, start_in, text};

const POLLING: &str = "/engine.io/?EIO=4&transport=polling";
const WS: &str = "/engine.io/?EIO=4&transport=websocket";

/// Answers whatever reaches the server behind with what it was asked.
#[derive(Clone)]
struct Elsewhere;

impl Service<Request<Incoming>> for Elsewhere {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = String::from_utf8_lossy(&body);
            let text = format!("elsewhere: {} {} {body}", parts.method, parts.uri);
            Ok(Response::new(Full::new(text.into())))
        })
    }
}

/// A server on which everything that the engine does not read itself is answered [`Elsewhere`].
async fn start_apart(config: EngineConfig) -> Server {
    start_in(config, |engine, listener| async move {
        engine
            .serve(listener, Elsewhere, std::future::pending())
            .await
    })
    .await
}

/// Sends bytes in two pieces that arrive one after the other. (Nothing tells when the first has.)
async fn send_split(connection: &mut Connection, bytes: &[u8], at: usize) {
    connection.send(&bytes[..at]).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    connection.send(&bytes[at..]).await;
}

/// Opens a session over this connection; the target of its requests.
async fn open_over(connection: &mut Connection, server: &Server) -> String {
    let reply = connection.request("GET", POLLING, &[], b"").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    Polling::from_reply(server.addr, POLLING, &reply).target
}

#[tokio::test]
async fn a_head_may_be_split_at_every_byte() {
    let server = start_apart(EngineConfig::new()).await;
    let bytes = request("GET", POLLING, &[("Accept", "*/*"), ("X", "y")], b"");
    for at in 1..bytes.len() {
        let mut connection = Connection::open(server.addr).await;
        send_split(&mut connection, &bytes, at).await;
        let reply = connection.response().await;
        assert_eq!(reply.status, 200, "split at {at}");
        assert!(reply.text().starts_with("0{"), "split at {at}");
    }
    let mut connection = Connection::open(server.addr).await;
    for byte in &bytes {
        connection.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(connection.response().await.status, 200);
}

#[tokio::test]
async fn a_body_may_be_split_at_every_byte() {
    let server = start_apart(EngineConfig::new()).await;
    let mut connection = Connection::open(server.addr).await;
    let target = open_over(&mut connection, &server).await;
    let plain = request("POST", &target, &[], "4h€llo".as_bytes());
    let chunked = [("Transfer-Encoding", "chunked")];
    let body = "2;x=y\r\n4h\r\n6\r\n€llo\r\n0\r\nTrailer: 1\r\n\r\n".as_bytes();
    let chunked = request("POST", &target, &chunked, body);
    for (bytes, len) in [(plain, 8), (chunked, body.len())] {
        let head = bytes.len() - len;
        for at in head - 2..bytes.len() {
            send_split(&mut connection, &bytes, at).await;
            assert_eq!(connection.response().await.text(), "ok", "split at {at}");
            let reply = connection.request("GET", &target, &[], b"").await;
            assert_eq!(reply.text(), "4h€llo", "split at {at}");
        }
    }
}

#[tokio::test]
async fn a_new_session_is_welcomed_with_one_write() {
    let server = start(config()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(&handshake_bytes(WS, &[])).await.unwrap();
    let mut buffer = [0; 4096];
    let n = within("the welcome", stream.read(&mut buffer)).await;
    let welcome = String::from_utf8_lossy(&buffer[..n.unwrap()]);
    assert!(welcome.starts_with("HTTP/1.1 101 "), "{welcome}");
    assert!(welcome.contains("0{\"sid\":"), "{welcome}");
}

#[tokio::test]
async fn who_asks_and_ends_its_side_is_welcomed_all_the_same() {
    let mut server = start(config()).await;
    let mut connection = Connection::open(server.addr).await;
    connection.send(handshake_bytes(WS, &[])).await;
    connection.finish_sending().await;
    let (welcome, end) = connection.rest().await;
    let welcome = String::from_utf8_lossy(&welcome);
    assert!(welcome.starts_with("HTTP/1.1 101 "), "{welcome}");
    assert!(welcome.contains("0{\"sid\":"), "{welcome}");
    assert_eq!(end, End::Closed);
    assert_eq!(server.next().await, Seen::Open);
    let gone = Seen::Close(CloseReason::TransportClose, None);
    assert_eq!(server.next().await, gone);
}

#[tokio::test]
async fn a_handshake_is_answered_even_if_the_session_ends_at_once() {
    let server = start(config()).await;
    for order in ["close", "panic"] {
        let mut ws = Ws::open(server.addr, &format!("{WS}&at_once={order}")).await;
        ws.gone().await;
    }
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test]
async fn requests_sent_together_are_answered_in_order() {
    let server = start_apart(EngineConfig::new()).await;
    let mut connection = Connection::open(server.addr).await;
    let target = open_over(&mut connection, &server).await;
    let chunked = [("Transfer-Encoding", "chunked")];
    let all = [
        request("POST", &target, &[], b"4one"),
        request("GET", &target, &[], b""),
        request("POST", &target, &chunked, b"4\r\n4two\r\n0\r\n\r\n"),
        request("GET", &target, &[], b""),
        request("HEAD", POLLING, &[], b""),
        request("GET", "/engine.io/?transport=fax", &[], b""),
        request("GET", "/else", &[], b""),
        request("GET", &target, &[], b""),
    ];
    connection.send(all.concat()).await;
    for expected in ["ok", "4one", "ok", "4two"] {
        let reply = connection.response().await;
        assert_eq!((reply.status, reply.text()), (200, expected));
    }
    let head = within("the reply to HEAD", connection.read_response(true)).await;
    assert_eq!(head.status, 400);
    assert_ne!(head.header("content-length"), Some("0"), "that of a GET");
    assert_eq!(connection.response().await.json()["code"], 0);
    assert_eq!(connection.response().await.text(), "elsewhere: GET /else ");
    let last = format!("elsewhere: GET {target} ");
    assert_eq!(connection.response().await.text(), last, "it stays there");
}

#[tokio::test]
async fn requests_behind_a_waiting_poll_wait_too() {
    let mut server = start_apart(EngineConfig::new()).await;
    let mut connection = Connection::open(server.addr).await;
    let target = open_over(&mut connection, &server).await;
    let (session, _) = server.next_with_session().await;
    connection.send(request("GET", &target, &[], b"")).await;
    // More than is read ahead.
    let post = request("POST", &target, &[], "4x".repeat(500).as_bytes());
    connection.send(post.repeat(100)).await;
    session.send(text("first")).unwrap();
    assert_eq!(connection.response().await.text(), "4first");
    for _ in 0..100 {
        assert_eq!(connection.response().await.text(), "ok");
    }
}

#[tokio::test]
async fn a_reply_says_what_http_wants() {
    let server = start_apart(EngineConfig::new()).await;
    let mut connection = Connection::open(server.addr).await;
    let reply = connection.request("GET", POLLING, &[], b"").await;
    assert_eq!(reply.reason, "OK");
    let length = reply.body.len().to_string();
    assert_eq!(reply.header_all("content-length"), [length]);
    assert_eq!(reply.header_all("connection"), [""; 0]);
    let date = reply.header("date").unwrap();
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");

    let close = [("Connection", "close")];
    let reply = connection.request("GET", POLLING, &close, b"").await;
    assert_eq!(
        (reply.status, reply.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(connection.rest().await, (vec![], End::Closed));
}

#[tokio::test]
async fn a_request_whose_end_is_doubtful_ends_the_connection() {
    let server = start_apart(EngineConfig::new()).await;
    let hidden = request("GET", POLLING, &[], b"");
    for lines in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "Content-Length: 6\r\nContent-Length: 7\r\n",
        "Content-Length: 6, 6\r\n",
        "Content-Length: +6\r\n",
        "Content-Length: 0x6\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Host: x\r\n",
        "X: a\r\n b\r\n",
        "X : a\r\n",
        "X: \0\r\n",
    ] {
        let head = format!("POST {POLLING} HTTP/1.1\r\nHost: a\r\n{lines}\r\n0\r\n\r\n");
        let mut connection = Connection::open(server.addr).await;
        connection.send([head.as_bytes(), &hidden].concat()).await;
        let reply = connection.response().await;
        assert_eq!(reply.status, 400, "{lines}");
        connection.finish_sending().await;
        assert_eq!(connection.rest().await, (vec![], End::Closed), "{lines}");
    }
    let mut connection = Connection::open(server.addr).await;
    connection
        .send(format!("GET {POLLING} HTTP/1.1\r\n\r\n"))
        .await;
    assert_eq!(connection.response().await.status, 400, "no host");
    let mut connection = Connection::open(server.addr).await;
    let target = open_over(&mut connection, &server).await;
    let chunked = [("Transfer-Encoding", "chunked")];
    let malformed = request("POST", &target, &chunked, b"2\n4x\r\n0\r\n\r\n");
    connection.send([&malformed[..], &hidden].concat()).await;
    assert_eq!(connection.response().await.status, 400);
    connection.finish_sending().await;
    assert_eq!(connection.rest().await, (vec![], End::Closed));
}

#[tokio::test]
async fn a_body_that_turns_out_malformed_ends_the_session() {
    let mut server = start_apart(EngineConfig::new()).await;
    let mut connection = Connection::open(server.addr).await;
    let target = open_over(&mut connection, &server).await;
    assert_eq!(server.next().await, Seen::Open);
    let chunked = [("Transfer-Encoding", "chunked")];
    let bytes = request("POST", &target, &chunked, b"3\r\n4abX\r\n0\r\n\r\n");
    let at = bytes.len() - 9;
    send_split(&mut connection, &bytes, at).await;
    let reply = connection.response().await;
    assert_eq!(
        (reply.status, reply.header("connection")),
        (400, Some("close"))
    );
    let description = Some("data request connection closed prematurely".to_owned());
    let expected = Seen::Close(CloseReason::TransportError, description);
    assert_eq!(server.next().await, expected);
}

#[tokio::test]
async fn heads_are_bounded_in_bytes_and_lines() {
    let server = start_apart(EngineConfig::new()).await;
    let long = "x".repeat(17 << 10);
    let endless = format!("GET {POLLING} HTTP/1.1\r\nHost: a\r\nX: {long}");
    let complete = format!("{endless}\r\n\r\n");
    let lines = "X: y\r\n".repeat(100);
    let many = format!("GET {POLLING} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    for (head, split) in [
        (&endless, true),
        (&complete, false),
        (&complete, true),
        (&many, false),
    ] {
        let mut connection = Connection::open(server.addr).await;
        let at = if split { 10 } else { 0 };
        send_split(&mut connection, head.as_bytes(), at).await;
        let reply = connection.response().await;
        assert_eq!(
            (reply.status, reply.header("connection")),
            (431, Some("close"))
        );
        connection.finish_sending().await;
        assert_eq!(connection.rest().await, (vec![], End::Closed));
    }
}

#[tokio::test]
async fn what_is_not_the_engines_or_unusual_is_handed_over() {
    let server = start_apart(EngineConfig::new()).await;
    // The body of a POST may be in flight, and the head come in pieces.
    let bytes = request("POST", "/other", &[], &b"0123456789".repeat(1000));
    for at in [1, 12, bytes.len() - 10_001, bytes.len() - 9_000] {
        let mut connection = Connection::open(server.addr).await;
        send_split(&mut connection, &bytes, at).await;
        let reply = connection.response().await;
        assert!(
            reply.text().starts_with("elsewhere: POST /other 0123"),
            "split at {at}"
        );
        assert_eq!(reply.body.len(), "elsewhere: POST /other ".len() + 10_000);
    }
    let body = [("Upgrade", "websocket"), ("Content-Length", "1")];
    for bytes in [
        request("GET", "/engine.io/a.js", &[], b""),
        request("GET", "/engine.io", &[], b""),
        request("GET", "http://127.0.0.1/engine.io/", &[], b""),
        request("OPTIONS", "*", &[], b""),
        request("GET", POLLING, &body, b"x"),
        request("POST", POLLING, &[("Expect", "something")], b"x"),
        format!("GET {POLLING} HTTP/1.0\r\n\r\n").into_bytes(),
    ] {
        let mut connection = Connection::open(server.addr).await;
        connection.send(&bytes).await;
        let reply = connection.response().await;
        let request = String::from_utf8_lossy(&bytes);
        assert!(
            reply.text().starts_with("elsewhere: "),
            "{request}: {reply:?}"
        );
    }
    let mut connection = Connection::open(server.addr).await;
    let expect = [("Expect", "100-continue"), ("Content-Length", "2")];
    connection
        .send(request("POST", POLLING, &expect, b""))
        .await;
    // Only then is the body sent: an interim reply, which ends with its head.
    let proceed = b"HTTP/1.1 100 Continue\r\n\r\n";
    while connection.buffered().len() < proceed.len() {
        within("the leave to proceed", connection.fill())
            .await
            .unwrap();
    }
    assert_eq!(connection.take(proceed.len()), proceed);
    connection.send(b"hi").await;
    let expected = format!("elsewhere: POST {POLLING} hi");
    assert_eq!(connection.response().await.text(), expected);
}

#[tokio::test]
async fn one_connection_may_carry_requests_for_the_engine_and_for_others() {
    let server = start(EngineConfig::new()).await;
    let mut connection = Connection::open(server.addr).await;
    let target = open_over(&mut connection, &server).await;
    assert_eq!(
        connection.request("POST", &target, &[], b"4a").await.text(),
        "ok"
    );
    let reply = connection.request("GET", "/other", &[], b"").await;
    assert_eq!((reply.status, reply.text()), (501, "Not Implemented"));
    // By hyper from here on, with the same outcome.
    assert_eq!(
        connection.request("GET", &target, &[], b"").await.text(),
        "4a"
    );
    let frame = Frame::new(opcode::TEXT, "4early").bytes();
    connection
        .send([handshake_bytes(WS, &[]), frame].concat())
        .await;
    let mut ws = Ws::adopt(connection).await.unwrap();
    ws.expect_json("0").await;
    ws.expect("4early").await;
    // More than the buffers of a connection hold.
    let long = format!("4{}", "x".repeat(900_000));
    ws.text(&long).await;
    ws.expect(&long).await;
}

#[tokio::test]
async fn frames_right_behind_an_upgrade_are_read() {
    let server = start_apart(EngineConfig::new()).await;
    let frame = |text: &str| Frame::new(opcode::TEXT, text).bytes();
    let early = [frame("4one"), frame("4two")].concat();
    let all = [handshake_bytes(WS, &[]), early].concat();
    for at in [0, all.len() - 9, all.len() - 1] {
        let mut connection = Connection::open(server.addr).await;
        send_split(&mut connection, &all, at).await;
        let mut ws = Ws::adopt(connection).await.unwrap();
        ws.expect_json("0").await;
        ws.expect("4one").await;
        ws.expect("4two").await;
    }
    let polling = Polling::open(server.addr, "/engine.io/").await;
    let handshake = handshake_bytes(&polling.upgrade_target(), &[]);
    let mut connection = Connection::open(server.addr).await;
    connection.send([handshake, frame("2probe")].concat()).await;
    let mut ws = Ws::adopt(connection).await.unwrap();
    ws.expect("3probe").await;
    assert_eq!(polling.poll().await, ["6"]);
    ws.texts(&["5", "4upgraded"]).await;
    ws.expect("4upgraded").await;
}

#[tokio::test]
async fn a_refused_upgrade_leaves_no_connection_behind() {
    let server = start_apart(EngineConfig::new()).await;
    let target = "/engine.io/?EIO=4&transport=websocket&sid=nobody";
    let Err((reply, mut connection)) = Ws::attempt(server.addr, target, &[]).await else {
        panic!("there is no such session");
    };
    assert_eq!(
        (reply.status, reply.header("connection")),
        (400, Some("close"))
    );
    assert_eq!(connection.rest().await, (vec![], End::Closed));
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_let_go() {
    let config = EngineConfig::new().header_timeout(Duration::from_millis(100));
    let server = start_apart(config).await;
    let mut idle = Connection::open(server.addr).await;
    assert_eq!(idle.rest().await, (vec![], End::Closed));
    let mut reused = Connection::open(server.addr).await;
    open_over(&mut reused, &server).await;
    assert_eq!(reused.rest().await, (vec![], End::Closed));

    let mut slow = Connection::open(server.addr).await;
    slow.send("GET /engine.io/ HTTP/1.1\r\nX: ").await;
    let reply = loop {
        // Each byte is progress, and no reason to wait longer.
        let patience = Duration::from_millis(20);
        match tokio::time::timeout(patience, slow.read_response(false)).await {
            Ok(reply) => break reply,
            Err(_) => slow.send("x").await,
        }
    };
    assert_eq!(
        (reply.status, reply.header("connection")),
        (408, Some("close"))
    );
    slow.finish_sending().await;
    assert_eq!(slow.rest().await.1, End::Closed);
}

#[tokio::test]
async fn a_poll_may_wait_longer_than_a_head() {
    let config = EngineConfig::new().header_timeout(Duration::from_millis(50));
    let mut server = start_apart(config).await;
    let polling = Polling::open(server.addr, "/engine.io/").await;
    let (session, _) = server.next_with_session().await;
    let mut pending = polling.start_get().await;
    let quiet = Duration::from_millis(150);
    sala_testkit::quiet_for(quiet, "the poll to wait", pending.connection().fill()).await;
    session.send(text("late")).unwrap();
    assert_eq!(pending.packets().await, ["4late"]);
}

/// A session whose next poll brings more than the operating system takes at once.
async fn with_much_to_say(server: &mut Server) -> (Polling, usize) {
    let polling = Polling::open(server.addr, "/engine.io/").await;
    let (session, _) = server.next_with_session().await;
    let word = "y".repeat(100_000);
    for _ in 0..70 {
        session.send(text(&word)).unwrap();
    }
    (polling, 70 * 100_002 - 1)
}

#[tokio::test]
async fn a_slow_reader_gets_all_of_a_long_reply() {
    let mut server = start_apart(EngineConfig::new().http_compression(None)).await;
    let (polling, len) = with_much_to_say(&mut server).await;
    let mut pending = polling.start_get().await;
    let reply = pending.reply().await;
    assert_eq!((reply.status, reply.body.len()), (200, len));
    // The connection goes on.
    let mut connection = pending.into_connection();
    let reply = connection
        .request("POST", &polling.target, &[], b"4a")
        .await;
    assert_eq!(reply.text(), "ok");
}

#[tokio::test]
async fn who_does_not_read_a_reply_is_cut_off() {
    let mut server = start_apart(EngineConfig::new().http_compression(None)).await;
    let (polling, len) = with_much_to_say(&mut server).await;
    let pending = polling.start_get().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    let (bytes, _) = pending.into_connection().rest().await;
    assert!(bytes.len() < len, "{} of {len} bytes", bytes.len());
}

#[tokio::test]
async fn a_client_that_goes_while_it_polls_is_noticed_at_once() {
    let mut server = start_apart(EngineConfig::new()).await;
    for reset in [false, true] {
        let polling = Polling::open(server.addr, "/engine.io/").await;
        assert_eq!(server.next().await, Seen::Open);
        let mut connection = polling.start_get().await.into_connection();
        connection.send("GET /engine.io/ HT").await;
        if reset {
            connection.reset();
        } else {
            drop(connection);
        }
        let description = Some("poll connection closed prematurely".to_owned());
        let expected = Seen::Close(CloseReason::TransportError, description);
        assert_eq!(server.next().await, expected, "reset: {reset}");
    }
}

#[tokio::test]
async fn a_client_that_goes_while_it_posts_is_noticed_at_once() {
    let mut server = start_apart(EngineConfig::new()).await;
    let polling = Polling::open(server.addr, "/engine.io/").await;
    assert_eq!(server.next().await, Seen::Open);
    let mut connection = Connection::open(server.addr).await;
    let length = [("Content-Length", "10")];
    connection
        .send(request("POST", &polling.target, &length, b"4a"))
        .await;
    tokio::time::sleep(sala_testkit::polling::SETTLE).await;
    drop(connection);
    let description = Some("data request connection closed prematurely".to_owned());
    let expected = Seen::Close(CloseReason::TransportError, description);
    assert_eq!(server.next().await, expected);
}

#[tokio::test]
async fn the_reply_to_a_body_that_is_too_large_can_be_read() {
    let server = start_apart(EngineConfig::new().max_payload(1000)).await;
    let polling = Polling::open(server.addr, "/engine.io/").await;
    let body = "x".repeat(3_000_000);
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let chunked = [("Transfer-Encoding", "chunked")];
    for bytes in [
        request("POST", &polling.target, &[], body.as_bytes()),
        request("POST", &polling.target, &chunked, chunk.as_bytes()),
    ] {
        let mut connection = Connection::open(server.addr).await;
        connection.send(bytes).await;
        let reply = connection.response().await;
        assert_eq!(
            (reply.status, reply.header("connection")),
            (413, Some("close"))
        );
        connection.finish_sending().await;
        assert_eq!(connection.rest().await, (vec![], End::Closed));
    }
    // One that has arrived whole does no harm to the connection.
    let mut connection = Connection::open(server.addr).await;
    let body = [b'x'; 1001];
    let reply = connection.request("POST", &polling.target, &[], &body);
    assert_eq!(reply.await.status, 413);
    let reply = connection
        .request("POST", &polling.target, &[], b"4a")
        .await;
    assert_eq!(reply.text(), "ok");
}

#[tokio::test]
async fn a_server_that_stops_finishes_what_it_was_asked() {
    let (done, ended) = tokio::sync::oneshot::channel();
    let stop = Arc::new(tokio::sync::Notify::new());
    let stopped = Arc::clone(&stop);
    let mut server = start_in(config(), |engine, listener| async move {
        let service =
            EngineLayer::new(engine.clone()).layer(Otherwise::new(http::StatusCode::NOT_FOUND, ""));
        let stop = async move { stopped.notified().await };
        let result = engine.serve(listener, service, stop).await;
        done.send(()).ok();
        result
    })
    .await;
    let mut fresh = Connection::open(server.addr).await;
    let mut idle = Connection::open(server.addr).await;
    open_over(&mut idle, &server).await;
    let mut foreign = Connection::open(server.addr).await;
    assert_eq!(foreign.request("GET", "/", &[], b"").await.status, 404);
    let polling = Polling::open(server.addr, "/engine.io/").await;
    let mut pending = polling.start_get().await;
    assert_eq!(server.next().await, Seen::Open);

    stop.notify_one();
    for connection in [&mut fresh, &mut idle, &mut foreign] {
        assert_eq!(connection.rest().await, (vec![], End::Closed));
    }
    assert!(within("the drain", server.engine.drain(Drain::default())).await);
    let reply = pending.reply().await;
    assert_eq!(
        (reply.text(), reply.header("connection")),
        ("1", Some("close"))
    );
    within("the server to end", ended).await.unwrap();
}

#[tokio::test]
async fn hooks_see_the_request_of_a_poll_that_waited() {
    let config = EngineConfig::new().on_headers(|headers, request| {
        let value = request.header("x-mark").unwrap_or("none");
        let value = format!("{value} from {:?}", request.remote_address().is_some());
        headers.insert("x-mark", value.try_into().unwrap());
    });
    let mut server = start_apart(config).await;
    let mut connection = Connection::open(server.addr).await;
    let target = open_over(&mut connection, &server).await;
    let (session, _) = server.next_with_session().await;
    connection
        .send(request("GET", &target, &[("X-Mark", "mine")], b""))
        .await;
    session.send(text("a")).unwrap();
    let reply = connection.response().await;
    assert_eq!(reply.header("x-mark"), Some("mine from true"));
}

/// On both ways that a request can take: the engine's own, and hyper's for what is unusual.
#[tokio::test]
async fn a_trusted_proxy_tells_the_address_of_the_client() {
    let config = EngineConfig::new()
        .trusted_proxies(["127.0.0.1".parse().unwrap()])
        .on_headers(|headers, request| {
            let client = request.remote_address().unwrap().to_string();
            headers.insert("x-client", client.try_into().unwrap());
        });
    let server = start(config).await;
    for version in ["1.1", "1.0"] {
        let mut connection = Connection::open(server.addr).await;
        let head = format!(
            "GET {POLLING} HTTP/{version}\r\nHost: a\r\nX-Forwarded-For: 8.8.8.8, 192.0.2.1:7\r\n\r\n"
        );
        connection.send(head).await;
        let reply = connection.response().await;
        assert_eq!(reply.header("x-client"), Some("192.0.2.1:7"), "{version}");
    }
}
