//! Bodies of revision 3.
//!
//! As text: `<length>:<packet>` again and again, the length in UTF-16 code units. As bytes: 0 for
//! text or 1 for binary, the length in bytes as decimal digits (one byte each, of value 0 to 9),
//! 255, the packet.

use super::{Body, as_text};
use crate::{Frame, Packet, ParseError, Revision, Wire};

/// The longest length that the reference reads, in digits.
const MAX_DIGITS: usize = 310;

/// Takes the next packet off a text body: the packet and what follows it. `None`: there is none.
pub(super) fn next_text(body: &str) -> Result<Option<(Packet<'_>, &str)>, ParseError> {
    let mut rest = body;
    loop {
        let colon = memchr::memchr(b':', rest.as_bytes()).ok_or(ParseError)?;
        let len = parse_length(
            rest.as_bytes()[..colon]
                .iter()
                .map(|b| b.wrapping_sub(b'0')),
        )?;
        let (text, after) = split_utf16(&rest[colon + 1..], len).ok_or(ParseError)?;
        if len > 0 {
            return Ok(Some((Packet::decode_text(text, Revision::V3)?, after)));
        }
        if after.is_empty() {
            return Ok(None);
        }
        rest = after;
    }
}

/// Takes the next packet off a binary body, as [`next_text`].
pub(super) fn next_binary(body: &[u8]) -> Result<Option<(Packet<'_>, &[u8])>, ParseError> {
    let Some((&kind, rest)) = body.split_first() else {
        return Ok(None);
    };
    let head = &rest[..rest.len().min(MAX_DIGITS + 1)];
    let end = memchr::memchr(255, head).ok_or(ParseError)?;
    let len = parse_length(rest[..end].iter().copied())?;
    let (data, after) = rest[end + 1..].split_at_checked(len).ok_or(ParseError)?;
    let packet = match kind {
        0 => {
            let text = simdutf8::basic::from_utf8(data).map_err(|_| ParseError)?;
            Packet::decode_text(text, Revision::V3)?
        }
        _ => Packet::decode_binary(data, Revision::V3)?,
    };
    Ok(Some((packet, after)))
}

/// A number from its decimal digits, each 0 to 9; at least one.
fn parse_length(digits: impl ExactSizeIterator<Item = u8>) -> Result<usize, ParseError> {
    if digits.len() == 0 {
        return Err(ParseError);
    }
    digits
        .into_iter()
        .try_fold(0_usize, |n, digit| {
            let digit = Some(usize::from(digit)).filter(|digit| *digit <= 9)?;
            n.checked_mul(10)?.checked_add(digit)
        })
        .ok_or(ParseError)
}

/// Splits after `units` UTF-16 code units. `None` if the text is shorter, or if the cut would fall
/// between the two halves of a character: what JavaScript would cut there is no text.
fn split_utf16(text: &str, units: usize) -> Option<(&str, &str)> {
    // Every unit takes at least one byte, so this much text is enough to look at.
    let bytes = text.as_bytes();
    let ahead = &bytes[..units.min(bytes.len())];
    let ascii = if ahead.is_ascii() {
        ahead.len()
    } else {
        ahead.iter().take_while(|byte| byte.is_ascii()).count()
    };
    let mut left = units - ascii;
    let mut at = ascii;
    for character in text[ascii..].chars() {
        if left == 0 {
            break;
        }
        left = left.checked_sub(character.len_utf16())?;
        at += character.len_utf8();
    }
    (left == 0).then(|| text.split_at(at))
}

/// The number of UTF-16 code units of UTF-8 text.
fn utf16_len(text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    // One for each byte that starts a character, and a second one for each that starts four bytes.
    text.iter()
        .map(|&b| usize::from(b & 0xc0 != 0x80) + usize::from(b >= 0xf0))
        .sum()
}

pub(super) fn encode<'f>(
    frames: impl Iterator<Item = &'f Frame> + Clone,
    base64_only: bool,
) -> Body {
    let mut parts = frames.clone().flat_map(Frame::parts);
    let binary = !base64_only && parts.any(Wire::is_binary);
    let parts = frames.flat_map(Frame::parts);
    if binary {
        Body {
            bytes: encode_binary(parts),
            binary: true,
        }
    } else {
        Body {
            bytes: encode_text(parts),
            binary: false,
        }
    }
}

fn encode_text<'f>(parts: impl Iterator<Item = &'f Wire>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        let text = as_text(part);
        if part.is_binary() {
            // The cached text is `b` and base64; revision 3 wants the type in between.
            push_decimal(&mut bytes, text.len() + 1, b'0');
            bytes.extend_from_slice(b":b4");
            bytes.extend_from_slice(&text[1..]);
        } else {
            push_decimal(&mut bytes, utf16_len(text), b'0');
            bytes.push(b':');
            bytes.extend_from_slice(text);
        }
    }
    if bytes.is_empty() {
        bytes.extend_from_slice(b"0:");
    }
    bytes
}

fn encode_binary<'f>(parts: impl Iterator<Item = &'f Wire>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        let payload = part.payload();
        if part.is_binary() {
            bytes.push(1);
            push_decimal(&mut bytes, payload.len() + 1, 0);
            bytes.extend_from_slice(&[255, 4]);
        } else {
            bytes.push(0);
            push_decimal(&mut bytes, payload.len(), 0);
            bytes.push(255);
        }
        bytes.extend_from_slice(payload);
    }
    bytes
}

/// Appends the decimal digits of `n`, counted from `zero`.
fn push_decimal(bytes: &mut Vec<u8>, mut n: usize, zero: u8) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = zero + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    bytes.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_utf16_units() {
        assert_eq!(utf16_len("4hé€😀".as_bytes()), 6);
        assert_eq!(split_utf16("hé€😀x", 5), Some(("hé€😀", "x")));
        assert_eq!(split_utf16("hé€😀x", 4), None, "half of a character");
        assert_eq!(split_utf16("abc", 4), None);
        assert_eq!(split_utf16("abc", 3), Some(("abc", "")));
        assert_eq!(split_utf16("", 0), Some(("", "")));
        assert_eq!(split_utf16("é", usize::MAX), None);
    }

    #[test]
    fn decimals_are_exact() {
        for n in [0, 9, 10, 255, 99_999, usize::MAX] {
            let mut bytes = Vec::new();
            push_decimal(&mut bytes, n, b'0');
            assert_eq!(String::from_utf8(bytes).unwrap(), n.to_string());
        }
    }
}
