//! The vectors captured from the reference's parsers, every row, both ways.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sala_engine_proto::{Data, Frame, Packet, PacketType, ParseError, Revision, payload};
use serde_json::Value;

const V4: &str = include_str!("../vectors/engine-io-parser-v4.json");
const V3: &str = include_str!("../vectors/engine-io-parser-v3.json");

/// How a row was dealt with.
#[derive(PartialEq)]
enum Done {
    Checked,
    /// The row is about something that only JavaScript has, or that lives elsewhere.
    Skipped,
}

fn rows(file: &str) -> Vec<Value> {
    serde_json::from_str::<Vec<Value>>(file).expect("the vectors are JSON")
}

fn base64(value: &Value) -> Vec<u8> {
    STANDARD
        .decode(value.as_str().expect("base64 is text"))
        .expect("valid base64")
}

fn kind(packet: &Value) -> PacketType {
    match packet["type"].as_str().expect("a type") {
        "open" => PacketType::Open,
        "close" => PacketType::Close,
        "ping" => PacketType::Ping,
        "pong" => PacketType::Pong,
        "message" => PacketType::Message,
        "upgrade" => PacketType::Upgrade,
        "noop" => PacketType::Noop,
        other => panic!("unknown type {other}"),
    }
}

/// The bytes of a packet that carries some. An `ArrayBuffer` is bytes like any other.
fn binary(packet: &Value) -> Option<Vec<u8>> {
    let data = &packet["data"];
    let bytes = data.get("$binary").or_else(|| data.get("$arraybuffer"))?;
    Some(base64(bytes))
}

/// The frame that the engine would make for a packet.
fn frame(packet: &Value) -> Frame {
    match binary(packet) {
        Some(bytes) => Frame::binary(|buf| buf.extend_from_slice(&bytes)),
        None => Frame::packet(kind(packet).digit(), |buf| {
            buf.extend_from_slice(packet["data"].as_str().unwrap_or("").as_bytes());
        }),
    }
}

fn assert_decoded(packet: Result<Packet<'_>, ParseError>, expected: &Value, row: &Value) {
    if expected["type"] == "error" {
        assert_eq!(packet, Err(ParseError), "{row}");
        return;
    }
    let packet = packet.unwrap_or_else(|_| panic!("does not decode: {row}"));
    assert_eq!(packet.kind, kind(expected), "{row}");
    match (packet.data, binary(expected)) {
        (Data::Binary(bytes), Some(expected)) => assert_eq!(*bytes, *expected, "{row}"),
        (Data::Text(text), None) => {
            assert_eq!(text, expected["data"].as_str().unwrap_or(""), "{row}");
        }
        (data, _) => panic!("{data:?} where {row} was expected"),
    }
}

fn assert_payload(packets: payload::Packets<'_>, row: &Value) {
    let expected = row["decoded"].as_array().expect("a list");
    let packets: Vec<_> = packets.collect();
    assert_eq!(packets.len(), expected.len(), "{row}");
    for (packet, expected) in packets.into_iter().zip(expected) {
        assert_decoded(packet, expected, row);
    }
}

/// Checks a row of `encodePacket`: what a transport sends for the packet.
fn check_encoded(row: &Value, revision: Revision, wire_binary: bool) -> Done {
    let packet = &row["decoded"];
    let frame = frame(packet);
    let part = frame.first();
    let sent = base64(&row["raw_base64"]);
    match (part.is_binary(), wire_binary, revision) {
        (false, ..) => assert_eq!(part.payload(), sent, "{row}"),
        (true, true, Revision::V4) => assert_eq!(part.payload(), sent, "{row}"),
        (true, true, Revision::V3) => assert_eq!([&[4], part.payload()].concat(), sent, "{row}"),
        (true, false, Revision::V4) => assert_eq!(*part.base64(), sent, "{row}"),
        (true, false, Revision::V3) => {
            let body = payload::encode([&frame].into_iter(), revision, true);
            let (_, packet) = split_at_colon(&body.bytes);
            assert_eq!(packet, sent, "{row}");
        }
    }
    // And back.
    let decoded = match std::str::from_utf8(&sent) {
        Ok(text) if row.get("text").is_some() => Packet::decode_text(text, revision),
        _ => Packet::decode_binary(&sent, revision),
    };
    assert_decoded(decoded, packet, row);
    Done::Checked
}

