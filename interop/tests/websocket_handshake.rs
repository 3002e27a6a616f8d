//! A.6: the WebSocket handshake and compression.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use sala_interop::{Probe, differs};
use sala_testkit::http::{Connection, request};
use sala_testkit::ws::{Frame, Ws, handshake_headers, opcode};
use serde_json::json;

use crate::support::WEBSOCKET;

// --- the handshake ------------------------------------------------------------------------------

#[tokio::test]
async fn the_handshake_headers_are_checked() {
    // A100
    let probe = Probe::engine(json!({})).await;
    let replace = |name: &str, value: Option<&'static str>| -> Vec<(&'static str, &'static str)> {
        let headers = handshake_headers().into_iter().filter_map(|(key, old)| {
            if key == name {
                value.map(|value| (key, value))
            } else {
                Some((key, old))
            }
        });
        headers.collect()
    };
    let key = "Missing or invalid Sec-WebSocket-Key header";
    let version = "Missing or invalid Sec-WebSocket-Version header";
    let cases = [
        ("POST", handshake_headers(), 405, "Invalid HTTP method"),
        (
            "GET",
            replace("Upgrade", Some("h2c")),
            400,
            "Invalid Upgrade header",
        ),
        ("GET", replace("Sec-WebSocket-Key", None), 400, key),
        ("GET", replace("Sec-WebSocket-Key", Some("short")), 400, key),
        ("GET", replace("Sec-WebSocket-Version", None), 400, version),
        (
            "GET",
            replace("Sec-WebSocket-Version", Some("12")),
            400,
            version,
        ),
    ];
    for (method, headers, status, text) in cases {
        let mut connection = Connection::open(probe.addr()).await;
        // A handshake by POST is refused before the WebSocket layer sees it, unless it names a session.
        let method_case = method == "POST";
        let target = if method_case {
            upgradable(&probe).await
        } else {
            WEBSOCKET.to_owned()
        };
        connection
            .send(request(method, &target, &headers, b""))
            .await;
        let reply = connection.response().await;
        assert_eq!((reply.status, reply.text()), (status, text), "{headers:?}");
        if text == version {
            assert_eq!(reply.header("sec-websocket-version"), Some("13, 8"));
        }
    }
    let mut connection = Connection::open(probe.addr()).await;
    connection
        .send(request(
            "GET",
            WEBSOCKET,
            &replace("Sec-WebSocket-Version", Some("8")),
            b"",
        ))
        .await;
    assert_eq!(connection.response().await.status, 101);
}

async fn upgradable(probe: &Probe) -> String {
    sala_testkit::polling::Polling::open(probe.addr(), "/engine.io/")
        .await
        .upgrade_target()
}

