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

/// Appends `number` in decimal. Each handshake has three, and `write!` takes a while to get going.
pub(crate) fn push_number(buf: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    buf.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 9, 10, 25_000, u64::MAX] {
            let mut buf = Vec::new();
            super::push_number(&mut buf, number);
            assert_eq!(String::from_utf8(buf).unwrap(), number.to_string());
        }
    }

    #[test]
    fn strings_are_escaped_as_javascript_does() {
        let mut buf = Vec::new();
        super::push_string(&mut buf, "a\"\\\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}é\u{1e}/");
        let expected = r#""a\"\\\n\r\t\b\f\u0001\u001f"#.to_owned() + "\u{7f}é\\u001e/\"";
        assert_eq!(String::from_utf8(buf).unwrap(), expected);
    }
}
