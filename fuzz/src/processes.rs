//! What the processes behind one port say to each other, and what is looked at before a connection is
//! passed on.

use bytes::{Bytes, BytesMut};
use sala_cluster::{Serialization, fuzzing};
use sala_engine::fuzzing::head;
use sala_engine_proto::Query;

use crate::http::splits;

/// Length and kind of a frame.
const HEAD: usize = 5;

/// A channel, read by everybody who reads one. In whatever pieces it arrives, the frames are the same;
/// what is understood is written, read, and written again to the same bytes.
pub fn channel_frames(input: &[u8]) {
    let whole = frames([input]);
    for at in splits(input.len()) {
        let (head, tail) = input.split_at(at);
        assert_eq!(frames([head, tail]), whole, "at {at}");
    }
    for (kind, body) in whole.0 {
        let understood = fuzzing::frame_again(kind, &body);
        for (reader, frame) in understood.iter().enumerate() {
            let Some(frame) = frame else { continue };
            assert_eq!(frame[HEAD - 1], kind);
            let again = &fuzzing::frame_again(kind, &frame.slice(HEAD..))[reader];
            assert_eq!(again.as_ref(), Some(frame));
        }
    }
}

/// The frames that are whole, and whether the channel is not broken.
fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<(u8, Bytes)>, bool) {
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match fuzzing::frame(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
    }
    (frames, true)
}

/// The channel of a Node.js worker; the first byte tells the serialization. What the adapter said is told
/// on to another worker of that kind, which understands the same.
pub fn node_messages(input: &[u8]) {
    let Some((form, input)) = input.split_first() else {
        return;
    };
    let form = match form % 2 {
        0 => Serialization::Advanced,
        _ => Serialization::Json,
    };
    let whole = messages(form, [input]);
    for at in splits(input.len()) {
        let (head, tail) = input.split_at(at);
        assert_eq!(messages(form, [head, tail]), whole, "at {at}");
    }
    for message in whole.0.into_iter().flatten() {
        let Some((body, told)) = fuzzing::node_publish(form, &message) else {
            continue;
        };
        let (again, good) = messages(form, [&told[..]]);
        assert!(good && again.len() == 1, "{}", told.escape_ascii());
        let again = again[0].as_ref().expect("what was told makes sense");
        let (_, again) = fuzzing::node_publish(form, again).expect("it is of the adapter");
        assert_eq!(again, told, "{}", body.escape_ascii());
    }
}

/// The messages that are whole, and whether the channel is not broken.
fn messages<'a>(
    form: Serialization,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Option<sala_proto::Value>>, bool) {
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match fuzzing::node_message(form, &mut buffer) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, false),
            }
        }
    }
    (messages, true)
}

/// A structured clone. What is read is written, and read from there it is the same.
pub fn v8_clone(input: &[u8]) {
    let Some(value) = fuzzing::v8_read(&Bytes::copy_from_slice(input)) else {
        return;
    };
    let written = fuzzing::v8_write(&value);
    let again = fuzzing::v8_read(&written).expect("what was written can be read");
    assert_eq!(fuzzing::v8_write(&again), written, "{value:?}");
}

/// The first line of a request. What was decided on some bytes is not decided otherwise on more of them, and
/// the worker that gets the connection finds the same session in it.
pub fn first_line(input: &[u8]) {
    let whole = fuzzing::session(input);
    for at in splits(input.len()).filter(|at| *at > 0) {
        if let Some(early) = fuzzing::session(&input[..at]) {
            assert_eq!(Some(early), whole, "at {at}");
        }
    }
    let Ok(head) = head::parse(input, |target| target.starts_with("/socket.io/")) else {
        return;
    };
    if !head
        .parts
        .method
        .as_str()
        .starts_with(|c: char| c.is_ascii_uppercase())
    {
        // No method that anybody knows: any worker refuses it.
        return;
    }
    let session = Query::parse(head.parts.uri.query().unwrap_or_default()).sid;
    assert_eq!(whole, Some(session), "{}", input.escape_ascii());
}

/// A header of the PROXY protocol. It ends where it ends, whatever follows, and no earlier.
pub fn proxy_header(input: &[u8]) {
    let whole = fuzzing::proxy_header(input);
    for at in splits(input.len()) {
        match (fuzzing::proxy_header(&input[..at]), &whole) {
            (Ok(None), Ok(Some((_, len)))) => assert!(at < *len, "at {at}"),
            (Ok(None), _) => {}
            (early, late) => assert_eq!(early, *late, "at {at}"),
        }
    }
    if let Ok(Some((_, len))) = whole {
        assert!(len <= input.len());
        assert_eq!(fuzzing::proxy_header(&input[..len]), whole);
    }
}
