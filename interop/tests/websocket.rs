//! A.6: the WebSocket transport.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use sala_interop::{Probe, differs};
use sala_testkit::http::{Connection, request};
use sala_testkit::within_long;
use sala_testkit::ws::{Frame, Message, Ws, handshake_bytes, handshake_headers, opcode};
use serde_json::{Value, json};

use crate::support::{A_MOMENT, WEBSOCKET};

async fn open(options: Value) -> (Probe, Ws, String) {
    let probe = Probe::engine(options).await;
    let (ws, sid) = open_on(&probe).await;
    (probe, ws, sid)
}

async fn open_on(probe: &Probe) -> (Ws, String) {
    let mut ws = Ws::open(probe.addr(), WEBSOCKET).await;
    let sid = ws.expect_json("0").await["sid"].as_str().unwrap().to_owned();
    (ws, sid)
}

#[track_caller]
fn closed(probe: &mut Probe, sid: &str, reason: &str) -> impl Future<Output = Value> {
    let place = std::panic::Location::caller();
    async move {
        let close = probe.event_where("close", |close| close["id"] == sid).await;
        assert!(close["reason"] == reason, "expected {reason}, got {close} ({place})");
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
    probe.run(json!({"do": "send", "id": sid, "data": "a\u{1e}4b"})).await;
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
    assert_eq!(probe.event("data").await["data"], json!({"$bin": "AQIDBA=="}));
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
        assert_eq!(closed(&mut probe, &sid, "transport error").await["description"], "invalid heartbeat direction");
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
    ws.frame(Frame { declared: Some(2_000_000), ..Frame::new(opcode::TEXT, "4") }).await;
    ws.expect_close(Some(1009)).await;
    assert_eq!(closed(&mut probe, &sid, "transport error").await["description"], "Max payload size exceeded");
}

#[tokio::test]
async fn fragments_that_add_up_to_too_much_are_refused() {
    // A092
    let (mut probe, mut ws, sid) = open(json!({"maxHttpBufferSize": 1000})).await;
    ws.frame(Frame::first(opcode::TEXT, "4".repeat(600))).await;
    ws.frame(Frame { declared: Some(401), ..Frame::next("", true) }).await;
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
    for payload in [&b"4\xff\xfe"[..], b"4\xc0\x80", b"4\xed\xa0\x80", b"4\xe2\x82"] {
        let (mut probe, mut ws, sid) = open(json!({})).await;
        ws.frame(Frame::new(opcode::TEXT, payload)).await;
        ws.expect_close(Some(1007)).await;
        let close = closed(&mut probe, &sid, "transport error").await;
        assert_eq!(close["description"], "Invalid WebSocket frame: invalid UTF-8 sequence");
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
        ("unmasked".into(), vec![Frame { masked: false, ..text() }]),
        ("continuation without a start".into(), vec![Frame::next("a", true)]),
        ("a new message inside another".into(), vec![Frame::first(opcode::TEXT, "4"), text()]),
        ("a long control frame".into(), vec![Frame::new(opcode::PING, [0; 126])]),
        ("a fragmented control frame".into(), vec![Frame { fin: false, ..Frame::new(opcode::PING, "") }]),
        ("a close body of one byte".into(), vec![Frame::new(opcode::CLOSE, [3])]),
    ];
    cases.extend([1, 2, 4].map(|rsv| (format!("reserved bits {rsv}"), vec![Frame { rsv, ..text() }])));
    cases.extend([3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(|code| (format!("opcode {code}"), vec![Frame::new(code, "")])));
    cases.extend([0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535].map(|code| (format!("close code {code}"), vec![close(code)])));

    let probe = &mut Probe::engine(json!({})).await;
    for (name, frames) in cases {
        let (mut ws, sid) = open_on(probe).await;
        for frame in frames {
            ws.frame(frame).await;
        }
        let answer = ws.next().await;
        assert!(matches!(answer, Message::Close(Some(1002), _)), "{name}: {answer:?}");
        let close = closed(probe, &sid, "transport error").await;
        assert!(close["description"].as_str().unwrap().starts_with("Invalid WebSocket frame"), "{name}: {close}");
    }
}

#[tokio::test]
async fn impossible_lengths_are_refused_and_never_resynchronised() {
    // I042
    let probe = &mut Probe::engine(json!({})).await;
    for (length, code) in [(u64::MAX, 1009), (1 << 63, 1009), ((1 << 53) + 1, 1009), (1 << 32, 1009)] {
        let (mut ws, sid) = open_on(probe).await;
        ws.frame(Frame { declared: Some(length), long: true, ..Frame::new(opcode::TEXT, "4x") }).await;
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
    probe.run(json!({"do": "send", "id": sid, "data": "last words"})).await;
    probe.run(json!({"do": "close", "id": sid})).await;
    ws.expect("4last words").await;
    ws.expect_close(None).await;
    closed(&mut probe, &sid, "forced close").await;
}

// --- the handshake ------------------------------------------------------------------------------

#[tokio::test]
async fn the_handshake_headers_are_checked() {
    // A100
    let probe = Probe::engine(json!({})).await;
    let replace = |name: &str, value: Option<&'static str>| -> Vec<(&'static str, &'static str)> {
        let headers = handshake_headers().into_iter().filter_map(|(key, old)| {
            if key == name { value.map(|value| (key, value)) } else { Some((key, old)) }
        });
        headers.collect()
    };
    let key = "Missing or invalid Sec-WebSocket-Key header";
    let version = "Missing or invalid Sec-WebSocket-Version header";
    let cases = [
        ("POST", handshake_headers(), 405, "Invalid HTTP method"),
        ("GET", replace("Upgrade", Some("h2c")), 400, "Invalid Upgrade header"),
        ("GET", replace("Sec-WebSocket-Key", None), 400, key),
        ("GET", replace("Sec-WebSocket-Key", Some("short")), 400, key),
        ("GET", replace("Sec-WebSocket-Version", None), 400, version),
        ("GET", replace("Sec-WebSocket-Version", Some("12")), 400, version),
    ];
    for (method, headers, status, text) in cases {
        let mut connection = Connection::open(probe.addr()).await;
        // A handshake by POST is refused before the WebSocket layer sees it, unless it names a session.
        let method_case = method == "POST";
        let target = if method_case { upgradable(&probe).await } else { WEBSOCKET.to_owned() };
        connection.send(request(method, &target, &headers, b"")).await;
        let reply = connection.response().await;
        assert_eq!((reply.status, reply.text()), (status, text), "{headers:?}");
        if text == version {
            assert_eq!(reply.header("sec-websocket-version"), Some("13, 8"));
        }
    }
    let mut connection = Connection::open(probe.addr()).await;
    connection.send(request("GET", WEBSOCKET, &replace("Sec-WebSocket-Version", Some("8")), b"")).await;
    assert_eq!(connection.response().await.status, 101);
}

async fn upgradable(probe: &Probe) -> String {
    sala_testkit::polling::Polling::open(probe.addr(), "/engine.io/").await.upgrade_target()
}

#[tokio::test]
async fn header_values_are_read_as_lists_and_without_case() {
    // A100
    let probe = Probe::engine(json!({})).await;
    let key = handshake_headers()[3];
    let headers = [("Connection", "keep-alive, UPGRADE"), ("Upgrade", "WebSocket"), ("sec-websocket-version", "13"), key];
    let mut connection = Connection::open(probe.addr()).await;
    connection.send(request("GET", WEBSOCKET, &headers, b"")).await;
    assert!(Ws::adopt(connection).await.is_ok());
}

#[tokio::test]
async fn the_first_subprotocol_is_taken() {
    // A101
    let probe = Probe::engine(json!({})).await;
    let ws = Ws::open_with(probe.addr(), WEBSOCKET, &[("Sec-WebSocket-Protocol", "foo, bar")]).await;
    assert_eq!(ws.handshake.header("sec-websocket-protocol"), Some("foo"));
    assert_eq!(Ws::open(probe.addr(), WEBSOCKET).await.handshake.header("sec-websocket-protocol"), None);
    for bad in ["foo, foo", "foo,", ",foo", "foo bar", "f@o"] {
        let attempt = Ws::attempt(probe.addr(), WEBSOCKET, &[("Sec-WebSocket-Protocol", bad)]).await;
        let Err((reply, _)) = attempt else { panic!("{bad:?} must be refused") };
        assert_eq!((reply.status, reply.text()), (400, "Invalid Sec-WebSocket-Protocol header"), "{bad:?}");
    }
}

#[tokio::test]
async fn a_long_subprotocol_header_takes_no_time() {
    // I029
    let probe = Probe::engine(json!({})).await;
    let value = format!("b{}x", " ".repeat(10_000));
    let started = Instant::now();
    let attempt = Ws::attempt(probe.addr(), WEBSOCKET, &[("Sec-WebSocket-Protocol", &value)]).await;
    let Err((reply, _)) = attempt else { panic!("must be refused") };
    assert!(matches!(reply.status, 400 | 431), "{reply:?}");
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn frames_right_behind_the_handshake_are_read() {
    // A102
    let probe = Probe::engine(json!({"echo": true})).await;
    let session = sala_testkit::polling::Polling::open(probe.addr(), "/engine.io/").await;
    let probing = [Frame::new(opcode::TEXT, "2probe")];
    let mut ws = Ws::open_and_send(probe.addr(), &session.upgrade_target(), &probing).await.unwrap();
    ws.expect("3probe").await;

    if differs("A102", "it loses frames that come while it makes the session id") {
        return;
    }
    let frames = [Frame::new(opcode::TEXT, "4early"), Frame::new(opcode::TEXT, "4bird")];
    let mut ws = Ws::open_and_send(probe.addr(), WEBSOCKET, &frames).await.unwrap();
    ws.expect_json("0").await;
    ws.expect("4early").await;
    ws.expect("4bird").await;
}

// --- compression --------------------------------------------------------------------------------

const OFFER: &str = "Sec-WebSocket-Extensions";
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.flush().unwrap();
    let mut deflated = encoder.get_ref().clone();
    assert!(deflated.ends_with(&TAIL));
    deflated.truncate(deflated.len() - TAIL.len());
    deflated
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let whole = [bytes, &TAIL, &[1, 0, 0, 0xff, 0xff]].concat();
    let mut inflated = Vec::new();
    DeflateDecoder::new(&whole[..]).read_to_end(&mut inflated).unwrap();
    inflated
}

fn compressed(text: &str) -> Frame {
    Frame { rsv: 4, ..Frame::new(opcode::TEXT, deflate(text.as_bytes())) }
}

#[tokio::test]
async fn without_compression_offers_are_ignored() {
    // A103, I028
    let probe = Probe::engine(json!({})).await;
    let offers = ["permessage-deflate", "permessage-deflate; x=", ";;;", "constructor, __proto__", "permessage-deflate; client_max_window_bits"];
    for offer in offers {
        let ws = Ws::open_with(probe.addr(), WEBSOCKET, &[(OFFER, offer)]).await;
        assert_eq!(ws.handshake.header(OFFER), None, "{offer}");
    }
}

#[tokio::test]
async fn compression_is_negotiated() {
    // A104
    let probe = Probe::engine(json!({"perMessageDeflate": true})).await;
    let table = [
        ("permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
        ("permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"),
        ("permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"),
        ("permessage-deflate; server_max_window_bits=10", "permessage-deflate; server_max_window_bits=10"),
        ("permessage-deflate; client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10"),
        ("x-other, permessage-deflate", "permessage-deflate"),
    ];
    for (offer, expected) in table {
        let ws = Ws::open_with(probe.addr(), WEBSOCKET, &[(OFFER, offer)]).await;
        assert_eq!(ws.handshake.header(OFFER), Some(expected), "{offer}");
    }
    let ws = Ws::open(probe.addr(), WEBSOCKET).await;
    assert_eq!(ws.handshake.header(OFFER), None);
}

#[tokio::test]
async fn unacceptable_offers_are_refused() {
    // A104, I028
    let probe = Probe::engine(json!({"perMessageDeflate": true})).await;
    for offer in ["permessage-deflate; server_max_window_bits=7", "permessage-deflate; x=1", ";;;", "permessage-deflate; server_no_context_takeover=1"] {
        let Err((reply, _)) = Ws::attempt(probe.addr(), WEBSOCKET, &[(OFFER, offer)]).await else {
            panic!("{offer} must be refused")
        };
        assert_eq!((reply.status, reply.text()), (400, "Invalid or unacceptable Sec-WebSocket-Extensions header"), "{offer}");
    }
    for offer in ["constructor", "__proto__; a=1"] {
        let ws = Ws::open_with(probe.addr(), WEBSOCKET, &[(OFFER, offer)]).await;
        assert_eq!(ws.handshake.header(OFFER), None, "{offer}");
    }
}

#[tokio::test]
async fn compressed_messages_are_read_and_written() {
    // A104, A105
    let probe = Probe::engine(json!({"perMessageDeflate": true, "echo": true})).await;
    let mut ws = Ws::open_with(probe.addr(), WEBSOCKET, &[(OFFER, "permessage-deflate")]).await;
    let open = ws.read_frame().await.unwrap();
    assert_eq!(open.rsv, 4, "with context takeover every message is compressed");
    assert!(inflate(&open.payload).starts_with(b"0{"));

    let text = "4hello hello hello hello";
    ws.frame(compressed(text)).await;
    let echo = ws.read_frame().await.unwrap();
    assert_eq!((echo.rsv, echo.opcode), (4, opcode::TEXT));

    // Uncompressed and fragmented compressed messages are fine as well; control frames are never compressed.
    ws.text("4plain").await;
    assert_eq!(ws.read_frame().await.unwrap().rsv, 4);
    let bytes = deflate(b"4in two parts");
    let (left, right) = bytes.split_at(bytes.len() / 2);
    ws.frame(Frame { rsv: 4, ..Frame::first(opcode::TEXT, left) }).await;
    ws.frame(Frame::next(right, true)).await;
    assert_eq!(ws.read_frame().await.unwrap().opcode, opcode::TEXT);
    ws.frame(Frame::new(opcode::PING, "x")).await;
    assert_eq!(ws.read_frame().await.unwrap().rsv, 0);
}

#[tokio::test]
async fn without_takeover_small_messages_stay_plain() {
    // A105
    let probe = Probe::engine(json!({"perMessageDeflate": true, "echo": true})).await;
    let offer = "permessage-deflate; server_no_context_takeover";
    let mut ws = Ws::open_with(probe.addr(), WEBSOCKET, &[(OFFER, offer)]).await;
    ws.expect_json("0").await;
    ws.text("4short").await;
    ws.expect("4short").await;
    let long = format!("4{}", "long ".repeat(300));
    for _ in 0..2 {
        ws.text(&long).await;
        let echo = ws.read_frame().await.unwrap();
        assert_eq!(echo.rsv, 4);
        assert_eq!(inflate(&echo.payload), long.as_bytes());
    }
}

#[tokio::test]
async fn the_threshold_of_compression_can_be_set() {
    // A026, A105
    let probe = Probe::engine(json!({"perMessageDeflate": {"threshold": 10}, "echo": true})).await;
    let offer = "permessage-deflate; server_no_context_takeover";
    let mut ws = Ws::open_with(probe.addr(), WEBSOCKET, &[(OFFER, offer)]).await;
    assert_eq!(ws.read_frame().await.unwrap().rsv, 4);
    ws.text("4twelve bytes").await;
    assert_eq!(inflate(&ws.read_frame().await.unwrap().payload), b"4twelve bytes");
    ws.text("4short").await;
    ws.expect("4short").await;
}

#[tokio::test]
async fn the_compress_flag_does_not_reach_websockets() {
    // A106
    let mut probe = Probe::engine(json!({"perMessageDeflate": true})).await;
    let mut ws = Ws::open_with(probe.addr(), WEBSOCKET, &[(OFFER, "permessage-deflate")]).await;
    ws.read_frame().await.unwrap();
    let sid = probe.event("open").await["id"].clone();
    probe.run(json!({"do": "send", "id": sid, "data": "plain please", "compress": false})).await;
    assert_eq!(ws.read_frame().await.unwrap().rsv, 4);
}

#[tokio::test]
async fn what_inflates_to_too_much_is_refused() {
    // A107, I034
    let mut probe = Probe::engine(json!({"perMessageDeflate": true})).await;
    let mut ws = Ws::open_with(probe.addr(), WEBSOCKET, &[(OFFER, "permessage-deflate")]).await;
    ws.read_frame().await.unwrap();
    ws.frame(compressed(&"4".repeat(1_000_001))).await;
    ws.expect_close(Some(1009)).await;
    let close = probe.event("close").await;
    assert_eq!((&close["reason"], &close["description"]), (&json!("transport error"), &json!("Max payload size exceeded")));
}

#[tokio::test]
async fn what_does_not_inflate_is_refused() {
    // A104
    let mut probe = Probe::engine(json!({"perMessageDeflate": true})).await;
    let mut ws = Ws::open_with(probe.addr(), WEBSOCKET, &[(OFFER, "permessage-deflate")]).await;
    ws.read_frame().await.unwrap();
    ws.frame(Frame { rsv: 4, ..Frame::new(opcode::TEXT, [0xff; 20]) }).await;
    ws.expect_close(Some(1007)).await;
    assert_eq!(probe.event("close").await["reason"], "transport error");
}

// --- order and pace -----------------------------------------------------------------------------

#[tokio::test]
async fn messages_leave_in_order() {
    // A109
    let (mut probe, mut ws, sid) = open(json!({})).await;
    for start in 0..10 {
        for i in 0..10 {
            probe.run(json!({"do": "send", "id": sid, "data": format!("{}", start * 10 + i)})).await;
        }
    }
    probe.run(json!({"do": "send", "id": sid, "data": "many", "repeat": 1000})).await;
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
    let (mut probe, mut ws, sid) = open(json!({"maxHttpBufferSize": 20_000_000, "echo": true})).await;
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
    let close = probe.event_where("close", |close| close["id"] == *sid).await;
    let reason = close["reason"].as_str().unwrap();
    assert!(["transport close", "transport error"].contains(&reason), "{reason}");
}

#[tokio::test]
async fn a_refused_handshake_and_its_frames_do_no_harm() {
    // I009
    let mut probe = Probe::engine(json!({})).await;
    let bad = Frame { rsv: 7, ..Frame::new(opcode::TEXT, "4x") };
    let mut ws = Ws::open_and_send(probe.addr(), WEBSOCKET, &[bad.clone()]).await.unwrap();
    assert_eq!(ws.closed().await, Some(1002));
    assert_eq!(probe.event("close").await["reason"], "transport error");
    let mut connection = Connection::open(probe.addr()).await;
    connection.send([handshake_bytes(&format!("{WEBSOCKET}&sid=nope"), &[]), bad.bytes()].concat()).await;
    assert_eq!(connection.response().await.status, 400);
    assert!(probe.process().is_running());
}
