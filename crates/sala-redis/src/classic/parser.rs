//! Another format in the place of MessagePack.

use bytes::Bytes;
use sala_adapter::codec::CodecError;
use sala_proto::Value;
use sala_proto::wire::{Reader, Writer};

/// Writes and reads the messages that the classic adapter has in MessagePack: broadcasts, and
/// what belongs to acknowledgements. The `parser` option of the reference.
///
/// All servers and emitters of a cluster must have the same. The default, MessagePack as
/// notepack.io writes it, needs none of this and is the fastest: a parser of yours works on trees of
/// values.
///
/// ```
/// use sala_redis::Parser;
/// use sala_proto::Value;
///
/// /// JSON, for debugging. It has no bytes.
/// struct Json;
///
/// impl Parser for Json {
///     fn encode(&self, message: &Value) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
///         Ok(serde_json::to_vec(message)?)
///     }
///
///     fn decode(&self, message: &[u8]) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
///         Ok(serde_json::from_slice(message)?)
///     }
/// }
/// ```
pub trait Parser: Send + Sync + 'static {
    /// Writes a message.
    ///
    /// # Errors
    ///
    /// If it cannot be expressed: the message is not sent, and the error reported.
    fn encode(&self, message: &Value) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>;

    /// Reads a message. The bytes come from the network: must not panic whatever they are.
    ///
    /// # Errors
    ///
    /// If they are no message: it is counted and left out.
    fn decode(&self, message: &[u8]) -> Result<Value, Box<dyn std::error::Error + Send + Sync>>;
}

/// From MessagePack into the format of the parser.
pub(super) fn encode(parser: &dyn Parser, message: Vec<u8>) -> Result<Vec<u8>, CodecError> {
    let message = Bytes::from(message);
    let value = Reader::msgpack(&message).value()?;
    parser
        .encode(&value)
        .map_err(|error| CodecError::malformed(format!("the parser: {error}")))
}

/// From the format of the parser into MessagePack.
pub(super) fn decode(parser: &dyn Parser, message: &[u8]) -> Result<Bytes, CodecError> {
    let value = parser
        .decode(message)
        .map_err(|error| CodecError::malformed(format!("the parser: {error}")))?;
    let mut out = Vec::new();
    Writer::msgpack(&mut out).value(&value)?;
    Ok(out.into())
}