fn split_at_colon(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|b| *b == b':').expect("a colon");
    (&bytes[..at], &bytes[at + 1..])
}

/// Checks a row of `encodePayload`. In the reference a message and its attachments are packets of
/// their own; here a frame may hold both, so both ways are tried.
fn check_payload_encoded(row: &Value, revision: Revision, base64_only: bool) -> Done {
    let packets = row["decoded"].as_array().expect("a list");
    let sent = base64(&row["raw_base64"]);
    let apart: Vec<_> = packets.iter().map(frame).collect();
    let mut joined: Vec<Frame> = Vec::new();
    for packet in packets {
        match (binary(packet), joined.pop()) {
            (Some(bytes), Some(first)) if !first.first().is_binary() => {
                let text = first.first().payload().to_vec();
                joined.push(Frame::message(
                    |buf| buf.extend_from_slice(&text[1..]),
                    vec![Bytes::from(bytes)],
                ));
            }
            (_, last) => {
                joined.extend(last);
                joined.push(frame(packet));
            }
        }
    }
    let only_messages = packets.iter().all(|p| p["type"] == "message");
    for frames in [Some(&apart), only_messages.then_some(&joined)]
        .into_iter()
        .flatten()
    {
        let body = payload::encode(frames.iter(), revision, base64_only);
        assert_eq!(body.bytes, sent, "{row}");
        assert_eq!(body.binary, row["binary"] == true, "{row}");
    }
    // And back, unless the text holds the separator itself (A078), or there is nothing.
    if packets
        .iter()
        .any(|p| p["data"].as_str().is_some_and(|t| t.contains('\u{1e}')))
    {
        return Done::Checked;
    }
    match row["text"].as_str() {
        Some(text) => assert_payload(payload::decode(text, revision), row),
        None => assert_payload(payload::decode_binary_v3(&sent), row),
    }
    Done::Checked
}

fn check_decode(row: &Value, revision: Revision) -> Done {
    let call = row["call"].as_str().expect("a call");
    let sent = base64(&row["raw_base64"]);
    let text = row["text"].as_str();
    match (call.starts_with("decodePayload"), text) {
        (false, Some(text)) => {
            assert_decoded(Packet::decode_text(text, revision), &row["decoded"], row)
        }
        (false, None) => {
            assert_decoded(Packet::decode_binary(&sent, revision), &row["decoded"], row)
        }
        (true, Some(text)) => assert_payload(payload::decode(text, revision), row),
        (true, None) => assert_payload(payload::decode_binary_v3(&sent), row),
    }
    Done::Checked
}

fn check(row: &Value, revision: Revision) -> Done {
    let call = row["call"].as_str().expect("a call");
    match call {
        // Text with every byte of its UTF-8 made a character: a step inside the reference's binary
        // payload, whose result the rows of `encodePayload` check.
        "encodePacket(packet, true, utf8encode=true)" => Done::Skipped,
        _ if call.starts_with("encodePacket(") => {
            check_encoded(row, revision, call.contains("supportsBinary=true"))
        }
        _ if call.starts_with("encodePayload(") => {
            check_payload_encoded(row, revision, call.contains("supportsBinary=false"))
        }
        _ if call.starts_with("decode") => check_decode(row, revision),
        // WebTransport has its own framing, which is not part of this crate yet.
        _ if call.starts_with("createPacket") => Done::Skipped,
        other => panic!("nobody checks {other}"),
    }
}

fn check_all(file: &str, revision: Revision) -> usize {
    let rows = rows(file);
    rows.iter()
        .filter(|row| check(row, revision) == Done::Checked)
        .count()
}

#[test]
fn every_row_of_revision_4_but_webtransport_agrees() {
    let rows = rows(V4);
    let webtransport = rows
        .iter()
        .filter(|row| row["call"].as_str().unwrap().starts_with("createPacket"))
        .count();
    assert_eq!(check_all(V4, Revision::V4), rows.len() - webtransport);
    assert!(
        rows.len() - webtransport >= 57,
        "{}",
        rows.len() - webtransport
    );
}

#[test]
fn every_row_of_revision_3_but_one_inner_step_agrees() {
    assert_eq!(check_all(V3, Revision::V3), rows(V3).len() - 1);
}
