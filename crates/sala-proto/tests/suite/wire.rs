//! Events on their way between servers: read and written in either form, and sent on to clients.

use bytes::Bytes;
use sala_proto::wire::{Kind, Reader, Writer};
use sala_proto::{
    Assembler, Codec, DecodeError, EncodeError, Limits, Message, Object, Packet, RawArgs, Value,
};

use crate::support::{Random, messages, value};

fn json(write: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>) -> String {
    let mut out = b"before".to_vec();
    write(&mut Writer::json(&mut out)).unwrap();
    String::from_utf8(out.split_off(6)).unwrap()
}

fn msgpack(write: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>) -> Bytes {
    let mut out = b"before".to_vec();
    write(&mut Writer::msgpack(&mut out)).unwrap();
    out.split_off(6).into()
}

fn json_event(text: &str) -> Result<RawArgs, DecodeError> {
    let message = Bytes::copy_from_slice(text.as_bytes());
    let mut reader = Reader::json(&message)?;
    let event = reader.event()?;
    reader.end().map(|()| event)
}

fn msgpack_event(message: &Bytes) -> Result<RawArgs, DecodeError> {
    let mut reader = Reader::msgpack(message);
    let event = reader.event()?;
    reader.end().map(|()| event)
}

fn hex(text: &str) -> Bytes {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

/// The arguments of a packet that a client sent.
fn received(codec: &Codec, sent: &[Message]) -> RawArgs {
    let mut assembler = Assembler::new(codec, Limits::default().attachments(1000));
    let mut packet = None;
    for message in sent {
        packet = match message {
            Message::Text(text) => assembler.push_text(text).unwrap().map(Packet::into_owned),
            Message::Binary(bytes) => assembler.push_binary(bytes.clone()).unwrap(),
        };
    }
    packet.unwrap().data.unwrap()
}

/// The event as a client gets it: its name and its arguments.
fn at_client(codec: &Codec, event: &RawArgs, offset: Option<&str>) -> Vec<Value> {
    let sent = messages(|buf| codec.encode_raw_event(buf, "/", None, event, offset));
    list(&received(codec, &sent))
}

fn list(event: &RawArgs) -> Vec<Value> {
    let mut items = vec![event.event().unwrap().to_value()];
    items.append(&mut event.to_values());
    items
}

/// What is left of bytes in JSON text.
fn with_buffers(value: Value) -> Value {
    match value {
        Value::Binary(bytes) => {
            let data: Vec<Value> = bytes.iter().map(|&byte| byte.into()).collect();
            let members: [(&str, Value); 2] = [("type", "Buffer".into()), ("data", data.into())];
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(with_buffers).collect()),
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(members.map(|(k, v)| (k, with_buffers(v))).collect())
        }
        value => value,
    }
}

/// The same event in every form that it may have here.
fn forms(name: &str, values: &[Value]) -> Vec<(&'static str, RawArgs)> {
    let tree = RawArgs::from_values(values.to_vec()).with_event(name);
    let message = msgpack(|writer| writer.event(&tree));
    let of_client = |codec: &Codec| {
        let sent = messages(|buf| codec.encode_event(buf, "/", None, name, &tree, None));
        received(codec, &sent)
    };
    vec![
        ("data", RawArgs::new_event(name, &tree).unwrap()),
        ("another server", msgpack_event(&message).unwrap()),
        ("a JSON client", of_client(&Codec::default())),
        ("a MessagePack client", of_client(&Codec::MsgPack)),
        ("a tree", tree),
    ]
}

