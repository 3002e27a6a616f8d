//! The map that is a packet.

use std::borrow::Cow;

use bytes::Bytes;

use super::form::{write_str, write_uint};
use super::read::{Cursor, Dialect, Token, read_value};
use crate::json::Item;
use crate::packet::MAX_ID;
use crate::{Args, DecodeError, EncodeError, Limits, Number, Packet, PacketKind, Value};

/// Appends a packet; `data` writes its data, if it has any. The keys are in the reference's order.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    kind: PacketKind,
    nsp: &str,
    id: Option<u64>,
    data: Option<impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>>,
) -> Result<(), EncodeError> {
    let members = 2 + u8::from(id.is_some()) + u8::from(data.is_some());
    out.push(0x80 | members);
    write_str(out, "type");
    out.push(kind.number());
    write_str(out, "nsp");
    write_str(out, nsp);
    let write_id = |out: &mut Vec<u8>| {
        if let Some(id) = id {
            write_str(out, "id");
            write_uint(out, id);
        }
    };
    if kind == PacketKind::Ack {
        write_id(out);
    }
    if let Some(data) = data {
        write_str(out, "data");
        data(out)?;
    }
    if kind != PacketKind::Ack {
        write_id(out);
    }
    Ok(())
}

/// Where the values of the known keys are; of two equal keys the last counts.
#[derive(Default)]
struct Fields {
    kind: Option<Item>,
    nsp: Option<Item>,
    data: Option<Item>,
    id: Option<Item>,
}

/// Decodes one packet, with the reference's checks in their order.
pub(crate) fn decode(bytes: &Bytes, limits: &Limits) -> Result<Packet<'static>, DecodeError> {
    let fields = find_fields(bytes, limits.depth())?;
    let kind = number_at(bytes, fields.kind)?
        .and_then(|n| u8::try_from(n).ok())
        .filter(|n| *n <= PacketKind::ConnectError.number())
        .and_then(PacketKind::from_number)
        .ok_or(DecodeError::InvalidPacketType)?;
    let nsp = namespace(bytes, fields.nsp, limits)?;
    let data = data(bytes, kind, fields.data, limits)?;
    let id = match token_at(bytes, fields.id)? {
        None => None,
        Some(_) => Some(
            number_at(bytes, fields.id)?
                .filter(|id| *id <= MAX_ID)
                .ok_or(DecodeError::InvalidPacketId)?,
        ),
    };
    Ok(Packet {
        kind,
        nsp,
        id,
        data,
    })
}

/// Walks over the whole packet, checking it. What is no map has no fields.
fn find_fields(bytes: &[u8], max_depth: usize) -> Result<Fields, DecodeError> {
    let mut fields = Fields::default();
    let mut cursor = Cursor::new(bytes);
    match cursor.token()? {
        Token::Map(len) => {
            for _ in 0..len {
                let key_at = cursor.at;
                cursor.skip(max_depth)?;
                let start = cursor.at;
                cursor.skip(max_depth)?;
                let value = Some(Item {
                    start,
                    end: cursor.at,
                });
                let mut key = Cursor { bytes, at: key_at };
                if let Token::Str(start, end) = key.token()? {
                    match &bytes[start..end] {
                        b"type" => fields.kind = value,
                        b"nsp" => fields.nsp = value,
                        b"data" => fields.data = value,
                        b"id" => fields.id = value,
                        _ => {}
                    }
                }
            }
        }
        _ => {
            cursor.at = 0;
            cursor.skip(max_depth)?;
        }
    }
    match bytes.len() - cursor.at {
        0 => Ok(fields),
        trailing => Err(DecodeError::TrailingBytes(trailing)),
    }
}

/// The token there; `None` for a key that is absent or `undefined`.
fn token_at(bytes: &[u8], at: Option<Item>) -> Result<Option<Token>, DecodeError> {
    let Some(at) = at else { return Ok(None) };
    let mut cursor = Cursor {
        bytes,
        at: at.start,
    };
    match cursor.token()? {
        Token::Undefined => Ok(None),
        token => Ok(Some(token)),
    }
}

/// The unsigned integer there, if it is one.
fn number_at(bytes: &[u8], at: Option<Item>) -> Result<Option<u64>, DecodeError> {
    Ok(match token_at(bytes, at)? {
        Some(Token::Int(n)) => u64::try_from(n).ok(),
        Some(Token::UInt(n)) => Some(n),
        Some(Token::Float(n)) => Number::Float(n).as_u64(),
        _ => None,
    })
}

fn namespace(
    bytes: &[u8],
    at: Option<Item>,
    limits: &Limits,
) -> Result<Cow<'static, str>, DecodeError> {
    let Some(Token::Str(start, end)) = token_at(bytes, at)? else {
        return Err(DecodeError::InvalidNamespace);
    };
    if end - start > limits.max_namespace {
        return Err(DecodeError::NamespaceTooLong);
    }
    match std::str::from_utf8(&bytes[start..end]) {
        Ok("/") => Ok(Cow::Borrowed("/")),
        Ok(nsp) => Ok(Cow::Owned(nsp.to_owned())),
        Err(_) => Err(DecodeError::InvalidNamespace),
    }
}

fn data(
    bytes: &Bytes,
    kind: PacketKind,
    at: Option<Item>,
    limits: &Limits,
) -> Result<Option<Args<'static>>, DecodeError> {
    let (token, at) = match (token_at(bytes, at)?, at) {
        (Some(token), Some(at)) => (token, at),
        _ => {
            return match kind {
                PacketKind::Connect | PacketKind::Disconnect => Ok(None),
                _ => Err(DecodeError::InvalidPayload),
            };
        }
    };
    match (kind, token) {
        (PacketKind::Connect | PacketKind::ConnectError, Token::Map(_))
        | (PacketKind::ConnectError, Token::Str(..)) => {
            let arg = bytes.slice(at.start..at.end);
            Ok(Some(Args::from_msgpack(None, arg, 1, Dialect::Client)))
        }
        (PacketKind::Event | PacketKind::Ack, Token::List(len)) => {
            let mut cursor = Cursor {
                bytes,
                at: at.start,
            };
            cursor.token()?;
            let mut name = None;
            if kind == PacketKind::Event && len > 0 {
                let from = cursor.at;
                cursor.skip(0).map_err(|_| DecodeError::InvalidPayload)?;
                if cursor.at - from > limits.max_event {
                    return Err(DecodeError::EventNameTooLong);
                }
                name = match read_value(&mut Cursor { bytes, at: from }, bytes, Dialect::Client)? {
                    name @ (Value::String(_) | Value::Number(_)) => Some(name),
                    _ => return Err(DecodeError::InvalidPayload),
                };
            }
            let len = len - usize::from(name.is_some());
            let args = bytes.slice(cursor.at..at.end);
            Ok(Some(Args::from_msgpack(name, args, len, Dialect::Client)))
        }
        _ => Err(DecodeError::InvalidPayload),
    }
}
