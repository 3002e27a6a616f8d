//! Broadcasts between servers, and on from there to clients.

use std::hint::black_box;

use bytes::Bytes;
use sala_adapter::codec::{self, Form};
use sala_adapter::{Envelope, Message, ServerId, Target};
use sala_proto::{Assembler, Codec, Limits, RawArgs};
use serde::Serialize;

use super::Operation;
use crate::input;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("cluster-encode-json-1k", || {
        encode(input::items(1024), Form::Json)
    }),
    Operation::new("cluster-encode-msgpack-1k", || {
        encode(input::items(1024), Form::Notepack)
    }),
    Operation::new("cluster-decode-json-1k", || {
        decode(input::items(1024), Form::Json)
    }),
    Operation::new("cluster-decode-msgpack-1k", || {
        decode(input::items(1024), Form::Notepack)
    }),
    Operation::new("cluster-deliver-json-1k", || {
        deliver(input::items(1024), Form::Json)
    }),
    Operation::new("cluster-deliver-msgpack-1k", || {
        deliver(input::items(1024), Form::Notepack)
    }),
];

/// A broadcast to two rooms.
fn broadcast(packet: RawArgs) -> Envelope {
    Envelope {
        namespace: "/".into(),
        sender: Some(ServerId::from("3f3845bc640d5e7f")),
        recipient: None,
        message: Message::Broadcast {
            packet,
            target: Target::all().to(["room1", "room2"]),
            request: None,
        },
    }
}

/// What was encoded for clients, ready to be sent to servers.
fn frame_args(frame: &Bytes) -> RawArgs {
    let text = std::str::from_utf8(frame).expect("a text frame");
    let mut assembler = Assembler::new(&Codec::default(), Limits::default());
    let packet = assembler.push_text(text).expect("a packet");
    let args = packet.and_then(|packet| packet.data);
    args.expect("an event").into_shared(frame)
}

fn frame<T: Serialize>(data: T) -> Bytes {
    let mut out = Vec::new();
    let encoded = Codec::default().encode_event(&mut out, "/", None, "message", &(data,), None);
    assert!(encoded.is_ok());
    out.into()
}

fn message<T: Serialize>(data: T, form: Form) -> Bytes {
    let envelope = broadcast(frame_args(&frame(data)));
    let message = codec::encode(&envelope, form);
    message.expect("a message").into()
}

/// The frame for clients into a message for servers.
fn encode<T: Serialize>(data: T, form: Form) -> Box<dyn FnMut()> {
    let frame = frame(data);
    Box::new(move || {
        let envelope = broadcast(frame_args(black_box(&frame)));
        black_box(codec::encode(&envelope, form).expect("a message"));
    })
}

fn decode<T: Serialize>(data: T, form: Form) -> Box<dyn FnMut()> {
    let message = message(data, form);
    Box::new(move || {
        black_box(codec::decode(black_box(&message), None).expect("a message"));
    })
}

/// A message of a server into the frame for clients.
fn deliver<T: Serialize>(data: T, form: Form) -> Box<dyn FnMut()> {
    let message = message(data, form);
    let mut out = Vec::new();
    Box::new(move || {
        let envelope = codec::decode(black_box(&message), None).expect("a message");
        let Message::Broadcast { packet, .. } = &envelope.message else {
            panic!("a broadcast was encoded");
        };
        out.clear();
        let encoded = Codec::default().encode_raw_event(&mut out, "/", None, packet, None);
        black_box(encoded.expect("an event").attachments);
        black_box(&out);
    })
}
