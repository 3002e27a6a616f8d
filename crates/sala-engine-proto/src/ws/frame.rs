//! Frame headers, both ways, and control frames.

use super::WsError;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation = 0,
    /// A text message, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// The sender closes.
    Close = 8,
    /// Asks for a pong with the same payload.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    pub(super) const fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// The longest payload of a control frame.
pub(super) const MAX_CONTROL: usize = 125;

/// The longest header that a client sends: two bytes, a 64-bit length, a mask.
pub(super) const MAX_HEADER: usize = 14;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_RSV3: u8 = 0x30;
const MASK: u8 = 0x80;

/// Appends the header of a whole, unmasked message. `rsv1` marks a compressed one.
pub fn header(out: &mut Vec<u8>, opcode: Opcode, payload_len: usize, rsv1: bool) {
    let (bytes, len) = encode_header(opcode, payload_len, rsv1);
    out.extend_from_slice(&bytes[..len]);
}

/// A header, and how many of the bytes it takes.
pub(super) fn encode_header(opcode: Opcode, payload_len: usize, rsv1: bool) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    bytes[0] = FIN | if rsv1 { RSV1 } else { 0 } | opcode as u8;
    match payload_len {
        0..=125 => {
            bytes[1] = payload_len as u8;
            (bytes, 2)
        }
        126..=0xffff => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&(payload_len as u16).to_be_bytes());
            (bytes, 4)
        }
        _ => {
            bytes[1] = 127;
            bytes[2..].copy_from_slice(&(payload_len as u64).to_be_bytes());
            (bytes, 10)
        }
    }
}

/// Appends a close frame: with a code and a reason, or empty without a code. A reason that does not
/// fit (123 bytes) is cut at a character.
pub fn close_frame(out: &mut Vec<u8>, code: Option<u16>, reason: &str) {
    let Some(code) = code else {
        return header(out, Opcode::Close, 0, false);
    };
    let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL - 2)];
    header(out, Opcode::Close, 2 + reason.len(), false);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Appends a ping. Only the first 125 bytes of the payload are sent.
pub fn ping(out: &mut Vec<u8>, payload: &[u8]) {
    control(out, Opcode::Ping, payload);
}

/// Appends a pong with the payload of the ping it answers, which never exceeds 125 bytes.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    control(out, Opcode::Pong, payload);
}

fn control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    let payload = &payload[..payload.len().min(MAX_CONTROL)];
    header(out, opcode, payload.len(), false);
    out.extend_from_slice(payload);
}

/// A header as received from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) fin: bool,
    pub(super) rsv1: bool,
    pub(super) opcode: Opcode,
    pub(super) payload_len: u64,
    pub(super) mask: [u8; 4],
    /// How many bytes the header itself takes.
    pub(super) len: usize,
}

/// What a header must fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// An extension gives RSV1 a meaning.
    pub(super) deflate: bool,
    /// A fragmented message is under way.
    pub(super) inside_message: bool,
    /// How many more payload bytes the message may have.
    pub(super) room: usize,
}

