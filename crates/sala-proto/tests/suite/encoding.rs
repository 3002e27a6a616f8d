//! Data into text: what `JSON.stringify` would write, and the shape of packets.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use sala_proto::{Codec, EncodeError, Value};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use crate::support::{binary, messages, text, value};

/// One argument of an event as JSON text.
fn json<T: Serialize>(data: T) -> String {
    let mut buf = Vec::new();
    let encoded = Codec::default()
        .encode_event(&mut buf, "/", None, "e", &(data,), None)
        .unwrap();
    assert!(encoded.attachments.is_empty() && !encoded.binary);
    let text = String::from_utf8(buf).unwrap();
    text.strip_prefix("2[\"e\",")
        .and_then(|t| t.strip_suffix(']'))
        .unwrap()
        .to_owned()
}

#[test]
fn numbers_are_written_as_javascript_writes_them() {
    // Printed by `JSON.stringify(Number(text))`.
    for (text, expected) in [
        ("0", "0"),
        ("-0", "0"),
        ("1", "1"),
        ("-1", "-1"),
        ("1.5", "1.5"),
        ("0.1", "0.1"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("123456789012345680000", "123456789012345680000"),
        ("1.2345e21", "1.2345e+21"),
        ("1e-6", "0.000001"),
        ("1e-7", "1e-7"),
        ("1.5e-7", "1.5e-7"),
        ("0.000001234", "0.000001234"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("5e-324", "5e-324"),
        ("2.2250738585072014e-308", "2.2250738585072014e-308"),
        ("9007199254740993", "9007199254740992"),
        ("4503599627370496.5", "4503599627370496"),
        ("1e100", "1e+100"),
        ("-1e-10", "-1e-10"),
        ("0.1e-5", "0.000001"),
        ("123e-20", "1.23e-18"),
        ("3.141592653589793", "3.141592653589793"),
        ("1e16", "10000000000000000"),
        ("12345678901234567", "12345678901234568"),
        ("1e-5", "0.00001"),
        ("0.00001234", "0.00001234"),
        ("-0.5", "-0.5"),
        ("1e15", "1000000000000000"),
        ("123456.789", "123456.789"),
        ("5e-7", "5e-7"),
        ("9.5e-6", "0.0000095"),
        ("1e22", "1e+22"),
        ("4.35", "4.35"),
        ("2.5e+20", "250000000000000000000"),
    ] {
        assert_eq!(json(text.parse::<f64>().unwrap()), expected, "{text}");
    }
    assert_eq!(
        json((f64::NAN, f64::INFINITY, f64::NEG_INFINITY)),
        "[null,null,null]"
    );
    assert_eq!(
        json((1.1f32, 0.1f32, 1e10f32, f32::NAN)),
        "[1.1,0.1,10000000000,null]"
    );
    // Integers keep their digits, also those that JavaScript rounds.
    assert_eq!(
        json((u64::MAX, i64::MIN, 9_007_199_254_740_993u64)),
        "[18446744073709551615,-9223372036854775808,9007199254740993]"
    );
    assert_eq!(
        json((u128::MAX, i128::MIN)),
        "[340282366920938463463374607431768211455,-170141183460469231731687303715884105728]"
    );
}

#[test]
fn text_is_escaped_as_javascript_escapes_it() {
    let all: String = (0u8..0x20)
        .map(char::from)
        .chain("\u{7f}\u{80}\u{2028}\u{2029}\u{feff}\u{ffff}\"\\/é😀".chars())
        .collect();
    // Printed by `JSON.stringify`.
    let expected = concat!(
        r#""\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"#,
        r#"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f"#,
        "\u{7f}\u{80}\u{2028}\u{2029}\u{feff}\u{ffff}\\\"\\\\/é😀\""
    );
    assert_eq!(json(&all), expected);
    // At every place of a machine word.
    for n in 0..20 {
        let plain = "x".repeat(n);
        for (special, escaped) in [
            ("\"", "\\\""),
            ("\\", "\\\\"),
            ("\u{1f}", "\\u001f"),
            ("é", "é"),
            ("!", "!"),
        ] {
            assert_eq!(
                json(format!("{plain}{special}yy")),
                format!("\"{plain}{escaped}yy\"")
            );
        }
    }
}

#[test]
fn packets_have_their_shape() {
    let codec = Codec::default();
    let none = None::<&()>;
    assert_eq!(
        messages(|b| codec.encode_connect(b, "/", none)),
        [text("0")]
    ); // B061
    assert_eq!(
        messages(|b| codec.encode_connect(b, "/ns", none)),
        [text("0/ns,")]
    ); // B062
    let sid = BTreeMap::from([("sid", "abc")]);
    assert_eq!(
        messages(|b| codec.encode_connect(b, "/ns", Some(&sid))),
        [text(r#"0/ns,{"sid":"abc"}"#)]
    );
    assert_eq!(messages(|b| codec.encode_disconnect(b, "/")), [text("1")]);
    assert_eq!(
        messages(|b| codec.encode_disconnect(b, "/ns")),
        [text("1/ns,")]
    ); // B032
    let refusal = BTreeMap::from([("message", "Invalid namespace")]);
    assert_eq!(
        messages(|b| codec.encode_connect_error(b, "/nope", &refusal)),
        [text(r#"4/nope,{"message":"Invalid namespace"}"#)] // B014
    );
    assert_eq!(
        messages(|b| codec.encode_connect_error(b, "/ns", "message")),
        [text(r#"4/ns,"message""#)]
    ); // B065
    assert_eq!(
        messages(|b| codec.encode_ack(b, "/", 17, &())),
        [text("317[]")]
    );
    assert_eq!(
        messages(|b| codec.encode_ack(b, "/", 17, &(1, "x"))),
        [text(r#"317[1,"x"]"#)]
    );
    assert_eq!(
        messages(|b| codec.encode_ack(b, "/", 17, &vec![1, 2])),
        [text("317[[1,2]]")]
    );
    assert_eq!(
        messages(|b| codec.encode_ack(b, "/", 17, &Value::Binary(Bytes::from_static(b"x")))),
        [
            text(r#"61-17[{"_placeholder":true,"num":0}]"#),
            binary(b"x")
        ] // B024
    );
}

#[test]
fn the_offset_is_the_last_argument() {
    for codec in [Codec::default(), Codec::MsgPack] {
        let with = messages(|b| codec.encode_event(b, "/", None, "e", &(1, 2), Some("o1")));
        let by_hand = messages(|b| codec.encode_event(b, "/", None, "e", &(1, 2, "o1"), None));
        assert_eq!(with, by_hand);
        let with = messages(|b| codec.encode_event(b, "/", None, "e", &(), Some("o1")));
        let by_hand = messages(|b| codec.encode_event(b, "/", None, "e", "o1", None));
        assert_eq!(with, by_hand);
    }
}

#[test]
fn bytes_outside_of_events_become_what_a_buffer_becomes() {
    let data = BTreeMap::from([("b", Bytes::from_static(&[1, 255]))]);
    assert_eq!(
        messages(|b| Codec::default().encode_connect_error(b, "/", &data)),
        [text(r#"4{"b":{"type":"Buffer","data":[1,255]}}"#)]
    );
}

#[derive(Clone, Default)]
struct Cycle(Rc<RefCell<Vec<Cycle>>>);

impl Serialize for Cycle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.borrow().iter())
    }
}

struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("not today"))
    }
}

#[test]
fn what_cannot_be_encoded_is_an_error_and_leaves_the_buffer_alone() {
    let cycle = Cycle::default();
    cycle.0.borrow_mut().push(cycle.clone());
    for codec in [Codec::default(), Codec::MsgPack] {
        let check = |encode: &dyn Fn(&mut Vec<u8>) -> Result<(), EncodeError>, message: &str| {
            let mut buf = b"kept".to_vec();
            let error = encode(&mut buf).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            assert_eq!(buf, b"kept");
        };
        // B006, J081
        check(
            &|b| {
                codec
                    .encode_event(b, "/", None, "e", &cycle, None)
                    .map(|_| ())
            },
            "cycle",
        );
        check(
            &|b| {
                codec
                    .encode_event(b, "/", None, "e", &(1, Refuses), None)
                    .map(|_| ())
            },
            "not today",
        );
        check(
            &|b| {
                codec
                    .encode_ack(b, "/", 1, &(Bytes::from_static(b"x"), Refuses))
                    .map(|_| ())
            },
            "not today",
        );
        check(
            &|b| codec.encode_connect(b, "/", Some(&Refuses)).map(|_| ()),
            "not today",
        );
        let map = BTreeMap::from([(vec![1], 1)]);
        check(
            &|b| {
                codec
                    .encode_event(b, "/", None, "e", &map, None)
                    .map(|_| ())
            },
            "key",
        );
    }
    cycle.0.borrow_mut().clear();
}

#[test]
fn values_are_encoded_in_order_and_without_change() {
    // J090: encoding does not change the caller's object.
    let tree = value(r#"{"z":[1,{"y":"x"}],"a":null}"#);
    let before = tree.clone();
    assert_eq!(json(&tree), r#"{"z":[1,{"y":"x"}],"a":null}"#);
    assert_eq!(tree, before);
}
