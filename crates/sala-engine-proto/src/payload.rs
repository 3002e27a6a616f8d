//! Bodies of HTTP long-polling: many packets in one.
//!
//! Revision 4 puts the byte 30 between packets. Revision 3 writes the length before each, in one of
//! two forms: as text, counted in UTF-16 code units, or as bytes.

mod jsonp;
mod v3;

pub use jsonp::{jsonp, jsonp_post};

use crate::{Frame, Packet, ParseError, Revision};

/// The byte between the packets of a revision 4 body.
const SEPARATOR: u8 = 0x1e;

/// The packets of one body, decoded one by one.
///
/// Packets before a bad one are given out; the iterator ends after the first error. Decoding all of
/// it takes time linear in the length of the body, whatever it holds.
#[derive(Clone, Debug)]
pub struct Packets<'a>(Rest<'a>);

/// What is not decoded yet.
#[derive(Clone, Debug)]
enum Rest<'a> {
    V4(&'a str),
    V3Text(&'a str),
    V3Binary(&'a [u8]),
    Nothing,
}

/// Decodes a text body. An empty one is an error.
///
/// ```
/// use sala_engine_proto::{Data, Revision, payload};
///
/// let texts: Vec<_> = payload::decode("4hello\u{1e}4world", Revision::V4)
///     .map(|packet| packet.map(|p| p.data))
///     .collect();
/// assert_eq!(texts, [Ok(Data::Text("hello")), Ok(Data::Text("world"))]);
/// ```
#[must_use]
pub fn decode(body: &str, revision: Revision) -> Packets<'_> {
    Packets(match revision {
        Revision::V4 => Rest::V4(body),
        Revision::V3 => Rest::V3Text(body),
    })
}

/// Decodes a body of type `application/octet-stream`, which only revision 3 knows. An empty one
/// holds no packets.
#[must_use]
pub fn decode_binary_v3(body: &[u8]) -> Packets<'_> {
    Packets(Rest::V3Binary(body))
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (packet, rest) = match std::mem::replace(&mut self.0, Rest::Nothing) {
            Rest::V4(body) => {
                let (text, rest) = match memchr::memchr(SEPARATOR, body.as_bytes()) {
                    Some(at) => (&body[..at], Rest::V4(&body[at + 1..])),
                    None => (body, Rest::Nothing),
                };
                (Packet::decode_text(text, Revision::V4), rest)
            }
            Rest::V3Text(body) => match v3::next_text(body) {
                Ok(Some((packet, ""))) => (Ok(packet), Rest::Nothing),
                Ok(Some((packet, rest))) => (Ok(packet), Rest::V3Text(rest)),
                Ok(None) => return None,
                Err(error) => (Err(error), Rest::Nothing),
            },
            Rest::V3Binary(body) => match v3::next_binary(body) {
                Ok(Some((packet, rest))) => (Ok(packet), Rest::V3Binary(rest)),
                Ok(None) => return None,
                Err(error) => (Err(error), Rest::Nothing),
            },
            Rest::Nothing => return None,
        };
        if packet.is_ok() {
            self.0 = rest;
        }
        Some(packet)
    }
}

/// One encoded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// What is sent.
    pub bytes: Vec<u8>,
    /// Whether its type is `application/octet-stream`; otherwise it is UTF-8 text.
    pub binary: bool,
}

/// Encodes the parts of all frames, in order, as one body.
///
/// `base64_only` (the client asked for `b64`, or uses JSONP) matters to revision 3 alone, which
/// otherwise sends a binary body as soon as one part is binary. In revision 4 binary parts are
/// always base64.
pub fn encode<'f>(
    frames: impl Iterator<Item = &'f Frame> + Clone,
    revision: Revision,
    base64_only: bool,
) -> Body {
    match revision {
        Revision::V4 => Body {
            bytes: encode_v4(frames),
            binary: false,
        },
        Revision::V3 => v3::encode(frames, base64_only),
    }
}

fn encode_v4<'f>(frames: impl Iterator<Item = &'f Frame> + Clone) -> Vec<u8> {
    let parts = || frames.clone().flat_map(Frame::parts);
    let len: usize = parts().map(|part| as_text(part).len() + 1).sum();
    let mut bytes = Vec::with_capacity(len);
    for part in parts() {
        bytes.extend_from_slice(as_text(part));
        bytes.push(SEPARATOR);
    }
    bytes.pop();
    bytes
}

fn as_text(part: &crate::Wire) -> &[u8] {
    if part.is_binary() {
        part.base64()
    } else {
        part.payload()
    }
}
