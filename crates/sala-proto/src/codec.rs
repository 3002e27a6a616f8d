//! Packets into messages.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::json::{JsonWriter, write_string};
use crate::msgpack::{self, MsgPackWriter, write_list};
use crate::spread::{Sink, Spread, to_values};
use crate::transform::{Transform, replace};
use crate::{CustomCodec, EncodeError, Message, PacketKind, RawArgs, Value, ValuePacket, to_value};

/// How packets become messages and messages packets. One per server; its clients use the same.
#[derive(Clone)]
pub enum Codec {
    /// Text and, for bytes, attachments: what every client speaks.
    Json(JsonOptions),
    /// One binary message per packet, for clients with `socket.io-msgpack-parser`.
    MsgPack,
    /// A parser of the user.
    Custom(Arc<dyn CustomCodec>),
}

impl Default for Codec {
    fn default() -> Self {
        Self::Json(JsonOptions::default())
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "Json",
            Self::MsgPack => "MsgPack",
            Self::Custom(_) => "Custom",
        })
    }
}

/// Options of the JSON codec. None is set by default; each costs a value tree per packet.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct JsonOptions {
    /// Applied to the data of an outgoing packet, to a value before what is inside it.
    pub replacer: Option<Transform>,
    /// Applied to the data of an incoming packet, to a value after what is inside it. Unlike in the
    /// reference it sees bytes in their places, not placeholders.
    pub reviver: Option<Transform>,
}

impl JsonOptions {
    /// Sets the [`replacer`](Self::replacer).
    #[must_use]
    pub fn replacer(
        mut self,
        replacer: impl Fn(&str, Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        self.replacer = Some(Arc::new(replacer));
        self
    }

    /// Sets the [`reviver`](Self::reviver).
    #[must_use]
    pub fn reviver(
        mut self,
        reviver: impl Fn(&str, Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        self.reviver = Some(Arc::new(reviver));
        self
    }
}

impl fmt::Debug for JsonOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonOptions")
            .field("replacer", &self.replacer.is_some())
            .field("reviver", &self.reviver.is_some())
            .finish()
    }
}

/// What belongs to an encoded packet besides the bytes that were appended.
#[derive(Debug, Default)]
#[must_use]
pub struct Encoded {
    /// Binary messages that follow the packet, without anything in between.
    pub attachments: Vec<Bytes>,
    /// Whether the packet is a binary message. Otherwise it is text.
    pub binary: bool,
}

impl Codec {
    /// Appends an event to `buf`.
    ///
    /// A tuple spreads over the arguments, `()` is no argument, anything else is one. serde sees a
    /// fixed-size array as a tuple: wrap it, `(array,)`, to send it as one list. Types that
    /// serialize as bytes (`bytes::Bytes` with its `serde` feature, `serde_bytes`,
    /// [`Value::Binary`](crate::Value::Binary)) become attachments, at any depth; a `Vec<u8>` is a
    /// list of numbers. `offset` is one more argument behind the others, as connection state
    /// recovery wants it.
    ///
    /// # Errors
    ///
    /// If the data cannot be serialized; `buf` is then as it was.
    pub fn encode_event<T: Serialize + ?Sized>(
        &self,
        buf: &mut Vec<u8>,
        nsp: &str,
        id: Option<u64>,
        event: &str,
        args: &T,
        offset: Option<&str>,
    ) -> Result<Encoded, EncodeError> {
        self.undo_on_error(buf, |buf| match self {
            Self::Json(JsonOptions { replacer: None, .. }) => {
                json_list(buf, PacketKind::Event, nsp, id, |sink| {
                    sink.event(event);
                    args.serialize(Spread(sink))?;
                    offset.map_or(Ok(()), |offset| offset.serialize(sink.next()))
                })
            }
            Self::MsgPack => msgpack_list(buf, PacketKind::Event, nsp, id, |sink| {
                event.serialize(sink.next())?;
                args.serialize(Spread(sink))?;
                offset.map_or(Ok(()), |offset| offset.serialize(sink.next()))
            }),
            _ => {
                let mut items = vec![Value::from(event)];
                items.append(&mut to_values(args)?);
                items.extend(offset.map(Value::from));
                self.encode_tree(buf, packet(PacketKind::Event, nsp, id, Some(items.into())))
            }
        })
    }

