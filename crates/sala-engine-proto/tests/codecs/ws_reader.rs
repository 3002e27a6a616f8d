//! The WebSocket reader: every rule, with the input cut at every byte.

use std::time::Instant;

use sala_engine_proto::ws::{self, MAX_FRAGMENTS, Reader, WsError};

use crate::common::{FIN, Owned, RSV1, frame, read, read_any_way, text};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

fn reader() -> Reader {
    Reader::new(1_000_000, None)
}

fn run(frames: &[Vec<u8>]) -> (Vec<Owned>, Option<WsError>) {
    read_any_way(reader, &frames.concat())
}

fn ok(frames: &[Vec<u8>]) -> Vec<Owned> {
    let (events, error) = run(frames);
    assert_eq!(error, None);
    events
}

/// The close code and description that one frame is answered with.
fn refused(frames: &[Vec<u8>]) -> (u16, String) {
    let (_, error) = run(frames);
    let error = error.expect("the frames break a rule");
    (error.code(), error.to_string())
}

fn invalid(what: &str) -> (u16, String) {
    (1002, format!("Invalid WebSocket frame: {what}"))
}

#[test]
fn whole_messages_of_every_length_form_arrive() {
    for len in [0, 1, 7, 8, 9, 125, 126, 127, 500] {
        let payload = vec![b'x'; len];
        let events = ok(&[frame(FIN | TEXT, &payload), frame(FIN | BINARY, &payload)]);
        let string = String::from_utf8(payload.clone()).unwrap();
        assert_eq!(events, [Owned::Text(string), Owned::Binary(payload)]);
    }
    for len in [65_535, 65_536, 1_000_000] {
        let payload = vec![b'x'; len];
        let input = frame(FIN | BINARY, &payload);
        for size in [1_000, 4_096, 65_536, input.len()] {
            let chunks: Vec<_> = input.chunks(size).collect();
            let expected = vec![Owned::Binary(payload.clone())];
            assert_eq!(read(&mut reader(), &chunks), (expected, None));
        }
    }
}

