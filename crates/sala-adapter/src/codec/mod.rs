//! [Messages](crate::message) as the reference's cluster adapter writes them: the format that most
//! backends share, and its parts for those whose format differs.
//!
//! A whole message is a map of `type`, `data`, `uid` and `nsp`, as JSON text or as MessagePack
//! ([`Form`]); [`encode`] and [`decode`] are for backends that carry it as one, [`encode_data`] and
//! [`decode_data`] for those that carry `data` apart from the rest. Readers take members in any order,
//! leave out what they do not know, and share the bytes of the message: what a broadcast carries is
//! neither copied nor parsed.
//!
//! Dialects of MessagePack differ little, and readers take them all. Writers use the shortest integers,
//! 64-bit floats and dates of extension type -1, as notepack.io 3 and @msgpack/msgpack 2 both do.

use bytes::Bytes;
use sala_proto::wire::{Reader, Writer};

use crate::message::{Envelope, Message};
use crate::target::{Room, ServerId};

mod data;
mod error;
mod parts;

pub use error::{CodecError, CodecErrorKind, Within};
pub use parts::{
    BroadcastPacket, Opts, read_packet, read_rooms, read_snapshot, read_target, read_truth,
    write_packet, write_rooms, write_snapshot, write_target,
};

/// The longest message that is encoded or decoded: 256 MiB. Messages are as long as what the
/// application emits, and the answer to a question for all sockets has some kilobytes for each; a
/// broker's own limit is usually lower.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024 * 1024;

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON text. Bytes of the application become what `JSON.stringify` makes of a `Buffer`, and stay
    /// that on the other side.
    Json,
    /// MessagePack as notepack.io 3 writes it: an answer without a value has no `packet`.
    Notepack,
    /// MessagePack as @msgpack/msgpack 2 writes it: an answer without a value has the `packet` nil.
    MsgPack,
}

impl Form {
    /// The reference's choice, message by message: `binary` if the message [has bytes](has_binary) of
    /// the application, otherwise JSON.
    #[must_use]
    pub fn for_message(message: &Message, binary: Self) -> Self {
        if has_binary(message) {
            binary
        } else {
            Self::Json
        }
    }

    /// A writer of this form that appends to `out`.
    #[must_use]
    pub fn writer(self, out: &mut Vec<u8>) -> Writer<'_> {
        match self {
            Self::Json => Writer::json(out),
            Self::Notepack | Self::MsgPack => Writer::msgpack(out),
        }
    }
}

/// Whether the message is of a type that may hold bytes of the application (3, 8, 9, 10, 12), and does.
#[must_use]
pub fn has_binary(message: &Message) -> bool {
    match message {
        Message::Broadcast { packet, .. } | Message::ServerSideEmit { packet, .. } => {
            packet.has_binary()
        }
        Message::ServerSideEmitResponse { answer, .. } | Message::BroadcastAck { answer, .. } => {
            answer.has_binary()
        }
        Message::FetchSocketsResponse { sockets, .. } => sockets
            .iter()
            .any(|socket| socket.data.has_binary() || socket.handshake.has_binary()),
        _ => false,
    }
}

/// Writes a whole message: `type`, `data` if there is any, `uid` if there is a sender, `nsp`.
///
/// # Errors
///
/// [`Malformed`](CodecErrorKind::Malformed) if the message has no [number](Message::number), or holds a
/// value that cannot be written; [`TooLarge`](CodecErrorKind::TooLarge) above [`MAX_MESSAGE_BYTES`].
pub fn encode(envelope: &Envelope, form: Form) -> Result<Vec<u8>, CodecError> {
    let number = number(&envelope.message)?;
    let has_data = data::members(&envelope.message, form) > 0;
    let members = 2 + usize::from(has_data) + usize::from(envelope.sender.is_some());
    let mut out = Vec::new();
    form.writer(&mut out).map(members, |map| {
        map.key("type").uint(number.into());
        if has_data {
            data::write(map.key("data"), envelope, form)?;
        }
        if let Some(sender) = &envelope.sender {
            map.key("uid").text(sender.as_str());
        }
        map.key("nsp").text(envelope.namespace.as_str());
        Ok(())
    })?;
    bounded(&out)?;
    Ok(out)
}

