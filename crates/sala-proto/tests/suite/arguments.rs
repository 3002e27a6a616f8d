//! Arguments into types, and raw arguments through packets.

use std::collections::BTreeMap;

use crate::support::{binary, messages, text, value};
use bytes::Bytes;
use sala_proto::{Args, Assembler, Codec, Limits, Message, RawArgs, Value, ValuePacket};
use serde::{Deserialize, Serialize};

/// The arguments of an event, with the bytes `zero` and `one` attached if there are placeholders.
fn json(data: &str) -> RawArgs {
    let mut assembler = Assembler::new(&Codec::default(), Limits::default());
    let packet = if data.contains("_placeholder") {
        assert!(
            assembler
                .push_text(&format!("52-{data}"))
                .unwrap()
                .is_none()
        );
        assembler.push_binary(Bytes::from_static(b"zero")).unwrap();
        assembler
            .push_binary(Bytes::from_static(b"one"))
            .unwrap()
            .unwrap()
    } else {
        assembler
            .push_text(&format!("2{data}"))
            .unwrap()
            .unwrap()
            .into_owned()
    };
    packet.data.unwrap()
}

/// The same event through MessagePack, and as trees.
fn others(args: &RawArgs) -> [RawArgs; 2] {
    let mut buf = Vec::new();
    let event = args.event().unwrap().into_text();
    let encoded = Codec::MsgPack
        .encode_event(&mut buf, "/", None, &event, args, None)
        .unwrap();
    assert!(encoded.binary);
    let mut assembler = Assembler::new(&Codec::MsgPack, Limits::default());
    let packed = assembler
        .push_binary(buf.into())
        .unwrap()
        .unwrap()
        .data
        .unwrap();
    [packed, Args::from_values(args.to_values())]
}

/// Reads the arguments in each of their forms; all must agree.
fn parse<T>(data: &str) -> Result<T, String>
where
    T: for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
{
    let args = json(data);
    let result = args.parse::<T>().map_err(|e| e.to_string());
    for other in others(&args) {
        let same = other.parse::<T>();
        match &result {
            Ok(expected) => assert_eq!(same.as_ref().ok(), Some(expected), "{data} {same:?}"),
            Err(_) => assert!(same.is_err(), "{data} {same:?}"),
        }
    }
    result
}

