//! Every row of the vectors that were captured from the reference's parsers, both ways.

use crate::support::{base64, decode, from_notation, messages, through_json, value};
use sala_proto::{Assembler, Codec, Limits, Message, PacketKind, Value, ValuePacket};

/// A row's packet as ours; `None` if it names no namespace, which no packet of ours does.
fn packet(row: &Value) -> Option<ValuePacket> {
    Some(ValuePacket {
        kind: PacketKind::from_number(row.get("type")?.as_u64()? as u8)?,
        nsp: row.get("nsp")?.as_str()?.to_owned(),
        id: row.get("id").and_then(Value::as_u64),
        data: row.get("data").and_then(from_notation),
    })
}

fn rows(json: &str) -> Vec<Value> {
    serde_json::from_str(json).expect("the vectors are JSON")
}

fn call(row: &Value) -> &str {
    row.get("call").and_then(Value::as_str).unwrap_or_default()
}

/// The messages of a row, one per WebSocket frame; rows without frames are one binary message.
fn row_messages(row: &Value) -> Vec<Message> {
    let bytes = |frame: &Value| base64(frame.get("raw_base64").unwrap().as_str().unwrap());
    match row.get("frames").and_then(Value::as_array) {
        Some(frames) => frames
            .iter()
            .map(|frame| match frame.get("text") {
                Some(text) => Message::Text(text.as_str().unwrap().to_owned()),
                None => Message::Binary(bytes(frame)),
            })
            .collect(),
        None => vec![Message::Binary(bytes(row))],
    }
}

/// The encoder rows whose input no Rust program has, with the reason; their output is decoded all
/// the same.
const JSON_ENCODE_JAVASCRIPT_ONLY: [&str; 1] = [
    // A function as a member: Rust types write what they want themselves.
    "encode: binary EVENT with toJSON",
];

const MSGPACK_ENCODE_JAVASCRIPT_ONLY: [&str; 6] = [
    // `undefined` has an extension of its own; Rust has only `null`.
    "encode: CONNECT without pid (undefined dropped)",
    "encode: EVENT undefined NaN Date",
    "encode: EVENT typed values",
    // An ArrayBuffer has another form than a Buffer; Rust's bytes are written as a Buffer.
    "encode: binary EVENT with Uint8Array and ArrayBuffer",
    // A function as a member.
    "encode: binary EVENT with toJSON",
    // Every packet of ours has a namespace.
    "encode: internal: packet.nsp undefined",
];

#[test]
fn json_rows_encode_and_decode_as_in_the_reference() {
    let codec = Codec::default();
    let mut checked = 0;
    for row in rows(include_str!("../vectors/socket-io-parser-v5.json")) {
        let Some(packet) = row.get("decoded").and_then(packet) else {
            continue; // a decoder row: its packets are in a list
        };
        let expected = row_messages(&row);
        if !JSON_ENCODE_JAVASCRIPT_ONLY.contains(&call(&row)) {
            let encoded = messages(|buf| codec.encode_packet(buf, packet.clone()));
            assert_eq!(encoded, expected, "{}", call(&row));
        }
        let decoded = decode(&codec, &expected)
            .expect("the reference wrote it")
            .unwrap();
        assert_eq!(
            (decoded.kind, &decoded.nsp, decoded.id),
            (packet.kind, &packet.nsp, packet.id)
        );
        if !JSON_ENCODE_JAVASCRIPT_ONLY.contains(&call(&row)) {
            assert_eq!(
                decoded.data,
                packet.data.map(through_json),
                "{}",
                call(&row)
            );
        }
        checked += 1;
    }
    assert_eq!(checked, 26);
}

