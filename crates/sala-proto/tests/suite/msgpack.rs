//! MessagePack forms, against notepack.io 2.2.0.

use std::collections::BTreeMap;

use bytes::Bytes;
use sala_proto::{Assembler, Codec, Limits, Value};
use serde::Serialize;

/// One argument of an ack, as it is inside the packet.
fn packed<T: Serialize + ?Sized>(data: &T) -> Vec<u8> {
    let mut buf = Vec::new();
    let encoded = Codec::MsgPack
        .encode_ack(&mut buf, "/", 0, &(data,))
        .unwrap();
    assert!(encoded.binary && encoded.attachments.is_empty());
    let head = b"\x84\xa4type\x03\xa3nsp\xa1/\xa2id\x00\xa4data\x91";
    buf.strip_prefix(head)
        .expect("the header of an ack")
        .to_vec()
}

/// The argument of an ack with these bytes.
fn unpacked(data: &[u8]) -> Value {
    let mut bytes = b"\x83\xa4type\x03\xa3nsp\xa1/\xa4data\x91".to_vec();
    bytes.extend_from_slice(data);
    let mut assembler = Assembler::new(&Codec::MsgPack, Limits::default());
    let packet = assembler.push_binary(bytes.into()).unwrap().unwrap();
    packet.data.unwrap().to_values().remove(0)
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

#[test]
fn numbers_have_the_forms_of_the_reference() {
    for (n, expected) in [
        (0.0, "00"),
        (-0.0, "00"),
        (1.0, "01"),
        (127.0, "7f"),
        (128.0, "cc80"),
        (255.0, "ccff"),
        (256.0, "cd0100"),
        (65535.0, "cdffff"),
        (65536.0, "ce00010000"),
        (4294967295.0, "ceffffffff"),
        (4294967296.0, "cf0000000100000000"),
        (9007199254740992.0, "cf0020000000000000"),
        (1e19, "cf8ac7230489e80000"),
        (-1.0, "ff"),
        (-32.0, "e0"),
        (-33.0, "d0df"),
        (-128.0, "d080"),
        (-129.0, "d1ff7f"),
        (-32768.0, "d18000"),
        (-32769.0, "d2ffff7fff"),
        (-2147483648.0, "d280000000"),
        (-2147483649.0, "d3ffffffff7fffffff"),
        (-9007199254740992.0, "d3ffe0000000000000"),
        (0.5, "cb3fe0000000000000"),
        (1.1, "cb3ff199999999999a"),
        (f64::NAN, "cb7ff8000000000000"),
        (f64::INFINITY, "cb7ff0000000000000"),
        (f64::NEG_INFINITY, "cbfff0000000000000"),
        // notepack.io wraps around here and sends another number; this is the right one.
        (1e20, "cb4415af1d78b58c40"),
    ] {
        assert_eq!(packed(&n), hex(expected), "{n}");
        let back = unpacked(&hex(expected)).as_f64().unwrap();
        assert!(back == n || (back.is_nan() && n.is_nan()), "{n}");
    }
    assert_eq!(packed(&u64::MAX), hex("cfffffffffffffffff"));
    assert_eq!(packed(&i64::MIN), hex("d38000000000000000"));
    assert_eq!(packed(&1.5f32), hex("cb3ff8000000000000"));
    assert_eq!(packed(&5u128), [5]);
    assert_eq!(unpacked(&hex("ca3fc00000")), Value::from(1.5));
    let mut buf = Vec::new();
    assert!(
        Codec::MsgPack
            .encode_ack(&mut buf, "/", 0, &u128::MAX)
            .is_err()
    );
}

#[test]
fn lengths_have_the_shortest_form() {
    for (len, head) in [
        (0, "a0"),
        (31, "bf"),
        (32, "d920"),
        (255, "d9ff"),
        (256, "da0100"),
        (65535, "daffff"),
        (65536, "db00010000"),
    ] {
        let text = "x".repeat(len);
        assert_eq!(packed(&text), [hex(head), text.into_bytes()].concat());
    }
    for (len, head) in [
        (0, "c400"),
        (255, "c4ff"),
        (256, "c50100"),
        (65536, "c600010000"),
    ] {
        let bytes = vec![7; len];
        assert_eq!(
            packed(&Bytes::from(bytes.clone())),
            [hex(head), bytes].concat()
        );
    }
    for (len, head) in [(0, "90"), (15, "9f"), (16, "dc0010"), (65536, "dd00010000")] {
        assert_eq!(packed(&vec![1; len]), [hex(head), vec![1; len]].concat());
    }
    for (len, head) in [(0u32, "80"), (15, "8f"), (16, "de0010")] {
        let map: BTreeMap<_, _> = (0..len).map(|n| (format!("{n:02}"), n)).collect();
        assert!(packed(&map).starts_with(&hex(head)));
    }
}

#[test]
fn lists_and_maps_that_do_not_know_their_length_are_right_all_the_same() {
    struct Unknown(usize);
    impl Serialize for Unknown {
        fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            s.collect_seq((0..self.0).filter(|_| true))
        }
    }
    #[derive(Serialize)]
    struct Flat {
        a: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }
    for len in [0, 1, 15, 16, 300] {
        assert_eq!(packed(&Unknown(len)), packed(&(0..len).collect::<Vec<_>>()));
    }
    for len in [0, 14, 15, 16] {
        let rest: BTreeMap<_, _> = (0..len).map(|n| (format!("k{n:02}"), n)).collect();
        let mut whole = BTreeMap::from([("a".to_owned(), 1)]);
        whole.extend(rest.clone());
        assert_eq!(packed(&Flat { a: 1, rest }), packed(&whole));
    }
}

