//! A.7: the upgrade from polling to WebSocket.

use std::time::Duration;

use sala_interop::Probe;
use sala_testkit::polling::Polling;
use sala_testkit::ws::{Frame, Message, Ws, opcode};
use sala_testkit::{http, within};
use serde_json::{Value, json};

use crate::support::{A_MOMENT, refused, upgrade_refused};

async fn open(options: Value) -> (Probe, Polling) {
    let probe = Probe::engine(options).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    (probe, session)
}

/// A WebSocket that has been probed and not yet committed.
async fn probed(session: &Polling) -> Ws {
    let mut ws = Ws::open(session.addr, &session.upgrade_target()).await;
    ws.text("2probe").await;
    ws.expect("3probe").await;
    ws
}

/// Goes the whole way.
async fn upgraded(session: &Polling) -> Ws {
    let mut ws = probed(session).await;
    ws.text("5").await;
    ws
}

#[tokio::test]
async fn a_session_moves_to_a_websocket() {
    // A111, A112, A114, A176
    let (mut probe, session) =
        open(json!({"report": ["upgrading", "upgrade"], "echo": true})).await;
    let mut ws = Ws::open(session.addr, &session.upgrade_target()).await;
    ws.quiet(A_MOMENT).await;
    ws.text("2probe").await;
    ws.expect("3probe").await;
    assert_eq!(probe.event("upgrading").await["transport"], "websocket");
    let state = probe.run(json!({"do": "state", "id": session.sid})).await;
    assert_eq!(
        (&state["transport"], &state["upgrading"], &state["upgraded"]),
        (&json!("polling"), &json!(true), &json!(false))
    );

    ws.text("5").await;
    assert_eq!(probe.event("upgrade").await["transport"], "websocket");
    ws.text("4hello").await;
    ws.expect("4hello").await;
    let state = probe.run(json!({"do": "state", "id": session.sid})).await;
    assert_eq!(
        (&state["transport"], &state["upgrading"], &state["upgraded"]),
        (&json!("websocket"), &json!(false), &json!(true))
    );
}

#[tokio::test]
async fn a_pending_get_is_freed_after_the_probe() {
    // A113
    let (_probe, session) = open(json!({})).await;
    let mut pending = session.start_get().await;
    let mut ws = probed(&session).await;
    assert_eq!(pending.packets().await, ["6"]);
    // So is the next one, for as long as the probe lasts.
    assert_eq!(session.poll().await, ["6"]);
    ws.text("5").await;
}

#[tokio::test]
async fn what_is_sent_during_the_probe_arrives_after_the_commit() {
    // A114
    let (mut probe, session) = open(json!({})).await;
    let mut ws = probed(&session).await;
    for data in ["a", "b"] {
        probe
            .run(json!({"do": "send", "id": session.sid, "data": data}))
            .await;
    }
    ws.text("5").await;
    ws.expect("4a").await;
    ws.expect("4b").await;
}

#[tokio::test]
async fn polling_works_both_ways_during_the_probe() {
    // A115
    let (mut probe, session) = open(json!({})).await;
    let mut ws = probed(&session).await;
    session.send("4by polling").await;
    assert_eq!(probe.event("data").await["data"], "by polling");
    probe
        .run(json!({"do": "send", "id": session.sid, "data": "down"}))
        .await;
    assert_eq!(session.poll().await, ["4down"]);
    ws.text("5").await;
    ws.text("4by websocket").await;
    assert_eq!(probe.event("data").await["data"], "by websocket");
}

#[tokio::test]
async fn a_commit_without_a_probe_is_accepted() {
    // A116
    let (_probe, session) = open(json!({"echo": true})).await;
    let mut ws = Ws::open(session.addr, &session.upgrade_target()).await;
    ws.text("5").await;
    ws.text("4hello").await;
    ws.expect("4hello").await;
}

#[tokio::test]
async fn a_commit_may_follow_its_probe_at_once() {
    // A102, A114
    let (_probe, session) = open(json!({"echo": true})).await;
    let frames = ["2probe", "5", "4a", "4b"].map(|text| Frame::new(opcode::TEXT, text));
    let mut ws = Ws::open_and_send(session.addr, &session.upgrade_target(), &frames)
        .await
        .unwrap();
    for text in ["3probe", "4a", "4b"] {
        ws.expect(text).await;
    }
}

