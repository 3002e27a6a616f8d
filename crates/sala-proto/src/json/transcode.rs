//! JSON text into MessagePack, without a tree. No recursion.

use bytes::Bytes;

use super::scan::{skip_number, skip_space, skip_string};
use super::{plain_at, read_number, read_string};
use crate::DecodeError;
use crate::msgpack::{Growing, Kind, write_bin, write_number, write_str};

/// Appends the values in `text`, separated by commas, which were scanned before. Placeholders, if
/// there are attachments, must be [all plain](super::all_plain).
pub(crate) fn write_msgpack(
    out: &mut Vec<u8>,
    text: &str,
    attachments: &[Bytes],
) -> Result<(), DecodeError> {
    let mut growing = Growing::new(out);
    let bytes = text.as_bytes();
    let mut at = skip_space(bytes, 0);
    while at < bytes.len() {
        at = match bytes[at] {
            b',' => at + 1,
            b'"' => {
                let end = skip_string(bytes, at).ok_or(DecodeError::InvalidPayload)?;
                let next = skip_space(bytes, end);
                if growing.is_map() && bytes.get(next) == Some(&b':') {
                    write_text(growing.key(), &text[at..end]);
                    next + 1
                } else {
                    write_text(growing.item(), &text[at..end]);
                    next
                }
            }
            b'{' => match plain_at(bytes, at).filter(|(num, _)| *num < attachments.len()) {
                Some((num, end)) => {
                    write_bin(growing.item(), &attachments[num]);
                    end
                }
                None => {
                    growing.open(Kind::Map);
                    at + 1
                }
            },
            b'[' => {
                growing.open(Kind::List);
                at + 1
            }
            b'}' | b']' => {
                growing.close();
                at + 1
            }
            b't' => literal(growing.item(), 0xc3, at + 4),
            b'f' => literal(growing.item(), 0xc2, at + 5),
            b'n' => literal(growing.item(), 0xc0, at + 4),
            _ => {
                let end = skip_number(bytes, at).ok_or(DecodeError::InvalidPayload)?;
                write_number(growing.item(), read_number(&text[at..end]));
                end
            }
        };
        at = skip_space(bytes, at);
    }
    growing.finish();
    Ok(())
}

fn literal(out: &mut Vec<u8>, marker: u8, end: usize) -> usize {
    out.push(marker);
    end
}

fn write_text(out: &mut Vec<u8>, quoted: &str) {
    let inner = &quoted[1..quoted.len() - 1];
    match memchr::memchr(b'\\', inner.as_bytes()) {
        None => write_str(out, inner),
        Some(_) => write_str(out, &read_string(quoted)),
    }
}
