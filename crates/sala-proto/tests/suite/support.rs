//! What several of the test files need.

pub(crate) use crate::values::{Random, base64, from_notation};
use bytes::Bytes;
use sala_proto::{Assembler, Codec, DecodeError, Limits, Message, Packet, Value, ValuePacket};

/// Decodes messages with a fresh assembler; the packet that the last one completes.
pub(crate) fn decode(
    codec: &Codec,
    messages: &[Message],
) -> Result<Option<ValuePacket>, DecodeError> {
    let mut assembler = Assembler::new(codec, Limits::default());
    let mut packet = None;
    for message in messages {
        packet = match message {
            Message::Text(text) => assembler.push_text(text)?.map(Packet::into_owned),
            Message::Binary(bytes) => assembler.push_binary(bytes.clone())?,
        };
    }
    assert_eq!(assembler.is_assembling(), packet.is_none());
    Ok(packet.map(ValuePacket::from))
}

/// Decodes a text message of the JSON codec that is a whole packet.
pub(crate) fn decode_text(text: &str) -> Result<ValuePacket, DecodeError> {
    let packet = decode(&Codec::default(), &[Message::Text(text.to_owned())])?;
    Ok(packet.expect("the packet should need no attachments"))
}

/// The messages of one encoded packet.
pub(crate) fn messages(
    encode: impl FnOnce(&mut Vec<u8>) -> Result<sala_proto::Encoded, sala_proto::EncodeError>,
) -> Vec<Message> {
    // What is in the buffer already must stay: the engine keeps room for its header there.
    let mut buf = b"before".to_vec();
    let encoded = encode(&mut buf).expect("the data can be encoded");
    assert_eq!(&buf[..6], b"before");
    let first = buf.split_off(6);
    let mut messages = vec![if encoded.binary {
        Message::Binary(first.into())
    } else {
        Message::Text(String::from_utf8(first).expect("a text packet is UTF-8"))
    }];
    messages.extend(encoded.attachments.into_iter().map(Message::Binary));
    messages
}

pub(crate) fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

pub(crate) fn binary(bytes: &'static [u8]) -> Message {
    Message::Binary(Bytes::from_static(bytes))
}

/// Reads a JSON value.
pub(crate) fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("the test holds JSON")
}

/// Values after a trip through JSON: what is no number is null.
pub(crate) fn through_json(value: Value) -> Value {
    match value {
        Value::Number(n) if !n.as_f64().is_finite() => Value::Null,
        Value::Array(items) => Value::Array(items.into_iter().map(through_json).collect()),
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(key, value)| (key, through_json(value)))
                .collect(),
        ),
        value => value,
    }
}
