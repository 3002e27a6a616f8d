//! Writing JSON text: the few strings and numbers this crate needs.

/// Appends `text` as a JSON string, escaped as `JSON.stringify` escapes it.
pub(crate) fn push_string(buf: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    buf.push(b'"');
    if text.bytes().all(is_plain) {
        buf.extend_from_slice(text.as_bytes());
        buf.push(b'"');
        return;
    }
    for &byte in text.as_bytes() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0x00..0x20 => {
                buf.extend_from_slice(b"\\u00");
                buf.push(HEX[usize::from(byte >> 4)]);
                buf.push(HEX[usize::from(byte & 15)]);
                continue;
            }
            _ => {
                buf.push(byte);
                continue;
            }
        };
        buf.push(b'\\');
        buf.push(short);
    }
    buf.push(b'"');
}

/// Appends `number` in decimal.
pub(crate) fn push_number(buf: &mut Vec<u8>, number: u64) {
    buf.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    #[test]
    fn strings_are_escaped_as_javascript_does() {
        let mut buf = Vec::new();
        super::push_string(&mut buf, "a\"\\\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}é\u{1e}/");
        let expected = r#""a\"\\\n\r\t\b\f\u0001\u001f"#.to_owned() + "\u{7f}é\\u001e/\"";
        assert_eq!(String::from_utf8(buf).unwrap(), expected);
    }
}
