//! permessage-deflate: negotiation, the examples of RFC 7692, bombs, round trips.

use sala_engine_proto::ws::deflate::{
    Agreed, Config, Deflater, Inflater, Unacceptable, WindowBits, negotiate,
};
use sala_engine_proto::ws::handshake::{Refusal, Request, check};
use sala_engine_proto::ws::{Opcode, Reader, WsError};

use crate::common::{FIN, Owned, RSV1, Random, frame, read, read_any_way, text};

const LIMIT: usize = 1_000_000;

fn reader(agreed: &Agreed, limit: usize) -> Reader {
    Reader::new(limit, Some(Inflater::new(agreed)))
}

/// Turns a frame that the server wrote into one that a client could have written.
fn masked(server_frame: &[u8]) -> Vec<u8> {
    let head = match server_frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    frame(server_frame[0], &server_frame[head..])
}

/// Compresses messages as a client with a context of its own would.
fn compressed(messages: &[&[u8]], agreed: &Agreed) -> Vec<Vec<u8>> {
    let mut deflater = Deflater::new(
        agreed,
        &Config {
            threshold: 0,
            ..Config::default()
        },
    );
    let write = |message: &&[u8]| {
        let mut out = Vec::new();
        deflater.frame(&mut out, Opcode::Binary, message);
        masked(&out)
    };
    messages.iter().map(write).collect()
}

fn answer(offer: &str, config: &Config) -> Result<Option<String>, Unacceptable> {
    negotiate(offer.as_bytes(), config).map(|agreed| agreed.map(|agreed| agreed.to_string()))
}

#[test]
fn offers_are_answered_as_the_reference_answers_them_a104() {
    let rows = [
        ("permessage-deflate", "permessage-deflate"),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate",
        ),
        (
            "permessage-deflate ;\tclient_max_window_bits ",
            "permessage-deflate",
        ),
        (
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=10",
        ),
        (
            "permessage-deflate; server_max_window_bits=\"1\\2\"",
            "permessage-deflate; server_max_window_bits=12",
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8",
        ),
        (
            "x-webkit-deflate-frame; a=\"b\", permessage-deflate; server_no_context_takeover, permessage-deflate",
            "permessage-deflate; server_no_context_takeover",
        ),
    ];
    for (offer, expected) in rows {
        let answered = answer(offer, &Config::default()).unwrap();
        assert_eq!(answered.as_deref(), Some(expected), "{offer}");
    }
    for nothing in [
        "x-other",
        "constructor",
        "__proto__",
        "toString; a; a",
        "PERMESSAGE-DEFLATE",
    ] {
        assert_eq!(answer(nothing, &Config::default()), Ok(None), "{nothing}");
    }
}

#[test]
fn malformed_offers_are_refused_i028() {
    for offer in [
        "",
        ",",
        ";",
        "permessage-deflate,",
        ",permessage-deflate",
        "permessage-deflate;",
        "permessage-deflate; ;",
        "permessage-deflate foo",
        "permessage-deflate; a b",
        "permessage-deflate; constructor",
        "permessage-deflate; __proto__=1",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=1000000000000000000000",
        "permessage-deflate; server_max_window_bits=-9",
        "permessage-deflate; server_max_window_bits=9.5",
        "permessage-deflate; server_max_window_bits =9",
        "permessage-deflate; server_max_window_bits= 9",
        "permessage-deflate; server_max_window_bits=\"9",
        "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate; server_max_window_bits=\"9\"9",
        "permessage-deflate; client_max_window_bits=x",
        "permessage-deflate; client_max_window_bits=9; client_max_window_bits=9",
        "permessage-deflate, permessage-deflate; unknown",
        "permessage-deflate\u{0}",
        "pérmessage-deflate",
    ] {
        assert_eq!(
            answer(offer, &Config::default()),
            Err(Unacceptable),
            "{offer}"
        );
    }
}

#[test]
fn the_configuration_decides_what_is_acceptable() {
    let no_forgetting = Config {
        server_no_context_takeover: Some(false),
        ..Config::default()
    };
    let forgetting = Config {
        server_no_context_takeover: Some(true),
        client_no_context_takeover: true,
        ..Config::default()
    };
    let full = Config {
        server_max_window_bits: WindowBits::Full,
        client_max_window_bits: WindowBits::Full,
        ..Config::default()
    };
    let small = Config {
        server_max_window_bits: WindowBits::Exactly(10),
        client_max_window_bits: WindowBits::Exactly(11),
        ..Config::default()
    };
    let rows = [
        (&no_forgetting, "", Some("")),
        (&no_forgetting, "; server_no_context_takeover", None),
        (
            &forgetting,
            "",
            Some("; server_no_context_takeover; client_no_context_takeover"),
        ),
        (&full, "; client_max_window_bits=9", Some("")),
        (&full, "; server_max_window_bits=15", None),
        (&small, "", None),
        (
            &small,
            "; client_max_window_bits",
            Some("; server_max_window_bits=10; client_max_window_bits=11"),
        ),
        (
            &small,
            "; client_max_window_bits=11; server_max_window_bits=12",
            Some("; server_max_window_bits=10; client_max_window_bits=11"),
        ),
        (
            &small,
            "; client_max_window_bits; server_max_window_bits=9",
            None,
        ),
        (&small, "; client_max_window_bits=10", None),
    ];
    for (config, params, expected) in rows {
        let offer = format!("permessage-deflate{params}");
        let expected = match expected {
            Some(params) => Ok(Some(format!("permessage-deflate{params}"))),
            None => Err(Unacceptable),
        };
        assert_eq!(answer(&offer, config), expected, "{offer} {config:?}");
    }
    // The first acceptable offer counts.
    let offer = "permessage-deflate; server_no_context_takeover, permessage-deflate; client_max_window_bits=12";
    let answered = answer(offer, &no_forgetting).unwrap().unwrap();
    assert_eq!(answered, "permessage-deflate; client_max_window_bits=12");
}

