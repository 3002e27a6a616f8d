//! Encoding a frame: what happens once for each emit, however many clients receive it.

use std::hint::black_box;

use bytes::Bytes;
use sala_engine_proto::Frame;
use sala_proto::{Codec, EncodeError};
use serde::Serialize;

use super::Operation;
use crate::input;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("frame-32", || message(32)),
    Operation::new("frame-1k", || message(1024)),
    Operation::new("frame-16k", || message(16 * 1024)),
    Operation::new("frame-event-32", || {
        event(Codec::default(), input::text(32))
    }),
    Operation::new("frame-event-1k", || {
        event(Codec::default(), input::text(1024))
    }),
    Operation::new("frame-event-16k", || {
        event(Codec::default(), input::text(16 * 1024))
    }),
    Operation::new("frame-event-bin-1k", || {
        event(Codec::default(), input::binary(1024))
    }),
    Operation::new("frame-event-bin-16k", || {
        event(Codec::default(), input::binary(16 * 1024))
    }),
    Operation::new("frame-event-msgpack-32", || {
        event(Codec::MsgPack, input::text(32))
    }),
    Operation::new("frame-base64-1k", base64),
];

/// A frame from text that is there already.
fn message(len: usize) -> Box<dyn FnMut()> {
    let text = input::text(len);
    Box::new(move || {
        let write = |buf: &mut Vec<u8>| buf.extend_from_slice(black_box(text.as_bytes()));
        black_box(Frame::message(write, Vec::new()));
    })
}

/// An event from data to the finished frame.
fn event<T: Serialize + 'static>(codec: Codec, data: T) -> Box<dyn FnMut()> {
    Box::new(move || {
        let frame = Frame::try_message(|buf| {
            let encoded = codec.encode_event(buf, "/", None, "message", black_box(&data), None)?;
            Ok::<(Vec<Bytes>, bool), EncodeError>((encoded.attachments, encoded.binary))
        });
        black_box(frame.expect("data that can be encoded"));
    })
}

/// A binary message for a polling client.
fn base64() -> Box<dyn FnMut()> {
    let bytes = input::binary(1024);
    Box::new(move || {
        let frame = Frame::message(|_| {}, vec![black_box(&bytes).clone()]);
        for part in frame.parts().skip(1) {
            black_box(part.base64());
        }
    })
}
