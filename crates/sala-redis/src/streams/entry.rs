//! An entry of a stream: a message as four fields.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use sala_adapter::codec::{self, CodecError, CodecErrorKind, Form};
use sala_adapter::message::{Envelope, Message};
use sala_adapter::target::Room;

/// Base64 as the reference writes it; on the way in, text without padding is taken as well.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The fields of an entry as they are in Redis, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) uid: Bytes,
    pub(crate) nsp: Bytes,
    /// The number of the message's type.
    pub(crate) kind: u64,
    /// JSON text, or MessagePack in base64.
    pub(crate) data: Option<Bytes>,
}

/// Whether a message goes into the stream. What waits for an answer, or is one, goes over pub/sub: it
/// means nothing to a server that reads it later.
pub(crate) fn is_logged(message: &Message) -> bool {
    match message {
        Message::Broadcast { request, .. } => request.is_none(),
        Message::Join { .. } | Message::Leave { .. } | Message::Disconnect { .. } => true,
        _ => false,
    }
}

impl Fields {
    /// Writes a message.
    pub(crate) fn encode(envelope: &Envelope, plaintext: bool) -> Result<Self, CodecError> {
        let message = &envelope.message;
        let form = match plaintext {
            true => Form::Json,
            false => Form::for_message(message, Form::MsgPack),
        };
        let data = codec::encode_data(envelope, form)?;
        let data = data.map(|data| match form {
            Form::Json => data.into(),
            _ => encode_base64(&data),
        });
        Ok(Self {
            uid: text(
                envelope
                    .sender
                    .as_ref()
                    .map_or("", |sender| sender.as_str()),
            ),
            nsp: text(envelope.namespace.as_str()),
            kind: message.number().map(u64::from).ok_or_else(inexpressible)?,
            data,
        })
    }

    /// Sorts the fields of an entry, which come in any order and among others: names and values by turns.
    pub(crate) fn from_pairs(pairs: Vec<Bytes>) -> Result<Self, CodecError> {
        let (mut uid, mut nsp, mut kind, mut data) = (None, None, None, None);
        let mut pairs = pairs.into_iter();
        while let (Some(name), Some(value)) = (pairs.next(), pairs.next()) {
            match &name[..] {
                b"uid" => uid = Some(value),
                b"nsp" => nsp = Some(value),
                b"type" => kind = number(&value),
                b"data" => data = Some(value),
                _ => {}
            }
        }
        Ok(Self {
            uid: uid.unwrap_or_default(),
            nsp: nsp.ok_or_else(|| malformed("an entry without the field nsp"))?,
            kind: kind.ok_or_else(|| malformed("an entry whose field type is no number"))?,
            data,
        })
    }

    /// Names and values by turns, in the order of the reference.
    pub(crate) fn into_pairs(self) -> Vec<Bytes> {
        let name = |name: &'static str| Bytes::from_static(name.as_bytes());
        let mut pairs = vec![name("uid"), self.uid, name("nsp"), self.nsp];
        pairs.extend([name("type"), self.kind.to_string().into()]);
        if let Some(data) = self.data {
            pairs.extend([name("data"), data]);
        }
        pairs
    }

    /// How much they weigh, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.uid.len() + self.nsp.len() + self.data.as_ref().map_or(0, Bytes::len)
    }

    /// The namespace, if it is text.
    pub(crate) fn namespace(&self) -> Option<Room> {
        str::from_utf8(&self.nsp).ok().map(Room::from)
    }

    /// Reads the message.
    pub(crate) fn decode(&self) -> Result<Envelope, CodecError> {
        let sender =
            str::from_utf8(&self.uid).map_err(|_| malformed("the field uid is no text"))?;
        let namespace = self
            .namespace()
            .ok_or_else(|| malformed("the field nsp is no text"))?;
        let data = self.data.as_ref().map(plain).transpose()?;
        Ok(Envelope {
            namespace,
            sender: (!sender.is_empty()).then(|| sender.into()),
            recipient: None,
            message: codec::decode_data(self.kind, data.as_ref())?,
        })
    }
}

/// The field `data` as JSON text or MessagePack.
fn plain(data: &Bytes) -> Result<Bytes, CodecError> {
    if data.first() == Some(&b'{') {
        return Ok(data.clone());
    }
    decode_base64(data).ok_or_else(|| malformed("the field data is neither JSON nor base64"))
}

pub(crate) fn encode_base64(bytes: &[u8]) -> Bytes {
    BASE64.encode(bytes).into()
}

pub(crate) fn decode_base64(text: &[u8]) -> Option<Bytes> {
    BASE64.decode(text).ok().map(Bytes::from)
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}

fn malformed(message: &str) -> CodecError {
    CodecError::new(CodecErrorKind::Malformed, message)
}

fn inexpressible() -> CodecError {
    malformed("this message is only known to the classic Redis adapter")
}
