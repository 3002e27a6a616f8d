//! A.6: the WebSocket transport, its packets and frames.

use std::time::Duration;

use sala_interop::{Probe, differs};
use sala_testkit::http::Connection;
use sala_testkit::within_long;
use sala_testkit::ws::{Frame, Message, Ws, handshake_bytes, opcode};
use serde_json::{Value, json};

use crate::support::{A_MOMENT, WEBSOCKET};

async fn open(options: Value) -> (Probe, Ws, String) {
    let probe = Probe::engine(options).await;
    let (ws, sid) = open_on(&probe).await;
    (probe, ws, sid)
}

async fn open_on(probe: &Probe) -> (Ws, String) {
    let mut ws = Ws::open(probe.addr(), WEBSOCKET).await;
    let sid = ws.expect_json("0").await["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    (ws, sid)
}

#[track_caller]
fn closed(probe: &mut Probe, sid: &str, reason: &str) -> impl Future<Output = Value> {
    let place = std::panic::Location::caller();
    async move {
        let close = probe.event_where("close", |close| close["id"] == sid).await;
        assert!(
            close["reason"] == reason,
            "expected {reason}, got {close} ({place})"
        );
        close
    }
}

// --- packets ------------------------------------------------------------------------------------

#[tokio::test]
async fn a_message_is_one_packet() {
    // A084
    let (mut probe, mut ws, sid) = open(json!({})).await;
    ws.text("4hello").await;
    assert_eq!(probe.event("data").await["data"], "hello");
    probe
        .run(json!({"do": "send", "id": sid, "data": "a\u{1e}4b"}))
        .await;
    ws.expect("4a\u{1e}4b").await;
    ws.text("4x\u{1e}4y").await;
    assert_eq!(probe.event("data").await["data"], "x\u{1e}4y");
}

#[tokio::test]
async fn an_undecodable_packet_closes_the_session() {
    // A085, A141
    for packet in ["7", "", "x", "é"] {
        let (mut probe, mut ws, sid) = open(json!({})).await;
        ws.text(packet).await;
        ws.expect_close(None).await;
        closed(&mut probe, &sid, "parse error").await;
    }
}

#[tokio::test]
async fn bytes_are_binary_frames() {
    // A086
    let (mut probe, mut ws, _) = open(json!({"echo": true})).await;
    ws.binary([1, 2, 3, 4]).await;
    assert_eq!(
        probe.event("data").await["data"],
        json!({"$bin": "AQIDBA=="})
    );
    ws.expect_binary(&[1, 2, 3, 4]).await;
    ws.binary([]).await;
    ws.expect_binary(&[]).await;
}

#[tokio::test]
async fn base64_text_is_bytes() {
    // A087
    let (mut probe, mut ws, _) = open(json!({})).await;
    ws.text("bAQID").await;
    assert_eq!(probe.event("data").await["data"], json!({"$bin": "AQID"}));
}

#[tokio::test]
async fn packets_without_meaning_here_are_ignored() {
    // A088
    let (mut probe, mut ws, _) = open(json!({"echo": true})).await;
    for packet in ["0", "3", "3probe", "5", "6"] {
        ws.text(packet).await;
    }
    ws.text("4alive").await;
    ws.expect("4alive").await;
    probe.expect_none("close").await;
}

#[tokio::test]
async fn a_close_packet_closes() {
    // A088, J182
    let (mut probe, mut ws, sid) = open(json!({})).await;
    ws.text("1").await;
    if differs("A088", "it ignores a close packet over WebSocket") {
        return;
    }
    ws.expect_close(None).await;
    closed(&mut probe, &sid, "transport close").await;
}

#[tokio::test]
async fn a_client_must_not_ping_in_revision_four() {
    // A089
    for packet in ["2", "2probe"] {
        let (mut probe, mut ws, sid) = open(json!({})).await;
        ws.text(packet).await;
        ws.expect_close(None).await;
        assert_eq!(
            closed(&mut probe, &sid, "transport error").await["description"],
            "invalid heartbeat direction"
        );
    }
}

// --- frames -------------------------------------------------------------------------------------

#[tokio::test]
async fn fragments_are_joined_and_control_frames_may_come_between() {
    // A090
    let (_probe, mut ws, _) = open(json!({"echo": true})).await;
    ws.frame(Frame::first(opcode::TEXT, "4")).await;
    ws.frame(Frame::new(opcode::PING, "mid")).await;
    ws.frame(Frame::next("hel", false)).await;
    ws.frame(Frame::new(opcode::PONG, "")).await;
    ws.frame(Frame::next("", false)).await;
    ws.frame(Frame::next("lo", true)).await;
    ws.expect_message(Message::Pong(b"mid".to_vec())).await;
    ws.expect("4hello").await;
}

#[tokio::test]
async fn frames_may_arrive_byte_by_byte_and_many_at_once() {
    // A090
    let (_probe, mut ws, _) = open(json!({"echo": true})).await;
    let message = "4hällo ".repeat(40);
    for byte in Frame::new(opcode::TEXT, message.as_bytes()).bytes() {
        ws.raw([byte]).await;
    }
    ws.expect(&message).await;
    ws.texts(&["4a", "4b", "4c"]).await;
    for text in ["4a", "4b", "4c"] {
        ws.expect(text).await;
    }
}

#[tokio::test]
async fn every_length_form_is_understood() {
    // A021, A090, I042
    let (_probe, mut ws, _) = open(json!({"echo": true})).await;
    for length in [1, 124, 125, 126, 127, 65_535, 65_536, 200_000] {
        let text = format!("4{}", "x".repeat(length - 1));
        ws.text(&text).await;
        ws.expect(&text).await;
    }
}

#[tokio::test]
async fn a_websocket_ping_is_answered_with_its_payload() {
    // A091, I026
    let (mut probe, mut ws, _) = open(json!({})).await;
    for payload in [&b"abc"[..], b"", b"42", &[0xff; 125]] {
        ws.frame(Frame::new(opcode::PING, payload)).await;
        ws.expect_message(Message::Pong(payload.to_vec())).await;
    }
    probe.expect_none("heartbeat").await;
}

#[tokio::test]
async fn a_message_that_declares_too_much_is_refused_before_it_arrives() {
    // A092, I027
    let (mut probe, mut ws, sid) = open(json!({})).await;
    ws.frame(Frame {
        declared: Some(2_000_000),
        ..Frame::new(opcode::TEXT, "4")
    })
    .await;
    ws.expect_close(Some(1009)).await;
    assert_eq!(
        closed(&mut probe, &sid, "transport error").await["description"],
        "Max payload size exceeded"
    );
}

#[tokio::test]
async fn fragments_that_add_up_to_too_much_are_refused() {
    // A092
    let (mut probe, mut ws, sid) = open(json!({"maxHttpBufferSize": 1000})).await;
    ws.frame(Frame::first(opcode::TEXT, "4".repeat(600))).await;
    ws.frame(Frame {
        declared: Some(401),
        ..Frame::next("", true)
    })
    .await;
    ws.expect_close(Some(1009)).await;
    closed(&mut probe, &sid, "transport error").await;
}

#[tokio::test]
async fn a_message_at_the_limit_is_accepted() {
    // A021, A092
    let (_probe, mut ws, _) = open(json!({"maxHttpBufferSize": 1000, "echo": true})).await;
    let text = format!("4{}", "x".repeat(999));
    ws.text(&text).await;
    ws.expect(&text).await;
    ws.binary(vec![7; 1000]).await;
    ws.expect_binary(&[7; 1000]).await;
}

#[tokio::test]
async fn bad_utf8_is_refused() {
    // A093
    for payload in [
        &b"4\xff\xfe"[..],
        b"4\xc0\x80",
        b"4\xed\xa0\x80",
        b"4\xe2\x82",
    ] {
        let (mut probe, mut ws, sid) = open(json!({})).await;
        ws.frame(Frame::new(opcode::TEXT, payload)).await;
        ws.expect_close(Some(1007)).await;
        let close = closed(&mut probe, &sid, "transport error").await;
        assert_eq!(
            close["description"],
            "Invalid WebSocket frame: invalid UTF-8 sequence"
        );
    }
}

#[tokio::test]
async fn a_character_may_be_split_over_fragments() {
    // A093
    let (_probe, mut ws, _) = open(json!({"echo": true})).await;
    ws.frame(Frame::first(opcode::TEXT, b"4\xe2")).await;
    ws.frame(Frame::next(b"\x82", false)).await;
    ws.frame(Frame::next(b"\xac", true)).await;
    ws.expect("4€").await;
}

#[tokio::test]
async fn frames_that_break_the_protocol_are_refused() {
    // A094, A103, I009
    let text = || Frame::new(opcode::TEXT, "4a");
    let close = |code: u16| Frame::new(opcode::CLOSE, code.to_be_bytes());
    let mut cases: Vec<(String, Vec<Frame>)> = vec![
        (
            "unmasked".into(),
            vec![Frame {
                masked: false,
                ..text()
            }],
        ),
        (
            "continuation without a start".into(),
            vec![Frame::next("a", true)],
        ),
        (
            "a new message inside another".into(),
            vec![Frame::first(opcode::TEXT, "4"), text()],
        ),
        (
            "a long control frame".into(),
            vec![Frame::new(opcode::PING, [0; 126])],
        ),
        (
            "a fragmented control frame".into(),
            vec![Frame {
                fin: false,
                ..Frame::new(opcode::PING, "")
            }],
        ),
        (
            "a close body of one byte".into(),
            vec![Frame::new(opcode::CLOSE, [3])],
        ),
    ];
    cases.extend([1, 2, 4].map(|rsv| {
        (
            format!("reserved bits {rsv}"),
            vec![Frame { rsv, ..text() }],
        )
    }));
    cases.extend(
        [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
            .map(|code| (format!("opcode {code}"), vec![Frame::new(code, "")])),
    );
    cases.extend(
        [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]
            .map(|code| (format!("close code {code}"), vec![close(code)])),
    );

    let probe = &mut Probe::engine(json!({})).await;
    for (name, frames) in cases {
        let (mut ws, sid) = open_on(probe).await;
        for frame in frames {
            ws.frame(frame).await;
        }
        let answer = ws.next().await;
        assert!(
            matches!(answer, Message::Close(Some(1002), _)),
            "{name}: {answer:?}"
        );
        let close = closed(probe, &sid, "transport error").await;
        assert!(
            close["description"]
                .as_str()
                .unwrap()
                .starts_with("Invalid WebSocket frame"),
            "{name}: {close}"
        );
    }
}

#[tokio::test]
async fn impossible_lengths_are_refused_and_never_resynchronised() {
    // I042
    let probe = &mut Probe::engine(json!({})).await;
    for (length, code) in [
        (u64::MAX, 1009),
        (1 << 63, 1009),
        ((1 << 53) + 1, 1009),
        (1 << 32, 1009),
    ] {
        let (mut ws, sid) = open_on(probe).await;
        ws.frame(Frame {
            declared: Some(length),
            long: true,
            ..Frame::new(opcode::TEXT, "4x")
        })
        .await;
        ws.text("4never seen").await;
        ws.expect_close(Some(code)).await;
        closed(probe, &sid, "transport error").await;
    }
    probe.expect_none("data").await;
}

#[tokio::test]
async fn too_many_pieces_are_refused() {
    // A095, I032, I033
    let (mut probe, mut ws, sid) = open(json!({})).await;
    let mut bytes = Frame::first(opcode::TEXT, "4").bytes();
    for _ in 0..20_000 {
        bytes.extend(Frame::next("x", false).bytes());
    }
    ws.raw(bytes).await;
    ws.expect_close(Some(1008)).await;
    closed(&mut probe, &sid, "transport error").await;
}

#[tokio::test]
async fn a_message_of_many_pieces_is_accepted_below_the_limit() {
    // A095
    let (_probe, mut ws, _) = open(json!({"echo": true})).await;
    let mut bytes = Frame::first(opcode::TEXT, "4").bytes();
    for _ in 0..10_000 {
        bytes.extend(Frame::next("x", false).bytes());
    }
    bytes.extend(Frame::next("", true).bytes());
    ws.raw(bytes).await;
    ws.expect(&format!("4{}", "x".repeat(10_000))).await;
}

// --- ends ---------------------------------------------------------------------------------------

#[tokio::test]
async fn a_close_frame_is_echoed_with_its_code() {
    // A096, A139
    let probe = &mut Probe::engine(json!({})).await;
    for code in [Some(1000), Some(1001), Some(3000), Some(4999), None] {
        let (mut ws, sid) = open_on(probe).await;
        ws.close(code).await;
        ws.expect_close(code).await;
        ws.gone().await;
        drop(ws);
        closed(probe, &sid, "transport close").await;
    }
}

#[tokio::test]
async fn the_end_of_the_tcp_connection_is_a_close() {
    // A097
    let probe = &mut Probe::engine(json!({})).await;
    let (ws, sid) = open_on(probe).await;
    drop(ws);
    closed(probe, &sid, "transport close").await;
    let (mut ws, sid) = open_on(probe).await;
    ws.connection().finish_sending().await;
    closed(probe, &sid, "transport close").await;
}

#[tokio::test]
async fn a_server_that_closes_sends_an_empty_close_frame_and_does_not_wait() {
    // A098, A145
    let (mut probe, mut ws, sid) = open(json!({})).await;
    probe
        .run(json!({"do": "send", "id": sid, "data": "last words"}))
        .await;
    probe.run(json!({"do": "close", "id": sid})).await;
    ws.expect("4last words").await;
    ws.expect_close(None).await;
    closed(&mut probe, &sid, "forced close").await;
}

// --- order and pace -----------------------------------------------------------------------------

#[tokio::test]
async fn messages_leave_in_order() {
    // A109
    let (mut probe, mut ws, sid) = open(json!({})).await;
    for start in 0..10 {
        for i in 0..10 {
            probe
                .run(json!({"do": "send", "id": sid, "data": format!("{}", start * 10 + i)}))
                .await;
        }
    }
    probe
        .run(json!({"do": "send", "id": sid, "data": "many", "repeat": 1000}))
        .await;
    for i in 0..100 {
        ws.expect(&format!("4{i}")).await;
    }
    for _ in 0..1000 {
        ws.expect("4many").await;
    }
    ws.quiet(A_MOMENT).await;
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    // A109, B007
    let (mut probe, mut ws, sid) =
        open(json!({"maxHttpBufferSize": 20_000_000, "echo": true})).await;
    let bytes: Vec<u8> = (0..8_000_000u32).map(|i| (i % 251) as u8).collect();
    ws.binary(bytes.clone()).await;
    let echo = within_long(Duration::from_secs(20), "the large message", ws.read()).await;
    assert!(echo == Message::Binary(bytes));
    let state = probe.run(json!({"do": "state", "id": sid})).await;
    assert_eq!(state["state"], "open");
}

#[tokio::test]
async fn a_peer_that_resets_is_a_transport_that_ends() {
    // A099
    let (mut probe, ws, sid) = open(json!({})).await;
    ws.into_connection().reset();
    let close = probe
        .event_where("close", |close| close["id"] == *sid)
        .await;
    let reason = close["reason"].as_str().unwrap();
    assert!(
        ["transport close", "transport error"].contains(&reason),
        "{reason}"
    );
}

#[tokio::test]
async fn a_refused_handshake_and_its_frames_do_no_harm() {
    // I009
    let mut probe = Probe::engine(json!({})).await;
    let bad = Frame {
        rsv: 7,
        ..Frame::new(opcode::TEXT, "4x")
    };
    let mut ws = Ws::open_and_send(probe.addr(), WEBSOCKET, std::slice::from_ref(&bad))
        .await
        .unwrap();
    assert_eq!(ws.closed().await, Some(1002));
    assert_eq!(probe.event("close").await["reason"], "transport error");
    let mut connection = Connection::open(probe.addr()).await;
    connection
        .send(
            [
                handshake_bytes(&format!("{WEBSOCKET}&sid=nope"), &[]),
                bad.bytes(),
            ]
            .concat(),
        )
        .await;
    assert_eq!(connection.response().await.status, 400);
    assert!(probe.process().is_running());
}