#[tokio::test]
async fn any_other_packet_ends_the_attempt_and_not_the_session() {
    // A117, and a measured pitfall: a malformed probe closed the polling session
    let (mut probe, session) = open(json!({})).await;
    for packet in ["2", "2foo", "4message", "1", "6", "garbage", ""] {
        let mut ws = Ws::open(session.addr, &session.upgrade_target()).await;
        ws.text(packet).await;
        ws.expect_close(None).await;
        ws.close(None).await;
        session.send("4still polling").await;
        assert_eq!(
            probe.event("data").await["data"],
            "still polling",
            "after {packet:?}"
        );
    }
    for frame in [
        Frame::new(opcode::BINARY, [1]),
        Frame {
            rsv: 2,
            ..Frame::new(opcode::TEXT, "2probe")
        },
    ] {
        let mut ws = Ws::open(session.addr, &session.upgrade_target()).await;
        ws.frame(frame).await;
        ws.closed().await;
        session.send("4still polling").await;
        probe.event("data").await;
    }
    probe.expect_none("close").await;
    upgraded(&session).await.quiet(A_MOMENT).await;
}

#[tokio::test]
async fn an_upgrade_that_is_not_committed_in_time_ends() {
    // A020, A118
    let (mut probe, session) = open(json!({"upgradeTimeout": 200})).await;
    let mut ws = probed(&session).await;
    ws.expect_close(None).await;
    session.send("4still polling").await;
    assert_eq!(probe.event("data").await["data"], "still polling");
    let mut silent = Ws::open(session.addr, &session.upgrade_target()).await;
    silent.expect_close(None).await;
    probe.expect_none("close").await;
}

#[tokio::test]
async fn a_websocket_that_drops_mid_way_leaves_polling_alone() {
    // A119, J180
    let (mut probe, session) = open(json!({"echo": true})).await;
    drop(probed(&session).await);
    session.send("4still polling").await;
    assert_eq!(session.poll_past_noops().await, ["4still polling"]);
    probed(&session).await.into_connection().reset();
    session.send("4still polling").await;
    assert_eq!(session.poll_past_noops().await, ["4still polling"]);

    // A new attempt is possible once the server has seen the end of the last.
    let mut ws = within("a second upgrade", async {
        loop {
            let mut ws = Ws::open(session.addr, &session.upgrade_target()).await;
            ws.text("2probe").await;
            match ws.read().await {
                Message::Text(text) if text == "3probe" => return ws,
                Message::Close(None, _) => tokio::time::sleep(Duration::from_millis(10)).await,
                other => panic!("unexpected {other:?}"),
            }
        }
    })
    .await;
    ws.text("5").await;
    ws.text("4upgraded").await;
    ws.expect("4upgraded").await;
    probe.expect_none("close").await;
}

trait PollPastNoops {
    fn poll_past_noops(&self) -> impl Future<Output = Vec<String>>;
}

impl PollPastNoops for Polling {
    /// A GET may still meet the noop of an attempt that has just ended.
    async fn poll_past_noops(&self) -> Vec<String> {
        loop {
            let packets = self.poll().await;
            if packets != ["6"] {
                return packets;
            }
        }
    }
}

#[tokio::test]
async fn a_second_websocket_for_the_same_session_is_closed() {
    // A120
    let (mut probe, session) = open(json!({"echo": true})).await;
    let mut first = probed(&session).await;
    let mut second = Ws::open(session.addr, &session.upgrade_target()).await;
    second.expect_close(None).await;

    first.text("5").await;
    first.text("4mine").await;
    first.expect("4mine").await;
    let mut third = Ws::open(session.addr, &session.upgrade_target()).await;
    third.expect_close(None).await;
    first.text("4still mine").await;
    first.expect("4still mine").await;
    probe.expect_none("close").await;
}

#[tokio::test]
async fn polling_is_refused_after_the_upgrade() {
    // A121
    let (_probe, session) = open(json!({"echo": true})).await;
    let mut ws = upgraded(&session).await;
    ws.text("4sync").await;
    ws.expect("4sync").await;
    refused(session.addr, &session.target, 3, "Bad request").await;
    let reply = session.post("4no").await;
    assert_eq!((reply.status, &reply.json()["code"]), (400, &json!(3)));
    ws.text("4alive").await;
    ws.expect("4alive").await;
}

#[tokio::test]
async fn a_session_that_closes_while_upgrading_closes_the_new_websocket() {
    // A122
    let (mut probe, session) = open(json!({})).await;
    let mut ws = probed(&session).await;
    probe
        .run(json!({"do": "close", "id": session.sid, "discard": true}))
        .await;
    ws.expect_close(None).await;
    assert_eq!(probe.event("close").await["reason"], "forced close");
    session.expect_gone().await;

    let session = Polling::open(probe.addr(), "/engine.io/").await;
    let mut ws = probed(&session).await;
    session.send("1").await;
    ws.expect_close(None).await;
    assert_eq!(probe.event("close").await["reason"], "transport close");
}