    /// Appends an event that came from elsewhere, its name and its arguments as they are: copied if this codec
    /// has the same form, rewritten in one pass if not. `offset` is as in
    /// [`encode_event`](Self::encode_event).
    ///
    /// # Errors
    ///
    /// If they are no event: [`Args::event`](crate::Args::event) is `None`. Also if a replacer or a
    /// parser of the user refuses. `buf` is then as it was.
    pub fn encode_raw_event(
        &self,
        buf: &mut Vec<u8>,
        nsp: &str,
        id: Option<u64>,
        event: &RawArgs,
        offset: Option<&str>,
    ) -> Result<Encoded, EncodeError> {
        let name = event
            .event()
            .ok_or_else(|| EncodeError::new("an event without a name"))?;
        self.undo_on_error(buf, |buf| match self {
            Self::Json(JsonOptions { replacer: None, .. }) => {
                json_list(buf, PacketKind::Event, nsp, id, |sink| {
                    event.write_json_name(sink.writer.out)?;
                    sink.empty = false;
                    sink.splice(event)?;
                    offset.map_or(Ok(()), |offset| offset.serialize(sink.next()))
                })
            }
            Self::MsgPack => msgpack_list(buf, PacketKind::Event, nsp, id, |sink| {
                sink.event(event);
                sink.splice(event)?;
                offset.map_or(Ok(()), |offset| offset.serialize(sink.next()))
            }),
            _ => {
                let mut items = vec![name.to_value()];
                items.append(&mut event.to_values());
                items.extend(offset.map(Value::from));
                self.encode_tree(buf, packet(PacketKind::Event, nsp, id, Some(items.into())))
            }
        })
    }

    /// Appends an ack to `buf`: the answer to the event that carried `id`. The rule for `args` is
    /// that of [`encode_event`](Self::encode_event).
    ///
    /// # Errors
    ///
    /// If the data cannot be serialized; `buf` is then as it was.
    pub fn encode_ack<T: Serialize + ?Sized>(
        &self,
        buf: &mut Vec<u8>,
        nsp: &str,
        id: u64,
        args: &T,
    ) -> Result<Encoded, EncodeError> {
        self.undo_on_error(buf, |buf| match self {
            Self::Json(JsonOptions { replacer: None, .. }) => {
                json_list(buf, PacketKind::Ack, nsp, Some(id), |sink| {
                    args.serialize(Spread(sink))
                })
            }
            Self::MsgPack => msgpack_list(buf, PacketKind::Ack, nsp, Some(id), |sink| {
                args.serialize(Spread(sink))
            }),
            _ => {
                let items = Value::Array(to_values(args)?);
                self.encode_tree(buf, packet(PacketKind::Ack, nsp, Some(id), Some(items)))
            }
        })
    }

    /// Appends a connect packet to `buf`: `{"sid":…}` for clients of revision 5, nothing for those
    /// of revision 4.
    ///
    /// # Errors
    ///
    /// If the data cannot be serialized; `buf` is then as it was.
    pub fn encode_connect<T: Serialize + ?Sized>(
        &self,
        buf: &mut Vec<u8>,
        nsp: &str,
        data: Option<&T>,
    ) -> Result<Encoded, EncodeError> {
        self.encode_single(buf, PacketKind::Connect, nsp, data)
    }

    /// Appends a refusal to `buf`: an object with `message` and, if there is any, `data`; for
    /// clients of revision 4 the bare data or the bare message.
    ///
    /// # Errors
    ///
    /// If the data cannot be serialized; `buf` is then as it was.
    pub fn encode_connect_error<T: Serialize + ?Sized>(
        &self,
        buf: &mut Vec<u8>,
        nsp: &str,
        data: &T,
    ) -> Result<Encoded, EncodeError> {
        self.encode_single(buf, PacketKind::ConnectError, nsp, Some(data))
    }

    /// Appends a disconnect packet to `buf`.
    ///
    /// # Errors
    ///
    /// Only a parser of the user can fail; `buf` is then as it was.
    pub fn encode_disconnect(&self, buf: &mut Vec<u8>, nsp: &str) -> Result<Encoded, EncodeError> {
        self.encode_single::<()>(buf, PacketKind::Disconnect, nsp, None)
    }

