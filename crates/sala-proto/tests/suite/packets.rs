//! Text packets: which are good, which are bad, and what the error says. Row ids in the comments
//! (B047, J084) are those of docs/COMPAT.md.

use crate::support::{binary, decode, decode_text, text, value};
use bytes::Bytes;
use sala_proto::{
    Assembler, Codec, DecodeError, Limits, PacketKind, RESERVED_EVENTS, Value, ValuePacket,
    is_reserved, split_query,
};

fn error(message: &str) -> String {
    decode_text(message).expect_err(message).to_string()
}

#[test]
fn good_packets_are_read_in_all_their_parts() {
    use PacketKind::*;
    type Row = (
        &'static str,
        PacketKind,
        &'static str,
        Option<u64>,
        Option<&'static str>,
    );
    let table: [Row; 22] = [
        ("0", Connect, "/", None, None), // B008
        (
            r#"0{"token":1}"#,
            Connect,
            "/",
            None,
            Some(r#"{"token":1}"#),
        ),
        ("0/ns,", Connect, "/ns", None, None),
        ("0/ns", Connect, "/ns", None, None), // B013: no comma needed
        (r#"0/ns,{"a":1}"#, Connect, "/ns", None, Some(r#"{"a":1}"#)),
        ("0/ns?x=1,", Connect, "/ns?x=1", None, None), // B013: part of the name
        ("0/,", Connect, "/", None, None),
        ("01", Connect, "/", Some(1), None), // B011
        ("1", Disconnect, "/", None, None),  // B031
        ("1/ns,", Disconnect, "/ns", None, None),
        (r#"2["a"]"#, Event, "/", None, Some(r#"["a"]"#)), // B022
        (r#"2/,["a"]"#, Event, "/", None, Some(r#"["a"]"#)), // B013
        (r#"2[""]"#, Event, "/", None, Some(r#"[""]"#)),   // B005
        (r#"2[1,"a"]"#, Event, "/", None, Some(r#"[1,"a"]"#)),
        ("2[-1.5]", Event, "/", None, Some("[-1.5]")),
        (r#"217["a"]"#, Event, "/", Some(17), Some(r#"["a"]"#)), // B023
        (r#"201["a"]"#, Event, "/", Some(1), Some(r#"["a"]"#)),  // B051: zeros are dropped
        ("2", Event, "/", None, None),                           // B030
        (r#"2["error"]"#, Event, "/", None, Some(r#"["error"]"#)), // B029
        ("31", Ack, "/", Some(1), None),                         // B053
        ("3[]", Ack, "/", None, Some("[]")),
        (
            r#"2["a",{"_placeholder":true,"num":0}]"#,
            Event,
            "/",
            None,
            Some(r#"["a",{"_placeholder":true,"num":0}]"#),
        ), // B042
    ];
    for (message, kind, nsp, id, data) in table {
        let expected = ValuePacket {
            kind,
            nsp: nsp.to_owned(),
            id,
            data: data.map(value),
        };
        assert_eq!(decode_text(message), Ok(expected), "{message}");
    }
}

#[test]
fn white_space_inside_and_behind_the_json_is_fine_but_not_in_front_of_it() {
    for good in [
        "2[ \"a\" , 1 ]\t\n",
        "2[\"a\"\r,[ ],{ },{ \"k\" : 1 } ]",
        "3[ ] ",
    ] {
        assert!(decode_text(good).is_ok(), "{good:?}");
    }
    // B050: the reference takes a space for the id 0; relying on it is not wanted.
    for bad in ["2 [\"a\"]", "2\n[\"a\"]", "0 {}", "2/a, [\"a\"]"] {
        assert_eq!(error(bad), "invalid payload", "{bad:?}");
    }
}

#[test]
fn bad_payloads_are_refused() {
    let table = [
        "0null",
        "0[]",
        "0\"x\"",
        "0true",
        "0{",
        "0{}x",
        "0{\"a\"}", // B011
        "1{}",
        "1[]",
        "10[]",
        "1x",
        "1/ns,x", // B031
        "2[]",
        "2{}",
        "2[null]",
        "2[{}]",
        "2[[]]",
        "2[true]",
        "2\"a\"",
        "2null",
        "2[",
        "2[\"a\"", // B030
        "2[\"a\"]x",
        "2[\"a\"]]",
        "2[\"a\",]",
        "2[\"a\" 1]",
        "2[a]",
        "2['a']",
        "2[\"a\",01]", // B052
        "2[\"a\",1.]",
        "2[\"a\",.5]",
        "2[\"a\",-]",
        "2[\"a\",1e]",
        "2[\"a\",+1]",
        "2[\"a\",tru]",
        "2[\"a\",\"\u{1}\"]",
        "2[\"a\",\"\\x\"]",
        "2[\"a\",\"\\u12g4\"]",
        "2[\"a\",\"",
        "2[\"a\",\"\\",
        "2[\"a\",{\"k\":}]",
        "2[\"a\",{1:2}]",
        "2[\"a\",{\"k\":1,}]",
        "2[\"a\"}",
        "2[\"a\",{]}",
        "2[\"a\",NaN]",
        "2[\"a\",undefined]",
        "2[\"a\"]\u{a0}",
        "2[{\"toString\":\"foo\"}]", // I023
        "2abc[\"x\"]",
        "2-1[\"x\"]",
        "21.5[\"x\"]",
        "21e1[\"x\"]", // B051
        "29007199254740992[\"x\"]",
        "29999999999999999999999[\"x\"]", // B051: refused, not altered
        "3{}",
        "31{}",
        "3\"a\"",
        "31null",
        "3[",
        "3[]]", // B053
        "4[]",
        "4null",
        "41x",
        "4\"",
        "4true", // J084
    ];
    for bad in table {
        assert_eq!(error(bad), "invalid payload", "{bad:?}");
    }
    // A namespace without a comma leaves no payload, and none is fine.
    assert_eq!(decode_text("2/ns").unwrap().data, None);
}

#[test]
fn unknown_types_are_named_in_the_error() {
    for (message, expected) in [
        ("7", "unknown packet type 7"), // B049
        ("8", "unknown packet type 8"),
        ("9[\"a\"]", "unknown packet type 9"),
        ("x", "unknown packet type NaN"),
        ("abc", "unknown packet type NaN"),
        (" ", "unknown packet type NaN"),
        ("-1", "unknown packet type NaN"),
        ("é", "unknown packet type NaN"), // a first character of several bytes
        ("😀[\"a\"]", "unknown packet type NaN"),
        ("", "Unknown type: undefined"), // B048
    ] {
        assert_eq!(error(message), expected, "{message:?}");
    }
}

#[test]
fn reserved_names_are_refused_however_they_are_written() {
    for name in RESERVED_EVENTS {
        assert!(is_reserved(name));
        assert_eq!(error(&format!("2[\"{name}\"]")), "invalid payload");
        let escaped: String = name.bytes().map(|b| format!("\\u{b:04x}")).collect();
        assert_eq!(error(&format!("2[\"{escaped}\",1]")), "invalid payload");
        assert_eq!(error(&format!("51-[\"{name}\"]")), "invalid payload");
    }
    assert!(!is_reserved("error"));
    assert!(decode_text("2[\"Connect\"]").is_ok());
    // An ack may start with anything.
    assert!(decode_text("31[\"connect\"]").is_ok());
}

#[test]
fn attachment_counts_are_strict_and_bounded() {
    for (message, expected) in [
        ("5", "Illegal attachments"), // J082
        ("6", "Illegal attachments"),
        ("5[\"a\"]", "Illegal attachments"),
        ("51[\"a\"]", "Illegal attachments"), // B038
        ("5-[\"a\"]", "Illegal attachments"),
        ("5-1-[\"a\"]", "Illegal attachments"),
        ("51e1-[\"a\"]", "Illegal attachments"),
        ("51", "Illegal attachments"),
        ("50-[\"a\"]", "Illegal attachments"), // B037, I025
        ("500-[\"a\"]", "Illegal attachments"),
        ("60-[]", "Illegal attachments"),
        ("511-[\"a\"]", "too many attachments"),      // B036
        ("59999999-[\"a\"]", "too many attachments"), // I024
        (
            "599999999999999999999999999-[\"a\"]",
            "too many attachments",
        ),
        ("51-[]", "invalid payload"),
        ("51-{}", "invalid payload"),
        ("61-{}", "invalid payload"),
    ] {
        assert_eq!(error(message), expected, "{message:?}");
    }
    let mut assembler = Assembler::new(&Codec::default(), Limits::default());
    assert!(assembler.push_text("510-[\"a\"]").unwrap().is_none());
    let mut assembler = Assembler::new(&Codec::default(), Limits::default().attachments(2));
    assert_eq!(
        assembler.push_text("53-[\"a\"]").unwrap_err(),
        DecodeError::TooManyAttachments
    );
    assert!(assembler.push_text("502-[\"a\"]").unwrap().is_none());
}

#[test]
fn attachments_take_the_places_of_their_placeholders() {
    let packet = decode(
        &Codec::default(),
        &[
            text(
                r#"53-/admin,7["x",{"_placeholder":true,"num":1},{"deep":[[{"num":0,"_placeholder":true,"more":1}]]},{"num":2,"_placeholder":true},{"_placeholder":true,"num":1},{"_placeholder":false,"num":9},{"_placeholder":1}]"#,
            ),
            binary(b"zero"),
            binary(b"one"),
            binary(b""), // B034
        ],
    );
    let packet = packet.unwrap().unwrap();
    assert_eq!(
        (packet.kind, packet.nsp.as_str(), packet.id),
        (PacketKind::Event, "/admin", Some(7))
    );
    let bytes = |bytes: &'static [u8]| Value::Binary(Bytes::from_static(bytes));
    let data = packet.data.unwrap();
    let data = data.as_array().unwrap();
    assert_eq!(data[1], bytes(b"one"));
    let deep = data[2].get("deep").unwrap().as_array().unwrap()[0]
        .as_array()
        .unwrap();
    assert_eq!(deep, [bytes(b"zero")]);
    assert_eq!(data[3], bytes(b""));
    assert_eq!(data[4], bytes(b"one")); // B035: repeated
    assert_eq!(data[5], value(r#"{"_placeholder":false,"num":9}"#));
    assert_eq!(data[6], value(r#"{"_placeholder":1}"#));
}

#[test]
fn unused_attachments_and_missing_data_are_fine() {
    // B035
    let packet = decode(
        &Codec::default(),
        &[
            text(r#"52-["a",{"_placeholder":true,"num":1}]"#),
            binary(b"0"),
            binary(b"1"),
        ],
    );
    assert_eq!(
        packet.unwrap().unwrap().data.unwrap().as_array().unwrap()[1],
        Value::Binary(Bytes::from_static(b"1"))
    );
    let packet = decode(&Codec::default(), &[text("61-4"), binary(b"x")])
        .unwrap()
        .unwrap();
    assert_eq!(
        (packet.kind, packet.id, packet.data),
        (PacketKind::Ack, Some(4), None)
    );
}

#[test]
fn bad_placeholders_are_refused_when_the_last_attachment_arrives() {
    // B039, I022, J088
    for num in [
        "\"splice\"",
        "\"0\"",
        "-1",
        "1",
        "5",
        "0.5",
        "null",
        "true",
        "[]",
        "1e30",
        "{}",
    ] {
        let header = format!(r#"51-["a",[{{"x":{{"_placeholder":true,"num":{num}}}}}]]"#);
        let mut assembler = Assembler::new(&Codec::default(), Limits::default());
        assert!(assembler.push_text(&header).unwrap().is_none());
        let error = assembler.push_binary(Bytes::from_static(b"x")).unwrap_err();
        assert_eq!(error.to_string(), "illegal attachments", "{num}");
        assert!(!assembler.is_assembling());
    }
    let header = r#"51-["a",{"_placeholder":true}]"#;
    let result = decode(&Codec::default(), &[text(header), binary(b"x")]);
    assert_eq!(result, Err(DecodeError::IllegalAttachments));
}

#[test]
fn text_and_bytes_out_of_turn_are_refused() {
    let header = r#"52-["a",{"_placeholder":true,"num":0}]"#;
    let mut assembler = Assembler::new(&Codec::default(), Limits::default());
    // B041
    let error = assembler.push_binary(Bytes::from_static(b"x")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "got binary data when not reconstructing a packet"
    );
    // B040
    assert!(assembler.push_text(header).unwrap().is_none());
    assert!(
        assembler
            .push_binary(Bytes::from_static(b"x"))
            .unwrap()
            .is_none()
    );
    let error = assembler.push_text("2[\"b\"]").unwrap_err();
    assert_eq!(
        error.to_string(),
        "got plaintext data when reconstructing a packet"
    );
    // After a whole packet nothing is awaited any more (CVE-2026-69185).
    let mut assembler = Assembler::new(&Codec::default(), Limits::default());
    assembler.push_text("51-[\"a\"]").unwrap();
    assert!(
        assembler
            .push_binary(Bytes::from_static(b"x"))
            .unwrap()
            .is_some()
    );
    assert_eq!(
        assembler.push_binary(Bytes::from_static(b"x")).unwrap_err(),
        DecodeError::UnexpectedBinary
    );
}

#[test]
fn an_unfinished_packet_is_counted_and_can_be_forgotten() {
    // B043, B055, J085
    let mut assembler = Assembler::new(&Codec::default(), Limits::default());
    assembler.push_text("53-[\"a\"]").unwrap();
    assert!(assembler.is_assembling());
    assembler.push_binary(Bytes::from_static(b"12345")).unwrap();
    assembler.push_binary(Bytes::from_static(b"67")).unwrap();
    assert_eq!(assembler.pending_bytes(), 7);
    assembler.reset();
    assert_eq!(
        (assembler.is_assembling(), assembler.pending_bytes()),
        (false, 0)
    );
    let packet = assembler.push_text("2[\"b\"]").unwrap().unwrap();
    assert_eq!(packet.data.unwrap().event().as_deref(), Some("b"));
}

#[test]
fn limits_hold_at_their_edges() {
    let check = |limits: Limits, message: &str| {
        Assembler::new(&Codec::default(), limits)
            .push_text(message)
            .map(|_| ())
    };
    let limits = Limits::default().namespace(3);
    assert!(check(limits, "0/ab,").is_ok());
    assert_eq!(check(limits, "0/abc,"), Err(DecodeError::NamespaceTooLong));
    let limits = Limits::default().event(5); // with its quotes
    assert!(check(limits, "2[\"abc\"]").is_ok());
    assert_eq!(
        check(limits, "2[\"abcd\"]"),
        Err(DecodeError::EventNameTooLong)
    );
    assert_eq!(
        check(limits, "2[123456]"),
        Err(DecodeError::EventNameTooLong)
    );
    assert!(check(limits, "3[\"abcdefgh\"]").is_ok());
    let limits = Limits::default().nesting(3);
    assert!(check(limits, "2[\"a\",[{}],[[]]]").is_ok());
    assert_eq!(check(limits, "2[\"a\",[[[]]]]"), Err(DecodeError::TooDeep));
    assert_eq!(
        check(limits, "2[\"a\",{\"a\":{\"b\":{}}}]"),
        Err(DecodeError::TooDeep)
    );
    let mut assembler = Assembler::new(&Codec::default(), Limits::default().attachment_bytes(4));
    assembler.push_text("52-[\"a\"]").unwrap();
    assert!(
        assembler
            .push_binary(Bytes::from_static(b"123"))
            .unwrap()
            .is_none()
    );
    assert_eq!(
        assembler
            .push_binary(Bytes::from_static(b"45"))
            .unwrap_err(),
        DecodeError::AttachmentsTooLarge
    );
    assert_eq!(assembler.pending_bytes(), 0);
}

#[test]
fn packet_validity_is_that_of_the_reference() {
    // B058, J086
    use PacketKind::*;
    let packet = |kind, data: Option<&str>| ValuePacket {
        kind,
        nsp: "/".to_owned(),
        id: None,
        data: data.map(value),
    };
    for (kind, data, valid) in [
        (Connect, None, true),
        (Connect, Some("{}"), true),
        (Connect, Some("[]"), false),
        (Connect, Some("null"), false),
        (Disconnect, None, true),
        (Disconnect, Some("{}"), false),
        (Event, Some("[\"a\"]"), true),
        (Event, Some("[1]"), true),
        (Event, Some("[\"connect\"]"), false),
        (Event, Some("[]"), false),
        (Event, Some("[{}]"), false),
        (Event, None, false),
        (Ack, Some("[]"), true),
        (Ack, Some("{}"), false),
        (Ack, None, false),
        (ConnectError, Some("\"x\""), true),
        (ConnectError, Some("{}"), true),
        (ConnectError, Some("[]"), false),
        (ConnectError, None, false),
        (BinaryEvent, Some("[\"a\"]"), true),
        (BinaryAck, Some("[]"), true),
    ] {
        let packet = packet(kind, data);
        assert_eq!(packet.is_valid(), valid, "{packet:?}");
        assert_eq!(packet.clone().into_packet().is_ok(), valid);
        let encoded = Codec::default().encode_packet(&mut Vec::new(), packet);
        assert_eq!(encoded.is_ok(), valid);
    }
}

#[test]
fn revision_4_sends_its_query_with_the_namespace() {
    let packet = decode_text("0/ns?token=abc,").unwrap();
    assert_eq!(split_query(&packet.nsp), ("/ns", Some("token=abc"))); // B064
    assert_eq!(split_query("/"), ("/", None));
    assert_eq!(split_query("/?a=b?c"), ("/", Some("a=b?c")));
}

#[test]
fn packet_types_have_their_numbers() {
    for number in 0..=6 {
        assert_eq!(
            PacketKind::from_number(number).map(PacketKind::number),
            Some(number)
        );
    }
    assert_eq!(PacketKind::from_number(7), None);
    assert_eq!(sala_proto::REVISION, 5);
}
