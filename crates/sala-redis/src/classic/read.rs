//! Reading messages.

use bytes::Bytes;
use sala_adapter::codec::{
    BroadcastPacket, CodecError, CodecErrorKind, Within, read_packet, read_rooms, read_snapshot,
    read_target, read_truth,
};
use sala_adapter::message::{RequestId, SocketSnapshot};
use sala_adapter::{Envelope, Message, Room, RoomSet, ServerId, SocketId, Target};
use sala_proto::wire::{Kind, Reader};
use sala_proto::{DecodeError, RawArgs};

use super::parser::{self, Parser};
use super::requests::{
    ALL_ROOMS, BROADCAST, BROADCAST_ACK, BROADCAST_CLIENT_COUNT, REMOTE_DISCONNECT, REMOTE_FETCH,
    REMOTE_JOIN, REMOTE_LEAVE, SERVER_SIDE_EMIT, SOCKETS,
};

/// Reads what came on a channel for broadcasts of a namespace: `[uid, packet, opts]`. `None` if the packet
/// belongs to another namespace.
///
/// # Errors
///
/// `Malformed`, with the name of the part that is wrong or missing.
pub fn decode_broadcast(
    message: &Bytes,
    namespace: &Room,
    parser: Option<&dyn Parser>,
) -> Result<Option<Envelope>, CodecError> {
    let parsed = with_parser(message, parser)?;
    let mut reader = Reader::msgpack(parsed.as_ref().unwrap_or(message));
    let (mut sender, mut packet, mut target) = (None, None, None);
    let mut at = 0;
    reader.list(|reader| -> Result<(), CodecError> {
        match at {
            0 => sender = name(reader).within("uid")?,
            1 => packet = Some(read_packet(reader).within("packet")?),
            2 => target = Some(read_target(reader).within("opts")?),
            _ => {}
        }
        at += 1;
        Ok(())
    })?;
    reader.end()?;
    let BroadcastPacket {
        event,
        namespace: named,
    } = packet.ok_or_else(|| CodecError::missing("packet"))?;
    let target = target.ok_or_else(|| CodecError::missing("opts"))?;
    // Old servers left out the main namespace.
    let ours = match &named {
        Some(named) => named == namespace,
        None => namespace.as_str() == "/",
    };
    Ok(ours.then(|| Envelope {
        namespace: namespace.clone(),
        sender,
        recipient: None,
        message: Message::Broadcast {
            packet: event,
            target,
            request: None,
        },
    }))
}

/// Reads what came on the channel for requests of a namespace.
///
/// # Errors
///
/// `UnknownType` for a type that this version does not know, otherwise as [`decode_broadcast`].
pub fn decode_request(
    message: &Bytes,
    namespace: &Room,
    parser: Option<&dyn Parser>,
) -> Result<Envelope, CodecError> {
    let parsed = unless_json(message, parser)?;
    let mut reader = Reader::new(parsed.as_ref().unwrap_or(message))?;
    let mut request = Request::default();
    reader.map(|reader, key| request.read(reader, key).within(key))?;
    reader.end()?;
    Ok(Envelope {
        namespace: namespace.clone(),
        sender: request.uid.take(),
        recipient: None,
        message: request.message()?,
    })
}

/// Reads what came on a channel for answers of a namespace. `None` if it answers nothing that this server
/// asks: old servers confirmed what they had done for a single socket.
///
/// # Errors
///
/// As [`decode_request`].
pub fn decode_response(
    message: &Bytes,
    namespace: &Room,
    parser: Option<&dyn Parser>,
) -> Result<Option<Envelope>, CodecError> {
    let parsed = unless_json(message, parser)?;
    let mut reader = Reader::new(parsed.as_ref().unwrap_or(message))?;
    let mut response = Response::default();
    reader.map(|reader, key| response.read(reader, key).within(key))?;
    reader.end()?;
    let message = response.message()?;
    Ok(message.map(|message| Envelope {
        namespace: namespace.clone(),
        sender: None,
        recipient: None,
        message,
    }))
}

fn with_parser(message: &Bytes, parser: Option<&dyn Parser>) -> Result<Option<Bytes>, CodecError> {
    parser
        .map(|parser| parser::decode(parser, message))
        .transpose()
}

fn unless_json(message: &Bytes, parser: Option<&dyn Parser>) -> Result<Option<Bytes>, CodecError> {
    let is_json = message.first() == Some(&b'{');
    with_parser(message, parser.filter(|_| !is_json))
}

/// Reads an id or a name; `None` for null.
fn name<T: for<'t> From<&'t str>>(reader: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
    match reader.peek()? {
        Kind::Null => reader.skip().map(|()| None),
        _ => reader.name().map(|name| Some(T::from(&name))),
    }
}

/// A request as far as it was read. Members may come in any order, and the type decides which are needed.
#[derive(Default)]
struct Request {
    uid: Option<ServerId>,
    id: Option<RequestId>,
    kind: Option<u64>,
    target: Option<Target>,
    rooms: Option<RoomSet>,
    close: bool,
    packet: Option<BroadcastPacket>,
    event: Option<RawArgs>,
    /// The forms for a single socket, of old versions.
    sid: Option<SocketId>,
    room: Option<Room>,
}