#[test]
fn values_without_a_word_in_json_become_the_nearest_one() {
    assert_eq!(unpacked(&hex("d40000")), Value::Null);
    let date = |bytes: &str| unpacked(&hex(bytes));
    assert_eq!(
        date("d70000000000000005dc").as_str(),
        Some("1970-01-01T00:00:01.500Z")
    );
    assert_eq!(
        date("d700ffffffffffffffff").as_str(),
        Some("1969-12-31T23:59:59.999Z")
    );
    assert_eq!(
        date("d70000000fa000000000").as_str(),
        Some("2514-05-30T01:53:04.000Z")
    );
    // The first and last moments of JavaScript's dates, and what is beyond.
    let millis = |n: i64| unpacked(&[&[0xd7, 0][..], &n.to_be_bytes()].concat());
    assert_eq!(
        millis(8_640_000_000_000_000).as_str(),
        Some("+275760-09-13T00:00:00.000Z")
    );
    assert_eq!(
        millis(-8_640_000_000_000_000).as_str(),
        Some("-271821-04-20T00:00:00.000Z")
    );
    assert_eq!(
        millis(-62_167_219_200_001).as_str(),
        Some("-000001-12-31T23:59:59.999Z")
    );
    assert_eq!(
        millis(951_782_400_000).as_str(),
        Some("2000-02-29T00:00:00.000Z")
    );
    assert_eq!(millis(i64::MAX), Value::Null);
    assert_eq!(
        unpacked(&hex("c702000708")),
        Value::Binary(Bytes::from_static(&[7, 8]))
    );
    assert_eq!(
        unpacked(&hex("c7080001020304050607ff"))
            .as_binary()
            .unwrap()
            .len(),
        8
    );
    let pair = |kind: i64, bytes: &'static [u8]| {
        Value::Array(vec![kind.into(), Value::Binary(Bytes::from_static(bytes))])
    };
    assert_eq!(unpacked(&hex("c702050102")), pair(5, &[1, 2]));
    assert_eq!(unpacked(&hex("d40709")), pair(7, &[9]));
    assert_eq!(unpacked(&hex("d6ff00000001")), pair(-1, &[0, 0, 0, 1]));
    assert_eq!(unpacked(&hex("810102")).get("1"), Some(&Value::from(2)));
}
