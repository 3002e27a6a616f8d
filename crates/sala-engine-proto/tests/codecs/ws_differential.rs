//! Our frames read by another implementation, its frames read by ours, and both reading the same.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use bytes::Bytes;
use sala_engine_proto::Frame;
use sala_engine_proto::ws::{self, Opcode, Reader};
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Error, Message};

use crate::common::{FIN, Owned, Random, frame, read};

/// A connection whose other end is a test: what arrives, in pieces, and what was written.
#[derive(Default)]
struct Pipe {
    incoming: VecDeque<Vec<u8>>,
    written: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(mut chunk) = self.incoming.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let n = chunk.len().min(buf.len());
        buf[..n].copy_from_slice(&chunk[..n]);
        chunk.drain(..n);
        if !chunk.is_empty() {
            self.incoming.push_front(chunk);
        }
        Ok(n)
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the other implementation reads from the same bytes, and whether it found an error.
fn read_by_peer(role: Role, chunks: &[&[u8]]) -> (Vec<Owned>, bool) {
    let incoming = chunks.iter().map(|chunk| chunk.to_vec()).collect();
    let pipe = Pipe {
        incoming,
        ..Pipe::default()
    };
    let mut socket = WebSocket::from_raw_socket(pipe, role, None);
    let mut events = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => events.push(Owned::Text(text.as_str().to_owned())),
            Ok(Message::Binary(bytes)) => events.push(Owned::Binary(bytes.to_vec())),
            Ok(Message::Ping(bytes)) => events.push(Owned::Ping(bytes.to_vec())),
            Ok(Message::Pong(bytes)) => events.push(Owned::Pong(bytes.to_vec())),
            Ok(Message::Close(frame)) => events.push(match frame {
                Some(frame) => {
                    Owned::Close(Some(frame.code.into()), frame.reason.as_str().to_owned())
                }
                None => Owned::Close(None, String::new()),
            }),
            Ok(Message::Frame(_)) => panic!("raw frames are never read"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (events, false);
            }
            Err(Error::ConnectionClosed) => return (events, false),
            Err(_) => return (events, true),
        }
    }
}

fn random_text(random: &mut Random, max: usize) -> String {
    const PARTS: &[&str] = &["a", "é", "€", "😀", "\0", "4", "\"", "\u{1e}"];
    (0..random.below(max))
        .map(|_| PARTS[random.below(PARTS.len())])
        .collect()
}

/// A valid stream of a client: messages in fragments, control frames between them, perhaps a close.
fn random_stream(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..random.below(8) {
        let max = [1, 30, 30, 200, 200, 200, 3_000, 70_000][random.below(8)];
        let text = random.below(2) == 0;
        let payload = if text {
            random_text(random, max).into_bytes()
        } else {
            let len = random.below(max);
            random.bytes(len)
        };
        let mut rest = &payload[..];
        let mut opcode = if text { 1 } else { 2 };
        while random.below(3) == 0 {
            let (fragment, after) = rest.split_at(random.below(rest.len() + 1));
            out.extend(frame(opcode, fragment));
            (rest, opcode) = (after, 0);
            if random.below(2) == 0 {
                let len = random.below(126);
                out.extend(frame(FIN | [9, 10][random.below(2)], &random.bytes(len)));
            }
        }
        out.extend(frame(FIN | opcode, rest));
    }
    if random.below(3) == 0 {
        let mut payload = [1000_u16, 1001, 1011, 3000, 4999][random.below(5)]
            .to_be_bytes()
            .to_vec();
        let mut reason = random_text(random, 30);
        while reason.len() > 123 {
            reason.pop();
        }
        payload.extend(reason.as_bytes());
        out.extend(frame(
            FIN | 8,
            if random.below(4) == 0 { &[] } else { &payload },
        ));
    }
    out
}