#[test]
fn a_whole_message_is_borrowed_from_the_input() {
    let mut input = frame(FIN | TEXT, b"4hello");
    let payload = input[6..].as_ptr();
    let mut reader = reader();
    let mut rest = &mut input[..];
    match reader.next(&mut rest) {
        Ok(Some(ws::Event::Text(text))) => {
            assert_eq!(text, "4hello");
            assert_eq!(text.as_ptr(), payload);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn fragments_are_joined_and_control_frames_may_come_between_a090() {
    let events = ok(&[
        frame(TEXT, b"4"),
        frame(FIN | PING, b"abc"),
        frame(0, b""),
        frame(FIN | PONG, b""),
        frame(FIN, b"0"),
        frame(FIN | BINARY, b"next"),
    ]);
    assert_eq!(
        events,
        [
            Owned::Ping(b"abc".to_vec()),
            Owned::Pong(Vec::new()),
            text("40"),
            Owned::Binary(b"next".to_vec()),
        ]
    );
    assert_eq!(
        ok(&[frame(BINARY, b""), frame(FIN, b"")]),
        [Owned::Binary(Vec::new())]
    );
}

#[test]
fn a_ping_is_answered_with_its_own_payload_a091_i026() {
    let payload = [7; 125];
    let mut input = frame(FIN | PING, &payload);
    let mut reader = reader();
    let mut out = Vec::new();
    match reader.next(&mut &mut input[..]) {
        Ok(Some(ws::Event::Ping(payload))) => ws::pong(&mut out, payload),
        other => panic!("{other:?}"),
    }
    assert_eq!(out, [&[0x8a, 125][..], &payload].concat());
}

#[test]
fn frames_that_break_a_rule_are_refused_with_1002_a094() {
    let part = || frame(TEXT, b"4");
    let unmasked = || vec![FIN | TEXT, 1, b'2'];
    let rows: Vec<(Vec<Vec<u8>>, &str)> = vec![
        (vec![unmasked()], "MASK must be set"),
        (vec![frame(FIN | RSV1 | TEXT, b"2")], "RSV1 must be clear"),
        (
            vec![frame(FIN | 0x20 | TEXT, b"2")],
            "RSV2 and RSV3 must be clear",
        ),
        (
            vec![frame(FIN | 0x10 | TEXT, b"2")],
            "RSV2 and RSV3 must be clear",
        ),
        (
            vec![frame(FIN | 0x70 | TEXT, b"2")],
            "RSV2 and RSV3 must be clear",
        ),
        (vec![frame(FIN, b"2")], "invalid opcode 0"),
        (vec![frame(0, b"2")], "invalid opcode 0"),
        (vec![part(), frame(FIN | TEXT, b"2")], "invalid opcode 1"),
        (vec![part(), frame(BINARY, b"2")], "invalid opcode 2"),
        (
            vec![part(), frame(FIN, b"0"), frame(FIN, b"2")],
            "invalid opcode 0",
        ),
        (vec![frame(PING, b"")], "FIN must be set"),
        (vec![frame(CLOSE, b"")], "FIN must be set"),
        (vec![frame(PONG, b"")], "FIN must be set"),
        (vec![frame(FIN | RSV1 | PING, b"")], "RSV1 must be clear"),
        (
            vec![frame(FIN | PING, &[0; 126])],
            "invalid payload length 126",
        ),
        (
            vec![frame(FIN | CLOSE, &[0; 70_000][..200])],
            "invalid payload length 126",
        ),
        (vec![frame(FIN | CLOSE, &[3])], "invalid payload length 1"),
        (vec![vec![FIN | CLOSE, 1, 3]], "invalid payload length 1"),
    ];
    for (frames, what) in rows {
        assert_eq!(refused(&frames), invalid(what));
    }
    for opcode in (3..=7).chain(11..=15) {
        let what = format!("invalid opcode {opcode}");
        assert_eq!(refused(&[frame(FIN | opcode, b"")]), invalid(&what));
    }
}

#[test]
fn close_codes_are_those_that_may_be_sent_a094() {
    let close = |code: u16| frame(FIN | CLOSE, &code.to_be_bytes());
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65_535,
    ] {
        let what = format!("invalid status code {code}");
        assert_eq!(refused(&[close(code)]), invalid(&what));
    }
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999,
    ] {
        assert_eq!(
            ok(&[close(code)]),
            [Owned::Close(Some(code), String::new())]
        );
    }
    assert_eq!(
        ok(&[frame(FIN | CLOSE, b"")]),
        [Owned::Close(None, String::new())]
    );
    let reason = "é".repeat(61);
    let payload = [&1000_u16.to_be_bytes(), reason.as_bytes()].concat();
    assert_eq!(
        ok(&[frame(FIN | CLOSE, &payload)]),
        [Owned::Close(Some(1000), reason)]
    );
}

#[test]
fn nothing_is_read_after_a_close_frame() {
    let events = ok(&[
        frame(TEXT, b"4"),
        frame(FIN | CLOSE, &1000_u16.to_be_bytes()),
        frame(FIN | TEXT, b"2"),
        vec![0xff; 40],
    ]);
    assert_eq!(events, [Owned::Close(Some(1000), String::new())]);
}

#[test]
fn nothing_is_read_after_an_error() {
    let mut reader = reader();
    let (events, error) = read(&mut reader, &[&frame(FIN | 0x13, b"")]);
    assert_eq!((events.len(), error.is_some()), (0, true));
    let again = read(&mut reader, &[&frame(FIN | TEXT, b"2"), &[0xff; 9]]);
    assert_eq!(again, (Vec::new(), None));
}

#[test]
fn text_is_utf8_and_a_character_may_be_split_over_fragments_a093() {
    let euro = "€".as_bytes();
    let events = ok(&[
        frame(TEXT, &euro[..1]),
        frame(0, &euro[1..2]),
        frame(FIN | PING, b"\xff"),
        frame(FIN, &euro[2..]),
    ]);
    assert_eq!(events, [Owned::Ping(vec![0xff]), text("€")]);

    let bad = (
        1007,
        "Invalid WebSocket frame: invalid UTF-8 sequence".to_owned(),
    );
    let rows: Vec<Vec<Vec<u8>>> = vec![
        vec![frame(FIN | TEXT, &[0x34, 0xff, 0xfe])],
        vec![frame(FIN | TEXT, &euro[..2])],
        vec![frame(TEXT, &euro[..2]), frame(FIN, b"a")],
        vec![frame(FIN | TEXT, b"\xed\xa0\x80")],
        vec![frame(FIN | TEXT, b"\xc0\xaf")],
        vec![frame(FIN | TEXT, b"\xf4\x90\x80\x80")],
        vec![frame(FIN | CLOSE, b"\x03\xe8\xff")],
    ];
    for frames in rows {
        assert_eq!(refused(&frames), bad);
    }
    let binary = ok(&[frame(FIN | BINARY, &[0xff, 0xfe])]);
    assert_eq!(binary, [Owned::Binary(vec![0xff, 0xfe])]);
}

/// Only the start of a frame: its header, with this length field and no payload.
fn head(first: u8, short: u8, extended: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | short], extended, &[1, 2, 3, 4]].concat()
}

