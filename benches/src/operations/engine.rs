//! Engine.IO: polling bodies, WebSocket frames.

use std::hint::black_box;

use sala_engine_proto::ws::{Event, Opcode, Reader, header};
use sala_engine_proto::{Frame, Revision, payload};

use super::Operation;
use crate::input;

const TEXT: u8 = 1;
const BINARY: u8 = 2;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("payload-v4-decode-16x116", || {
        decode(text_body(Revision::V4), Revision::V4)
    }),
    Operation::new("payload-v4-decode-bin-1k", || {
        decode(binary_body(), Revision::V4)
    }),
    Operation::new("payload-v4-encode-16x116", || encode(Revision::V4)),
    Operation::new("payload-v3-decode-16x116", || {
        decode(text_body(Revision::V3), Revision::V3)
    }),
    Operation::new("payload-v3-encode-16x116", || encode(Revision::V3)),
    Operation::new("ws-read-64x32", || read(TEXT, 32, 64, usize::MAX)),
    Operation::new("ws-read-1k", || read(TEXT, 1024, 1, usize::MAX)),
    Operation::new("ws-read-16k", || read(TEXT, 16 * 1024, 1, usize::MAX)),
    Operation::new("ws-read-bin-1k", || read(BINARY, 1024, 1, usize::MAX)),
    Operation::new("ws-read-bin-16k", || read(BINARY, 16 * 1024, 1, usize::MAX)),
    Operation::new("ws-read-16k-in-pieces", || read(TEXT, 16 * 1024, 1, 4096)),
    Operation::new("ws-write-header-64", write_headers),
];

/// Sixteen events as one body.
fn text_body(revision: Revision) -> Vec<u8> {
    payload::encode(events().iter(), revision, false).bytes
}

/// A body with one binary packet.
fn binary_body() -> Vec<u8> {
    let frame = Frame::binary(|buf| buf.extend_from_slice(&input::binary(1024)));
    payload::encode([frame].iter(), Revision::V4, false).bytes
}

fn events() -> Vec<Frame> {
    let event = format!(r#"2["message","{}"]"#, input::text(116 - 15));
    (0..16)
        .map(|_| Frame::message(|buf| buf.extend_from_slice(event.as_bytes()), vec![]))
        .collect()
}

fn decode(body: Vec<u8>, revision: Revision) -> Box<dyn FnMut()> {
    let body = String::from_utf8(body).expect("a body of text");
    Box::new(move || {
        for packet in payload::decode(black_box(&body), revision) {
            black_box(packet.expect("a packet"));
        }
    })
}

fn encode(revision: Revision) -> Box<dyn FnMut()> {
    let frames = events();
    Box::new(move || {
        black_box(payload::encode(black_box(&frames).iter(), revision, false));
    })
}

/// Reads `count` messages that arrive together, or cut into pieces. Unmasking changes the input, so
/// it is copied each time, as the system does for a server.
fn read(opcode: u8, len: usize, count: usize, piece: usize) -> Box<dyn FnMut()> {
    let payload = match opcode {
        TEXT => input::text(len).into_bytes(),
        _ => input::binary(len).to_vec(),
    };
    let sent = input::client_frame(opcode, &payload).repeat(count);
    let mut received = sent.clone();
    let mut reader = Reader::new(1_000_000, None);
    Box::new(move || {
        received.copy_from_slice(black_box(&sent));
        let mut messages = 0;
        for mut input in received.chunks_mut(piece.min(sent.len())) {
            while let Some(event) = reader.next(&mut input).expect("frames by the rules") {
                messages += usize::from(matches!(event, Event::Text(_) | Event::Binary(_)));
                black_box(event);
            }
        }
        assert_eq!(messages, count);
    })
}

/// The headers of 64 attachments.
fn write_headers() -> Box<dyn FnMut()> {
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        for len in (0..64).map(|i| i * 1200) {
            header(&mut out, Opcode::Binary, black_box(len), false);
        }
        black_box(&out);
    })
}