#[test]
fn json_rows_decode_or_fail_as_in_the_reference() {
    let mut checked = 0;
    for row in rows(include_str!("../vectors/socket-io-parser-v5.json")) {
        let Some(expected) = row.get("decoded").and_then(Value::as_array) else {
            continue; // an encoder row
        };
        let limits = match call(&row) {
            "decode with {maxAttachments: 1}" => Limits::default().attachments(1),
            _ => Limits::default(),
        };
        let messages = row_messages(&row);
        let mut assembler = Assembler::new(&Codec::default(), limits);
        let mut packets = Vec::new();
        let mut error = None;
        for message in &messages {
            let pushed = match message {
                Message::Text(text) => assembler.push_text(text).map(|p| p.map(|p| p.into_owned())),
                Message::Binary(bytes) => assembler.push_binary(bytes.clone()),
            };
            match pushed {
                Ok(packet) => packets.extend(packet.map(ValuePacket::from)),
                Err(e) => error = Some(e.to_string()),
            }
        }
        checked += 1;
        if messages == [Message::Text(String::new())] {
            // The parser alone takes an empty text for a CONNECT; in the server, where an empty
            // message has no data at all, it is an error (B048), and so it is here.
            assert_eq!(error.as_deref(), Some("Unknown type: undefined"));
            continue;
        }
        assert_eq!(
            error.as_deref(),
            row.get("error").and_then(Value::as_str),
            "{row:?}"
        );
        let expected: Vec<_> = expected.iter().filter_map(packet).collect();
        assert_eq!(packets, expected, "{row:?}");
    }
    assert_eq!(checked, 52);
}

#[test]
fn messagepack_rows_encode_as_in_the_reference() {
    let codec = Codec::MsgPack;
    let mut checked = 0;
    for row in rows(include_str!("../vectors/socket-io-msgpack-parser.json")) {
        if !call(&row).starts_with("encode:") {
            continue;
        }
        let expected = row_messages(&row);
        checked += 1;
        let Some(packet) = row.get("decoded").and_then(packet) else {
            assert_eq!(call(&row), "encode: internal: packet.nsp undefined");
            let error = decode(&codec, &expected).expect_err("a packet has a namespace");
            assert_eq!(error.to_string(), "invalid namespace");
            continue;
        };
        let decoded = decode(&codec, &expected)
            .expect("the reference wrote it")
            .unwrap();
        if MSGPACK_ENCODE_JAVASCRIPT_ONLY.contains(&call(&row)) {
            assert_eq!((decoded.kind, &decoded.nsp), (packet.kind, &packet.nsp));
        } else {
            let encoded = messages(|buf| codec.encode_packet(buf, packet.clone()));
            assert_eq!(encoded, expected, "{}", call(&row));
            assert_eq!(decoded, packet, "{}", call(&row));
        }
    }
    assert_eq!(checked, 26);
}

#[test]
fn messagepack_extensions_of_javascript_values_are_understood() {
    let all = rows(include_str!("../vectors/socket-io-msgpack-parser.json"));
    let data = |call_text: &str| {
        let row = all.iter().find(|row| call(row) == call_text).unwrap();
        decode(&Codec::MsgPack, &row_messages(row))
            .unwrap()
            .unwrap()
            .data
            .unwrap()
    };
    let typed = data("encode: EVENT typed values");
    let typed = typed.as_array().unwrap();
    assert_eq!(typed[1], Value::Null);
    assert_eq!(typed[2], value(r#"{"u":null,"k":1}"#));
    assert!(typed[3].as_f64().unwrap().is_nan());
    assert_eq!(typed[4].as_str(), Some("1970-01-01T00:00:00.000Z"));
    assert_eq!(typed[5].as_str(), Some("1970-01-01T00:00:01.500Z"));
    assert_eq!(
        typed[6..13]
            .iter()
            .map(|n| n.as_i64().unwrap())
            .collect::<Vec<_>>(),
        [-1, -33, -129, 128, 256, 65536, 4294967296]
    );
    assert_eq!(typed[13].as_f64(), Some(1.5));
    assert_eq!(typed[16].as_binary().map(|bytes| bytes.len()), Some(0));
    let buffers = data("encode: binary EVENT with Uint8Array and ArrayBuffer");
    assert_eq!(
        buffers.as_array().unwrap()[1..]
            .iter()
            .map(|b| &b.as_binary().unwrap()[..])
            .collect::<Vec<_>>(),
        [&[1][..], &[2][..]]
    );
}

#[test]
fn messagepack_rows_decode_or_fail_as_in_the_reference() {
    let mut checked = 0;
    for row in rows(include_str!("../vectors/socket-io-msgpack-parser.json")) {
        if !call(&row).starts_with("decode") {
            continue;
        }
        let decoded = decode(&Codec::MsgPack, &row_messages(&row));
        match row.get("error") {
            Some(error) => {
                let got = decoded.expect_err("the reference refuses it").to_string();
                assert_eq!(Some(got.as_str()), error.as_str(), "{row:?}");
            }
            None => assert_eq!(
                decoded.unwrap(),
                row.get("decoded").and_then(packet),
                "{row:?}"
            ),
        }
        checked += 1;
    }
    assert_eq!(checked, 19);
}