#[test]
fn a_length_above_the_limit_is_refused_before_the_payload_arrives_a092_i027() {
    let too_big = (1009, "Max payload size exceeded".to_owned());
    for declared in [
        1_000_001_u64,
        2_000_000,
        1 << 32,
        (1 << 32) + 1,
        (1 << 53) - 1,
    ] {
        let head = head(FIN | BINARY, 127, &declared.to_be_bytes());
        assert_eq!(refused(&[head]), too_big);
    }
    let small = || Reader::new(100, None);
    let at_limit = frame(FIN | TEXT, &[b'x'; 100]);
    assert_eq!(read_any_way(small, &at_limit).1, None);
    for frames in [
        vec![head(FIN | TEXT, 101, &[])],
        vec![frame(TEXT, &[b'x'; 60]), head(FIN, 41, &[])],
        vec![frame(TEXT, &[b'x'; 100]), frame(0, b""), head(0, 1, &[])],
    ] {
        let (events, error) = read_any_way(small, &frames.concat());
        assert_eq!((events, error), (Vec::new(), Some(WsError::TooBig)));
    }
    // Control frames do not count, and each message counts for itself.
    let fine = [
        frame(TEXT, &[b'x'; 60]),
        frame(FIN | PING, &[0; 125]),
        frame(FIN, &[b'x'; 40]),
        frame(FIN | TEXT, &[b'y'; 100]),
    ];
    let (events, error) = read_any_way(small, &fine.concat());
    assert_eq!((events.len(), error), (3, None));
    // With no room at all, only empty messages pass.
    let none = || Reader::new(0, None);
    assert_eq!(read_any_way(none, &frame(FIN | TEXT, b"")).1, None);
    assert_eq!(
        read_any_way(none, &frame(FIN | TEXT, b"2")).1,
        Some(WsError::TooBig)
    );
}

#[test]
fn absurd_and_long_winded_lengths_are_refused_i042() {
    let overflow = "Unsupported WebSocket frame: payload length > 2^53 - 1";
    for declared in [1 << 63, u64::MAX, 1 << 53] {
        for limit in [1_000_000, usize::MAX] {
            let head = head(FIN | BINARY, 127, &u64::to_be_bytes(declared));
            let (_, error) = read_any_way(|| Reader::new(limit, None), &head);
            let error = error.unwrap();
            assert_eq!((error.code(), error.to_string().as_str()), (1009, overflow));
        }
    }
    for (short, extended) in [
        (126, &[0, 0][..]),
        (126, &[0, 125]),
        (127, &[0, 0, 0, 0, 0, 0, 0, 5]),
        (127, &[0, 0, 0, 0, 0, 0, 255, 255]),
    ] {
        let frames = [head(FIN | BINARY, short, extended), vec![0; 40]];
        assert_eq!(
            refused(&frames),
            invalid("payload length is not in its shortest form")
        );
    }
}

#[test]
fn more_fragments_than_the_limit_are_refused_with_1008_a095() {
    let message = |fragments: u32| {
        let mut input = frame(TEXT, b"x");
        for _ in 2..fragments {
            input.extend(frame(0, b"x"));
        }
        input.extend(frame(FIN, b"x"));
        input
    };
    let (events, error) = read(&mut reader(), &[&message(MAX_FRAGMENTS)]);
    assert_eq!(error, None);
    assert_eq!(events, [Owned::Text("x".repeat(16_384))]);

    let input = message(MAX_FRAGMENTS + 1);
    for size in [1, 13, 4096, input.len()] {
        let chunks: Vec<_> = input.chunks(size).collect();
        let (events, error) = read(&mut reader(), &chunks);
        assert_eq!(
            (events, error),
            (Vec::new(), Some(WsError::TooManyFragments))
        );
    }
    assert_eq!(WsError::TooManyFragments.code(), 1008);

    // Empty ones count as well, or they could go on for ever.
    let mut input = frame(TEXT, b"");
    for _ in 0..MAX_FRAGMENTS {
        input.extend(frame(0, b""));
    }
    let (_, error) = read(&mut reader(), &[&input]);
    assert_eq!(error, Some(WsError::TooManyFragments));
}

#[test]
fn an_invalid_frame_right_behind_a_good_one_is_found_i009() {
    let (events, error) = run(&[frame(FIN | TEXT, b"2probe"), frame(FIN | 0x70 | TEXT, b"5")]);
    assert_eq!(events, [text("2probe")]);
    assert_eq!(error, Some(WsError::ReservedBits { first: false }));
}

#[test]
fn a_big_message_in_small_reads_takes_linear_time() {
    const LIMIT: usize = 20_000_000;
    let payload = vec![b'x'; LIMIT];
    let input = frame(FIN | TEXT, &payload);
    let started = Instant::now();
    let mut reader = Reader::new(LIMIT, None);
    let mut total = 0;
    for chunk in input.chunks(1_000) {
        let mut chunk = chunk.to_vec();
        let mut rest = &mut chunk[..];
        while let Some(event) = reader.next(&mut rest).unwrap() {
            match event {
                ws::Event::Text(text) => total += text.len(),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(total, LIMIT);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn a_reader_is_small_and_says_when_a_message_is_incomplete() {
    assert!(size_of::<Reader>() <= 160, "{}", size_of::<Reader>());
    let mut reader = reader();
    assert!(!reader.is_mid_message());
    let input = [frame(TEXT, b"4"), frame(FIN, b"0")].concat();
    for (i, byte) in input.iter().enumerate() {
        read(&mut reader, &[&[*byte]]);
        assert_eq!(
            reader.is_mid_message(),
            i + 1 < input.len(),
            "after byte {i}"
        );
    }
}
