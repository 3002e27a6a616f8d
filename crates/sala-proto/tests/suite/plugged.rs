//! Parsers of the user, replacers and revivers.

use std::sync::Arc;

use bytes::Bytes;
use sala_proto::{
    Assembler, Codec, CustomCodec, CustomDecoder, DecodeError, EncodeError, JsonOptions, Limits,
    Message, Object, PacketKind, RawArgs, Value, ValuePacket,
};

use crate::support::{binary, decode, messages, text, value};

/// A parser that makes a JSON object of a packet and sends bytes behind it, last first.
struct Objects;

struct ObjectsDecoder {
    waiting: Option<(Value, usize)>,
    bytes: Vec<Bytes>,
}

impl CustomCodec for Objects {
    fn encode(&self, packet: &ValuePacket) -> Result<Vec<Message>, EncodeError> {
        let mut object = Object::new();
        object.insert("t", u64::from(packet.kind.number()));
        object.insert("n", packet.nsp.as_str());
        if let Some(id) = packet.id {
            object.insert("i", id);
        }
        let mut bytes = Vec::new();
        if let Some(data) = &packet.data {
            let mut items = data.as_array().unwrap_or_default().to_vec();
            for item in &mut items {
                if let Value::Binary(b) = item {
                    bytes.push(Message::Binary(b.clone()));
                    *item = Value::Null;
                }
            }
            object.insert(
                "d",
                if data.as_array().is_some() {
                    items.into()
                } else {
                    data.clone()
                },
            );
        }
        object.insert("b", bytes.len() as u64);
        let text = serde_json::to_string(&object).map_err(|e| EncodeError::new(e.to_string()))?;
        Ok([Message::Text(text)]
            .into_iter()
            .chain(bytes.into_iter().rev())
            .collect())
    }

    fn new_decoder(&self) -> Box<dyn CustomDecoder> {
        Box::new(ObjectsDecoder {
            waiting: None,
            bytes: Vec::new(),
        })
    }
}

impl CustomDecoder for ObjectsDecoder {
    fn add(&mut self, message: Message) -> Result<Option<ValuePacket>, DecodeError> {
        match message {
            Message::Text(text) => {
                let object: Value =
                    serde_json::from_str(&text).map_err(|e| DecodeError::Custom(e.to_string()))?;
                let count = object.get("b").and_then(Value::as_u64).unwrap_or(0).min(10) as usize;
                self.waiting = Some((object, count));
            }
            Message::Binary(bytes) => self.bytes.push(bytes),
        }
        match self.waiting.take() {
            Some((object, count)) if self.bytes.len() == count => {
                let mut data = object.get("d").cloned();
                if let Some(Value::Array(items)) = &mut data {
                    for item in items.iter_mut().filter(|item| item.is_null()) {
                        *item = self.bytes.pop().map_or(Value::Null, Value::Binary);
                    }
                }
                let number = object.get("t").and_then(Value::as_u64).unwrap_or(9) as u8;
                Ok(Some(ValuePacket {
                    kind: PacketKind::from_number(number).ok_or(DecodeError::InvalidPacketType)?,
                    nsp: object
                        .get("n")
                        .and_then(Value::as_str)
                        .unwrap_or("/")
                        .to_owned(),
                    id: object.get("i").and_then(Value::as_u64),
                    data,
                }))
            }
            waiting => {
                self.waiting = waiting;
                Ok(None)
            }
        }
    }

    fn reset(&mut self) {
        self.waiting = None;
        self.bytes.clear();
    }
}

