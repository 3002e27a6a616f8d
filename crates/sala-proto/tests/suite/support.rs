//! What several of the test files need.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sala_proto::{
    Assembler, Codec, DecodeError, Limits, Message, Object, Packet, Value, ValuePacket,
};

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

/// Base64 as the vectors have it.
pub(crate) fn base64(text: &str) -> Bytes {
    STANDARD
        .decode(text)
        .expect("the vectors hold base64")
        .into()
}

/// Reads a JSON value.
pub(crate) fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("the test holds JSON")
}

/// Makes values of the vectors' notation for what JSON lacks; `None` for `undefined`.
pub(crate) fn from_notation(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| from_notation(item).unwrap_or_default())
                .collect(),
        ),
        Value::Object(object) => {
            let (key, inner) = object.iter().next().unwrap_or(("", &Value::Null));
            let inner = inner.as_str().unwrap_or_default();
            match key {
                "$undefined" => return None,
                "$binary" | "$arraybuffer" => Value::Binary(base64(inner)),
                "$date" => Value::from(inner),
                "$number" => Value::from(match inner {
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    "-0" => -0.0,
                    _ => f64::NAN,
                }),
                _ => Value::Object(
                    object
                        .iter()
                        .filter_map(|(key, value)| Some((key, from_notation(value)?)))
                        .collect::<Object>(),
                ),
            }
        }
        value => value.clone(),
    })
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

/// Pseudo-random numbers from a seed (splitmix64): tests must repeat exactly.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn text(&mut self) -> String {
        const CHARS: [char; 12] = [
            'a', 'Z', '"', '\\', '\n', '\u{1}', '\u{7f}', 'é', '€', '\u{2028}', '😀', ' ',
        ];
        (0..self.below(12))
            .map(|_| CHARS[self.below(12) as usize])
            .collect()
    }

    /// A tree of bounded size, all kinds of values in it.
    pub(crate) fn value(&mut self, depth: u64) -> Value {
        match self.below(if depth == 0 { 8 } else { 10 }) {
            0 => Value::Null,
            1 => (self.below(2) == 0).into(),
            2 => (self.next() as i64 >> self.below(64)).into(),
            3 => (self.next() >> self.below(64)).into(),
            4 => {
                let float = f64::from_bits(self.next());
                // A whole float comes back as an integer.
                if float.is_finite() && float.fract() != 0.0 {
                    float.into()
                } else {
                    0.5.into()
                }
            }
            5 => Value::Binary((0..self.below(5)).map(|n| n as u8).collect()),
            6 | 7 => self.text().into(),
            8 => Value::Array((0..self.below(5)).map(|_| self.value(depth - 1)).collect()),
            _ => Value::Object(
                (0..self.below(5))
                    .map(|_| (self.text(), self.value(depth - 1)))
                    .collect(),
            ),
        }
    }
}
