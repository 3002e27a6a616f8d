//! Sessions over real sockets: what no client can see, and what must not happen.

use std::time::Duration;

use crate::common::{Seen, config, start, text};
use sala_engine::{CloseReason, Drain, EngineConfig, Transport};
use sala_testkit::polling::Polling;
use sala_testkit::within;
use sala_testkit::ws::{Frame, Ws, opcode};

const WS: &str = "/engine.io/?EIO=4&transport=websocket";

#[tokio::test]
async fn a_websocket_session_echoes_text_and_binary() {
    let mut server = start(EngineConfig::new()).await;
    let mut ws = Ws::open(server.addr, WS).await;
    let open = ws.expect_json("0").await;
    assert_eq!(open["upgrades"], serde_json::json!([]));
    assert_eq!(open["maxPayload"], 1_000_000);
    assert_eq!(server.next().await, Seen::Open);
    ws.text("4hello").await;
    ws.expect("4hello").await;
    ws.binary([1, 2, 3]).await;
    ws.expect_binary(&[1, 2, 3]).await;
    // Larger than what is copied together, larger than what is read at once.
    for len in [5_000, 70_000, 900_000] {
        let long = format!("4{}", "x".repeat(len));
        ws.text(&long).await;
        ws.expect(&long).await;
    }
    ws.close(Some(1000)).await;
    ws.expect_close(Some(1000)).await;
    assert_eq!(
        server.next().await,
        Seen::Close(CloseReason::TransportClose, None)
    );
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test]
async fn a_polling_session_echoes_and_upgrades() {
    let mut server = start(EngineConfig::new()).await;
    let polling = Polling::open(server.addr, "/engine.io/").await;
    let (session, _) = server.next_with_session().await;
    polling.send("4a\u{1e}4b").await;
    assert_eq!(polling.poll().await, ["4a", "4b"]);
    assert_eq!(session.transport(), Transport::Polling);

    let mut ws = Ws::open(server.addr, &polling.upgrade_target()).await;
    let mut pending = polling.start_get().await;
    ws.text("2probe").await;
    ws.expect("3probe").await;
    assert_eq!(pending.packets().await, ["6"]);
    // Sent between probe and commit, it arrives on the new transport.
    session.send(text("late")).unwrap();
    ws.texts(&["5", "4behind the commit"]).await;
    ws.expect("4late").await;
    ws.expect("4behind the commit").await;
    assert_eq!(session.transport(), Transport::WebSocket);
    assert!(session.is_upgraded());
    assert_eq!(polling.get().await.status, 400);
    assert_eq!(server.engine.stats().upgraded, 1);
}

#[tokio::test]
async fn the_server_pings_and_a_silent_client_is_let_go() {
    let mut server = start(config()).await;
    let mut ws = Ws::open(server.addr, WS).await;
    ws.expect_json("0").await;
    assert_eq!(server.next().await, Seen::Open);
    for _ in 0..2 {
        ws.expect("2").await;
        ws.text("3").await;
    }
    ws.expect("2").await;
    ws.expect_close(None).await;
    assert_eq!(
        server.next().await,
        Seen::Close(CloseReason::PingTimeout, None)
    );
}

#[tokio::test]
async fn a_graceful_close_sends_what_is_queued_and_close_now_does_not() {
    let mut server = start(EngineConfig::new()).await;
    let mut ws = Ws::open(server.addr, WS).await;
    ws.expect_json("0").await;
    ws.texts(&["4one", "4close", "4two"]).await;
    ws.expect("4one").await;
    ws.expect_close(None).await;
    assert_eq!(server.next().await, Seen::Open);
    let forced = Seen::Close(CloseReason::ForcedClose, None);
    assert_eq!(server.next().await, forced);

    let mut ws = Ws::open(server.addr, WS).await;
    ws.expect_json("0").await;
    ws.text("4close now").await;
    ws.expect_close(None).await;
    assert_eq!(server.next().await, Seen::Open);
    assert_eq!(server.next().await, forced);
}