/// Writes what stands under `data` alone; `None` if messages of this type have no data.
///
/// # Errors
///
/// As [`encode`].
pub fn encode_data(envelope: &Envelope, form: Form) -> Result<Option<Vec<u8>>, CodecError> {
    number(&envelope.message)?;
    if data::members(&envelope.message, form) == 0 {
        return Ok(None);
    }
    let mut out = Vec::new();
    data::write(&mut form.writer(&mut out), envelope, form)?;
    bounded(&out)?;
    Ok(Some(out))
}

/// Reads a whole message, as JSON if it starts with `{` and as MessagePack otherwise.
///
/// `namespace` is for messages that name none, as those of the emitter for Postgres. The
/// [recipient](Envelope::recipient) is what stands under `requesterUid`. Other members are left out.
///
/// # Errors
///
/// [`UnknownType`](CodecErrorKind::UnknownType) for a type that this version does not know,
/// [`Malformed`](CodecErrorKind::Malformed) if it is no message, with the name of the member that is
/// wrong or missing, [`TooLarge`](CodecErrorKind::TooLarge) above [`MAX_MESSAGE_BYTES`].
pub fn decode(message: &Bytes, namespace: Option<&Room>) -> Result<Envelope, CodecError> {
    bounded(message)?;
    let mut reader = Reader::new(message)?;
    let mut parts = Parts::default();
    reader.map(|reader, key| parts.read(reader, key))?;
    reader.end()?;
    let kind = parts.kind.ok_or_else(|| CodecError::missing("type"))?;
    let message = match parts.message {
        Some(message) => message,
        None => data::read(kind, parts.data.as_mut()).within("data")?,
    };
    Ok(Envelope {
        namespace: parts
            .namespace
            .or_else(|| namespace.cloned())
            .ok_or_else(|| CodecError::missing("nsp"))?,
        sender: parts.sender,
        recipient: parts.recipient,
        message,
    })
}

/// Reads what stands under `data` of a message of this type; `None` where there is none.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_data(kind: u64, data: Option<&Bytes>) -> Result<Message, CodecError> {
    let Some(data) = data else {
        return data::read(kind, None);
    };
    bounded(data)?;
    let mut reader = Reader::new(data)?;
    let message = data::read(kind, Some(&mut reader))?;
    reader.end()?;
    Ok(message)
}

fn number(message: &Message) -> Result<u8, CodecError> {
    message.number().ok_or_else(|| {
        CodecError::malformed("only the classic Redis adapter has messages of this type")
    })
}

fn bounded(message: &[u8]) -> Result<(), CodecError> {
    if message.len() <= MAX_MESSAGE_BYTES {
        return Ok(());
    }
    let text = format!(
        "a message of {} bytes, where {MAX_MESSAGE_BYTES} are the most",
        message.len()
    );
    Err(CodecError::new(CodecErrorKind::TooLarge, text))
}

/// The members of a message as they come.
#[derive(Default)]
struct Parts<'a> {
    kind: Option<u64>,
    /// Read at once where the type came first, as everybody writes it.
    message: Option<Message>,
    /// Where it was, if not.
    data: Option<Reader<'a>>,
    sender: Option<ServerId>,
    namespace: Option<Room>,
    recipient: Option<ServerId>,
}

impl<'a> Parts<'a> {
    fn read(&mut self, reader: &mut Reader<'a>, key: &str) -> Result<(), CodecError> {
        match (key, self.kind) {
            ("type", _) => self.kind = Some(reader.uint().within("type")?),
            ("data", Some(kind)) => {
                self.message = Some(data::read(kind, Some(reader)).within("data")?);
            }
            ("data", None) => self.data = Some(reader.clone()),
            ("uid", _) => self.sender = parts::optional_name(reader).within("uid")?,
            ("nsp", _) => self.namespace = parts::optional_name(reader).within("nsp")?,
            ("requesterUid", _) => {
                self.recipient = parts::optional_name(reader).within("requesterUid")?;
            }
            _ => {}
        }
        Ok(())
    }
}