#[test]
fn a_tuple_spreads_and_anything_else_takes_the_first_argument() {
    assert_eq!(
        parse::<(i32, String)>(r#"["e",1,"x"]"#),
        Ok((1, "x".to_owned()))
    );
    assert_eq!(parse::<i32>(r#"["e",1,"x"]"#), Ok(1));
    assert_eq!(parse::<Vec<i32>>(r#"["e",[1,2],"x"]"#), Ok(vec![1, 2]));
    assert_eq!(parse::<(Vec<i32>,)>(r#"["e",[1,2]]"#), Ok((vec![1, 2],)));
    assert_eq!(parse::<bool>(r#"["e",true]"#), Ok(true));
    assert_eq!(parse::<char>(r#"["e","é"]"#), Ok('é'));
    // serde sees a fixed-size array as a tuple.
    assert_eq!(parse::<[i32; 2]>(r#"["e",1,2]"#), Ok([1, 2]));
    assert_eq!(parse::<([i32; 2],)>(r#"["e",[1,2]]"#), Ok(([1, 2],)));
    let map = BTreeMap::from([("a".to_owned(), 1)]);
    assert_eq!(parse::<BTreeMap<String, i32>>(r#"["e",{"a":1}]"#), Ok(map));
}

#[test]
fn extra_arguments_are_ignored_and_missing_ones_are_none() {
    assert_eq!(parse::<(i32,)>(r#"["e",1,"x",{"y":[]}]"#), Ok((1,)));
    assert_eq!(parse::<()>(r#"["e",1,{}]"#), Ok(()));
    assert_eq!(parse::<()>(r#"["e"]"#), Ok(()));
    assert_eq!(parse::<(i32, Option<i32>)>(r#"["e",1]"#), Ok((1, None)));
    assert_eq!(
        parse::<(i32, Option<i32>)>(r#"["e",1,null]"#),
        Ok((1, None))
    );
    assert_eq!(
        parse::<(Option<i32>, Option<i32>)>(r#"["e"]"#),
        Ok((None, None))
    );
    assert_eq!(parse::<Option<i32>>(r#"["e"]"#), Ok(None));
    assert_eq!(parse::<Option<i32>>(r#"["e",2]"#), Ok(Some(2)));
    assert_eq!(parse::<(i32, ())>(r#"["e",1]"#), Ok((1, ())));
    let error = parse::<(i32, i32)>(r#"["e",1]"#).unwrap_err();
    assert!(error.starts_with("argument 2 is missing"), "{error}");
    let error = parse::<i32>(r#"["e"]"#).unwrap_err();
    assert!(error.starts_with("argument 1 is missing"), "{error}");
    let error = parse::<Value>(r#"["e"]"#).unwrap_err();
    assert!(error.starts_with("argument 1 is missing"), "{error}");
}

#[test]
fn a_wrong_type_is_told_with_its_place() {
    let error = parse::<(i32, i32)>(r#"["e",1,"x"]"#).unwrap_err();
    assert!(
        error.starts_with("argument 2: invalid type: string \"x\", expected i32"),
        "{error}"
    );
    assert!(parse::<u8>(r#"["e",256]"#).is_err());
    assert!(parse::<String>(r#"["e",{"a":1}]"#).is_err());
    // A lone surrogate is text in JavaScript, so the connection stays; Rust has no such text.
    assert!(json(r#"["e","\ud800"]"#).parse::<String>().is_err());
    assert_eq!(
        json(r#"["e","\ud800!"]"#).to_values()[0]
            .as_str()
            .unwrap()
            .chars()
            .last(),
        Some('!')
    );
}

#[test]
fn floats_come_out_as_they_came_in() {
    // serde_json's fast way reads these one step beside.
    for digits in [
        "-1.6881890123456789",
        "-1.5107716789012346",
        "-1.5890123456789012e-7",
    ] {
        let n = parse::<f64>(&format!("[\"e\",{digits}]")).unwrap();
        let codec = Codec::default();
        assert_eq!(
            messages(|b| codec.encode_ack(b, "/", 1, &n)),
            [text(&format!("31[{digits}]"))]
        );
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: f64,
    y: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pair(i32, i32);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped((i32, i32));

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nothing;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Shape {
    Dot,
    Circle(f64),
    Line(i32, i32),
    Named { at: Point },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "body")]
enum Tagged {
    A(i32),
    B { x: Vec<u8> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(i32),
    Text(String),
}

#[test]
fn structs_and_enums_travel_in_both_directions() {
    fn check<T>(data: T, expected: &str)
    where
        T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
    {
        let sent = messages(|buf| Codec::default().encode_event(buf, "/", None, "e", &data, None));
        assert_eq!(sent, [Message::Text(format!("2{expected}"))]);
        assert_eq!(parse::<T>(expected), Ok(data));
    }
    check(
        Point {
            x: 1.0,
            y: -0.5,
            label: None,
        },
        r#"["e",{"x":1,"y":-0.5}]"#,
    );
    check(
        (
            1,
            Point {
                x: 1e21,
                y: 0.0,
                label: Some("é".into()),
            },
        ),
        r#"["e",1,{"x":1e+21,"y":0,"label":"é"}]"#,
    );
    check(Pair(1, 2), r#"["e",[1,2]]"#);
    check(Wrapped((1, 2)), r#"["e",1,2]"#);
    check(Nothing, r#"["e"]"#);
    check((), r#"["e"]"#);
    check(((),), r#"["e",null]"#);
    check((Nothing, 1), r#"["e",null,1]"#);
    check(Shape::Dot, r#"["e","dot"]"#);
    check(Shape::Circle(1.5), r#"["e",{"circle":1.5}]"#);
    check(Shape::Line(1, 2), r#"["e",{"line":[1,2]}]"#);
    check(
        (
            Shape::Named {
                at: Point {
                    x: 0.1,
                    y: 2.0,
                    label: None,
                },
            },
            Shape::Dot,
        ),
        r#"["e",{"named":{"at":{"x":0.1,"y":2}}},"dot"]"#,
    );
    check(Tagged::A(1), r#"["e",{"type":"A","body":1}]"#);
    check(
        (Tagged::B { x: vec![1, 2] },),
        r#"["e",{"type":"B","body":{"x":[1,2]}}]"#,
    );
    check(
        (Either::Number(1), Either::Text("x".into())),
        r#"["e",1,"x"]"#,
    );
    check(
        BTreeMap::from([(1, "a".to_owned()), (2, "b".to_owned())]),
        r#"["e",{"1":"a","2":"b"}]"#,
    );
    check(BTreeMap::from([(true, 'x')]), r#"["e",{"true":"x"}]"#);
    check(vec![Some(1), None], r#"["e",[1,null]]"#);
    check(
        (u64::MAX, i64::MIN),
        r#"["e",18446744073709551615,-9223372036854775808]"#,
    );
    check(Some(5), r#"["e",5]"#);
}

#[test]
fn bytes_are_attachments_at_any_depth() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct File {
        name: String,
        parts: Vec<Bytes>,
    }
    let file = File {
        name: "a".into(),
        parts: vec![Bytes::from_static(b"zero"), Bytes::from_static(b"one")],
    };
    let wire = r#"["e",{"name":"a","parts":[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]}]"#;
    assert_eq!(
        messages(|buf| Codec::default().encode_event(buf, "/n", Some(3), "e", &file, None)),
        [
            Message::Text(format!("52-/n,3{wire}")),
            Message::Binary(Bytes::from_static(b"zero")),
            Message::Binary(Bytes::from_static(b"one")),
        ]
    );
    assert_eq!(parse::<File>(wire), Ok(file));
    assert_eq!(
        parse::<(Bytes, Bytes)>(
            r#"["e",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#
        ),
        Ok((Bytes::from_static(b"one"), Bytes::from_static(b"zero")))
    );
    assert_eq!(json(wire).attachments().len(), 2);
    assert!(json(wire).parse::<(Vec<u8>,)>().is_err());
}

#[test]
fn decoding_is_pure() {
    let args = json(r#"["e",{"_placeholder":true,"num":0},1]"#);
    for _ in 0..2 {
        assert!(args.parse::<i32>().is_err());
        assert!(args.parse::<(String, String)>().is_err());
        assert_eq!(
            args.parse::<(Bytes, i32)>().unwrap(),
            (Bytes::from_static(b"zero"), 1)
        );
        assert_eq!(args.attachments().len(), 2);
        assert_eq!(args.len(), 2);
    }
}

#[test]
fn values_and_foreign_values_can_be_asked_for() {
    let data = r#"["e",{"b":[1,2.5,null,"x",true],"a":18446744073709551615}]"#;
    assert_eq!(
        parse::<Value>(data),
        Ok(value(
            r#"{"b":[1,2.5,null,"x",true],"a":18446744073709551615}"#
        ))
    );
    let json_value = json(data).parse::<serde_json::Value>().unwrap();
    assert_eq!(json_value["b"][1], 2.5);
    let raw = json(data)
        .parse::<Box<serde_json::value::RawValue>>()
        .unwrap();
    assert_eq!(
        raw.get(),
        r#"{"b":[1,2.5,null,"x",true],"a":18446744073709551615}"#
    );
    // A raw value goes out as it is, into MessagePack as what it says.
    assert_eq!(
        messages(|buf| Codec::default().encode_event(buf, "/", None, "e", &(&raw, 1), None)),
        [Message::Text(
            r#"2["e",{"b":[1,2.5,null,"x",true],"a":18446744073709551615},1]"#.to_owned()
        )]
    );
    let packed = Args::new(&raw).unwrap();
    assert_eq!(packed.to_values(), json(data).to_values());
    // Keys keep their order, and the last of two equal ones wins.
    let keys = json(r#"["e",{"z":1,"a":2,"z":3}]"#).to_values();
    assert_eq!(
        keys[0]
            .as_object()
            .unwrap()
            .iter()
            .map(|(k, v)| (k.to_owned(), v.as_i64()))
            .collect::<Vec<_>>(),
        [("z".to_owned(), Some(3)), ("a".to_owned(), Some(2))]
    );
}

#[test]
fn raw_arguments_go_through_unchanged() {
    let codec = Codec::default();
    // Numbers, spaces and escapes that a parser would rewrite.
    let odd = r#"["e", 1.0 ,{"a":1e2, "a":"\u0041"} , 12345678901234567890123 ]"#;
    let inner = r#"1.0 ,{"a":1e2, "a":"\u0041"} , 12345678901234567890123 "#;
    let args = json(odd);
    assert_eq!((args.len(), args.as_json()), (3, Some(inner)));
    let raw: RawArgs = args.parse().unwrap();
    assert_eq!(raw.as_json(), Some(inner));
    for args in [&args, &raw, &raw.clone()] {
        assert_eq!(
            messages(|buf| codec.encode_event(buf, "/n", None, "x", args, Some("o"))),
            [Message::Text(format!("2/n,[\"x\",{inner},\"o\"]"))]
        );
        assert_eq!(
            messages(|buf| codec.encode_ack(buf, "/", 5, args)),
            [Message::Text(format!("35[{inner}]"))]
        );
    }
    let none = json("[\"e\" ]").after_event();
    assert!(none.is_empty() && none.event().is_none());
    assert_eq!(
        messages(|buf| codec.encode_ack(buf, "/", 5, &none)),
        [text("35[]")]
    );
    assert_eq!(
        messages(|buf| codec.encode_event(buf, "/", None, "e", &none, Some("o"))),
        [text(r#"2["e","o"]"#)]
    );
}

#[test]
fn raw_arguments_keep_their_attachments() {
    // Out of order and with one attachment that nothing names.
    let args = json(r#"["e",{"_placeholder":true,"num":1}, 1.0]"#);
    let [packed, trees] = others(&args);
    assert_eq!(
        messages(|buf| Codec::default().encode_event(buf, "/", None, "x", &args, None)),
        [
            text(r#"52-["x",{"_placeholder":true,"num":1}, 1.0]"#),
            binary(b"zero"),
            binary(b"one")
        ]
    );
    for args in [packed, trees] {
        assert_eq!(
            messages(|buf| Codec::default().encode_ack(buf, "/", 1, &args)),
            [
                text(r#"61-1[{"_placeholder":true,"num":0},1]"#),
                binary(b"one")
            ]
        );
    }
}

#[test]
fn raw_arguments_inside_of_other_data_are_a_list() {
    let args = json(r#"["e",{"_placeholder":true,"num":1},2]"#);
    assert_eq!(
        messages(|buf| Codec::default().encode_event(buf, "/", None, "x", &(&args, 7), None)),
        [
            text(r#"51-["x",[{"_placeholder":true,"num":0},2],7]"#),
            binary(b"one")
        ]
    );
    assert_eq!(
        serde_json::to_string(&json(r#"["e",1,"x"]"#)).unwrap(),
        r#"[1,"x"]"#
    );
    let back: RawArgs = serde_json::from_str(r#"[1,"x"]"#).unwrap();
    assert_eq!(back.to_values(), [Value::from(1), Value::from("x")]);
    let nested = json(r#"["e",[1,2],3]"#).parse::<(RawArgs, i32)>().unwrap();
    assert_eq!((nested.0.len(), nested.1), (2, 3));
}

#[test]
fn event_names_are_text_or_the_text_of_a_number() {
    for (data, name, number) in [
        (r#"["plain"]"#, "plain", false),
        (r#"[""]"#, "", false),
        (r#"["a\"\u00e9\n"]"#, "a\"é\n", false),
        (r#"["😀"]"#, "😀", false),
        ("[5]", "5", true),
        ("[ -7 ]", "-7", true),
        ("[1.50]", "1.5", true),
        ("[1e3]", "1000", true),
        ("[1e999]", "Infinity", true),
    ] {
        let args = json(data);
        let event = args.event().unwrap();
        assert_eq!((&*event, event.is_number()), (name, number), "{data}");
        assert_eq!(args.len(), 0);
        assert!(args.parse::<()>().is_ok());
    }
    assert_eq!(json("[5]").event().unwrap().to_value(), Value::from(5));
}

#[test]
fn the_data_of_connect_packets_is_one_value() {
    let mut assembler = Assembler::new(&Codec::default(), Limits::default());
    let packet = assembler.push_text(r#"0{"token":"t"}"#).unwrap().unwrap();
    let auth = packet.data.clone().unwrap();
    assert_eq!((auth.len(), auth.event()), (1, None));
    assert_eq!(
        auth.parse::<BTreeMap<String, String>>().unwrap()["token"],
        "t"
    );
    assert_eq!(
        auth.parse::<(Value,)>().unwrap().0,
        value(r#"{"token":"t"}"#)
    );
    assert_eq!(
        ValuePacket::from(packet).data,
        Some(value(r#"{"token":"t"}"#))
    );
}
