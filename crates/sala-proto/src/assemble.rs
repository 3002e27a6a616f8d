//! Messages into packets.

use std::borrow::Cow;

use bytes::Bytes;

use crate::args::name_in;
use crate::json;
use crate::packet::MAX_ID;
use crate::transform::{Transform, revive_packet};
use crate::{
    Args, Codec, CustomDecoder, DecodeError, Limits, Message, Packet, PacketKind, is_reserved,
    msgpack,
};

/// The decoder of one connection: turns its messages into packets.
///
/// A JSON packet with attachments is complete when the last of them has arrived; until then nothing
/// but attachments may come. After an error the assembler holds nothing; the reference closes the
/// connection then.
#[derive(Debug)]
pub struct Assembler {
    limits: Limits,
    state: State,
}

enum State {
    Json {
        reviver: Option<Transform>,
        pending: Option<Box<Pending>>,
    },
    MsgPack,
    Custom(Box<dyn CustomDecoder>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json { pending, .. } => f.debug_tuple("Json").field(pending).finish(),
            Self::MsgPack => f.write_str("MsgPack"),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// A JSON packet that waits for attachments.
#[derive(Debug)]
struct Pending {
    packet: Packet<'static>,
    count: usize,
    attachments: Vec<Bytes>,
    bytes: usize,
}

impl Assembler {
    /// A decoder for what the other side of this codec writes.
    #[must_use]
    pub fn new(codec: &Codec, limits: Limits) -> Self {
        let state = match codec {
            Codec::Json(options) => State::Json {
                reviver: options.reviver.clone(),
                pending: None,
            },
            Codec::MsgPack => State::MsgPack,
            Codec::Custom(codec) => State::Custom(codec.new_decoder()),
        };
        Self { limits, state }
    }

    /// Takes a text message. `None` means that attachments are awaited.
    ///
    /// # Errors
    ///
    /// If the text is no packet, or attachments were awaited.
    pub fn push_text<'a>(&mut self, text: &'a str) -> Result<Option<Packet<'a>>, DecodeError> {
        match &mut self.state {
            State::Json { reviver, pending } => {
                if pending.take().is_some() {
                    return Err(DecodeError::UnexpectedText);
                }
                let (packet, count) = decode_text(text, &self.limits)?;
                if count > 0 {
                    *pending = Some(Box::new(Pending {
                        packet: packet.into_owned(),
                        count,
                        attachments: Vec::new(),
                        bytes: 0,
                    }));
                    return Ok(None);
                }
                finish(packet, reviver.as_ref()).map(Some)
            }
            State::MsgPack => Err(DecodeError::Malformed),
            State::Custom(decoder) => custom(&mut **decoder, Message::Text(text.to_owned())),
        }
    }

    /// Takes a binary message: an attachment, or with another codec than JSON a packet. `None`
    /// means that more attachments are awaited.
    ///
    /// # Errors
    ///
    /// If no binary message was awaited, the attachments are too large or the packet names one that
    /// is not there.
    pub fn push_binary(&mut self, bytes: Bytes) -> Result<Option<Packet<'static>>, DecodeError> {
        match &mut self.state {
            State::Json { reviver, pending } => {
                let mut waiting = pending.take().ok_or(DecodeError::UnexpectedBinary)?;
                waiting.bytes = waiting.bytes.saturating_add(bytes.len());
                if waiting.bytes > self.limits.max_attachment_bytes {
                    return Err(DecodeError::AttachmentsTooLarge);
                }
                waiting.attachments.push(bytes);
                if waiting.attachments.len() < waiting.count {
                    *pending = Some(waiting);
                    return Ok(None);
                }
                finish(waiting.complete()?, reviver.as_ref()).map(Some)
            }
            State::MsgPack => msgpack::decode(&bytes, &self.limits).map(Some),
            State::Custom(decoder) => custom(&mut **decoder, Message::Binary(bytes)),
        }
    }

    /// Whether a packet waits for attachments. Unknown, and false, for a parser of the user.
    #[must_use]
    pub fn is_assembling(&self) -> bool {
        matches!(
            self.state,
            State::Json {
                pending: Some(_),
                ..
            }
        )
    }

    /// How many bytes of attachments are kept for a packet that is not complete.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        match &self.state {
            State::Json {
                pending: Some(pending),
                ..
            } => pending.bytes,
            _ => 0,
        }
    }

    /// Forgets a packet that is not complete; the next text starts a new one.
    pub fn reset(&mut self) {
        match &mut self.state {
            State::Json { pending, .. } => *pending = None,
            State::MsgPack => {}
            State::Custom(decoder) => decoder.reset(),
        }
    }
}

impl Pending {
    fn complete(self) -> Result<Packet<'static>, DecodeError> {
        let mut packet = self.packet;
        if let Some(args) = &mut packet.data {
            args.attach(self.attachments)?;
        }
        Ok(packet)
    }
}