#[tokio::test]
async fn a_session_that_is_closing_flushes_its_queue_over_the_new_websocket() {
    // A123
    let (mut probe, session) = open(json!({})).await;
    let mut ws = probed(&session).await;
    probe
        .run(json!({"do": "send", "id": session.sid, "data": "last words"}))
        .await;
    probe.run(json!({"do": "close", "id": session.sid})).await;
    ws.text("5").await;
    ws.expect("4last words").await;
    ws.expect_close(None).await;
    assert_eq!(probe.event("close").await["reason"], "forced close");
}

#[tokio::test]
async fn the_heartbeat_goes_on_over_the_new_transport() {
    // A124
    let (mut probe, session) = open(json!({"pingInterval": 150, "pingTimeout": 150})).await;
    assert_eq!(session.poll().await, ["2"]);
    let mut ws = upgraded(&session).await;
    // The pong of a ping that went out by polling arrives over the WebSocket.
    ws.text("3").await;
    for _ in 0..4 {
        ws.expect("2").await;
        ws.text("3").await;
    }
    probe.expect_none("close").await;
}

#[tokio::test]
async fn middlewares_run_for_the_upgrade() {
    // A125
    let (mut probe, session) =
        open(json!({"use": [{"report": true}], "allowRequest": {"delay": 0}})).await;
    upgraded(&session).await;
    let urls = probe.taken("middleware").await;
    assert_eq!(urls.len(), 2, "{urls:?}");
    assert_eq!(probe.taken("allow_request").await.len(), 1);
}

#[tokio::test]
async fn a_websocket_session_is_not_disturbed_by_another_websocket() {
    // A126: no upgrade is announced to it, and an attempt does no harm
    let (mut probe, _) = open(json!({"echo": true})).await;
    let mut ws = Ws::open(probe.addr(), crate::support::WEBSOCKET).await;
    let sid = ws.expect_json("0").await["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let target = format!("{}&sid={sid}", crate::support::WEBSOCKET);
    drop(Ws::open(probe.addr(), &target).await);
    ws.text("4alive").await;
    ws.expect("4alive").await;
    probe.expect_none("close").await;
}

#[tokio::test]
async fn an_upgrade_needs_a_session_of_its_own_revision() {
    // A163, I014
    let (mut probe, session) = open(json!({"echo": true})).await;
    for eio in ["EIO=3", "EIO=abc", "EIO="] {
        upgrade_refused(
            session.addr,
            &session.upgrade_target().replace("EIO=4", eio),
            400,
            "Bad request",
        )
        .await;
        let error = probe.event("connection_error").await;
        assert_eq!(error["context"]["name"], "PROTOCOL_MISMATCH", "{eio}");
    }
    session.send("4alive").await;
    assert_eq!(session.poll().await, ["4alive"]);
}

#[tokio::test]
async fn nothing_is_lost_when_messages_flow_during_the_upgrade() {
    // A114, A115, A127
    let (mut probe, session) = open(json!({})).await;
    let ws = Ws::open(session.addr, &session.upgrade_target()).await;
    let sends = json!({"do": "send", "id": session.sid, "data": "x", "repeat": 50});
    let mut got = 0;
    let mut ws = ws;
    probe.run(sends.clone()).await;
    ws.text("2probe").await;
    probe.run(sends.clone()).await;
    ws.expect("3probe").await;
    got += session
        .poll()
        .await
        .iter()
        .filter(|packet| *packet == "4x")
        .count();
    probe.run(sends.clone()).await;
    ws.text("5").await;
    probe.run(sends).await;
    while got < 200 {
        ws.expect("4x").await;
        got += 1;
    }
    ws.quiet(A_MOMENT).await;
}

#[tokio::test]
async fn overlapping_polls_do_not_hold_up_an_upgrade() {
    // a measured pitfall: the upgrade timed out when polls overlapped it
    let (mut probe, session) = open(json!({"echo": true})).await;
    let mut first = session.start_get().await;
    let mut ws = probed(&session).await;
    assert_eq!(first.packets().await, ["6"]);
    let mut late = session.start_get_now().await;
    ws.text("5").await;
    // Depending on what the server saw first, the late poll is released or refused.
    let reply = late.reply().await;
    assert!(reply.status == 400 || reply.text() == "6", "{reply:?}");
    ws.text("4through").await;
    ws.expect("4through").await;
    assert_eq!(http::get(session.addr, &session.target).await.status, 400);
    probe.expect_none("close").await;
}
