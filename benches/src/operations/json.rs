//! Socket.IO packets as text, with attachments for bytes.

use std::hint::black_box;

use bytes::Bytes;
use sala_proto::{Assembler, Codec, Limits, Packet, RawArgs, Value, to_value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Operation;
use crate::input;

pub(super) const OPERATIONS: &[Operation] = &[
    // An event comes in: its header and name are read, its arguments checked and left as bytes.
    Operation::new("json-decode-32", || decode(input::text(32))),
    Operation::new("json-decode-1k", || decode(input::text(1024))),
    Operation::new("json-decode-16k", || decode(input::text(16 * 1024))),
    Operation::new("json-decode-objects-1k", || decode(input::items(1024))),
    Operation::new("json-decode-objects-16k", || {
        decode(input::items(16 * 1024))
    }),
    Operation::new("json-decode-bin-1k", || decode_binary(1024)),
    Operation::new("json-decode-bin-16k", || decode_binary(16 * 1024)),
    // The same, and a handler asks for a type.
    Operation::new("json-parse-32", || parse(input::text(32))),
    Operation::new("json-parse-1k", || parse(input::text(1024))),
    Operation::new("json-parse-objects-1k", || parse(input::items(1024))),
    Operation::new("json-parse-16k", || parse(input::text(16 * 1024))),
    Operation::new("json-parse-value-1k", || parse(value(1024))),
    Operation::new("json-parse-tree-1k", || parse(tree(1024))),
    Operation::new("json-parse-bin-1k", || parse_binary(1024)),
    // An event goes out.
    Operation::new("json-encode-32", || encode(input::text(32))),
    Operation::new("json-encode-1k", || encode(input::text(1024))),
    Operation::new("json-encode-16k", || encode(input::text(16 * 1024))),
    Operation::new("json-encode-objects-1k", || encode(input::items(1024))),
    Operation::new("json-encode-value-1k", || encode(value(1024))),
    Operation::new("json-encode-tree-1k", || encode(tree(1024))),
    Operation::new("json-encode-bin-1k", || encode(input::binary(1024))),
    Operation::new("json-encode-bin-16k", || encode(input::binary(16 * 1024))),
    // What came in goes out as an ack, without being parsed.
    Operation::new("json-ack-raw-32", || ack_raw(32)),
    Operation::new("json-ack-raw-1k", || ack_raw(1024)),
];

fn value(len: usize) -> serde_json::Value {
    serde_json::to_value(input::items(len)).expect("items are JSON")
}

fn tree(len: usize) -> Value {
    to_value(&input::items(len)).expect("items are data")
}

fn event<T: Serialize>(data: T) -> String {
    let mut text = Vec::new();
    let encoded =
        Codec::default().encode_event(&mut text, "/", Some(12), "message", &(data,), None);
    assert!(encoded.is_ok_and(|encoded| encoded.attachments.is_empty()));
    String::from_utf8(text).expect("a packet of text")
}

fn assembler() -> Assembler {
    Assembler::new(&Codec::default(), Limits::default())
}

fn push<'a>(assembler: &mut Assembler, text: &'a str) -> Packet<'a> {
    let packet = assembler
        .push_text(black_box(text))
        .expect("a packet by the rules");
    let packet = packet.expect("a packet without attachments");
    let event = packet.data.as_ref().and_then(|args| args.event());
    assert!(event.is_some_and(|event| event == *"message"));
    packet
}

fn decode<T: Serialize>(data: T) -> Box<dyn FnMut()> {
    let text = event(data);
    let mut assembler = assembler();
    Box::new(move || {
        black_box(push(&mut assembler, &text));
    })
}

fn parse<T: Serialize + DeserializeOwned>(data: T) -> Box<dyn FnMut()> {
    let text = event(data);
    let mut assembler = assembler();
    Box::new(move || {
        let packet = push(&mut assembler, &text);
        let args = packet.data.expect("an event with arguments");
        black_box(args.parse::<T>().expect("arguments of this type"));
    })
}

fn push_binary(assembler: &mut Assembler, bytes: &Bytes) -> Packet<'static> {
    let text = r#"51-12["message",{"_placeholder":true,"num":0}]"#;
    let first = assembler
        .push_text(black_box(text))
        .expect("a packet by the rules");
    assert!(first.is_none());
    let packet = assembler
        .push_binary(black_box(bytes).clone())
        .expect("the attachment");
    packet.expect("a whole packet")
}

fn decode_binary(len: usize) -> Box<dyn FnMut()> {
    let bytes = input::binary(len);
    let mut assembler = assembler();
    Box::new(move || {
        black_box(push_binary(&mut assembler, &bytes));
    })
}

fn parse_binary(len: usize) -> Box<dyn FnMut()> {
    let bytes = input::binary(len);
    let mut assembler = assembler();
    Box::new(move || {
        let args = push_binary(&mut assembler, &bytes)
            .data
            .expect("an event with arguments");
        black_box(args.parse::<Bytes>().expect("bytes"));
    })
}

fn encode<T: Serialize + 'static>(data: T) -> Box<dyn FnMut()> {
    let codec = Codec::default();
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        let encoded = codec.encode_event(&mut out, "/", None, "message", black_box(&data), None);
        black_box(encoded.expect("data that can be encoded").attachments);
        black_box(&out);
    })
}

fn ack_raw(len: usize) -> Box<dyn FnMut()> {
    let text = event(input::text(len));
    let codec = Codec::default();
    let mut assembler = assembler();
    let mut out = Vec::new();
    Box::new(move || {
        let packet = push(&mut assembler, &text);
        let args = packet.data.expect("an event with arguments");
        let args: RawArgs = args.parse().expect("any arguments");
        out.clear();
        let encoded = codec.encode_ack(&mut out, "/", 12, &args);
        black_box(encoded.expect("data that can be encoded").attachments);
        black_box(&out);
    })
}
