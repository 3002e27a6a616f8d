//! Placeholders of attachments in JSON text.

use bytes::Bytes;

use super::write_buffer;

/// How every client begins a placeholder; its number and a brace follow.
const START: &[u8] = br#"{"_placeholder":true,"num":"#;

/// Appends `{"_placeholder":true,"num":N}`.
pub(crate) fn write_placeholder(out: &mut Vec<u8>, num: usize) {
    out.extend_from_slice(START);
    out.extend_from_slice(itoa::Buffer::new().format(num).as_bytes());
    out.push(b'}');
}

/// Whether all placeholders in this valid JSON text are written as every client writes them, and
/// name one of `count` attachments. If not, nothing is said: there are other ways to write one.
pub(crate) fn all_plain(text: &str, count: usize) -> bool {
    let bytes = text.as_bytes();
    // Without escapes, quotes are only where strings begin and end, and names are what they read.
    memchr::memchr(b'\\', bytes).is_none()
        && memchr::memchr_iter(b'_', bytes).all(|at| {
            !bytes[at..].starts_with(b"_placeholder") || is_plain(&bytes[..at], &bytes[at..], count)
        })
}

fn is_plain(before: &[u8], name: &[u8], count: usize) -> bool {
    let rest = name.strip_prefix(&START[2..]);
    before.ends_with(&START[..2]) && rest.and_then(number).is_some_and(|(num, _)| num < count)
}

/// The number at the start and how many bytes it and its brace have.
fn number(rest: &[u8]) -> Option<(usize, usize)> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    let num = digits.clone().try_fold(0_usize, |num, digit| {
        num.checked_mul(10)?.checked_add(usize::from(digit - b'0'))
    })?;
    let digits = digits.count();
    (rest.get(digits) == Some(&b'}')).then_some((num, digits + 1))
}

/// The number of the plain placeholder that starts at `at`, and where it ends.
pub(crate) fn plain_at(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let (num, len) = number(text.get(at..)?.strip_prefix(START)?)?;
    Some((num, at + START.len() + len))
}

/// Appends text whose placeholders are [all plain](all_plain), with what `JSON.stringify` makes of a
/// `Buffer` in the place of each.
pub(crate) fn write_buffers(out: &mut Vec<u8>, text: &[u8], attachments: &[Bytes]) {
    let mut from = 0;
    for at in memchr::memmem::find_iter(text, START) {
        let found = plain_at(text, at)
            .and_then(|(num, end)| attachments.get(num).map(|bytes| (bytes, end)));
        if let Some((bytes, end)) = found {
            out.extend_from_slice(&text[from..at]);
            write_buffer(out, bytes);
            from = end;
        }
    }
    out.extend_from_slice(&text[from..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_clients_write_is_plain() {
        for text in [
            "[]",
            r#"["a_b","_"]"#,
            r#"["e",{"_placeholder":true,"num":0}]"#,
            r#"["e",[{"_placeholder":true,"num":1}],{"a":{"_placeholder":true,"num":0}}]"#,
        ] {
            assert!(all_plain(text, 2), "{text}");
        }
        for text in [
            r#"["e",{"_placeholder":true,"num":2}]"#,
            r#"["e",{"_placeholder":true,"num":99999999999999999999}]"#,
            r#"["e",{"_placeholder":true,"num":0,"more":1}]"#,
            r#"["e",{"_placeholder":true,"num":0.5}]"#,
            r#"["e",{"_placeholder":true,"num":-1}]"#,
            r#"["e",{"_placeholder":false,"num":0}]"#,
            r#"["e",{"_placeholder": true,"num":0}]"#,
            r#"["e",{"num":0,"_placeholder":true}]"#,
            r#"["e",{"a":1,"_placeholder":true,"num":0}]"#,
            r#"["e","_placeholder"]"#,
            r#"["\n",{"_placeholder":true,"num":0}]"#,
            r#"["e",{"\u005fplaceholder":true,"num":7}]"#,
        ] {
            assert!(!all_plain(text, 2), "{text}");
        }
    }
}
