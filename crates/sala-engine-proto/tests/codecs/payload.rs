//! Polling bodies: rows of the specification, hostile input, round trips.

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;

use sala_engine_proto::payload::{self, Body};
use sala_engine_proto::{Data, Frame, Packet, PacketType, ParseError, Revision};

use crate::common::Random;

type Decoded = Vec<Result<(PacketType, Vec<u8>), ParseError>>;

/// The packets of a body, and that nothing follows an error.
fn collect<'a>(mut packets: payload::Packets<'a>) -> Decoded {
    let decoded: Decoded = packets
        .by_ref()
        .map(|packet| packet.map(|packet| (packet.kind, bytes_of(packet))))
        .collect();
    assert!(packets.next().is_none());
    if let Some((_, before)) = decoded.split_last() {
        assert!(before.iter().all(Result::is_ok), "nothing follows an error");
    }
    decoded
}

fn bytes_of(packet: Packet<'_>) -> Vec<u8> {
    match packet.data {
        Data::Text(text) => text.as_bytes().to_vec(),
        Data::Binary(bytes) => bytes.into_owned(),
    }
}

fn messages(texts: &[&str]) -> Decoded {
    texts
        .iter()
        .map(|text| Ok((PacketType::Message, text.as_bytes().to_vec())))
        .collect()
}

fn messages_then_error(texts: &[&str]) -> Decoded {
    let mut decoded = messages(texts);
    decoded.push(Err(ParseError));
    decoded
}

#[test]
fn packets_before_a_bad_one_are_delivered_a063() {
    for (body, good) in [
        ("4a\u{1e}zz\u{1e}4b", &["a"][..]),
        ("4a\u{1e}", &["a"]),
        ("\u{1e}4a", &[]),
        ("", &[]),
        ("{", &[]),
        ("[\"4a\"]", &[]),
        ("4a\u{1e}4b\u{1e}é", &["a", "b"]),
    ] {
        let decoded = collect(payload::decode(body, Revision::V4));
        assert_eq!(decoded, messages_then_error(good), "{body:?}");
    }
}

#[test]
fn bodies_of_revision_3_are_read_as_the_reference_reads_them() {
    for (body, good) in [
        ("6:4hello2:4€", &["hello", "€"][..]),
        ("0:", &[]),
        ("0:0:2:4a0:", &["a"]),
        ("000002:4a", &["a"]),
        ("4:4😀b", &["😀b"]),
        ("6:b4AQID", &["\u{1}\u{2}\u{3}"]),
    ] {
        let decoded = collect(payload::decode(body, Revision::V3));
        assert_eq!(decoded, messages(good), "{body:?}");
    }
    for (body, good) in [
        ("", &[][..]),
        (":", &[]),
        ("1", &[]),
        ("2:4a3", &["a"]),
        ("2:4a:4b", &["a"]),
        ("-1:", &[]),
        ("+2:4a", &[]),
        ("1e0:4", &[]),
        ("2 :4a", &[]),
        ("٢:4a", &[]),
        ("3:4😀b2:4a", &["😀"]),
        ("2:4😀", &[]),
        ("99999999999999999999999999:4a", &[]),
        ("18446744073709551615:4a", &[]),
        ("1:b", &[]),
        ("2:b9", &[]),
        ("3:bé4", &[]),
        ("1:é", &[]),
    ] {
        let decoded = collect(payload::decode(body, Revision::V3));
        assert_eq!(decoded, messages_then_error(good), "{body:?}");
    }
}