#[tokio::test]
async fn header_values_are_read_as_lists_and_without_case() {
    // A100
    let probe = Probe::engine(json!({})).await;
    let key = handshake_headers()[3];
    let headers = [
        ("Connection", "keep-alive, UPGRADE"),
        ("Upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        key,
    ];
    let mut connection = Connection::open(probe.addr()).await;
    connection
        .send(request("GET", WEBSOCKET, &headers, b""))
        .await;
    assert!(Ws::adopt(connection).await.is_ok());
}

#[tokio::test]
async fn the_first_subprotocol_is_taken() {
    // A101
    let probe = Probe::engine(json!({})).await;
    let ws = Ws::open_with(
        probe.addr(),
        WEBSOCKET,
        &[("Sec-WebSocket-Protocol", "foo, bar")],
    )
    .await;
    assert_eq!(ws.handshake.header("sec-websocket-protocol"), Some("foo"));
    assert_eq!(
        Ws::open(probe.addr(), WEBSOCKET)
            .await
            .handshake
            .header("sec-websocket-protocol"),
        None
    );
    for bad in ["foo, foo", "foo,", ",foo", "foo bar", "f@o"] {
        let attempt =
            Ws::attempt(probe.addr(), WEBSOCKET, &[("Sec-WebSocket-Protocol", bad)]).await;
        let Err((reply, _)) = attempt else {
            panic!("{bad:?} must be refused")
        };
        assert_eq!(
            (reply.status, reply.text()),
            (400, "Invalid Sec-WebSocket-Protocol header"),
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn a_long_subprotocol_header_takes_no_time() {
    // I029
    let probe = Probe::engine(json!({})).await;
    let value = format!("b{}x", " ".repeat(10_000));
    let started = Instant::now();
    let attempt = Ws::attempt(
        probe.addr(),
        WEBSOCKET,
        &[("Sec-WebSocket-Protocol", &value)],
    )
    .await;
    let Err((reply, _)) = attempt else {
        panic!("must be refused")
    };
    assert!(matches!(reply.status, 400 | 431), "{reply:?}");
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn frames_right_behind_the_handshake_are_read() {
    // A102
    let probe = Probe::engine(json!({"echo": true})).await;
    let session = sala_testkit::polling::Polling::open(probe.addr(), "/engine.io/").await;
    let probing = [Frame::new(opcode::TEXT, "2probe")];
    let mut ws = Ws::open_and_send(probe.addr(), &session.upgrade_target(), &probing)
        .await
        .unwrap();
    ws.expect("3probe").await;

    if differs(
        "A102",
        "it loses frames that come while it makes the session id",
    ) {
        return;
    }
    let frames = [
        Frame::new(opcode::TEXT, "4early"),
        Frame::new(opcode::TEXT, "4bird"),
    ];
    let mut ws = Ws::open_and_send(probe.addr(), WEBSOCKET, &frames)
        .await
        .unwrap();
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
    DeflateDecoder::new(&whole[..])
        .read_to_end(&mut inflated)
        .unwrap();
    inflated
}

fn compressed(text: &str) -> Frame {
    Frame {
        rsv: 4,
        ..Frame::new(opcode::TEXT, deflate(text.as_bytes()))
    }
}

#[tokio::test]
async fn without_compression_offers_are_ignored() {
    // A103, I028
    let probe = Probe::engine(json!({})).await;
    let offers = [
        "permessage-deflate",
        "permessage-deflate; x=",
        ";;;",
        "constructor, __proto__",
        "permessage-deflate; client_max_window_bits",
    ];
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
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate",
        ),
        (
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover",
        ),
        (
            "permessage-deflate; client_no_context_takeover",
            "permessage-deflate; client_no_context_takeover",
        ),
        (
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=10",
        ),
        (
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=10",
        ),
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
    for offer in [
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; x=1",
        ";;;",
        "permessage-deflate; server_no_context_takeover=1",
    ] {
        let Err((reply, _)) = Ws::attempt(probe.addr(), WEBSOCKET, &[(OFFER, offer)]).await else {
            panic!("{offer} must be refused")
        };
        assert_eq!(
            (reply.status, reply.text()),
            (
                400,
                "Invalid or unacceptable Sec-WebSocket-Extensions header"
            ),
            "{offer}"
        );
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
    assert_eq!(
        open.rsv, 4,
        "with context takeover every message is compressed"
    );
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
    ws.frame(Frame {
        rsv: 4,
        ..Frame::first(opcode::TEXT, left)
    })
    .await;
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
    assert_eq!(
        inflate(&ws.read_frame().await.unwrap().payload),
        b"4twelve bytes"
    );
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
    probe
        .run(json!({"do": "send", "id": sid, "data": "plain please", "compress": false}))
        .await;
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
    assert_eq!(
        (&close["reason"], &close["description"]),
        (
            &json!("transport error"),
            &json!("Max payload size exceeded")
        )
    );
}

#[tokio::test]
async fn what_does_not_inflate_is_refused() {
    // A104
    let mut probe = Probe::engine(json!({"perMessageDeflate": true})).await;
    let mut ws = Ws::open_with(probe.addr(), WEBSOCKET, &[(OFFER, "permessage-deflate")]).await;
    ws.read_frame().await.unwrap();
    ws.frame(Frame {
        rsv: 4,
        ..Frame::new(opcode::TEXT, [0xff; 20])
    })
    .await;
    ws.expect_close(Some(1007)).await;
    assert_eq!(probe.event("close").await["reason"], "transport error");
}
