//! What can go wrong, by blame: the peer ([`DecodeError`]), the application's types
//! ([`ArgsError`], [`EncodeError`]).

use std::fmt;

/// Why a message of the peer is not a packet.
///
/// The texts are those of the reference, which hands them to the application in an `error` event
/// and then closes the whole connection. Faults that only this implementation looks for (limits)
/// have texts of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first character is not a packet type; `None` if it is not even a digit.
    UnknownPacketType(Option<u8>),
    /// An empty message.
    Empty,
    /// The number of attachments is missing, zero or not a number.
    IllegalAttachmentCount,
    /// More attachments than [`Limits::max_attachments`](crate::Limits::max_attachments).
    TooManyAttachments,
    /// A placeholder whose number is no index into the attachments.
    IllegalAttachments,
    /// Broken JSON, text behind it, a bad acknowledgement id, or data that does not fit the type.
    InvalidPayload,
    /// A text message while attachments were awaited.
    UnexpectedText,
    /// A binary message while none was awaited.
    UnexpectedBinary,
    /// The attachments of one packet weigh more than
    /// [`Limits::max_attachment_bytes`](crate::Limits::max_attachment_bytes).
    AttachmentsTooLarge,
    /// Arrays or objects nested deeper than [`Limits::max_depth`](crate::Limits::max_depth).
    TooDeep,
    /// A namespace longer than [`Limits::max_namespace`](crate::Limits::max_namespace).
    NamespaceTooLong,
    /// An event name longer than [`Limits::max_event`](crate::Limits::max_event).
    EventNameTooLong,
    /// MessagePack: the type is missing or none of 0 to 4.
    InvalidPacketType,
    /// MessagePack: the namespace is missing or not text.
    InvalidNamespace,
    /// MessagePack: the id is not an integer, negative or above 2^53 - 1.
    InvalidPacketId,
    /// MessagePack: bytes that are no value, or end in the middle of one.
    Malformed,
    /// MessagePack: so many bytes are left behind the packet.
    TrailingBytes(usize),
    /// What a parser of the user said.
    Custom(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::UnknownPacketType(Some(n)) => return write!(f, "unknown packet type {n}"),
            Self::UnknownPacketType(None) => "unknown packet type NaN",
            Self::Empty => "Unknown type: undefined",
            Self::IllegalAttachmentCount => "Illegal attachments",
            Self::TooManyAttachments => "too many attachments",
            Self::IllegalAttachments => "illegal attachments",
            Self::InvalidPayload => "invalid payload",
            Self::UnexpectedText => "got plaintext data when reconstructing a packet",
            Self::UnexpectedBinary => "got binary data when not reconstructing a packet",
            Self::AttachmentsTooLarge => "attachments too large",
            Self::TooDeep => "payload nested too deeply",
            Self::NamespaceTooLong => "namespace too long",
            Self::EventNameTooLong => "event name too long",
            Self::InvalidPacketType => "invalid packet type",
            Self::InvalidNamespace => "invalid namespace",
            Self::InvalidPacketId => "invalid packet id",
            Self::Malformed => "Could not parse",
            Self::TrailingBytes(n) => return write!(f, "{n} trailing bytes"),
            Self::Custom(text) => text,
        };
        f.write_str(text)
    }
}

impl std::error::Error for DecodeError {}

/// Arguments that are not of the type the application asked for.
#[derive(Debug)]
pub struct ArgsError {
    message: Box<str>,
}

impl ArgsError {
    pub(crate) fn new(message: impl Into<Box<str>>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ArgsError {}

impl serde::de::Error for ArgsError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

impl From<serde_json::Error> for ArgsError {
    fn from(error: serde_json::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Data that cannot be encoded: a type refused to serialize itself, a map key is no text, a cycle.
#[derive(Debug)]
pub struct EncodeError {
    message: Box<str>,
}

impl EncodeError {
    /// An error of a parser plugged in by the user.
    pub fn new(message: impl Into<Box<str>>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EncodeError {}

impl serde::ser::Error for EncodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}
