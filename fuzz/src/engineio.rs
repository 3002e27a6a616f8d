//! The decoders of Engine.IO.

use std::collections::HashMap;

use sala_engine_proto::ws::deflate::{Agreed, Config, Deflater, Inflater, WindowBits, negotiate};
use sala_engine_proto::ws::handshake::{Request, check, is_upgrade};
use sala_engine_proto::ws::{Event, Opcode, Reader, WsError};
use sala_engine_proto::{Data, Frame, Packet, ParseError, Query, Revision, payload};

const REVISIONS: [Revision; 2] = [Revision::V3, Revision::V4];

/// One text packet. What decodes as text is written back to the same text.
pub fn packet_text(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for revision in REVISIONS {
        if let Ok(packet) = Packet::decode_text(&text, revision)
            && let Data::Text(data) = packet.data
        {
            let again = format!("{}{data}", char::from(packet.kind.digit()));
            assert_eq!(again, text);
        }
    }
}

/// One binary packet.
pub fn packet_binary(input: &[u8]) {
    let packet = Packet::decode_binary(input, Revision::V4).expect("revision 4 takes any bytes");
    assert_eq!(packet.data, Data::Binary(input.into()));
    if let Ok(packet) = Packet::decode_binary(input, Revision::V3) {
        assert_eq!(input[0], packet.kind as u8);
        assert_eq!(packet.data, Data::Binary(input[1..].into()));
    }
}

/// A polling body of revision 4.
pub fn payload_v4(input: &[u8]) {
    let body = String::from_utf8_lossy(input);
    check_payload(payload::decode(&body, Revision::V4), Revision::V4);
}

/// A text body of revision 3.
pub fn payload_v3(input: &[u8]) {
    let body = String::from_utf8_lossy(input);
    check_payload(payload::decode(&body, Revision::V3), Revision::V3);
}

/// A binary body of revision 3.
pub fn payload_v3_binary(input: &[u8]) {
    check_payload(payload::decode_binary_v3(input), Revision::V3);
}

/// Nothing follows an error, and packets that decode are the same after another round.
fn check_payload(mut packets: payload::Packets<'_>, revision: Revision) {
    let decoded: Vec<Result<Packet<'_>, ParseError>> = packets.by_ref().collect();
    assert!(packets.next().is_none());
    let mut good: Vec<Packet<'_>> = decoded.iter().flatten().cloned().collect();
    assert!(good.len() + 1 >= decoded.len());

    // Bytes are always messages when the server sends them.
    good.retain(|packet| matches!(packet.data, Data::Text(_)) || packet.kind as u8 == 4);
    let frames: Vec<Frame> = good.iter().map(frame).collect();
    for base64_only in [false, true] {
        let body = payload::encode(frames.iter(), revision, base64_only);
        let again: Result<Vec<_>, _> = if body.binary {
            assert!(!base64_only && revision == Revision::V3);
            payload::decode_binary_v3(&body.bytes).collect()
        } else {
            let text = std::str::from_utf8(&body.bytes).expect("text bodies are UTF-8");
            if good.is_empty() && revision == Revision::V4 {
                assert_eq!(text, "");
                continue;
            }
            // Borrowed from a body of this loop, so compared here.
            let again: Result<Vec<_>, _> = payload::decode(text, revision).collect();
            assert_eq!(again.as_ref(), Ok(&good));
            continue;
        };
        assert_eq!(again.as_ref(), Ok(&good));
    }
}

fn frame(packet: &Packet<'_>) -> Frame {
    match &packet.data {
        Data::Text(text) => Frame::packet(packet.kind.digit(), |buf| {
            buf.extend_from_slice(text.as_bytes());
        }),
        Data::Binary(bytes) => Frame::binary(|buf| buf.extend_from_slice(bytes)),
    }
}

/// A JSONP answer: whatever is asked for, it is one call on one line with one string.
pub fn jsonp(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (index, body) = text.split_once('\n').unwrap_or((&text, &text));
    let script = payload::jsonp(index, body);
    let rest = script.strip_prefix("___eio[").expect("the call");
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let string = rest
        .strip_prefix("](\"")
        .and_then(|rest| rest.strip_suffix("\");"))
        .expect("one string in a call");
    let mut characters = string.chars();
    while let Some(character) = characters.next() {
        assert!(!matches!(
            character,
            '"' | '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}'
        ));
        if character == '\\' {
            assert!(characters.next().is_some(), "an escape is complete");
        }
    }
}

/// A JSONP POST.
pub fn jsonp_post(input: &[u8]) {
    if let Some(body) = payload::jsonp_post(input) {
        // Percent-encoding shrinks; a byte that is no UTF-8 becomes three.
        assert!(body.len() <= 3 * input.len());
        payload_v4(body.as_bytes());
    }
}

/// A query string. The fields are what a map of all pairs holds.
pub fn query(input: &[u8]) {
    let raw = String::from_utf8_lossy(input);
    let query = Query::parse(&raw);
    let map: HashMap<_, _> = query.iter().collect();
    let get = |key: &str| map.get(key).map(|value| value.as_ref());
    assert_eq!(query.raw(), raw);
    assert_eq!(query.transport.as_deref(), get("transport"));
    assert_eq!(
        query.sid.as_deref(),
        get("sid").filter(|sid| !sid.is_empty())
    );
    assert_eq!(query.j.as_deref(), get("j"));
    assert_eq!(query.b64, get("b64").is_some_and(|b64| !b64.is_empty()));
    assert_eq!(query.eio == Revision::V4, get("EIO") == Some("4"));
}

