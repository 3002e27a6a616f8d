//! One packet: its type and what it carries.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::Revision;

/// What a packet is for. The number is its digit on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// The server's answer to the handshake: session id and timings.
    Open = 0,
    /// The sender closes the session.
    Close = 1,
    /// Half of the heartbeat, and the probe of an upgrade.
    Ping = 2,
    /// The answer to a ping.
    Pong = 3,
    /// What the application sends.
    Message = 4,
    /// The client commits an upgrade.
    Upgrade = 5,
    /// Nothing: it only ends a pending poll.
    Noop = 6,
}

impl PacketType {
    /// The type of this number, or `None` above 6.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Open,
            1 => Self::Close,
            2 => Self::Ping,
            3 => Self::Pong,
            4 => Self::Message,
            5 => Self::Upgrade,
            6 => Self::Noop,
            _ => return None,
        })
    }

    /// The type of an ASCII digit, or `None` if it is not one of `0` to `6`.
    #[must_use]
    pub const fn from_digit(digit: u8) -> Option<Self> {
        match digit.checked_sub(b'0') {
            Some(number) => Self::from_number(number),
            None => None,
        }
    }

    /// The ASCII digit that starts a text packet of this type.
    #[must_use]
    pub const fn digit(self) -> u8 {
        b'0' + self as u8
    }
}

/// One decoded packet. It borrows from the bytes it was decoded from wherever it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The type.
    pub kind: PacketType,
    /// What follows the type; empty text if nothing does.
    pub data: Data<'a>,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// Text, without the type digit.
    Text(&'a str),
    /// Bytes. Owned if they came as base64.
    Binary(Cow<'a, [u8]>),
}

/// The peer sent something that is no packet. The session ends with the reason `parse error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError;

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parser error")
    }
}

impl std::error::Error for ParseError {}

impl<'a> Packet<'a> {
    /// Decodes a text packet: one WebSocket text message, or one packet of a polling body.
    ///
    /// Besides the type digits, `b` starts bytes in base64: a message in revision 4 (`bAQID`), a
    /// packet of the type that follows in revision 3 (`b4AQID`). The base64 is read as Node.js
    /// reads it: both alphabets, with or without padding, other characters skipped.
    ///
    /// # Errors
    ///
    /// If the text is empty or starts with anything else.
    ///
    /// ```
    /// use sala_engine_proto::{Data, Packet, PacketType, Revision};
    ///
    /// let packet = Packet::decode_text("4hello", Revision::V4)?;
    /// assert_eq!(packet.kind, PacketType::Message);
    /// assert_eq!(packet.data, Data::Text("hello"));
    /// # Ok::<(), sala_engine_proto::ParseError>(())
    /// ```
    pub fn decode_text(text: &'a str, revision: Revision) -> Result<Self, ParseError> {
        match text.as_bytes() {
            [b'b', encoded @ ..] if revision == Revision::V4 => Ok(Self {
                kind: PacketType::Message,
                data: Data::Binary(Cow::Owned(decode_base64(encoded))),
            }),
            [b'b', digit, encoded @ ..] => Ok(Self {
                kind: PacketType::from_digit(*digit).ok_or(ParseError)?,
                data: Data::Binary(Cow::Owned(decode_base64(encoded))),
            }),
            [digit, ..] => Ok(Self {
                kind: PacketType::from_digit(*digit).ok_or(ParseError)?,
                // The first character is an ASCII digit, so the cut is at a character boundary.
                data: Data::Text(&text[1..]),
            }),
            [] => Err(ParseError),
        }
    }

    /// Decodes a binary packet: one WebSocket binary message, or one binary entry of a revision 3
    /// payload. In revision 4 all of it is a message; in revision 3 the first byte is the type.
    ///
    /// # Errors
    ///
    /// In revision 3, if there is no first byte or it is above 6.
    pub fn decode_binary(bytes: &'a [u8], revision: Revision) -> Result<Self, ParseError> {
        let (kind, data) = match revision {
            Revision::V4 => (PacketType::Message, bytes),
            Revision::V3 => {
                let (number, data) = bytes.split_first().ok_or(ParseError)?;
                (PacketType::from_number(*number).ok_or(ParseError)?, data)
            }
        };
        Ok(Self {
            kind,
            data: Data::Binary(Cow::Borrowed(data)),
        })
    }
}