fn random_chunks<'a>(random: &mut Random, input: &'a [u8]) -> Vec<&'a [u8]> {
    let max = [3, 50, 5_000, 200_000][random.below(4)];
    let mut rest = input;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at((1 + random.below(max)).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

#[test]
fn both_read_the_same_messages_from_any_valid_stream() {
    let mut random = Random(0x5a1a);
    for round in 0..600 {
        let input = random_stream(&mut random);
        let chunks = random_chunks(&mut random, &input);
        let ours = read(&mut Reader::new(usize::MAX, None), &chunks);
        let (theirs, failed) = read_by_peer(Role::Server, &chunks);
        assert!(!failed && ours.1.is_none(), "round {round}");
        assert_eq!(ours.0, theirs, "round {round}");
    }
}

fn is_data(event: &Owned) -> bool {
    matches!(event, Owned::Text(_) | Owned::Binary(_))
}

#[test]
fn a_damaged_stream_gives_no_message_that_the_other_does_not_give() {
    let mut random = Random(0xdead);
    let mut both_failed = 0;
    for round in 0..1_000 {
        let mut input = random_stream(&mut random);
        if input.is_empty() {
            continue;
        }
        for _ in 0..1 + random.below(3) {
            let at = random.below(input.len());
            input[at] ^= 1 << random.below(8);
        }
        let mut reader = Reader::new(usize::MAX, None);
        let (mut ours, error) = read(&mut reader, &[&input]);
        let (mut theirs, failed) = read_by_peer(Role::Server, &[&input]);
        // We are stricter about lengths and close codes. The other looks at text before all of it
        // is there, and so may stop in the middle of a message, before its control frames.
        let found = error.is_some() || reader.is_mid_message();
        assert!(found || !failed, "round {round}: {ours:?}");
        if failed {
            ours.retain(is_data);
            theirs.retain(is_data);
        }
        assert!(
            theirs.starts_with(&ours),
            "round {round}: {ours:?} {theirs:?}"
        );
        if error.is_none() {
            assert_eq!(ours, theirs, "round {round}");
        }
        both_failed += usize::from(failed);
    }
    assert!(both_failed > 150, "{both_failed}");
}

#[test]
fn what_the_other_writes_as_a_client_we_read() {
    let mut random = Random(99);
    for _ in 0..300 {
        let mut socket = WebSocket::from_raw_socket(Pipe::default(), Role::Client, None);
        let mut expected = Vec::new();
        for _ in 0..random.below(6) {
            let max = [1, 130, 66_000][random.below(3)];
            let text = random_text(&mut random, max);
            if random.below(2) == 0 {
                socket.send(Message::Text(text.as_str().into())).unwrap();
                expected.push(Owned::Text(text));
            } else {
                socket.send(Message::Binary(text.clone().into())).unwrap();
                expected.push(Owned::Binary(text.into_bytes()));
            }
        }
        socket.close(None).unwrap();
        expected.push(Owned::Close(None, String::new()));
        let written = std::mem::take(&mut socket.get_mut().written);
        let chunks = random_chunks(&mut random, &written);
        let got = read(&mut Reader::new(usize::MAX, None), &chunks);
        assert_eq!(got, (expected, None));
    }
}

#[test]
fn what_we_write_as_a_server_the_other_reads() {
    for len in [0, 1, 124, 125, 126, 65_534, 65_535, 65_536, 200_000] {
        let attachment = Bytes::from(vec![7; len]);
        let text = "x".repeat(len);
        let message = Frame::message(
            |buf| buf.extend_from_slice(text.as_bytes()),
            vec![attachment.clone()],
        );
        let mut out = Vec::new();
        for part in message.parts() {
            match part.ws_frame() {
                Some(frame) => out.extend_from_slice(frame),
                None => {
                    ws::header(&mut out, Opcode::Binary, part.payload().len(), false);
                    out.extend_from_slice(part.payload());
                }
            }
        }
        ws::ping(&mut out, b"are you there");
        ws::pong(&mut out, b"");
        ws::close_frame(&mut out, Some(1001), "gone");
        let expected = vec![
            Owned::Text(format!("4{text}")),
            Owned::Binary(attachment.to_vec()),
            Owned::Ping(b"are you there".to_vec()),
            Owned::Pong(Vec::new()),
            Owned::Close(Some(1001), "gone".to_owned()),
        ];
        assert_eq!(read_by_peer(Role::Client, &[&out]), (expected, false));
    }
    let mut out = Vec::new();
    ws::close_frame(&mut out, None, "");
    let closed = vec![Owned::Close(None, String::new())];
    assert_eq!(read_by_peer(Role::Client, &[&out]), (closed, false));
}
