//! Packets and what makes them valid.

use std::borrow::Cow;

use crate::{Args, DecodeError, Value};

/// The revision of the Socket.IO protocol, as the reference's parser exports it.
pub const REVISION: u8 = 5;

/// Names that a peer may not use for its events: the application's own listeners have them.
///
/// `error` is not among them, as in the reference.
pub const RESERVED_EVENTS: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Whether an event may not have this name, see [`RESERVED_EVENTS`].
#[must_use]
pub fn is_reserved(event: &str) -> bool {
    RESERVED_EVENTS.contains(&event)
}

/// The largest acknowledgement id: 2^53 - 1, the last integer that a JavaScript client keeps exact.
pub(crate) const MAX_ID: u64 = (1 << 53) - 1;

/// The type of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// 0: a client joins a namespace; the server's answer.
    Connect,
    /// 1: one side leaves a namespace.
    Disconnect,
    /// 2: an event.
    Event,
    /// 3: the answer to an event that carried an id.
    Ack,
    /// 4: a namespace refused the client.
    ConnectError,
    /// 5: an event with attachments. On the wire only: a decoded one is an [`Event`](Self::Event).
    BinaryEvent,
    /// 6: an ack with attachments. On the wire only: a decoded one is an [`Ack`](Self::Ack).
    BinaryAck,
}

impl PacketKind {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Connect => 0,
            Self::Disconnect => 1,
            Self::Event => 2,
            Self::Ack => 3,
            Self::ConnectError => 4,
            Self::BinaryEvent => 5,
            Self::BinaryAck => 6,
        }
    }

    /// The type with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Connect,
            1 => Self::Disconnect,
            2 => Self::Event,
            3 => Self::Ack,
            4 => Self::ConnectError,
            5 => Self::BinaryEvent,
            6 => Self::BinaryAck,
            _ => return None,
        })
    }
}

/// A decoded packet, borrowing from the message where it can.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// [`Event`](PacketKind::Event) and [`Ack`](PacketKind::Ack) also stand for those with
    /// attachments.
    pub kind: PacketKind,
    /// The namespace, `/` if the packet named none. It may hold a query: see [`split_query`].
    pub nsp: Cow<'a, str>,
    /// The acknowledgement id.
    pub id: Option<u64>,
    /// An event: its name ([`Args::event`]) and its arguments. An ack: its arguments. Connect and
    /// connect error: one argument. `None` if the packet ended before any data; an event without
    /// data fires nothing.
    pub data: Option<Args<'a>>,
}

impl Packet<'_> {
    /// The packet without borrows, for those who keep it.
    #[must_use]
    pub fn into_owned(self) -> Packet<'static> {
        Packet {
            kind: self.kind,
            nsp: Cow::Owned(self.nsp.into_owned()),
            id: self.id,
            data: self.data.map(Args::into_owned),
        }
    }
}

/// A packet whose data is a value tree: what a parser of the user encodes and decodes.
///
/// The data of an event is an array that starts with the event's name; that of an ack is an array;
/// that of a connect or connect error packet is one value.
#[derive(Clone, Debug, PartialEq)]
pub struct ValuePacket {
    /// The type, never one of the two binary ones.
    pub kind: PacketKind,
    /// The namespace.
    pub nsp: String,
    /// The acknowledgement id.
    pub id: Option<u64>,
    /// The data, if any.
    pub data: Option<Value>,
}

impl ValuePacket {
    /// Whether the data fits the type: the reference's `isPacketValid`.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        use PacketKind::*;
        match (self.kind, &self.data) {
            (Connect, None | Some(Value::Object(_))) | (Disconnect, None) => true,
            (ConnectError, Some(Value::String(_) | Value::Object(_))) => true,
            (Ack | BinaryAck, Some(Value::Array(_))) => true,
            (Event | BinaryEvent, Some(Value::Array(items))) => match items.first() {
                Some(Value::String(name)) => !is_reserved(name),
                Some(Value::Number(_)) => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// Checks the packet and makes it one of ours.
    ///
    /// # Errors
    ///
    /// [`DecodeError::InvalidPayload`] if the packet is not [valid](Self::is_valid) or its id is
    /// above 2^53 - 1.
    pub fn into_packet(self) -> Result<Packet<'static>, DecodeError> {
        if !self.is_valid() || self.id.is_some_and(|id| id > MAX_ID) {
            return Err(DecodeError::InvalidPayload);
        }
        let kind = match self.kind {
            PacketKind::BinaryEvent => PacketKind::Event,
            PacketKind::BinaryAck => PacketKind::Ack,
            kind => kind,
        };
        let data = self.data.map(|data| match (kind, data) {
            (PacketKind::Event, Value::Array(items)) => Args::from_event_values(items),
            (PacketKind::Ack, Value::Array(items)) => Args::from_values(items),
            (_, value) => Args::from_values(vec![value]),
        });
        Ok(Packet {
            kind,
            nsp: Cow::Owned(self.nsp),
            id: self.id,
            data,
        })
    }
}

impl From<Packet<'_>> for ValuePacket {
    fn from(packet: Packet<'_>) -> Self {
        let data = packet.data.and_then(|args| {
            let mut values = args.to_values();
            match packet.kind {
                PacketKind::Connect | PacketKind::Disconnect | PacketKind::ConnectError => {
                    values.pop()
                }
                _ => {
                    if let Some(event) = args.event() {
                        values.insert(0, event.to_value());
                    }
                    Some(Value::Array(values))
                }
            }
        });
        Self {
            kind: packet.kind,
            nsp: packet.nsp.into_owned(),
            id: packet.id,
            data,
        }
    }
}

/// Splits a namespace as clients of revision 4 (Socket.IO 2) send it, `/ns?token=abc`, into its name
/// and its query. In revision 5 the query is part of the name: do not call this then.
///
/// ```
/// use sala_proto::split_query;
/// assert_eq!(split_query("/ns?token=abc"), ("/ns", Some("token=abc")));
/// assert_eq!(split_query("/ns"), ("/ns", None));
/// assert_eq!(split_query("?a=b"), ("/", Some("a=b")));
/// ```
#[must_use]
pub fn split_query(nsp: &str) -> (&str, Option<&str>) {
    match nsp.split_once('?') {
        Some(("", query)) => ("/", Some(query)),
        Some((name, query)) => (name, Some(query)),
        None => (nsp, None),
    }
}
