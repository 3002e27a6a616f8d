//! What Node.js processes say to each other over the channel of `child_process` and `cluster`, and what
//! the official cluster adapter and sticky package say over it.

pub(crate) mod v8;
mod worker;

use std::io;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use sala_adapter::codec;
use sala_adapter::{Envelope, Message};
use sala_proto::wire::{Reader, Writer};
use sala_proto::{Object, Value};

pub(crate) use self::worker::{Acks, Heard, Node, drive};
use crate::channel::bus::{Logged, Publish};
use crate::channel::control::Connection;
use crate::channel::wire::Text;
use crate::channel::{MAX_FRAME, broken};

/// By which the official adapter knows its messages.
const SOURCE: &str = "_sio_adapter";

/// How Node.js writes messages: its option `serialization`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Serialization {
    /// V8's structured clones, which carry bytes. The default here.
    #[default]
    Advanced,
    /// A line of JSON each: bytes in events arrive as objects, as between Node.js workers. The default
    /// of Node.js.
    Json,
}

impl Serialization {
    /// The value of `NODE_CHANNEL_SERIALIZATION_MODE`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Advanced => "advanced",
            Self::Json => "json",
        }
    }

    /// A message with its frame.
    pub(crate) fn encode(self, message: &Value) -> Bytes {
        let mut out = Vec::new();
        match self {
            Self::Advanced => {
                out.put_u32(0);
                v8::write(message, &mut out);
                let len = (out.len() - 4) as u32;
                out[..4].copy_from_slice(&len.to_be_bytes());
            }
            Self::Json => {
                // Only what cannot be expressed in JSON fails, and values can.
                Writer::json(&mut out).value(message).ok();
                out.push(b'\n');
            }
        }
        out.into()
    }

    /// Takes the next message off the buffer; the inner error is a message that makes no sense.
    pub(crate) fn take(
        self,
        buffer: &mut BytesMut,
    ) -> io::Result<Option<Result<Value, Malformed>>> {
        let too_long = || broken("a message is longer than any may be");
        match self {
            Self::Advanced => {
                let Some((head, _)) = buffer.split_first_chunk::<4>() else {
                    return Ok(None);
                };
                let len = u32::from_be_bytes(*head) as usize;
                if len > MAX_FRAME {
                    return Err(too_long());
                }
                if buffer.len() < 4 + len {
                    return Ok(None);
                }
                buffer.advance(4);
                let body = buffer.split_to(len).freeze();
                Ok(Some(v8::read(&body).map_err(|_| Malformed)))
            }
            Self::Json => {
                let Some(end) = memchr::memchr(b'\n', buffer) else {
                    return if buffer.len() > MAX_FRAME {
                        Err(too_long())
                    } else {
                        Ok(None)
                    };
                };
                let line = buffer.split_to(end + 1).freeze();
                let value = Reader::json(&line).and_then(|mut reader| reader.value());
                Ok(Some(value.map_err(|_| Malformed)))
            }
        }
    }
}

/// A message that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A connection for the sticky package, with what was read of it, beside its descriptor.
pub(crate) fn connection(form: Serialization, connection: &Connection) -> Bytes {
    let read = &connection.read;
    let data = match (form, std::str::from_utf8(read)) {
        // A stream takes text as well, and JSON would spoil bytes.
        (Serialization::Json, Ok(text)) => Value::from(text),
        _ => Value::from(read.clone()),
    };
    let message = object([("type", "sticky:connection".into()), ("data", data)]);
    form.encode(&object([
        ("cmd", "NODE_HANDLE".into()),
        ("type", "net.Socket".into()),
        ("msg", message),
    ]))
}

/// What the official adapter hears for a message of another server.
pub(crate) fn adapter_message(
    form: Serialization,
    body: &Bytes,
    recipient: &Text,
) -> Result<Bytes, Malformed> {
    let value = Reader::new(body).and_then(|mut reader| reader.value());
    let Ok(Value::Object(mut message)) = value else {
        return Err(Malformed);
    };
    message.insert("source", SOURCE);
    if !recipient.is_empty() {
        message.insert("requesterUid", recipient.as_str());
    }
    Ok(form.encode(&Value::Object(message)))
}

/// What a worker has said.
#[derive(Debug)]
pub(crate) enum Said {
    Publish(Publish),
    /// The sticky package has a new session, or has one no longer.
    Session {
        id: String,
        open: bool,
    },
    /// A descriptor has come, or has not.
    Acknowledged,
    Ready,
    /// It wants to listen by itself.
    Listens,
    Other,
}

/// What a message of a worker means. Broadcasts that can be missed are for the log too.
pub(crate) fn understand(message: &Value) -> Result<Said, Malformed> {
    let text = |name| message.get(name).and_then(Value::as_str);
    if text("source") == Some(SOURCE) {
        return publish(message).map(Said::Publish);
    }
    Ok(
        match (text("cmd"), text("act"), text("type"), text("data")) {
            (Some("NODE_HANDLE_ACK" | "NODE_HANDLE_NACK"), ..) => Said::Acknowledged,
            (Some("NODE_CLUSTER"), Some("queryServer"), ..) => Said::Listens,
            (_, _, Some("sticky:connection"), Some(id)) => Said::Session {
                id: id.into(),
                open: true,
            },
            (_, _, Some("sticky:disconnection"), Some(id)) => Said::Session {
                id: id.into(),
                open: false,
            },
            _ if message.as_str() == Some("ready") => Said::Ready,
            _ => Said::Other,
        },
    )
}

fn publish(message: &Value) -> Result<Publish, Malformed> {
    let mut body = Vec::new();
    Writer::msgpack(&mut body)
        .value(message)
        .map_err(|_| Malformed)?;
    let body = Bytes::from(body);
    let envelope = codec::decode(&body, None).map_err(|_| Malformed)?;
    let name = |server: &Option<sala_adapter::ServerId>| match server {
        Some(server) => Text::from(server.as_str()),
        None => Text::from(""),
    };
    Ok(Publish {
        kind: envelope.message.number().unwrap_or_default(),
        namespace: envelope.namespace.as_str().into(),
        sender: name(&envelope.sender),
        recipient: name(&envelope.recipient),
        logged: logged(&envelope),
        body,
    })
}

/// Clients of the other workers may miss it; nobody waits for its place in the log.
fn logged(envelope: &Envelope) -> Option<Logged> {
    let texts = |rooms: &sala_adapter::RoomSet| -> Vec<Text> {
        rooms.iter().map(|room| room.as_str().into()).collect()
    };
    match &envelope.message {
        Message::Broadcast {
            target,
            request: None,
            ..
        } if !target.flags.volatile => Some(Logged {
            number: 0,
            rooms: texts(&target.rooms),
            except: texts(&target.except),
        }),
        _ => None,
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().collect::<Object>())
}

#[cfg(test)]
mod tests;