#[test]
fn without_a_configuration_offers_are_ignored_a103() {
    let request = Request {
        method: "GET",
        upgrade: Some(b"websocket"),
        key: Some(b"dGhlIHNhbXBsZSBub25jZQ=="),
        version: Some(b"13"),
        protocol: None,
        extensions: Some(b"permessage-deflate; nonsense=,,"),
    };
    assert_eq!(check(&request, None).unwrap().deflate, None);
    let refused = check(&request, Some(&Config::default()));
    assert_eq!(refused, Err(Refusal::Extensions));
    assert_eq!(
        Refusal::Extensions.text(),
        "Invalid or unacceptable Sec-WebSocket-Extensions header"
    );
    let good = Request {
        extensions: Some(b"permessage-deflate"),
        ..request
    };
    let accept = check(&good, Some(&Config::default())).unwrap();
    assert_eq!(accept.deflate, Some(Agreed::default()));
}

#[test]
fn the_examples_of_the_rfc_decompress() {
    let hello: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let first = FIN | RSV1 | 1;
    let rows: Vec<Vec<Vec<u8>>> = vec![
        vec![frame(first, hello)],
        vec![frame(RSV1 | 1, &hello[..3]), frame(FIN, &hello[3..])],
        vec![frame(RSV1 | 1, b""), frame(0, hello), frame(FIN, b"")],
        vec![frame(
            first,
            &[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ],
        )],
        vec![frame(
            first,
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        )],
        vec![frame(
            first,
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
        )],
    ];
    for frames in rows {
        let new = || reader(&Agreed::default(), LIMIT);
        let got = read_any_way(new, &frames.concat());
        assert_eq!(got, (vec![text("Hello")], None));
    }
    // The second message refers to the first: only with a context that is kept.
    let twice = [
        frame(first, hello),
        frame(first, &[0xf2, 0x00, 0x11, 0x00, 0x00]),
    ]
    .concat();
    let got = read_any_way(|| reader(&Agreed::default(), LIMIT), &twice);
    assert_eq!(got, (vec![text("Hello"), text("Hello")], None));
    let forgetful = Agreed {
        client_no_context_takeover: true,
        ..Agreed::default()
    };
    let (events, error) = read_any_way(|| reader(&forgetful, LIMIT), &twice);
    assert_eq!(
        (events, error),
        (vec![text("Hello")], Some(WsError::InvalidDeflate))
    );
}

#[test]
fn compressed_and_plain_messages_and_control_frames_mix() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let input = [
        frame(RSV1 | 1, &hello[..2]),
        frame(FIN | 9, b"ping"),
        frame(FIN, &hello[2..]),
        frame(FIN | 1, b"plain"),
        frame(FIN | RSV1 | 2, &[0]),
        frame(FIN | RSV1 | 1, &[0xf2, 0x00, 0x11, 0x00, 0x00]),
    ]
    .concat();
    let (events, error) = read_any_way(|| reader(&Agreed::default(), LIMIT), &input);
    assert_eq!(error, None);
    assert_eq!(
        events,
        [
            Owned::Ping(b"ping".to_vec()),
            text("Hello"),
            text("plain"),
            Owned::Binary(Vec::new()),
            text("Hello"),
        ]
    );
}