/// An upgrade request: its header values, one per line.
pub fn ws_handshake(input: &[u8]) {
    let mut lines = input
        .split(|byte| *byte == b'\n')
        .map(Some)
        .chain([None].into_iter().cycle());
    let mut line = || lines.next().flatten();
    let method = line().and_then(|method| std::str::from_utf8(method).ok());
    let request = Request {
        method: method.unwrap_or("GET"),
        upgrade: line(),
        key: line(),
        version: line(),
        protocol: line(),
        extensions: line(),
    };
    let _ = is_upgrade(line(), request.upgrade);
    let small = WindowBits::Exactly(9);
    let config = Config {
        client_max_window_bits: small,
        server_max_window_bits: small,
        ..Config::default()
    };
    for config in [Config::default(), config] {
        if let Ok(accept) = check(&request, Some(&config)) {
            assert_eq!(accept.accept_key.len(), 28);
            if let Some(protocol) = accept.protocol {
                assert!(protocol.bytes().all(|b| b.is_ascii_graphic() && b != b','));
            }
            if let Some(agreed) = accept.deflate {
                // What is agreed on could be offered as it stands.
                let again = negotiate(agreed.to_string().as_bytes(), &config);
                assert!(again.is_ok_and(|again| again.is_some()));
            }
        }
    }
}

/// Received WebSocket bytes, after two bytes that say how large messages may be and how the rest is
/// cut.
pub fn ws_reader(input: &[u8]) {
    check_reader(input, || None);
}

/// The same with compression; one more byte says how it was negotiated.
pub fn ws_reader_deflate(input: &[u8]) {
    let Some((&parameters, input)) = input.split_first() else {
        return;
    };
    let agreed = Agreed {
        client_no_context_takeover: parameters & 0x80 != 0,
        client_max_window_bits: (parameters & 0x40 != 0).then_some(8 + (parameters & 7)),
        ..Agreed::default()
    };
    check_reader(input, || Some(Inflater::new(&agreed)));
}

/// An event that borrows nothing.
#[derive(Debug, PartialEq)]
enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

fn check_reader(input: &[u8], inflater: impl Fn() -> Option<Inflater>) {
    let &[limit, cuts, ref input @ ..] = input else {
        return;
    };
    let limit = match limit {
        0 => usize::MAX,
        limit => 1 << (limit % 21),
    };
    let all = [input];
    let whole = read(Reader::new(limit, inflater()), all.into_iter());
    for event in &whole.0 {
        match event {
            Owned::Text(text) => assert!(text.len() <= limit),
            Owned::Binary(bytes) => assert!(bytes.len() <= limit),
            Owned::Ping(bytes) | Owned::Pong(bytes) => assert!(bytes.len() <= 125),
            Owned::Close(code, reason) => assert!(code.is_some() || reason.is_empty()),
        }
    }
    let size = usize::from(cuts) + 1;
    let (head, tail) = input.split_at(size.min(input.len()));
    let two = [head, tail];
    for other in [
        read(Reader::new(limit, inflater()), input.chunks(size)),
        read(Reader::new(limit, inflater()), input.chunks(1)),
        read(Reader::new(limit, inflater()), two.into_iter()),
    ] {
        assert_eq!(other, whole);
    }
}

fn read<'a>(
    mut reader: Reader,
    chunks: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Owned>, Option<WsError>) {
    let mut events = Vec::new();
    let mut closed = false;
    for chunk in chunks {
        let mut chunk = chunk.to_vec();
        let mut input = &mut chunk[..];
        loop {
            match reader.next(&mut input) {
                Ok(Some(event)) => {
                    assert!(!closed, "nothing follows a close frame");
                    closed = matches!(event, Event::Close(..));
                    events.push(match event {
                        Event::Text(text) => Owned::Text(text.to_owned()),
                        Event::Binary(bytes) => Owned::Binary(bytes.to_vec()),
                        Event::Ping(bytes) => Owned::Ping(bytes.to_vec()),
                        Event::Pong(bytes) => Owned::Pong(bytes.to_vec()),
                        Event::Close(code, reason) => Owned::Close(code, reason.to_owned()),
                    });
                }
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
        assert!(input.is_empty());
    }
    (events, None)
}

/// Up to three messages that the server compresses, read back by a reader of the same parameters.
pub fn ws_deflate_round_trip(input: &[u8]) {
    let &[parameters, ref input @ ..] = input else {
        return;
    };
    let bits = Some(8 + (parameters & 7));
    let forget = parameters & 8 != 0;
    let agreed = Agreed {
        server_no_context_takeover: forget,
        client_no_context_takeover: forget,
        server_max_window_bits: bits,
        client_max_window_bits: bits,
    };
    let config = Config {
        level: parameters >> 4,
        threshold: 20,
        ..Config::default()
    };
    let mut deflater = Deflater::new(&agreed, &config);
    let mut reader = Reader::new(usize::MAX, Some(Inflater::new(&agreed)));
    for message in input.splitn(3, |byte| *byte == b'\n') {
        let mut out = Vec::new();
        deflater.frame(&mut out, Opcode::Binary, message);
        let mut received = as_client(&out);
        let mut rest = &mut received[..];
        assert_eq!(reader.next(&mut rest), Ok(Some(Event::Binary(message))));
        assert_eq!(reader.next(&mut rest), Ok(None));
    }
}

/// A server's frame with a mask of zeros.
fn as_client(frame: &[u8]) -> Vec<u8> {
    let head = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let mut masked = frame[..head].to_vec();
    masked[1] |= 0x80;
    masked.extend([0; 4]);
    masked.extend_from_slice(&frame[head..]);
    masked
}
