//! Decoders that the fuzz targets and nobody else should reach, as functions of plain bytes.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use sala_proto::Value;

use crate::channel::bus::{Downstream, Upstream};
use crate::channel::control::{ToPrimary, ToWorker};
use crate::channel::{Frame, take_frame};
use crate::node::{self, Said, Serialization, v8};
use crate::sticky::{self, Announced, Seen};

/// Takes the next frame off what a channel brought: its kind and its body.
pub fn frame(buffer: &mut BytesMut) -> io::Result<Option<(u8, Bytes)>> {
    Ok(take_frame(buffer)?.map(|frame| (frame.kind, frame.body)))
}

/// What each of the four who read frames takes one for, as a frame again.
#[must_use]
pub fn frame_again(kind: u8, body: &Bytes) -> [Option<Bytes>; 4] {
    let frame = || Frame {
        kind,
        body: body.clone(),
    };
    [
        ToWorker::decode(frame()).ok().map(|it| it.encode()),
        ToPrimary::decode(frame()).ok().map(|it| it.encode()),
        Upstream::decode(frame()).ok().map(|it| it.encode()),
        Downstream::decode(frame()).ok().map(|it| it.encode()),
    ]
}

/// Takes the next message of a Node.js worker; the inner `None` is one that makes no sense.
pub fn node_message(
    form: Serialization,
    buffer: &mut BytesMut,
) -> io::Result<Option<Option<Value>>> {
    Ok(form.take(buffer)?.map(Result::ok))
}

/// The message of the adapter that a Node.js worker sent, and the same on its way to another one.
#[must_use]
pub fn node_publish(form: Serialization, message: &Value) -> Option<(Bytes, Bytes)> {
    let Ok(Said::Publish(publish)) = node::understand(message) else {
        return None;
    };
    let told = node::adapter_message(form, &publish.body, &publish.recipient);
    Some((publish.body, told.expect("what was read can be told")))
}

/// Reads a structured clone of V8.
#[must_use]
pub fn v8_read(bytes: &Bytes) -> Option<Value> {
    v8::read(bytes).ok()
}

/// Writes one.
#[must_use]
pub fn v8_write(value: &Value) -> Bytes {
    let mut out = Vec::new();
    v8::write(value, &mut out);
    out.into()
}

/// The session that the first line of a request names; the outer `None` is a line without its end.
#[must_use]
pub fn session(input: &[u8]) -> Option<Option<String>> {
    match sticky::look(input) {
        Seen::Partial => None,
        Seen::Session(session) => Some(session),
    }
}

/// A header of the PROXY protocol: the client's address and the header's length, `None` if it is not
/// complete, an error if it is none.
#[expect(clippy::result_unit_err, reason = "there is nothing more to tell")]
pub fn proxy_header(input: &[u8]) -> Result<Option<(Option<SocketAddr>, usize)>, ()> {
    match sticky::announced(input) {
        Announced::Partial => Ok(None),
        Announced::Client(client, len) => Ok(Some((client, len))),
        Announced::Malformed => Err(()),
    }
}