#[test]
fn a_parser_of_the_user_sees_trees_and_its_packets_are_ordinary() {
    let codec = Codec::Custom(Arc::new(Objects));
    let sent = messages(|b| {
        let args = (1, Bytes::from_static(b"x"), Bytes::from_static(b"y"));
        codec.encode_event(b, "/n", Some(4), "e", &args, Some("o"))
    });
    assert_eq!(
        sent,
        [
            text(r#"{"t":2,"n":"/n","i":4,"d":["e",1,null,null,"o"],"b":2}"#),
            binary(b"y"),
            binary(b"x"),
        ]
    );
    let mut assembler = Assembler::new(&codec, Limits::default());
    let Message::Text(first) = &sent[0] else {
        panic!("the first message is text")
    };
    assert!(assembler.push_text(first).unwrap().is_none());
    assert!(
        assembler
            .push_binary(Bytes::from_static(b"y"))
            .unwrap()
            .is_none()
    );
    let packet = assembler
        .push_binary(Bytes::from_static(b"x"))
        .unwrap()
        .unwrap();
    let args = packet.data.unwrap();
    assert_eq!((args.event().as_deref(), packet.id), (Some("e"), Some(4)));
    let (n, x, y, offset): (i32, Bytes, Bytes, String) = args.parse().unwrap();
    assert_eq!(
        (n, &x[..], &y[..], &*offset),
        (1, &b"x"[..], &b"y"[..], "o")
    );
    // Raw arguments go through it as through any other.
    let raw: RawArgs = args.parse().unwrap();
    assert_eq!(
        messages(|b| codec.encode_event(b, "/n", Some(4), "e", &raw, None)),
        sent
    );
    assert_eq!(
        messages(|b| codec.encode_ack(b, "/", 1, &(1, "x"))),
        [text(r#"{"t":3,"n":"/","i":1,"d":[1,"x"],"b":0}"#)]
    );
    assert_eq!(
        messages(|b| codec.encode_disconnect(b, "/")),
        [text(r#"{"t":1,"n":"/","b":0}"#)]
    );
}

#[test]
fn packets_of_a_parser_of_the_user_are_checked() {
    let codec = Codec::Custom(Arc::new(Objects));
    for (message, expected) in [
        (r#"{"t":2,"d":["connect"]}"#, "invalid payload"),
        (r#"{"t":2,"d":{}}"#, "invalid payload"),
        (r#"{"t":0,"d":[]}"#, "invalid payload"),
        (r#"{"t":3,"i":9007199254740992,"d":[]}"#, "invalid payload"),
        (r#"{"t":9}"#, "invalid packet type"),
    ] {
        assert_eq!(
            decode(&codec, &[text(message)]).unwrap_err().to_string(),
            expected
        );
    }
    let packet = decode(&codec, &[text(r#"{"t":5,"d":[5,1]}"#)])
        .unwrap()
        .unwrap();
    assert_eq!(
        (packet.kind, packet.data),
        (PacketKind::Event, Some(value("[5,1]")))
    );
    let mut assembler = Assembler::new(&codec, Limits::default());
    assert!(
        assembler
            .push_text(r#"{"t":2,"d":["e",null],"b":1}"#)
            .unwrap()
            .is_none()
    );
    assembler.reset();
    assert!(
        assembler
            .push_text(r#"{"t":2,"d":["e"],"b":0}"#)
            .unwrap()
            .is_some()
    );
}

struct Silent(Vec<Message>);

impl CustomCodec for Silent {
    fn encode(&self, _: &ValuePacket) -> Result<Vec<Message>, EncodeError> {
        Ok(self.0.clone())
    }

    fn new_decoder(&self) -> Box<dyn CustomDecoder> {
        Objects.new_decoder()
    }
}

#[test]
fn messages_that_cannot_be_kept_together_are_refused() {
    for wrong in [
        vec![],
        vec![text("a"), text("b")],
        vec![binary(b"a"), text("b")],
    ] {
        let codec = Codec::Custom(Arc::new(Silent(wrong)));
        let mut buf = b"kept".to_vec();
        assert!(codec.encode_disconnect(&mut buf, "/").is_err());
        assert_eq!(buf, b"kept");
    }
    let codec = Codec::Custom(Arc::new(Silent(vec![binary(b"a"), binary(b"b")])));
    assert_eq!(
        messages(|b| codec.encode_disconnect(b, "/")),
        [binary(b"a"), binary(b"b")]
    );
}

#[test]
fn a_replacer_sees_the_whole_first_and_a_reviver_the_parts_first() {
    // B057, J083
    let options = JsonOptions::default()
        .replacer(|key, value| match (key, value) {
            ("secret", _) => None,
            ("0", Value::String(name)) => Some(Value::from(name.to_uppercase())),
            (_, Value::Bool(true)) => Some(Value::from("yes")),
            (_, value) => Some(value),
        })
        .reviver(|key, value| match (key, value) {
            ("gone", _) => None,
            (_, Value::String(text)) if text == "bad" => Some(Value::from("connect")),
            (_, Value::Number(n)) => Some(Value::from(n.as_f64() + 0.5)),
            (_, value) => Some(value),
        });
    let codec = Codec::Json(options);
    let data = value(r#"{"secret":1,"a":[true,{"secret":2}]}"#);
    assert_eq!(
        messages(|b| codec.encode_event(
            b,
            "/",
            None,
            "e",
            &(&data, Bytes::from_static(b"x")),
            None
        )),
        [
            text(r#"51-["E",{"a":["yes",{}]},{"_placeholder":true,"num":0}]"#),
            binary(b"x")
        ]
    );
    assert_eq!(
        messages(|b| codec.encode_connect(b, "/", Some(&data))),
        [text(r#"0{"a":["yes",{}]}"#)]
    );
    let packet = decode(&codec, &[text(r#"21["e",1,{"gone":1,"n":2}]"#)])
        .unwrap()
        .unwrap();
    assert_eq!(packet.data, Some(value(r#"["e",1.5,{"n":2.5}]"#)));
    let packet = decode(&codec, &[text(r#"0{"gone":1,"n":2}"#)])
        .unwrap()
        .unwrap();
    assert_eq!(packet.data, Some(value(r#"{"n":2.5}"#)));
    // What comes out is checked.
    assert_eq!(
        decode(&codec, &[text(r#"2["bad"]"#)]),
        Err(DecodeError::InvalidPayload)
    );
    assert_eq!(decode(&codec, &[text("2")]).unwrap().unwrap().data, None);
    let packet = decode(
        &codec,
        &[
            text(r#"51-["e",{"_placeholder":true,"num":0}]"#),
            binary(b"x"),
        ],
    );
    assert!(packet.unwrap().unwrap().data.unwrap().has_binary());
}