    /// Appends a packet whose data is a tree, such as one that came from another server.
    ///
    /// # Errors
    ///
    /// If the packet is not [valid](ValuePacket::is_valid); `buf` is then as it was.
    pub fn encode_packet(
        &self,
        buf: &mut Vec<u8>,
        packet: ValuePacket,
    ) -> Result<Encoded, EncodeError> {
        if !packet.is_valid() {
            return Err(EncodeError::new("the data does not fit the packet's type"));
        }
        self.undo_on_error(buf, |buf| self.encode_tree(buf, packet))
    }

    fn encode_single<T: Serialize + ?Sized>(
        &self,
        buf: &mut Vec<u8>,
        kind: PacketKind,
        nsp: &str,
        data: Option<&T>,
    ) -> Result<Encoded, EncodeError> {
        self.undo_on_error(buf, |buf| match self {
            Self::Json(JsonOptions { replacer: None, .. }) => {
                json_single(buf, kind, nsp, None, data)
            }
            Self::MsgPack => msgpack_single(buf, kind, nsp, None, data),
            _ => {
                let data = data.map(to_value).transpose()?;
                self.encode_tree(buf, packet(kind, nsp, None, data))
            }
        })
    }

    fn undo_on_error(
        &self,
        buf: &mut Vec<u8>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<Encoded, EncodeError>,
    ) -> Result<Encoded, EncodeError> {
        let len = buf.len();
        encode(buf).inspect_err(|_| buf.truncate(len))
    }

    fn encode_tree(
        &self,
        buf: &mut Vec<u8>,
        mut packet: ValuePacket,
    ) -> Result<Encoded, EncodeError> {
        if let Self::Json(JsonOptions {
            replacer: Some(replacer),
            ..
        }) = self
        {
            packet.data = packet.data.and_then(|data| replace(replacer, "", data));
        }
        let ValuePacket {
            kind,
            ref nsp,
            id,
            ref data,
        } = packet;
        let items = match data {
            Some(Value::Array(items)) => Some(items),
            _ => None,
        };
        match (self, items) {
            (Self::Json(_), Some(items)) => json_list(buf, kind, nsp, id, |sink| {
                items
                    .iter()
                    .try_for_each(|item| item.serialize(sink.next()))
            }),
            (Self::Json(_), None) => json_single(buf, kind, nsp, id, data.as_ref()),
            (Self::MsgPack, Some(items)) => msgpack_list(buf, kind, nsp, id, |sink| {
                items
                    .iter()
                    .try_for_each(|item| item.serialize(sink.next()))
            }),
            (Self::MsgPack, None) => msgpack_single(buf, kind, nsp, id, data.as_ref()),
            (Self::Custom(codec), _) => append_messages(buf, codec.encode(&packet)?),
        }
    }
}

fn packet(kind: PacketKind, nsp: &str, id: Option<u64>, data: Option<Value>) -> ValuePacket {
    ValuePacket {
        kind,
        nsp: nsp.to_owned(),
        id,
        data,
    }
}

fn append_messages(buf: &mut Vec<u8>, messages: Vec<Message>) -> Result<Encoded, EncodeError> {
    let mut messages = messages.into_iter();
    let binary = match messages.next() {
        Some(Message::Text(text)) => {
            buf.extend_from_slice(text.as_bytes());
            false
        }
        Some(Message::Binary(bytes)) => {
            buf.extend_from_slice(&bytes);
            true
        }
        None => return Err(EncodeError::new("the parser made no message of a packet")),
    };
    let attachments = messages
        .map(|message| match message {
            Message::Binary(bytes) => Ok(bytes),
            Message::Text(_) => Err(EncodeError::new("a text message behind the first message")),
        })
        .collect::<Result<_, _>>()?;
    Ok(Encoded {
        attachments,
        binary,
    })
}

/// The list that is a JSON packet's data.
struct JsonSink<'b> {
    writer: JsonWriter<'b>,
    empty: bool,
}

