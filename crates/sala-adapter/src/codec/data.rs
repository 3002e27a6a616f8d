//! What stands under `data`, type by type.

use sala_proto::wire::{Members, Reader, Writer};
use sala_proto::{EncodeError, RawArgs};

use super::parts::{
    Opts, is_null, optional_name, read_packet, read_rooms, read_snapshot, read_target, read_truth,
    write_packet, write_rooms, write_snapshot, write_target,
};
use super::{CodecError, CodecErrorKind, Form, Within};
use crate::message::{Envelope, Message, RequestId, SocketSnapshot};
use crate::target::{RoomSet, Target};

/// How many members there are; none means that there is no `data`.
pub(super) fn members(message: &Message, form: Form) -> usize {
    match message {
        Message::Broadcast { request, .. } => 2 + usize::from(request.is_some()),
        Message::ServerSideEmit { request, .. } => 1 + usize::from(request.is_some()),
        Message::ServerSideEmitResponse { answer, .. } | Message::BroadcastAck { answer, .. } => {
            1 + usize::from(has_answer(answer, form))
        }
        Message::Join { .. }
        | Message::Leave { .. }
        | Message::Disconnect { .. }
        | Message::FetchSockets { .. }
        | Message::FetchSocketsResponse { .. }
        | Message::BroadcastClientCount { .. } => 2,
        _ => 0,
    }
}

/// @msgpack/msgpack has no way to leave out a member that is undefined.
fn has_answer(answer: &RawArgs, form: Form) -> bool {
    form == Form::MsgPack || !answer.is_empty()
}

/// Writes the members in the reference's order.
pub(super) fn write(
    writer: &mut Writer<'_>,
    envelope: &Envelope,
    form: Form,
) -> Result<(), EncodeError> {
    let message = &envelope.message;
    writer.map(members(message, form), |map| match message {
        Message::Broadcast {
            packet,
            target,
            request,
        } => {
            // Emitters have one order of their own, and name the namespace once more.
            let emitter = envelope.sender.as_ref().is_some_and(|uid| uid.is_emitter());
            let (namespace, opts) = match emitter {
                true => (Some(&envelope.namespace), Opts::Emitter),
                false => (None, Opts::Adapter),
            };
            write_packet(map.key("packet"), packet, namespace.map(|nsp| nsp.as_str()))?;
            write_request(map, request.as_ref());
            write_target(map.key("opts"), target, opts)
        }
        Message::Join { target, rooms } | Message::Leave { target, rooms } => {
            write_target(map.key("opts"), target, Opts::Adapter)?;
            write_rooms(map.key("rooms"), rooms)
        }
        Message::Disconnect { target, close } => {
            write_target(map.key("opts"), target, Opts::Adapter)?;
            map.key("close").bool(*close);
            Ok(())
        }
        Message::FetchSockets { request, target } => {
            write_target(map.key("opts"), target, Opts::Adapter)?;
            write_request(map, Some(request));
            Ok(())
        }
        Message::FetchSocketsResponse { request, sockets } => {
            write_request(map, Some(request));
            map.key("sockets").list(sockets.iter(), write_snapshot)
        }
        Message::ServerSideEmit { packet, request } => {
            write_request(map, request.as_ref());
            map.key("packet").event(packet)
        }
        Message::ServerSideEmitResponse { request, answer }
        | Message::BroadcastAck { request, answer } => {
            write_request(map, Some(request));
            if has_answer(answer, form) {
                map.key("packet").argument(answer)?;
            }
            Ok(())
        }
        Message::BroadcastClientCount { request, clients } => {
            write_request(map, Some(request));
            map.key("clientCount").uint(*clients as u64);
            Ok(())
        }
        _ => Ok(()),
    })
}

fn write_request(map: &mut Members<'_, '_>, request: Option<&RequestId>) {
    if let Some(request) = request {
        map.key("requestId").text(request.as_str());
    }
}

/// Reads the members of a message of this type, whatever their order.
pub(super) fn read(kind: u64, reader: Option<&mut Reader<'_>>) -> Result<Message, CodecError> {
    if !(1..=13).contains(&kind) {
        let text = format!("a message of type {kind}, which this version does not know");
        return Err(CodecError::new(CodecErrorKind::UnknownType(kind), text));
    }
    let mut data = Data::default();
    if let Some(reader) = reader
        && !is_null(reader)?
    {
        reader.map(|reader, key| data.read(kind, reader, key).within(key))?;
    }
    data.message(kind)
}

/// The members of all types.
#[derive(Default)]
struct Data {
    /// Of types 3 and 9.
    event: Option<RawArgs>,
    /// Of types 10 and 12.
    answer: Option<RawArgs>,
    target: Option<Target>,
    request: Option<RequestId>,
    rooms: Option<RoomSet>,
    close: bool,
    sockets: Option<Vec<SocketSnapshot>>,
    clients: Option<u64>,
}

impl Data {
    fn read(&mut self, kind: u64, reader: &mut Reader<'_>, key: &str) -> Result<(), CodecError> {
        match (key, kind) {
            ("packet", 3) => self.event = Some(read_packet(reader)?.event),
            ("packet", 9) => self.event = Some(reader.event()?),
            ("packet", 10 | 12) => self.answer = Some(reader.argument()?),
            ("opts", 3..=7) => self.target = Some(read_target(reader)?),
            ("requestId", _) => self.request = optional_name(reader)?,
            ("rooms", 4 | 5) => self.rooms = Some(read_rooms(reader)?),
            ("close", 6) => self.close = read_truth(reader)?,
            ("sockets", 8) => {
                let sockets = self.sockets.insert(Vec::new());
                reader.list(|reader| -> Result<(), CodecError> {
                    sockets.push(read_snapshot(reader)?);
                    Ok(())
                })?;
            }
            ("clientCount", 11) => self.clients = Some(reader.uint()?),
            _ => {}
        }
        Ok(())
    }

    /// The message, if all is there that its type must have.
    fn message(self, kind: u64) -> Result<Message, CodecError> {
        let request = need(self.request.clone(), "requestId");
        let target = need(self.target, "opts");
        let packet = need(self.event, "packet");
        let rooms = need(self.rooms, "rooms");
        Ok(match kind {
            1 => Message::InitialHeartbeat,
            2 => Message::Heartbeat,
            3 => Message::Broadcast {
                packet: packet?,
                target: target?,
                request: self.request,
            },
            4 => Message::Join {
                target: target?,
                rooms: rooms?,
            },
            5 => Message::Leave {
                target: target?,
                rooms: rooms?,
            },
            6 => Message::Disconnect {
                target: target?,
                close: self.close,
            },
            7 => Message::FetchSockets {
                request: request?,
                target: target?,
            },
            8 => Message::FetchSocketsResponse {
                request: request?,
                sockets: need(self.sockets, "sockets")?,
            },
            9 => Message::ServerSideEmit {
                packet: packet?,
                request: self.request,
            },
            10 => Message::ServerSideEmitResponse {
                request: request?,
                answer: self.answer.unwrap_or_default(),
            },
            11 => Message::BroadcastClientCount {
                request: request?,
                clients: usize::try_from(need(self.clients, "clientCount")?).unwrap_or(usize::MAX),
            },
            12 => Message::BroadcastAck {
                request: request?,
                answer: self.answer.unwrap_or_default(),
            },
            _ => Message::AdapterClose,
        })
    }
}

fn need<T>(member: Option<T>, name: &str) -> Result<T, CodecError> {
    member.ok_or_else(|| CodecError::missing(name))
}
