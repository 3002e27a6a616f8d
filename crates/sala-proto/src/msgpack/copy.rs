//! MessagePack of one dialect into that of another.

use super::date::{write_old_date, write_timestamp};
use super::form::write_bin;
use super::read::{Cursor, Dialect, Token};

/// Appends values that were checked. All but extensions is copied as it is.
pub(crate) fn copy_values(out: &mut Vec<u8>, bytes: &[u8], from: Dialect, to: Dialect) {
    if from == to {
        out.extend_from_slice(bytes);
        return;
    }
    let mut cursor = Cursor::new(bytes);
    let mut copied = 0;
    loop {
        let at = cursor.at;
        let Ok(token) = cursor.token() else { break };
        if is_extension(bytes[at]) {
            out.extend_from_slice(&bytes[copied..at]);
            let original = &bytes[at..cursor.at];
            write_extension(out, original, token.of(from, bytes), bytes, to);
            copied = cursor.at;
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}

fn is_extension(marker: u8) -> bool {
    matches!(marker, 0xc7..=0xc9 | 0xd4..=0xd8)
}

fn write_extension(out: &mut Vec<u8>, original: &[u8], token: Token, bytes: &[u8], to: Dialect) {
    match (token, to) {
        (Token::Date(millis), Dialect::Server) => write_timestamp(out, millis),
        (Token::Date(millis), Dialect::Client) => write_old_date(out, millis),
        (Token::Undefined, Dialect::Server) => out.push(0xc0),
        (Token::Bin(start, end), Dialect::Server) => write_bin(out, &bytes[start..end]),
        // What only clients tell apart, and what nobody knows.
        _ => out.extend_from_slice(original),
    }
}