#[tokio::test]
async fn a_close_between_polls_waits_for_the_client() {
    let mut server = start(EngineConfig::new()).await;
    let polling = Polling::open(server.addr, "/engine.io/").await;
    polling.send("4x\u{1e}4close").await;
    assert_eq!(server.next().await, Seen::Open);
    assert_eq!(server.next().await, Seen::Closing);
    assert_eq!(polling.poll().await, ["4x"]);
    assert_eq!(polling.poll().await, ["6", "1"]);
    assert_eq!(
        server.next().await,
        Seen::Close(CloseReason::ForcedClose, None)
    );
    polling.expect_gone().await;
}

#[tokio::test]
async fn a_panic_closes_one_session_and_nothing_else() {
    let mut server = start(EngineConfig::new()).await;
    let mut bystander = Ws::open(server.addr, WS).await;
    bystander.expect_json("0").await;
    let mut ws = Ws::open(server.addr, WS).await;
    ws.expect_json("0").await;
    assert_eq!(server.next().await, Seen::Open);
    assert_eq!(server.next().await, Seen::Open);
    ws.text("4panic").await;
    ws.gone().await;
    bystander.text("4still here").await;
    bystander.expect("4still here").await;
    assert_eq!(server.engine.clients_count(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_at_the_limit() {
    let mut server = start(EngineConfig::new().max_buffered_bytes(Some(1 << 20))).await;
    let mut ws = Ws::open(server.addr, WS).await;
    ws.expect_json("0").await;
    let (session, _) = server.next_with_session().await;
    ws.text("4flood 1000").await;
    let Seen::Close(reason, description) = server.next().await else {
        panic!("the session should be closed")
    };
    assert_eq!(reason, CloseReason::SlowConsumer);
    assert_eq!(reason.to_string(), "transport error");
    assert!(description.unwrap().contains("reads too slowly"));
    assert_eq!(server.engine.stats().slow_consumers, 1);
    assert_eq!(session.buffered_bytes(), 0, "nothing is kept");
}

#[tokio::test]
async fn only_the_first_of_several_volatile_messages_is_sent() {
    let mut server = start(EngineConfig::new()).await;
    let mut ws = Ws::open(server.addr, WS).await;
    ws.expect_json("0").await;
    assert_eq!(server.next().await, Seen::Open);
    ws.text("4volatile").await;
    ws.expect("4first").await;
    ws.expect("4regular").await;
    assert_eq!(server.engine.stats().volatile_dropped, 2);
}

#[tokio::test]
async fn unfinished_handlers_answer_later_and_hold_back_nobody() {
    let server = start(EngineConfig::new()).await;
    let mut ws = Ws::open(server.addr, WS).await;
    ws.expect_json("0").await;
    ws.texts(&["4wait", "4at once"]).await;
    ws.expect("4at once").await;
    ws.expect("4waited").await;
}

#[tokio::test]
async fn at_the_limit_of_unfinished_handlers_reading_stops() {
    let mut server = start(EngineConfig::new().max_running_handlers(2)).await;
    let mut ws = Ws::open(server.addr, WS).await;
    ws.expect_json("0").await;
    // All in one write: the rest of what was read must be kept, not dropped.
    ws.texts(&["4wait", "4wait", "4wait", "4wait", "4wait", "4after"])
        .await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(ws.next_text().await);
    }
    let after = answers.iter().position(|answer| answer == "4after");
    assert!(
        after >= Some(4),
        "at most one handler was unfinished: {answers:?}"
    );
    assert_eq!(
        answers.iter().filter(|answer| *answer == "4waited").count(),
        5
    );
    ws.texts(&["4for ever", "4for ever", "4never"]).await;
    ws.quiet(Duration::from_millis(100)).await;
    drop(ws);
    assert_eq!(server.next().await, Seen::Open);
}

#[tokio::test]
async fn a_drain_lets_go_of_everybody_and_refuses_newcomers() {
    let server = start(EngineConfig::new()).await;
    let mut ws = Ws::open(server.addr, WS).await;
    ws.expect_json("0").await;
    let polling = Polling::open(server.addr, "/engine.io/").await;
    let mut pending = polling.start_get().await;
    let engine = server.engine.clone();
    let drain = tokio::spawn(async move { engine.drain(Drain::default()).await });
    ws.expect_close(None).await;
    assert_eq!(pending.packets().await, ["1"]);
    assert!(within("the drain", drain).await.unwrap());
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test]
async fn a_drain_cuts_off_handlers_that_never_end() {
    let server = start(EngineConfig::new()).await;
    let mut ws = Ws::open(server.addr, WS).await;
    ws.expect_json("0").await;
    ws.texts(&["4for ever", "4x"]).await;
    ws.expect("4x").await;
    let drain = Drain {
        grace: Duration::from_millis(200),
        ..Drain::default()
    };
    assert!(!within("the drain", server.engine.drain(drain)).await);
}

/// A worker that was to be replaced waited for all of its grace period, 30 s, for a polling client that had
/// gone: its session asked to close and waited for the next poll, which never came.
#[tokio::test]
async fn a_drain_does_not_wait_for_polling_clients_that_have_gone() {
    let server = start(EngineConfig::new()).await;
    let gone = Polling::open(server.addr, "/engine.io/").await;
    let vanishing = Polling::open(server.addr, "/engine.io/").await;
    let pending = vanishing.start_get().await;
    // This one takes its time, and is served.
    let slow = Polling::open(server.addr, "/engine.io/").await;
    slow.send("4x").await;
    let drain = Drain {
        poll_patience: Duration::from_millis(500),
        ..Drain::default()
    };
    let engine = server.engine.clone();
    let drain = tokio::spawn(async move { engine.drain(drain).await });
    drop((gone, pending));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(slow.poll().await, ["4x"]);
    assert_eq!(slow.poll().await, ["6", "1"]);
    assert!(within("the drain", drain).await.unwrap());
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test]
async fn limits_on_sessions_answer_503() {
    let server = start(EngineConfig::new().max_sessions(Some(1))).await;
    let mut ws = Ws::open(server.addr, WS).await;
    ws.expect_json("0").await;
    let target = "/engine.io/?EIO=4&transport=polling";
    let reply = sala_testkit::http::get(server.addr, target).await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(server.engine.stats().over_limit, 1);

    let server = start(EngineConfig::new().max_silent_sessions(Some(1))).await;
    let polling = Polling::open(server.addr, "/engine.io/").await;
    assert_eq!(
        sala_testkit::http::get(server.addr, target).await.status,
        503
    );
    polling.send("4not silent any more").await;
    assert_eq!(
        sala_testkit::http::get(server.addr, target).await.status,
        200
    );
}

#[tokio::test]
async fn a_post_that_trickles_is_given_up() {
    let config = EngineConfig::new().post_timeout(Duration::from_millis(100));
    let mut server = start(config).await;
    let polling = Polling::open(server.addr, "/engine.io/").await;
    let target = format!("/engine.io/?EIO=4&transport=polling&sid={}", polling.sid);
    let mut connection = sala_testkit::http::Connection::open(server.addr).await;
    let head = format!("POST {target} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n4a");
    connection.send(head).await;
    let reply = connection.response().await;
    assert_eq!(reply.status, 408);
    assert_eq!(server.next().await, Seen::Open);
    assert_eq!(
        server.next().await,
        Seen::Close(
            CloseReason::TransportError,
            Some("POST body took too long".into())
        )
    );
}

#[tokio::test]
async fn pings_of_a_client_that_does_not_read_take_no_memory() {
    let server = start(EngineConfig::new()).await;
    let mut ws = Ws::open(server.addr, WS).await;
    ws.expect_json("0").await;
    for n in 0..1000 {
        ws.frame(Frame::new(opcode::PING, format!("{n}"))).await;
    }
    ws.text("4end").await;
    // Some pings may go unanswered, but the last one has its answer before the message has its own.
    let mut last = String::new();
    loop {
        let frame = within("a frame", ws.read_frame()).await.unwrap();
        match frame.opcode {
            opcode::PONG => last = String::from_utf8(frame.payload).unwrap(),
            _ => break assert_eq!(frame.payload, b"4end"),
        }
    }
    assert_eq!(last, "999");
}

#[tokio::test]
async fn the_server_stops_when_told() {
    let server = start(EngineConfig::new()).await;
    server.stop.notify_one();
    server.engine.drain(Drain::default()).await;
    let refused = async {
        while tokio::net::TcpStream::connect(server.addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within("the listener to close", refused).await;
}
