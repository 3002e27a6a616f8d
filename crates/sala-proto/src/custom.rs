//! A parser of the user in place of ours: the reference's `parser` option.

use bytes::Bytes;

use crate::{DecodeError, EncodeError, ValuePacket};

/// One message on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
}

/// A parser plugged in by the user. One per server; client and server must use the same.
///
/// The data reaches it as a [`Value`](crate::Value) tree, bytes included.
pub trait CustomCodec: Send + Sync + 'static {
    /// The messages of one packet: a text or a binary one first, then binary ones only, which
    /// follow the first without anything in between.
    ///
    /// # Errors
    ///
    /// Data that this parser cannot express.
    fn encode(&self, packet: &ValuePacket) -> Result<Vec<Message>, EncodeError>;

    /// A decoder for a new connection.
    fn new_decoder(&self) -> Box<dyn CustomDecoder>;
}

/// The decoding half of a [`CustomCodec`], one per connection.
///
/// The input is what a stranger sent: bound what is kept and how deep values nest (512 levels at the
/// very most). The caller checks the packet with [`ValuePacket::is_valid`].
pub trait CustomDecoder: Send + 'static {
    /// Takes the next message; a packet if it was the last one of it.
    ///
    /// # Errors
    ///
    /// Anything: the connection is closed.
    fn add(&mut self, message: Message) -> Result<Option<ValuePacket>, DecodeError>;

    /// Forgets a packet that is not complete.
    fn reset(&mut self) {}
}