#[test]
fn binary_bodies_of_revision_3_are_read_with_bounded_lengths_a157() {
    let long = |digits: usize| {
        let mut body = vec![0];
        body.extend(std::iter::repeat_n(0, digits - 1));
        body.extend([2, 255, b'4', b'a']);
        body
    };
    for (body, good) in [
        (&b""[..], &[][..]),
        (b"\x00\x02\xff4a", &["a"]),
        (b"\x00\x02\xff4a\x01\x03\xff\x04bc", &["a", "bc"]),
        (&long(310), &["a"]),
        (b"\x00\x04\xff4\xe2\x82\xac", &["€"]),
    ] {
        let decoded = collect(payload::decode_binary_v3(body));
        assert_eq!(decoded, messages(good), "{body:?}");
    }
    for body in [
        &b"\x00"[..],
        b"\x00\x02",
        b"\x00\xff4a",
        b"\x00\x03\xff4a",
        b"\x00\x0a\xff4aaaaaaaaa",
        b"\x002\xff4a",
        b"\x00\x00\xff",
        b"\x01\x00\xff",
        b"\x01\x01\xff\x07",
        b"\x01\x01\xff4",
        b"\x00\x02\xff4\xff",
        b"\x00\x04\xff4\xed\xa0\x80",
        &long(311),
        &[0; 1000],
        &[9; 1000],
    ] {
        let decoded = collect(payload::decode_binary_v3(body));
        assert_eq!(decoded, messages_then_error(&[]), "{body:?}");
    }
}

