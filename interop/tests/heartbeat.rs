//! A.8: heartbeats.

use std::time::{Duration, Instant};

use sala_interop::Probe;
use sala_testkit::polling::Polling;
use sala_testkit::ws::Ws;
use serde_json::{Value, json};

use crate::support::WEBSOCKET;

async fn open_ws(options: Value) -> (Probe, Ws) {
    let probe = Probe::engine(options).await;
    let mut ws = Ws::open(probe.addr(), WEBSOCKET).await;
    ws.expect_json("0").await;
    (probe, ws)
}

/// Asserts that `elapsed` is at least `from` and not absurdly later.
#[track_caller]
fn about(elapsed: Duration, from: u64, to: u64) {
    let millis = elapsed.as_millis() as u64;
    // Servers may round a few milliseconds down; a busy machine adds up to the tolerance above.
    assert!(
        millis + 8 >= from && millis <= to + 600,
        "after {millis} ms, expected {from} to {to}"
    );
}

#[tokio::test]
async fn the_first_ping_comes_after_the_interval() {
    // A128, and a measured pitfall: the first ping was sent at once
    let (_probe, mut ws) = open_ws(json!({"pingInterval": 300})).await;
    let opened = Instant::now();
    ws.expect("2").await;
    about(opened.elapsed(), 280, 300);
}

#[tokio::test]
async fn the_next_ping_comes_an_interval_after_the_pong() {
    // A128, A129
    let (mut probe, mut ws) = open_ws(json!({"pingInterval": 300, "report": ["heartbeat"]})).await;
    ws.expect("2").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    ws.text("3anything").await;
    let answered = Instant::now();
    probe.event("heartbeat").await;
    ws.expect("2").await;
    about(answered.elapsed(), 290, 300);
}

#[tokio::test]
async fn silence_after_a_ping_closes_a_websocket() {
    // A130, A142
    let (mut probe, mut ws) = open_ws(json!({"pingInterval": 200, "pingTimeout": 100})).await;
    let opened = Instant::now();
    ws.expect("2").await;
    ws.expect_close(None).await;
    about(opened.elapsed(), 290, 300);
    assert_eq!(probe.event("close").await["reason"], "ping timeout");
}

#[tokio::test]
async fn silence_after_a_ping_closes_a_polling_session() {
    // A130: the pending GET is told
    let mut probe = Probe::engine(json!({"pingInterval": 100, "pingTimeout": 150})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    assert_eq!(session.poll().await, ["2"]);
    assert_eq!(session.poll().await, ["1"]);
    assert_eq!(probe.event("close").await["reason"], "ping timeout");
    session.expect_gone().await;
}

#[tokio::test]
async fn the_clock_runs_even_if_nobody_polls() {
    // A131
    let mut probe = Probe::engine(json!({"pingInterval": 100, "pingTimeout": 100})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    let opened = Instant::now();
    assert_eq!(probe.event("close").await["reason"], "ping timeout");
    about(opened.elapsed(), 190, 200);
    session.expect_gone().await;
}

#[tokio::test]
async fn other_traffic_prolongs_the_wait_for_a_pong_once_and_no_more() {
    // A132, A133
    let (mut probe, mut ws) = open_ws(json!({"pingInterval": 200, "pingTimeout": 300})).await;
    ws.expect("2").await;
    let pinged = Instant::now();
    let chatter = async {
        loop {
            ws.text("4still here").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let closed = tokio::select! {
        close = probe.event("close") => close,
        () = chatter => unreachable!(),
    };
    assert_eq!(closed["reason"], "ping timeout");
    about(pinged.elapsed(), 300, 620);
}

#[tokio::test]
async fn a_message_late_in_the_wait_restarts_it() {
    // A132: a slow upload must not cost the connection
    let (mut probe, mut ws) = open_ws(json!({"pingInterval": 100, "pingTimeout": 400})).await;
    ws.expect("2").await;
    let pinged = Instant::now();
    tokio::time::sleep(Duration::from_millis(300)).await;
    ws.text("4busy").await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(pinged.elapsed() > Duration::from_millis(500));
    ws.text("3").await;
    ws.expect("2").await;
    probe.expect_none("close").await;
}

#[tokio::test]
async fn a_session_that_answers_lives_on() {
    // A128 on both transports
    let options = json!({"pingInterval": 100, "pingTimeout": 1000});
    let (mut probe, mut ws) = open_ws(options).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    let over_polling = async {
        for _ in 0..6 {
            assert_eq!(session.poll().await, ["2"]);
            session.send("3").await;
        }
    };
    let over_websocket = async {
        for _ in 0..6 {
            ws.expect("2").await;
            ws.text("3").await;
        }
    };
    tokio::join!(over_polling, over_websocket);
    probe.expect_none("close").await;
}

#[tokio::test]
async fn a_pong_that_comes_too_late_changes_nothing() {
    // A134
    let (mut probe, mut ws) = open_ws(json!({"pingInterval": 100, "pingTimeout": 100})).await;
    ws.expect("2").await;
    assert_eq!(probe.event("close").await["reason"], "ping timeout");
    ws.text("3").await;
    ws.expect_close(None).await;
    probe.expect_none("close").await;
    assert_eq!(probe.run(json!({"do": "count"})).await["count"], 0);
}

#[tokio::test]
async fn unsolicited_pongs_are_harmless() {
    // A065, I039
    let (mut probe, mut ws) = open_ws(json!({"echo": true})).await;
    for _ in 0..100 {
        ws.texts(&["3"; 100]).await;
    }
    ws.text("4alive").await;
    ws.expect("4alive").await;
    probe.expect_none("close").await;
}