#[test]
fn reserved_bits_are_still_checked() {
    let rows = [
        vec![frame(RSV1 | 1, &[0]), frame(FIN | RSV1, &[0])],
        vec![frame(FIN | RSV1 | 9, b"")],
        vec![frame(FIN | 0x20 | 1, &[0])],
    ];
    for frames in rows {
        let new = || reader(&Agreed::default(), LIMIT);
        let (_, error) = read_any_way(new, &frames.concat());
        assert_eq!(error.map(|error| error.code()), Some(1002));
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit_a107_i034() {
    let zeros = vec![0; 10_000_000];
    let bomb = &compressed(&[&zeros], &Agreed::default())[0];
    assert!(bomb.len() < 20_000);
    for size in [1, 100, bomb.len()] {
        let chunks: Vec<_> = bomb.chunks(size).collect();
        let got = read(&mut reader(&Agreed::default(), LIMIT), &chunks);
        assert_eq!(got, (Vec::new(), Some(WsError::TooBig)));
    }
    for (len, error) in [(100, None), (101, Some(WsError::TooBig))] {
        let message = &compressed(&[&zeros[..len]], &Agreed::default())[0];
        let (events, got) = read_any_way(|| reader(&Agreed::default(), 100), message);
        assert_eq!((events.len(), got), (usize::from(error.is_none()), error));
    }
    // The limit is for one message: the next one starts anew.
    let messages = compressed(
        &[&zeros[..100], &zeros[..100], &zeros[..101]],
        &Agreed::default(),
    );
    let (events, error) = read_any_way(|| reader(&Agreed::default(), 100), &messages.concat());
    assert_eq!((events.len(), error), (2, Some(WsError::TooBig)));
    // And it holds for the compressed bytes as well.
    let noise = Random(3).bytes(100);
    let message = &compressed(&[&noise], &Agreed::default())[0];
    let (_, error) = read_any_way(|| reader(&Agreed::default(), 100), message);
    assert_eq!(error, Some(WsError::TooBig));
}

#[test]
fn garbage_is_refused_with_1007() {
    for garbage in [&[0xff, 0xff, 0xff][..], &[0x07], &[0, 5, 0, 5, 0]] {
        let input = frame(FIN | RSV1 | 1, garbage);
        let (_, error) = read_any_way(|| reader(&Agreed::default(), LIMIT), &input);
        assert_eq!(error, Some(WsError::InvalidDeflate), "{garbage:?}");
    }
    assert_eq!(WsError::InvalidDeflate.code(), 1007);
    // Decompressed text is checked like any other.
    let bad = &compressed(&[&[0xff, 0xfe]], &Agreed::default())[0];
    let mut as_text = bad.clone();
    as_text[0] = FIN | RSV1 | 1;
    let (_, error) = read_any_way(|| reader(&Agreed::default(), LIMIT), &as_text);
    assert_eq!(error, Some(WsError::InvalidUtf8));
}

#[test]
fn the_threshold_counts_only_without_a_context_a105() {
    let config = Config::default();
    let forgetful = Agreed {
        server_no_context_takeover: true,
        ..Agreed::default()
    };
    for (agreed, len, expected) in [
        (Agreed::default(), 0, true),
        (Agreed::default(), 10, true),
        (forgetful, 10, false),
        (forgetful, 1023, false),
        (forgetful, 1024, true),
    ] {
        let mut deflater = Deflater::new(&agreed, &config);
        assert_eq!(deflater.compresses(len), expected);
        let mut out = Vec::new();
        deflater.frame(&mut out, Opcode::Text, &vec![b'x'; len]);
        assert_eq!(out[0], if expected { 0xc1 } else { 0x81 });
        let (events, error) = read(&mut reader(&Agreed::default(), LIMIT), &[&masked(&out)]);
        assert_eq!((events, error), (vec![Owned::Text("x".repeat(len))], None));
    }
}

#[test]
fn frames_are_appended_to_what_is_in_the_buffer() {
    let mut deflater = Deflater::new(&Agreed::default(), &Config::default());
    let mut out = b"before".to_vec();
    deflater.frame(&mut out, Opcode::Text, b"Hello");
    deflater.frame(&mut out, Opcode::Text, b"Hello");
    assert_eq!(out[..6], *b"before");
    assert_eq!(
        out[6..15],
        [0xc1, 7, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]
    );
    assert_eq!(out[15..], [0xc1, 5, 0xf2, 0x00, 0x11, 0x00, 0x00]);
}

#[test]
fn what_is_compressed_decompresses_at_every_level_and_window() {
    let mut random = Random(11);
    for bits in 8..=15 {
        for level in [0, 1, 6, 200] {
            let agreed = Agreed {
                server_no_context_takeover: random.below(2) == 0,
                server_max_window_bits: Some(bits),
                client_no_context_takeover: false,
                client_max_window_bits: Some(bits),
            };
            let config = Config {
                level,
                threshold: 0,
                ..Config::default()
            };
            let mut deflater = Deflater::new(&agreed, &config);
            let mut reader = reader(&agreed, LIMIT);
            for _ in 0..6 {
                let message = message(&mut random);
                let mut out = Vec::new();
                deflater.frame(&mut out, Opcode::Binary, &message);
                let input = masked(&out);
                let chunks: Vec<_> = input.chunks(1 + random.below(3_000)).collect();
                let got = read(&mut reader, &chunks);
                assert_eq!(got, (vec![Owned::Binary(message)], None), "{bits} {level}");
            }
        }
    }
}

/// Something of any size that compresses more or less well.
fn message(random: &mut Random) -> Vec<u8> {
    let sizes = [0, 1, 20, 300, 2_000, 40_000];
    let len = sizes[random.below(sizes.len())];
    let symbols = [1, 2, 30, 256][random.below(4)];
    (0..len).map(|_| random.below(symbols) as u8).collect()
}
