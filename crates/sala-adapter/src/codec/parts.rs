//! What messages are made of.

use std::borrow::Cow;
use std::time::Duration;

use sala_proto::wire::{Kind, Reader, Writer};
use sala_proto::{DecodeError, EncodeError, PacketKind, RawArgs, Value};

use super::{CodecError, Within};
use crate::message::SocketSnapshot;
use crate::target::{Flags, Room, RoomSet, SocketId, Target};

/// Which members the options of a message have, and in which order. Readers take any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opts {
    /// `rooms`, `except`, `flags`: adapters.
    Adapter,
    /// `rooms`, `flags`, `except`: broadcasts of emitters.
    Emitter,
    /// `rooms`, `except`: all but broadcasts in the format of the classic Redis adapter.
    NoFlags,
}

/// Writes whom a message is for: its `opts`.
///
/// # Errors
///
/// None of its own.
pub fn write_target(
    writer: &mut Writer<'_>,
    target: &Target,
    opts: Opts,
) -> Result<(), EncodeError> {
    let members = if opts == Opts::NoFlags { 2 } else { 3 };
    writer.map(members, |map| {
        write_rooms(map.key("rooms"), &target.rooms)?;
        if opts == Opts::Emitter {
            write_flags(map.key("flags"), &target.flags)?;
        }
        write_rooms(map.key("except"), &target.except)?;
        if opts == Opts::Adapter {
            write_flags(map.key("flags"), &target.flags)?;
        }
        Ok(())
    })
}

/// Flags are written as far as they are set. `local` is not among them: it is never sent.
fn write_flags(writer: &mut Writer<'_>, flags: &Flags) -> Result<(), EncodeError> {
    let members = usize::from(flags.volatile)
        + usize::from(flags.compress.is_some())
        + usize::from(flags.expect_single_response)
        + usize::from(flags.timeout.is_some());
    writer.map(members, |map| {
        if flags.volatile {
            map.key("volatile").bool(true);
        }
        if let Some(compress) = flags.compress {
            map.key("compress").bool(compress);
        }
        if flags.expect_single_response {
            map.key("expectSingleResponse").bool(true);
        }
        if let Some(timeout) = flags.timeout {
            let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            map.key("timeout").uint(millis);
        }
        Ok(())
    })
}