impl Request {
    fn read(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), CodecError> {
        match key {
            "uid" => self.uid = name(reader)?,
            "requestId" => self.id = name(reader)?,
            "type" => self.kind = Some(reader.uint()?),
            "opts" => self.target = Some(read_target(reader)?),
            "rooms" => self.rooms = Some(read_rooms(reader)?),
            "close" => self.close = read_truth(reader)?,
            "packet" => self.packet = Some(read_packet(reader)?),
            "data" => self.event = Some(reader.event()?),
            "sid" => self.sid = name(reader)?,
            "room" => self.room = name(reader)?,
            _ => {}
        }
        Ok(())
    }

    fn message(self) -> Result<Message, CodecError> {
        let kind = self.kind.ok_or_else(|| CodecError::missing("type"))?;
        Ok(match kind {
            SOCKETS => Message::FetchIds {
                request: needed(self.id, "requestId")?,
                rooms: self.rooms.unwrap_or_default(),
            },
            ALL_ROOMS => Message::FetchRooms {
                request: needed(self.id, "requestId")?,
            },
            REMOTE_JOIN => {
                let (target, rooms) = self.target_and_rooms()?;
                Message::Join { target, rooms }
            }
            REMOTE_LEAVE => {
                let (target, rooms) = self.target_and_rooms()?;
                Message::Leave { target, rooms }
            }
            REMOTE_DISCONNECT => Message::Disconnect {
                close: self.close,
                target: self.target_or_socket()?,
            },
            REMOTE_FETCH => Message::FetchSockets {
                request: needed(self.id, "requestId")?,
                target: needed(self.target, "opts")?,
            },
            SERVER_SIDE_EMIT => Message::ServerSideEmit {
                packet: needed(self.event, "data")?,
                request: self.id,
            },
            BROADCAST => Message::Broadcast {
                packet: needed(self.packet, "packet")?.event,
                target: needed(self.target, "opts")?,
                request: Some(needed(self.id, "requestId")?),
            },
            kind => {
                let text = format!("a request of the unknown type {kind}");
                return Err(CodecError::new(CodecErrorKind::UnknownType(kind), text));
            }
        })
    }

    fn target_and_rooms(mut self) -> Result<(Target, RoomSet), CodecError> {
        let mut rooms = self.rooms.take();
        if let Some(room) = self.room.take().filter(|_| self.target.is_none()) {
            rooms.get_or_insert_default().insert(room);
        }
        Ok((self.target_or_socket()?, needed(rooms, "rooms")?))
    }

    fn target_or_socket(self) -> Result<Target, CodecError> {
        match (self.target, self.sid) {
            (Some(target), _) => Ok(target),
            (None, Some(sid)) => Ok(Target::all().to(sid)),
            (None, None) => Err(CodecError::missing("opts")),
        }
    }
}

fn needed<T>(member: Option<T>, name: &str) -> Result<T, CodecError> {
    member.ok_or_else(|| CodecError::missing(name))
}

/// An answer as far as it was read.
#[derive(Default)]
struct Response {
    id: Option<RequestId>,
    kind: Option<u64>,
    clients: Option<usize>,
    packet: Option<RawArgs>,
    data: Option<RawArgs>,
    rooms: Option<RoomSet>,
    sockets: Option<Sockets>,
}

/// Sockets in full, or by their ids.
enum Sockets {
    Full(Vec<SocketSnapshot>),
    Ids(Vec<SocketId>),
}

impl Response {
    fn read(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), CodecError> {
        match key {
            "requestId" => self.id = name(reader)?,
            "type" => self.kind = Some(reader.uint()?),
            "clientCount" => {
                let count = usize::try_from(reader.uint()?);
                self.clients = Some(count.map_err(|_| DecodeError::InvalidPayload)?);
            }
            "packet" => self.packet = Some(reader.argument()?),
            "data" => self.data = Some(reader.argument()?),
            "rooms" => self.rooms = Some(read_rooms(reader)?),
            "sockets" => self.sockets = Some(read_sockets(reader)?),
            _ => {}
        }
        Ok(())
    }

    fn message(self) -> Result<Option<Message>, CodecError> {
        let request = needed(self.id, "requestId")?;
        let none = || RawArgs::from_values(Vec::new());
        Ok(Some(match (self.kind, self.sockets, self.rooms) {
            (Some(SERVER_SIDE_EMIT), ..) => Message::ServerSideEmitResponse {
                request,
                answer: self.data.unwrap_or_else(none),
            },
            (Some(BROADCAST_CLIENT_COUNT), ..) => Message::BroadcastClientCount {
                request,
                clients: needed(self.clients, "clientCount")?,
            },
            (Some(BROADCAST_ACK), ..) => Message::BroadcastAck {
                request,
                answer: self.packet.unwrap_or_else(none),
            },
            (_, Some(Sockets::Full(sockets)), _) => {
                Message::FetchSocketsResponse { request, sockets }
            }
            (_, Some(Sockets::Ids(ids)), _) => Message::FetchIdsResponse { request, ids },
            (_, None, Some(rooms)) => Message::FetchRoomsResponse { request, rooms },
            (_, None, None) => return Ok(None),
        }))
    }
}

/// An empty list is taken for one of sockets in full, the only ones that this server asks for.
fn read_sockets(reader: &mut Reader<'_>) -> Result<Sockets, CodecError> {
    let (mut full, mut ids) = (Vec::new(), Vec::new());
    reader.list(|reader| -> Result<(), CodecError> {
        match reader.peek()? {
            Kind::Map => full.push(read_snapshot(reader)?),
            _ => ids.push(SocketId::from(&*reader.name()?)),
        }
        Ok(())
    })?;
    Ok(if ids.is_empty() {
        Sockets::Full(full)
    } else {
        Sockets::Ids(ids)
    })
}