impl Header {
    /// Reads a header from the start of `bytes`; `None` if it is not complete yet. Each rule is
    /// checked as soon as the bytes it needs are there, in the reference's order.
    pub(super) fn parse(bytes: &[u8], expected: Expected) -> Result<Option<Self>, WsError> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & RSV2_RSV3 != 0 {
            return Err(WsError::ReservedBits { first: false });
        }
        let rsv1 = first & RSV1 != 0;
        if rsv1 && !expected.deflate {
            return Err(WsError::ReservedBits { first: true });
        }
        let fin = first & FIN != 0;
        let short_len = second & !MASK;
        let bits = first & 0x0f;
        let opcode = Opcode::from_bits(bits).ok_or(WsError::Opcode(bits))?;
        match opcode {
            Opcode::Continuation if rsv1 => return Err(WsError::ReservedBits { first: true }),
            Opcode::Continuation if !expected.inside_message => return Err(WsError::Opcode(bits)),
            Opcode::Text | Opcode::Binary if expected.inside_message => {
                return Err(WsError::Opcode(bits));
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong => {
                if !fin {
                    return Err(WsError::FragmentedControl);
                }
                if rsv1 {
                    return Err(WsError::ReservedBits { first: true });
                }
                let half_a_code = opcode == Opcode::Close && short_len == 1;
                if usize::from(short_len) > MAX_CONTROL || half_a_code {
                    return Err(WsError::PayloadLength(short_len));
                }
            }
            _ => {}
        }
        if second & MASK == 0 {
            return Err(WsError::Unmasked);
        }

        let Some((payload_len, rest)) = parse_length(short_len, rest)? else {
            return Ok(None);
        };
        if !opcode.is_control() && payload_len > expected.room as u64 {
            return Err(WsError::TooBig);
        }
        let Some(&mask) = rest.first_chunk::<4>() else {
            return Ok(None);
        };
        Ok(Some(Self {
            fin,
            rsv1,
            opcode,
            payload_len,
            mask,
            len: bytes.len() - rest.len() + 4,
        }))
    }
}

/// The length and what follows it; `None` if it is not complete yet.
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, WsError> {
    /// The largest integer that JavaScript counts exactly.
    const MAX_SAFE: u64 = (1 << 53) - 1;

    let (len, rest, shortest) = match short {
        126 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest, 126),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest, 0x1_0000),
            None => return Ok(None),
        },
        short => (u64::from(short), rest, 0),
    };
    if len > MAX_SAFE {
        return Err(WsError::LengthOverflow);
    }
    if len < shortest {
        return Err(WsError::LengthForm);
    }
    Ok(Some((len, rest)))
}

/// Masks or unmasks in place: byte `i` is combined with mask byte `(offset + i) % 4`.
pub(super) fn unmask(data: &mut [u8], mask: [u8; 4], offset: usize) {
    let key: [u8; 8] = std::array::from_fn(|i| mask[(offset + i) % 4]);
    let wide = u64::from_ne_bytes(key);
    let (chunks, rest) = data.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmasking_equals_the_definition_at_every_length_and_offset() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for len in 0..40 {
            for offset in 0..9 {
                let mut data: Vec<u8> = (0..len).collect();
                unmask(&mut data, mask, offset);
                for (i, byte) in data.iter().enumerate() {
                    assert_eq!(*byte, i as u8 ^ mask[(i + offset) % 4]);
                }
            }
        }
    }

    /// I031: the frame holds the code, the reason and nothing else.
    #[test]
    fn a_close_reason_is_cut_at_a_character() {
        let mut out = Vec::new();
        close_frame(&mut out, Some(1000), &"é".repeat(100));
        assert_eq!(out[..4], [0x88, 124, 3, 232]);
        assert_eq!(out.len(), 2 + 124);
        assert!(std::str::from_utf8(&out[4..]).is_ok());

        out.clear();
        close_frame(&mut out, None, "ignored");
        assert_eq!(out, [0x88, 0]);
        out.clear();
        close_frame(&mut out, Some(1009), "");
        assert_eq!(out, [0x88, 2, 3, 0xf1]);
    }

    #[test]
    fn control_frames_never_exceed_their_limit() {
        let mut out = Vec::new();
        pong(&mut out, b"abc");
        assert_eq!(out, [0x8a, 3, b'a', b'b', b'c']);
        out.clear();
        ping(&mut out, &[1; 126]);
        assert_eq!(out[..2], [0x89, 125]);
        assert_eq!(out.len(), 127);
    }

    #[test]
    fn headers_take_the_shortest_form() {
        for (len, bytes) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 255, 255]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            header(&mut out, Opcode::Binary, len, false);
            assert_eq!(out, bytes);
        }
        let mut out = Vec::new();
        header(&mut out, Opcode::Text, 1, true);
        assert_eq!(out, [0xc1, 1]);
    }
}