fn finish<'a>(packet: Packet<'a>, reviver: Option<&Transform>) -> Result<Packet<'a>, DecodeError> {
    match reviver {
        None => Ok(packet),
        Some(reviver) => revive_packet(reviver, packet),
    }
}

fn custom(
    decoder: &mut dyn CustomDecoder,
    message: Message,
) -> Result<Option<Packet<'static>>, DecodeError> {
    match decoder.add(message)? {
        Some(packet) => packet.into_packet().map(Some),
        None => Ok(None),
    }
}

/// Decodes the text of a packet; also says how many attachments follow it.
fn decode_text<'a>(text: &'a str, limits: &Limits) -> Result<(Packet<'a>, usize), DecodeError> {
    let first = *text.as_bytes().first().ok_or(DecodeError::Empty)?;
    let digit = first.is_ascii_digit().then(|| first - b'0');
    let kind = digit
        .and_then(PacketKind::from_number)
        .ok_or(DecodeError::UnknownPacketType(digit))?;
    let rest = &text[1..];
    let (kind, count, rest) = match kind {
        PacketKind::BinaryEvent => attachment_count(PacketKind::Event, rest, limits)?,
        PacketKind::BinaryAck => attachment_count(PacketKind::Ack, rest, limits)?,
        kind => (kind, 0, rest),
    };
    let (nsp, rest) = namespace(rest, limits)?;
    let (id, payload) = ack_id(rest)?;
    let packet = Packet {
        kind,
        nsp: Cow::Borrowed(nsp),
        id,
        data: data(kind, payload, limits)?,
    };
    Ok((packet, count))
}

/// The number of attachments and its dash.
fn attachment_count<'a>(
    kind: PacketKind,
    rest: &'a str,
    limits: &Limits,
) -> Result<(PacketKind, usize, &'a str), DecodeError> {
    let (digits, after) = split_digits(rest);
    let after = after
        .strip_prefix('-')
        .filter(|_| !digits.is_empty())
        .ok_or(DecodeError::IllegalAttachmentCount)?;
    match parse_digits(digits) {
        Some(0) => Err(DecodeError::IllegalAttachmentCount),
        Some(count) if count <= limits.max_attachments as u64 => Ok((kind, count as usize, after)),
        _ => Err(DecodeError::TooManyAttachments),
    }
}

/// The namespace, up to the comma or the end.
fn namespace<'a>(rest: &'a str, limits: &Limits) -> Result<(&'a str, &'a str), DecodeError> {
    if !rest.starts_with('/') {
        return Ok(("/", rest));
    }
    let (nsp, rest) = match memchr::memchr(b',', rest.as_bytes()) {
        Some(comma) => (&rest[..comma], &rest[comma + 1..]),
        None => (rest, ""),
    };
    if nsp.len() > limits.max_namespace {
        return Err(DecodeError::NamespaceTooLong);
    }
    Ok((nsp, rest))
}

fn ack_id(rest: &str) -> Result<(Option<u64>, &str), DecodeError> {
    let (digits, rest) = split_digits(rest);
    if digits.is_empty() {
        return Ok((None, rest));
    }
    match parse_digits(digits) {
        Some(id) if id <= MAX_ID => Ok((Some(id), rest)),
        _ => Err(DecodeError::InvalidPayload),
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// The number that digits, maybe with leading zeros, stand for; `None` if it is beyond 64 bits.
fn parse_digits(digits: &str) -> Option<u64> {
    digits.bytes().try_fold(0u64, |n, digit| {
        n.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// Checks the payload against the type of the packet.
fn data<'a>(
    kind: PacketKind,
    payload: &'a str,
    limits: &Limits,
) -> Result<Option<Args<'a>>, DecodeError> {
    let Some(first) = payload.bytes().next() else {
        return Ok(None);
    };
    let fits = match kind {
        PacketKind::Connect => first == b'{',
        PacketKind::ConnectError => first == b'{' || first == b'"',
        PacketKind::Disconnect => false,
        _ => first == b'[',
    };
    if !fits {
        return Err(DecodeError::InvalidPayload);
    }
    let scan = json::scan(payload.as_bytes(), limits.depth())?;
    Ok(Some(match kind {
        PacketKind::Event | PacketKind::BinaryEvent => {
            check_event(&payload[scan.first.start..scan.first.end], limits)?;
            Args::json_event(payload, &scan)
        }
        PacketKind::Ack | PacketKind::BinaryAck => Args::json_list(payload, &scan),
        _ => Args::json_single(payload, &scan),
    }))
}

/// The first item of an event must be text that is not reserved, or a number.
fn check_event(token: &str, limits: &Limits) -> Result<(), DecodeError> {
    match token.bytes().next() {
        Some(b'"' | b'-' | b'0'..=b'9') if token.len() > limits.max_event => {
            Err(DecodeError::EventNameTooLong)
        }
        Some(b'"') if is_reserved(&name_in(token)) => Err(DecodeError::InvalidPayload),
        Some(b'"' | b'-' | b'0'..=b'9') => Ok(()),
        _ => Err(DecodeError::InvalidPayload),
    }
}