#[test]
fn hostile_bodies_take_linear_time_i008() {
    let megabyte = 1_000_000;
    let bodies = [
        "1:6".repeat(megabyte / 3),
        "\u{1e}".repeat(megabyte),
        "6\u{1e}".repeat(megabyte / 2),
        "0:".repeat(megabyte / 2),
        "1".repeat(megabyte),
        format!("{}:", "0".repeat(megabyte)),
        format!("999999:{}", "é".repeat(megabyte / 2)),
        "b".repeat(megabyte),
        "2:bé".repeat(megabyte / 5),
        format!("4{}", ":".repeat(megabyte)),
    ];
    // Generous: a quadratic decoder would need hours, a slow machine needs milliseconds.
    let started = Instant::now();
    for body in &bodies {
        for revision in [Revision::V3, Revision::V4] {
            payload::decode(body, revision).for_each(drop);
        }
        payload::decode_binary_v3(body.as_bytes()).for_each(drop);
    }
    payload::decode_binary_v3(&[0, 1, 255, b'6'].repeat(megabyte / 4)).for_each(drop);
    let newlines = format!("d={}", "\\n".repeat(megabyte));
    assert!(payload::jsonp_post(newlines.as_bytes()).is_some());
    assert!(payload::jsonp_post(&b"d=1&".repeat(megabyte / 4)).is_none());
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn a_megabyte_of_small_packets_is_all_delivered() {
    let body = "1:6".repeat(300_000);
    assert_eq!(payload::decode(&body, Revision::V3).count(), 300_000);
    let body = "4a\u{1e}".repeat(300_000) + "4b";
    let mut packets = payload::decode(&body, Revision::V4);
    assert_eq!(packets.by_ref().filter(Result::is_ok).count(), 300_001);
}

#[test]
fn attachments_follow_their_packet_in_every_form() {
    let frames = [
        Frame::message(
            |buf| buf.extend_from_slice(b"51-[\"a\",{\"_placeholder\":true,\"num\":0}]"),
            vec![Bytes::from_static(&[1, 2, 3])],
        ),
        Frame::packet(b'2', |_| {}),
        Frame::binary(|_| {}),
    ];
    let encode = |revision, base64_only| payload::encode(frames.iter(), revision, base64_only);
    let header = "451-[\"a\",{\"_placeholder\":true,\"num\":0}]";
    let v4 = format!("{header}\u{1e}bAQID\u{1e}2\u{1e}b");
    for base64_only in [false, true] {
        assert_eq!(
            encode(Revision::V4, base64_only),
            Body {
                bytes: v4.clone().into_bytes(),
                binary: false
            }
        );
    }
    let v3 = format!("{}:{header}6:b4AQID1:22:b4", header.len());
    assert_eq!(
        encode(Revision::V3, true),
        Body {
            bytes: v3.into_bytes(),
            binary: false
        }
    );
    let mut bytes = vec![0, 3, 9, 255];
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend([1, 4, 255, 4, 1, 2, 3, 0, 1, 255, b'2', 1, 1, 255, 4]);
    assert_eq!(header.len(), 39);
    let body = encode(Revision::V3, false);
    assert_eq!(
        body,
        Body {
            bytes,
            binary: true
        }
    );
}

#[test]
fn nothing_to_send_is_an_empty_body() {
    let none = || std::iter::empty::<&Frame>();
    assert!(
        payload::encode(none(), Revision::V4, false)
            .bytes
            .is_empty()
    );
    assert_eq!(payload::encode(none(), Revision::V3, false).bytes, b"0:");
}

#[test]
fn what_is_encoded_decodes_to_the_same_packets() {
    const TEXTS: &[&str] = &[
        "", "a", "é", "€", "😀", "\u{2028}", "\0", "b4", ":", "12:", "\u{7f}",
    ];
    let mut random = Random(7);
    for _ in 0..2_000 {
        let mut expected = Decoded::new();
        let mut frames = Vec::new();
        for _ in 0..1 + random.below(5) {
            if random.below(3) == 0 {
                let len = random.below(300);
                let bytes = random.bytes(len);
                expected.push(Ok((PacketType::Message, bytes.clone())));
                frames.push(Frame::binary(|buf| buf.extend_from_slice(&bytes)));
            } else {
                let kind = PacketType::from_number(random.below(7) as u8).unwrap();
                let text: String = (0..random.below(200))
                    .map(|_| TEXTS[random.below(TEXTS.len())])
                    .collect();
                expected.push(Ok((kind, text.clone().into_bytes())));
                frames.push(Frame::packet(kind.digit(), |buf| {
                    buf.extend_from_slice(text.as_bytes());
                }));
            }
        }
        for (revision, base64_only) in [
            (Revision::V4, false),
            (Revision::V3, false),
            (Revision::V3, true),
        ] {
            let body = payload::encode(frames.iter(), revision, base64_only);
            let decoded = if body.binary {
                collect(payload::decode_binary_v3(&body.bytes))
            } else {
                let text = std::str::from_utf8(&body.bytes).unwrap();
                collect(payload::decode(text, revision))
            };
            assert_eq!(decoded, expected, "{revision:?} {base64_only}");
        }
    }
}

#[test]
fn a_body_cut_anywhere_never_panics_and_keeps_what_came_before() {
    let text = "6:4hé€😀2:4b6:b4AQID1:2";
    let binary = b"\x00\x06\xff4hello\x01\x04\xff\x04\x01\x02\x03\x00\x01\xff2";
    let all = collect(payload::decode(text, Revision::V3));
    for cut in (0..text.len()).filter(|cut| text.is_char_boundary(*cut)) {
        let decoded = collect(payload::decode(&text[..cut], Revision::V3));
        let good: Vec<_> = decoded.iter().filter(|packet| packet.is_ok()).collect();
        assert!(good.iter().zip(&all).all(|(a, b)| *a == b), "cut at {cut}");
    }
    let all = collect(payload::decode_binary_v3(binary));
    assert_eq!(all.len(), 3);
    for cut in 0..binary.len() {
        let decoded = collect(payload::decode_binary_v3(&binary[..cut]));
        let good: Vec<_> = decoded.iter().filter(|packet| packet.is_ok()).collect();
        assert!(good.iter().zip(&all).all(|(a, b)| *a == b), "cut at {cut}");
    }
}

#[test]
fn text_borrows_from_the_body() {
    let body = String::from("4hello");
    let packet = payload::decode(&body, Revision::V4)
        .next()
        .unwrap()
        .unwrap();
    let Data::Text(text) = packet.data else {
        panic!("text is expected");
    };
    assert_eq!(text.as_ptr(), body[1..].as_ptr());
    let body = [1, 2, 255, 4, 7];
    let packet = payload::decode_binary_v3(&body).next().unwrap().unwrap();
    assert!(matches!(packet.data, Data::Binary(Cow::Borrowed([7]))));
}