#[test]
fn an_event_is_the_same_from_wherever_and_to_wherever_it_goes() {
    let mut random = Random(31);
    for round in 0..1_000 {
        let name = format!("e{}", random.text());
        let values: Vec<Value> = (0..random.below(4)).map(|_| random.value(3)).collect();
        let mut whole = vec![Value::from(name.as_str())];
        whole.extend(values.iter().cloned());
        let in_json: Vec<Value> = whole.iter().cloned().map(with_buffers).collect();
        let has_binary = values.iter().any(Value::has_binary);
        for (form, event) in forms(&name, &values) {
            let context = format!("round {round}, from {form}: {whole:?}");
            assert_eq!(list(&event), whole, "{context}");
            assert_eq!(event.has_binary(), has_binary, "{context}");
            assert_eq!(event.len(), values.len());

            let text = json(|writer| writer.event(&event));
            assert_eq!(list(&json_event(&text).unwrap()), in_json, "{context}");
            let bytes = msgpack(|writer| writer.event(&event));
            assert_eq!(list(&msgpack_event(&bytes).unwrap()), whole, "{context}");

            for codec in [Codec::default(), Codec::MsgPack] {
                assert_eq!(at_client(&codec, &event, None), whole, "{context}");
                let mut with_offset = whole.clone();
                with_offset.push("1-0".into());
                assert_eq!(at_client(&codec, &event, Some("1-0")), with_offset);
            }
        }
    }
}

#[test]
fn what_is_read_is_written_again_byte_by_byte() {
    for text in [
        r#"["a"]"#,
        r#"["\u0061\ud800",1e3, -0 ,{"a" : [ ]}]"#,
        r#"[5,"x"]"#,
        r#"["e",{"_placeholder":true,"num":0},{"type":"Buffer","data":[1]}]"#,
    ] {
        let event = json_event(text).unwrap();
        assert_eq!(json(|writer| writer.event(&event)), text);
    }
    // Long forms, float32, an integer as key, extensions: all but the list and the name.
    for items in [
        "d90161",
        "ca3fc00000",
        "810102",
        "d40000",
        "d70000000000000005dc",
        "c702000708",
        "d6ff00000001",
        "c702050102",
        "dc000101",
        "cf000000000000000a",
        "c50001ff",
    ] {
        let bytes = hex(&format!("92a165{items}"));
        let event = msgpack_event(&bytes).unwrap();
        assert_eq!(msgpack(|writer| writer.event(&event)), bytes);
    }
}