/// Well-formed base64, as every client sends it.
const WELL_FORMED: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes base64 as Node.js does, which never fails.
fn decode_base64(encoded: &[u8]) -> Vec<u8> {
    WELL_FORMED
        .decode(encoded)
        .unwrap_or_else(|_| decode_base64_leniently(encoded))
}

/// Skips what is in neither alphabet, stops at the first padding character, drops the bits that
/// do not fill a byte.
fn decode_base64_leniently(encoded: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(encoded.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for &character in encoded {
        let six = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => continue,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_node_reads_it() {
        // The right column is what `Buffer.from(text, "base64")` gives.
        let rows: &[(&str, &[u8])] = &[
            ("", b""),
            ("####", b""),
            ("=bad=bad", b""),
            ("YQ==YQ==", b"a"),
            ("YWJj=ZGVm", b"abc"),
            ("YQ", b"a"),
            ("YQ=", b"a"),
            ("YQ===", b"a"),
            ("Y", b""),
            ("YW Jj", b"abc"),
            ("YW\nJj", b"abc"),
            ("-_-_", &[251, 255, 191]),
            ("+/-_", &[251, 255, 191]),
            ("YWJjZ", b"abc"),
            ("YWJjZA", b"abcd"),
            ("YWJjZGU", b"abcde"),
            ("YW\u{e9}Jj", b"abc"),
            ("YQ==!!", b"a"),
            ("=YQ==", b""),
            ("YWJj====", b"abc"),
            ("YW=Jj", b"a"),
            ("Y=WJj", b""),
            ("YWJjYQ==YWJj", b"abca"),
            ("YR==", b"a"),
            ("YWK=", b"ab"),
            ("\u{20ac}YWJj", b"abc"),
        ];
        for (text, bytes) in rows {
            let packet = format!("b{text}");
            let packet = Packet::decode_text(&packet, Revision::V4).unwrap();
            assert_eq!(packet.kind, PacketType::Message);
            assert_eq!(packet.data, Data::Binary(Cow::Borrowed(bytes)), "{text}");
            assert_eq!(decode_base64_leniently(text.as_bytes()), *bytes, "{text}");
        }
    }

    #[test]
    fn what_starts_with_no_type_is_an_error_and_never_a_panic() {
        for text in [
            "", "7", "9", "a", "/", ":", "é4", "😀", "\u{0}", " 4", "\u{1e}", "B",
        ] {
            for revision in [Revision::V3, Revision::V4] {
                assert_eq!(
                    Packet::decode_text(text, revision),
                    Err(ParseError),
                    "{text}"
                );
            }
        }
        for text in ["b", "b7", "bé", "b€AQ", "bb4"] {
            assert_eq!(Packet::decode_text(text, Revision::V3), Err(ParseError));
        }
        for bytes in [&[][..], b"4", &[7], &[255, 1]] {
            assert_eq!(Packet::decode_binary(bytes, Revision::V3), Err(ParseError));
        }
    }

    #[test]
    fn every_digit_is_a_type() {
        for digit in b'0'..=b'6' {
            let kind = PacketType::from_digit(digit).unwrap();
            assert_eq!(kind.digit(), digit);
            let text = format!("{}é", char::from(digit));
            let packet = Packet::decode_text(&text, Revision::V4).unwrap();
            assert_eq!(
                packet,
                Packet {
                    kind,
                    data: Data::Text("é")
                }
            );
        }
        assert_eq!(PacketType::from_digit(b'7'), None);
        assert_eq!(PacketType::from_digit(0), None);
        assert_eq!(PacketType::from_digit(255), None);
    }

    #[test]
    fn a_binary_frame_is_a_message_in_revision_4_and_typed_in_revision_3() {
        let packet = Packet::decode_binary(&[4, 1, 2], Revision::V4).unwrap();
        assert_eq!(packet.data, Data::Binary(Cow::Borrowed(&[4, 1, 2])));
        let packet = Packet::decode_binary(&[4, 1, 2], Revision::V3).unwrap();
        assert_eq!(packet.data, Data::Binary(Cow::Borrowed(&[1, 2])));
        let packet = Packet::decode_binary(&[2], Revision::V3).unwrap();
        assert_eq!(packet.kind, PacketType::Ping);
        let packet = Packet::decode_binary(&[], Revision::V4).unwrap();
        assert_eq!(packet.data, Data::Binary(Cow::Borrowed(&[])));
    }
}