/// Reads whom a message is for: its `opts`. Lists and flags that are not there are empty.
///
/// # Errors
///
/// If it is no map, or one of the lists or flags is of another kind than expected.
pub fn read_target(reader: &mut Reader<'_>) -> Result<Target, CodecError> {
    let mut target = Target::default();
    reader.map(|reader, key| -> Result<(), CodecError> {
        match key {
            "rooms" => target.rooms = read_rooms(reader).within(key)?,
            "except" => target.except = read_rooms(reader).within(key)?,
            "flags" => target.flags = read_flags(reader).within(key)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(target)
}

/// Reads a value that the reference only asks whether it is true, in JavaScript's sense: nothing, 0 and the empty text
/// are not.
///
/// # Errors
///
/// If the bytes are broken.
pub fn read_truth(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.peek()? {
        Kind::Bool => reader.bool(),
        Kind::Number => {
            let number = reader.number()?.as_f64();
            Ok(number != 0.0 && !number.is_nan())
        }
        Kind::Text => Ok(!reader.text()?.is_empty()),
        Kind::Null => reader.skip().map(|()| false),
        Kind::Bytes | Kind::List | Kind::Map => reader.skip().map(|()| true),
    }
}

/// Reads flags. Those that we do not know are left out, as are values of another kind than expected:
/// flags are advice.
fn read_flags(reader: &mut Reader<'_>) -> Result<Flags, CodecError> {
    let mut flags = Flags::default();
    if is_null(reader)? {
        return Ok(flags);
    }
    reader.map(|reader, key| -> Result<(), CodecError> {
        match (key, reader.peek()?) {
            (_, Kind::Null) => {}
            ("volatile", Kind::Bool) => flags.volatile = reader.bool()?,
            ("compress", Kind::Bool) => flags.compress = Some(reader.bool()?),
            ("expectSingleResponse", Kind::Bool) => flags.expect_single_response = reader.bool()?,
            ("timeout", Kind::Number) => flags.timeout = duration(reader.number()?.as_f64()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(flags)
}

/// Whole milliseconds; nothing if it is forever.
fn duration(millis: f64) -> Option<Duration> {
    let whole = millis.max(0.0);
    (whole <= u64::MAX as f64).then(|| Duration::from_millis(whole as u64))
}

/// Writes a list of rooms.
///
/// # Errors
///
/// None of its own.
pub fn write_rooms(writer: &mut Writer<'_>, rooms: &RoomSet) -> Result<(), EncodeError> {
    writer.list(rooms.iter(), |writer, room| {
        writer.text(room.as_str());
        Ok(())
    })
}

/// Reads a list of rooms. Numbers, which JavaScript takes for rooms, become text; null is no room.
///
/// # Errors
///
/// If it is no list, or something in it is neither text nor a number.
pub fn read_rooms(reader: &mut Reader<'_>) -> Result<RoomSet, CodecError> {
    let mut rooms = RoomSet::new();
    if is_null(reader)? {
        return Ok(rooms);
    }
    reader.list(|reader| -> Result<(), DecodeError> {
        rooms.insert(Room::from(&*reader.name()?));
        Ok(())
    })?;
    Ok(rooms)
}

/// The packet of a broadcast.
#[derive(Clone, Debug)]
pub struct BroadcastPacket {
    /// The event, which shares the bytes of the message.
    pub event: RawArgs,
    /// The namespace, if the packet names one: those of the classic Redis adapter and of emitters do.
    pub namespace: Option<Room>,
}

/// Writes the packet of a broadcast: `type` (an event), `data` and, if it is to be named, `nsp`.
///
/// # Errors
///
/// If `event` is none, or holds a value that cannot be written.
pub fn write_packet(
    writer: &mut Writer<'_>,
    event: &RawArgs,
    namespace: Option<&str>,
) -> Result<(), EncodeError> {
    writer.map(2 + usize::from(namespace.is_some()), |map| {
        map.key("type").uint(PacketKind::Event.number().into());
        map.key("data").event(event)?;
        if let Some(namespace) = namespace {
            map.key("nsp").text(namespace);
        }
        Ok(())
    })
}

/// Reads the packet of a broadcast. An acknowledgement id, which is of use to its sender alone, is left
/// out.
///
/// # Errors
///
/// If it is of another type than an event, or has no data.
pub fn read_packet(reader: &mut Reader<'_>) -> Result<BroadcastPacket, CodecError> {
    let mut event = None;
    let mut namespace = None;
    reader.map(|reader, key| -> Result<(), CodecError> {
        match key {
            "type" => check_event(reader.uint().within(key)?).within(key)?,
            "data" => event = Some(reader.event().within(key)?),
            "nsp" => namespace = optional_name(reader).within(key)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(BroadcastPacket {
        event: event.ok_or_else(|| CodecError::missing("data"))?,
        namespace,
    })
}

/// Nothing but events is ever broadcast; 5, an event with attachments, was one in old versions.
fn check_event(kind: u64) -> Result<(), CodecError> {
    match u8::try_from(kind).ok().and_then(PacketKind::from_number) {
        Some(PacketKind::Event | PacketKind::BinaryEvent) => Ok(()),
        _ => Err(CodecError::malformed(format!("{kind}, which is no event"))),
    }
}

/// Writes a socket as it is in the answer to a question for sockets: `id`, `handshake`, `rooms`,
/// `data`.
///
/// # Errors
///
/// If the handshake or the data nests deeper than 512 levels.
pub fn write_snapshot(writer: &mut Writer<'_>, socket: &SocketSnapshot) -> Result<(), EncodeError> {
    writer.map(4, |map| {
        map.key("id").text(socket.id.as_str());
        map.key("handshake").value(&socket.handshake)?;
        write_rooms(map.key("rooms"), &socket.rooms)?;
        map.key("data").value(&socket.data)
    })
}

/// Reads a socket of the answer to a question for sockets. Handshake and data that are not there are
/// null.
///
/// # Errors
///
/// If it has no id, or something is of another kind than expected.
pub fn read_snapshot(reader: &mut Reader<'_>) -> Result<SocketSnapshot, CodecError> {
    let mut id: Option<SocketId> = None;
    let (mut handshake, mut data) = (Value::Null, Value::Null);
    let mut rooms = RoomSet::new();
    reader.map(|reader, key| -> Result<(), CodecError> {
        match key {
            "id" => id = optional_name(reader).within(key)?,
            "handshake" => handshake = reader.value().within(key)?,
            "rooms" => rooms = read_rooms(reader).within(key)?,
            "data" => data = reader.value().within(key)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(SocketSnapshot {
        id: id.ok_or_else(|| CodecError::missing("id"))?,
        handshake,
        rooms,
        data,
    })
}

/// Reads an id or a name, which may be null.
pub(super) fn optional_name<T>(reader: &mut Reader<'_>) -> Result<Option<T>, DecodeError>
where
    T: for<'t> From<&'t str>,
{
    if is_null(reader)? {
        return Ok(None);
    }
    reader.name().map(|name: Cow<'_, str>| Some(T::from(&name)))
}

/// Whether null comes next, which is then read.
pub(super) fn is_null(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    let null = reader.peek()? == Kind::Null;
    if null {
        reader.skip()?;
    }
    Ok(null)
}