#[test]
fn an_event_that_was_read_shares_the_bytes_of_the_message() {
    let message = Bytes::from_static(br#"{"packet":["news",{"a":1}]}"#);
    let mut event = None;
    let mut reader = Reader::new(&message).unwrap();
    reader
        .map(|reader, _| -> Result<(), DecodeError> {
            event = Some(reader.event()?);
            Ok(())
        })
        .unwrap();
    let event = event.unwrap();
    let text = event.as_json().unwrap();
    assert_eq!(text, r#"{"a":1}"#);
    assert!(message.as_ptr_range().contains(&text.as_ptr()));

    let tree = RawArgs::from_values(vec![Bytes::from_static(b"bytes").into()]).with_event("e");
    let message = msgpack(|writer| writer.event(&tree));
    let values = msgpack_event(&message).unwrap().to_values();
    let bytes = values[0].as_binary().unwrap();
    assert!(message.as_ptr_range().contains(&bytes.as_ptr()));
}

#[test]
fn arguments_of_a_frame_are_shared_with_it_and_copied_if_they_are_not_of_it() {
    let frame = Bytes::from_static(br#"2["news",[1,2]]"#);
    let text = std::str::from_utf8(&frame).unwrap();
    let mut assembler = Assembler::new(&Codec::default(), Limits::default());
    let args = assembler.push_text(text).unwrap().unwrap().data.unwrap();
    for (message, is_shared) in [(&frame, true), (&Bytes::from_static(b"other"), false)] {
        let owned = args.clone().into_shared(message);
        let json = owned.as_json().unwrap();
        assert_eq!(json, "[1,2]");
        assert_eq!(frame.as_ptr_range().contains(&json.as_ptr()), is_shared);
        assert_eq!(owned.parse::<(Vec<u8>,)>().unwrap(), (vec![1, 2],));
        assert_eq!(owned.event().as_deref(), Some("news"));
    }
}

#[test]
fn attachments_are_where_the_placeholders_were_however_a_client_writes_them() {
    let frames = |text: &str| {
        let attachments = [b"\x01\x02".as_slice(), b"\x03"];
        let attachments = attachments.map(|bytes| Message::Binary(Bytes::from_static(bytes)));
        let mut sent = vec![Message::Text(text.to_owned())];
        sent.extend(attachments);
        received(&Codec::default(), &sent)
    };
    let plain = r#"52-["e",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}],"é"]"#;
    let odd = r#"52-["e",{"num":1,"_placeholder":true},[{"_placeholder":true, "num":0}],"\u00e9"]"#;
    for text in [plain, odd] {
        let event = frames(text);
        assert_eq!(
            json(|writer| writer.event(&event)),
            r#"["e",{"type":"Buffer","data":[3]},[{"type":"Buffer","data":[1,2]}],"é"]"#
        );
        assert_eq!(
            msgpack(|writer| writer.event(&event)),
            hex("94a165c4010391c4020102a2c3a9")
        );
    }
}

#[test]
fn dates_and_undefined_of_one_dialect_are_those_of_the_other() {
    let client = |argument: &str| {
        let packet = hex(&format!(
            "83a47479706502a36e7370a12fa46461746192a165{argument}"
        ));
        received(&Codec::MsgPack, &[Message::Binary(packet)])
    };
    let to_server = |argument: &str| msgpack(|writer| writer.event(&client(argument)));
    let to_client = |argument: &str| {
        let event = msgpack_event(&hex(&format!("92a165{argument}"))).unwrap();
        let sent = messages(|buf| Codec::MsgPack.encode_raw_event(buf, "/", None, &event, None));
        match &sent[..] {
            [Message::Binary(packet)] => packet.slice(18..),
            other => panic!("{other:?}"),
        }
    };
    for (old, new, text) in [
        (
            "d7000000000000000000",
            "d6ff00000000",
            "1970-01-01T00:00:00.000Z",
        ),
        (
            "d70000000000000005dc",
            "d7ff7735940000000001",
            "1970-01-01T00:00:01.500Z",
        ),
        (
            "d700ffffffffffffffff",
            "c70cff3b8b87c0ffffffffffffffff",
            "1969-12-31T23:59:59.999Z",
        ),
        (
            "d70000000fa000000000",
            "c70cff000000000000000400000000",
            "2514-05-30T01:53:04.000Z",
        ),
    ] {
        // The same inside of a list, with neighbours.
        for (before, after) in [("", ""), ("9301", "c3")] {
            let both = |date: &str| format!("{before}{date}{after}");
            assert_eq!(to_server(&both(old)), hex(&format!("92a165{}", both(new))));
            assert_eq!(to_client(&both(new)), hex(&format!("92a165{}", both(old))));
        }
        assert_eq!(
            json(|writer| writer.event(&client(old))),
            format!(r#"["e","{text}"]"#)
        );
        let event = msgpack_event(&hex(&format!("92a165{new}"))).unwrap();
        assert_eq!(event.to_values(), [Value::from(text)]);
        assert!(!event.has_binary());
        assert_eq!(at_client(&Codec::default(), &event, None)[1], text.into());
    }
    assert_eq!(to_server("d40000"), hex("92a165c0"), "undefined");
    assert_eq!(
        to_server("c702000708"),
        hex("92a165c4020708"),
        "an ArrayBuffer"
    );
    // What neither knows goes through, and what is no timestamp is no date.
    assert_eq!(to_server("d40709"), hex("92a165d40709"));
    for strange in ["d5ff0000", "c70cffffffffff7fffffffffffffff"] {
        assert_eq!(to_server(strange), hex(&format!("92a165{strange}")));
        assert_eq!(to_client(strange), hex(&format!("92a165{strange}")));
    }
}

#[test]
fn long_lists_and_maps_of_json_have_the_markers_of_their_length() {
    for count in [0, 1, 15, 16, 17, 65_535, 65_536] {
        let inner: Vec<Value> = (0..count).map(|n| Value::from(n % 7)).collect();
        let members: Object = (0..count.min(70)).map(|n| (n.to_string(), n)).collect();
        let values = vec![
            Value::Array(vec![inner.clone().into(), 1.into(), inner.into()]),
            members.into(),
            Value::Array(vec![Value::Array(Vec::new()); 20]),
        ];
        let tree = RawArgs::from_values(values).with_event("e");
        let expected = msgpack(|writer| writer.event(&tree));
        let text = json(|writer| writer.event(&tree));
        let event = json_event(&text).unwrap();
        assert!(
            msgpack(|writer| writer.event(&event)) == expected,
            "{count}"
        );
    }
}

#[test]
fn a_name_may_be_a_number_and_stays_one() {
    for (text, bytes) in [("[5]", "9105"), ("[-1.5]", "91cbbff8000000000000")] {
        let event = json_event(text).unwrap();
        assert!(event.event().unwrap().is_number());
        assert_eq!(msgpack(|writer| writer.event(&event)), hex(bytes));
        let event = msgpack_event(&hex(bytes)).unwrap();
        assert_eq!(json(|writer| writer.event(&event)), text);
        assert_eq!(at_client(&Codec::default(), &event, None), list(&event));
    }
}

#[test]
fn only_the_first_argument_is_an_answer() {
    let two = RawArgs::new(&("first", 2)).unwrap();
    assert_eq!(json(|writer| writer.argument(&two)), r#""first""#);
    let ack = received(&Codec::default(), &[Message::Text("37[[1],2]".to_owned())]);
    assert_eq!(msgpack(|writer| writer.argument(&ack)), hex("9101"));
    let none = RawArgs::default();
    assert_eq!(json(|writer| writer.argument(&none)), "null");
    assert_eq!(msgpack(|writer| writer.argument(&none)), hex("c0"));
}

#[test]
fn data_without_a_name_is_no_event() {
    let args = RawArgs::new(&1).unwrap();
    let mut out = Vec::new();
    assert!(Writer::json(&mut out).event(&args).is_err());
    assert!(Writer::msgpack(&mut out).event(&args).is_err());
    for codec in [Codec::default(), Codec::MsgPack] {
        assert!(
            codec
                .encode_raw_event(&mut out, "/", None, &args, None)
                .is_err()
        );
    }
    for text in [
        "[]",
        "{}",
        "[null]",
        "[[]]",
        "[1e999]",
        "5",
        "[\"a\"] 1",
        "",
    ] {
        assert!(json_event(text).is_err(), "{text}");
    }
    for bytes in [
        "90",
        "80",
        "91c0",
        "9190",
        "91cb7ff0000000000000",
        "05",
        "91a16101",
        "",
    ] {
        assert!(msgpack_event(&hex(bytes)).is_err(), "{bytes}");
    }
}

#[test]
fn a_replacer_sees_events_from_elsewhere() {
    let options = sala_proto::JsonOptions::default().replacer(|_, value| match value {
        Value::Number(_) => Some("number".into()),
        value => Some(value),
    });
    let event = json_event(r#"["e",1]"#).unwrap();
    let sent = messages(|buf| Codec::Json(options).encode_raw_event(buf, "/", None, &event, None));
    assert_eq!(sent, [Message::Text(r#"2["e","number"]"#.to_owned())]);
}

/// Reads all of a message whatever it is, with each method in turn.
fn read_all(reader: &mut Reader<'_>, depth: usize) -> Result<(), DecodeError> {
    match reader.peek()? {
        Kind::Map if depth > 0 => reader.map(|reader, _| read_all(reader, depth - 1)),
        Kind::List if depth > 0 => {
            if let Ok(event) = reader.clone().event() {
                json(|writer| writer.event(&event));
                msgpack(|writer| writer.event(&event));
            }
            reader.list(|reader| read_all(reader, depth - 1))
        }
        Kind::Text => reader.text().map(|_| ()),
        Kind::Number => reader
            .clone()
            .uint()
            .or(Ok(0))
            .and_then(|_: u64| reader.number().map(|_| ())),
        Kind::Bool => reader.bool().map(|_| ()),
        _ => reader.value().map(|_| ()),
    }
}

fn read(message: &Bytes, is_json: bool) -> Result<(), DecodeError> {
    let mut reader = if is_json {
        Reader::json(message)?
    } else {
        Reader::msgpack(message)
    };
    read_all(&mut reader, 4)?;
    reader.end()
}

#[test]
fn a_message_that_is_cut_off_anywhere_is_an_error_and_never_a_panic() {
    let tree = value(r#"{"a":["e",1,-2.5,"é\n",null,true,{"k":[{}]},[]],"b":{"c":"d"}}"#);
    let text = json(|writer| writer.value(&tree));
    let packed = msgpack(|writer| writer.value(&tree));
    for (message, is_json) in [(Bytes::from(text), true), (packed, false)] {
        assert_eq!(read(&message, is_json), Ok(()));
        for end in 0..message.len() {
            assert!(read(&message.slice(..end), is_json).is_err(), "{end}");
        }
        let longer = [&message[..], b"1"].concat();
        assert_eq!(
            read(&longer.into(), is_json),
            Err(DecodeError::TrailingBytes(1))
        );
    }
}

#[test]
fn broken_lists_and_maps_are_errors() {
    for text in [
        "[,1]",
        "[1,]",
        "[1 2]",
        "{,}",
        r#"{"a":1,}"#,
        r#"{"a"}"#,
        r#"{"a":}"#,
        "{1:2}",
        "[1}",
        r#"{"a":1]"#,
        r#"{"a":1"b":2}"#,
        "nul",
        "tru",
        "\"",
        "-",
        "01",
        "[\u{1}]",
    ] {
        let message = Bytes::copy_from_slice(text.as_bytes());
        assert!(read(&message, true).is_err(), "{text}");
    }
    assert!(Reader::json(&Bytes::from_static(b"[\"\xff\"]")).is_err());
    // Lengths that the message does not have.
    for bytes in [
        "dd7fffffff",
        "dfffffffff",
        "c6ffffffff00",
        "dbffffffff00",
        "c9ffffffff00",
        "c1",
    ] {
        assert!(read(&hex(bytes), false).is_err(), "{bytes}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!(r#"["e",{}1{}]"#, "[".repeat(depth), "]".repeat(depth));
    assert!(json_event(&nested(511)).is_ok());
    assert_eq!(json_event(&nested(512)).unwrap_err(), DecodeError::TooDeep);
    let packed =
        |depth: usize| Bytes::from([b"\x92\xa1e".to_vec(), vec![0x91; depth], vec![1]].concat());
    assert!(msgpack_event(&packed(511)).is_ok());
    assert_eq!(
        msgpack_event(&packed(600)).unwrap_err(),
        DecodeError::TooDeep
    );
    // As deep as may be, in every form.
    let event = json_event(&nested(511)).unwrap();
    let again = msgpack_event(&msgpack(|writer| writer.event(&event))).unwrap();
    assert_eq!(json(|writer| writer.event(&again)), nested(511));
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random(32);
    for _ in 0..50_000 {
        let bytes: Bytes = (0..random.below(24)).map(|_| random.next() as u8).collect();
        let _ = read(&bytes, false);
        let text: Bytes = bytes
            .iter()
            .map(|&byte| br#"{}[],:" 10e-.truefalsn\u"#[usize::from(byte) % 24])
            .collect();
        let _ = read(&text, true);
    }
}

#[test]
fn the_weight_is_about_that_of_the_bytes() {
    let bytes = Bytes::from(vec![7; 1000]);
    let values = vec![Value::from(bytes), "text".into()];
    for (form, event) in forms("name", &values) {
        let weight = event.weight();
        assert!((1008..1250).contains(&weight), "{form}: {weight}");
    }
}
