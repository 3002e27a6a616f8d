//! Socket.IO packets as MessagePack.

use std::hint::black_box;

use bytes::Bytes;
use sala_proto::{Assembler, Codec, Limits};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Operation;
use crate::input;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("msgpack-decode-32", || decode(input::text(32))),
    Operation::new("msgpack-decode-1k", || decode(input::text(1024))),
    Operation::new("msgpack-decode-16k", || decode(input::text(16 * 1024))),
    Operation::new("msgpack-decode-objects-1k", || decode(input::items(1024))),
    Operation::new("msgpack-decode-bin-16k", || {
        decode(input::binary(16 * 1024))
    }),
    Operation::new("msgpack-parse-32", || parse(input::text(32))),
    Operation::new("msgpack-parse-1k", || parse(input::text(1024))),
    Operation::new("msgpack-parse-objects-1k", || parse(input::items(1024))),
    Operation::new("msgpack-encode-32", || encode(input::text(32))),
    Operation::new("msgpack-encode-1k", || encode(input::text(1024))),
    Operation::new("msgpack-encode-16k", || encode(input::text(16 * 1024))),
    Operation::new("msgpack-encode-objects-1k", || encode(input::items(1024))),
    Operation::new("msgpack-encode-bin-16k", || {
        encode(input::binary(16 * 1024))
    }),
];

fn event<T: Serialize>(data: T) -> Bytes {
    let mut out = Vec::new();
    let encoded = Codec::MsgPack.encode_event(&mut out, "/", Some(12), "message", &(data,), None);
    assert!(encoded.is_ok_and(|encoded| encoded.binary));
    out.into()
}

fn decode<T: Serialize>(data: T) -> Box<dyn FnMut()> {
    let bytes = event(data);
    let mut assembler = Assembler::new(&Codec::MsgPack, Limits::default());
    Box::new(move || {
        black_box(
            assembler
                .push_binary(black_box(&bytes).clone())
                .expect("a packet"),
        );
    })
}

fn parse<T: Serialize + DeserializeOwned>(data: T) -> Box<dyn FnMut()> {
    let bytes = event(data);
    let mut assembler = Assembler::new(&Codec::MsgPack, Limits::default());
    Box::new(move || {
        let packet = assembler
            .push_binary(black_box(&bytes).clone())
            .expect("a packet");
        let args = packet
            .and_then(|packet| packet.data)
            .expect("an event with arguments");
        black_box(args.parse::<T>().expect("arguments of this type"));
    })
}

fn encode<T: Serialize + 'static>(data: T) -> Box<dyn FnMut()> {
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        let encoded =
            Codec::MsgPack.encode_event(&mut out, "/", None, "message", black_box(&data), None);
        black_box(encoded.expect("data that can be encoded").attachments);
        black_box(&out);
    })
}
