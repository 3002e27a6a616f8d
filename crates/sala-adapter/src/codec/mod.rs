//! The messages of [`message`](crate::message) as the reference's cluster adapter writes them: the format that most
//! backends share, and its parts for those that have a format of their own.

use bytes::Bytes;
use sala_proto::wire::{Reader, Writer};
use sala_proto::{EncodeError, RawArgs};

use crate::message::{Envelope, Message, SocketSnapshot};
use crate::target::{Room, RoomSet, Target};

mod error;

pub use error::{CodecError, CodecErrorKind};

/// Longest message that is encoded or decoded, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024 * 1024;

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON text. Bytes become what `JSON.stringify` makes of a `Buffer`, and stay that.
    Json,
    /// MessagePack as notepack.io 3 writes it.
    Notepack,
    /// MessagePack as @msgpack/msgpack 2 writes it.
    MsgPack,
}

impl Form {
    /// The reference's choice between JSON and MessagePack (`binary`), message by message: JSON unless the message
    /// is of a type that may hold bytes of the application (3, 8, 9, 10, 12) and does.
    #[must_use]
    pub fn for_message(message: &Message, binary: Form) -> Form {
        todo!()
    }

    /// A writer of this form.
    pub fn writer(self, out: &mut Vec<u8>) -> Writer<'_> {
        match self {
            Self::Json => Writer::json(out),
            Self::Notepack | Self::MsgPack => Writer::msgpack(out),
        }
    }
}

/// Whether the message holds bytes of the application anywhere.
#[must_use]
pub fn has_binary(message: &Message) -> bool {
    todo!()
}

/// Writes a whole message: `{type, data, uid, nsp}`.
///
/// # Errors
///
/// `Malformed` if the message has no [`number`](Message::number) or cannot be expressed, `TooLarge` above
/// [`MAX_MESSAGE_BYTES`].
pub fn encode(envelope: &Envelope, form: Form) -> Result<Vec<u8>, CodecError> {
    todo!()
}

/// Reads a whole message, JSON if it starts with `{`. `namespace` is used if the message names none (the emitter of
/// Postgres); without either it is an error.
pub fn decode(message: &Bytes, namespace: Option<&Room>) -> Result<Envelope, CodecError> {
    todo!()
}

/// Writes what stands under `data` alone; `None` if messages of this type have no data.
pub fn encode_data(envelope: &Envelope, form: Form) -> Result<Option<Vec<u8>>, CodecError> {
    todo!()
}

/// Reads what stands under `data` of a message of this type.
pub fn decode_data(kind: u64, data: Option<&Bytes>) -> Result<Message, CodecError> {
    todo!()
}

/// Which members the options of a message have, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opts {
    /// `rooms, except, flags`.
    Adapter,
    /// `rooms, flags, except`, as emitters write it.
    Emitter,
    /// `rooms, except`.
    NoFlags,
}

/// Writes the options of a message.
pub fn write_target(writer: &mut Writer<'_>, target: &Target, opts: Opts) -> Result<(), EncodeError> {
    todo!()
}

/// Reads the options of a message, whatever the order and whatever is missing. Numbers as rooms become text.
pub fn read_target(reader: &mut Reader<'_>) -> Result<Target, CodecError> {
    todo!()
}

/// Writes a list of rooms.
pub fn write_rooms(writer: &mut Writer<'_>, rooms: &RoomSet) -> Result<(), EncodeError> {
    todo!()
}

/// Reads a list of rooms; numbers become text, nothing is an empty list.
pub fn read_rooms(reader: &mut Reader<'_>) -> Result<RoomSet, CodecError> {
    todo!()
}

/// The packet of a broadcast.
#[derive(Clone, Debug)]
pub struct BroadcastPacket {
    /// The event.
    pub event: RawArgs,
    /// The namespace, if the packet names one.
    pub namespace: Option<Room>,
}

/// Writes the packet of a broadcast: `{type: 2, data[, nsp]}`.
pub fn write_packet(writer: &mut Writer<'_>, event: &RawArgs, namespace: Option<&str>) -> Result<(), EncodeError> {
    todo!()
}

/// Reads the packet of a broadcast.
pub fn read_packet(reader: &mut Reader<'_>) -> Result<BroadcastPacket, CodecError> {
    todo!()
}

/// Writes a socket of an answer to a question for sockets.
pub fn write_snapshot(writer: &mut Writer<'_>, socket: &SocketSnapshot) -> Result<(), EncodeError> {
    todo!()
}

/// Reads a socket of an answer to a question for sockets.
pub fn read_snapshot(reader: &mut Reader<'_>) -> Result<SocketSnapshot, CodecError> {
    todo!()
}