impl JsonSink<'_> {
    /// The event's name, the first item.
    fn event(&mut self, event: &str) {
        write_string(self.writer.out, event);
        self.empty = false;
    }

    /// Writes values with their own attachments, separated by commas.
    fn each(&mut self, values: &[Value]) -> Result<(), EncodeError> {
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                self.comma();
            }
            value.serialize(&mut self.writer)?;
        }
        Ok(())
    }

    fn comma(&mut self) {
        if !self.empty {
            self.writer.out.push(b',');
        }
        self.empty = false;
    }
}

impl<'b> Sink for JsonSink<'b> {
    type Writer<'s>
        = &'s mut JsonWriter<'b>
    where
        Self: 's;

    fn next(&mut self) -> &mut JsonWriter<'b> {
        self.comma();
        &mut self.writer
    }

    fn splice(&mut self, args: &RawArgs) -> Result<(), EncodeError> {
        if args.is_empty() {
            return Ok(());
        }
        self.comma();
        match &mut self.writer.lifted {
            // The numbers in the placeholders hold only if the packet has no other attachment.
            Some(lifted) if lifted.is_empty() => args.write_json(self.writer.out, Some(lifted)),
            Some(_) if args.has_binary() => self.each(&args.to_values()),
            _ => args.write_json(self.writer.out, None),
        }
    }
}

fn json_header(buf: &mut Vec<u8>, kind: PacketKind, nsp: &str, id: Option<u64>) {
    buf.push(b'0' + kind.number());
    if nsp != "/" {
        buf.extend_from_slice(nsp.as_bytes());
        buf.push(b',');
    }
    if let Some(id) = id {
        buf.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    }
}

fn json_list(
    buf: &mut Vec<u8>,
    kind: PacketKind,
    nsp: &str,
    id: Option<u64>,
    write: impl FnOnce(&mut JsonSink<'_>) -> Result<(), EncodeError>,
) -> Result<Encoded, EncodeError> {
    let start = buf.len();
    json_header(buf, kind, nsp, id);
    buf.push(b'[');
    let mut attachments = Vec::new();
    write(&mut JsonSink {
        writer: JsonWriter::new(buf, Some(&mut attachments)),
        empty: true,
    })?;
    buf.push(b']');
    if !attachments.is_empty() {
        // Only now the number of attachments is known, which stands in front of everything else.
        let kind = match kind {
            PacketKind::Ack => PacketKind::BinaryAck,
            _ => PacketKind::BinaryEvent,
        };
        buf[start] = b'0' + kind.number();
        let mut count = itoa::Buffer::new();
        let count = count.format(attachments.len()).bytes().chain([b'-']);
        buf.splice(start + 1..start + 1, count);
    }
    Ok(Encoded {
        attachments,
        binary: false,
    })
}

fn json_single<T: Serialize + ?Sized>(
    buf: &mut Vec<u8>,
    kind: PacketKind,
    nsp: &str,
    id: Option<u64>,
    data: Option<&T>,
) -> Result<Encoded, EncodeError> {
    json_header(buf, kind, nsp, id);
    if let Some(data) = data {
        data.serialize(&mut JsonWriter::new(buf, None))?;
    }
    Ok(Encoded::default())
}

fn msgpack_list(
    buf: &mut Vec<u8>,
    kind: PacketKind,
    nsp: &str,
    id: Option<u64>,
    write: impl FnOnce(&mut msgpack::MsgPackSink<'_>) -> Result<(), EncodeError>,
) -> Result<Encoded, EncodeError> {
    msgpack::encode(
        buf,
        kind,
        nsp,
        id,
        Some(|out: &mut Vec<u8>| write_list(out, write)),
    )?;
    Ok(Encoded {
        attachments: Vec::new(),
        binary: true,
    })
}

fn msgpack_single<T: Serialize + ?Sized>(
    buf: &mut Vec<u8>,
    kind: PacketKind,
    nsp: &str,
    id: Option<u64>,
    data: Option<&T>,
) -> Result<Encoded, EncodeError> {
    let data = data.map(|data| |out: &mut Vec<u8>| data.serialize(MsgPackWriter::new(out)));
    msgpack::encode(buf, kind, nsp, id, data)?;
    Ok(Encoded {
        attachments: Vec::new(),
        binary: true,
    })
}
