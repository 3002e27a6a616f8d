//! Placeholders of attachments in JSON text.

/// Appends `{"_placeholder":true,"num":N}`.
pub(crate) fn write_placeholder(out: &mut Vec<u8>, num: usize) {
    out.extend_from_slice(br#"{"_placeholder":true,"num":"#);
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
    let Some(rest) = name.strip_prefix(br#"_placeholder":true,"num":"#) else {
        return false;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    let num = digits.clone().try_fold(0_usize, |num, digit| {
        num.checked_mul(10)?.checked_add(usize::from(digit - b'0'))
    });
    before.ends_with(b"{\"")
        && rest.get(digits.count()) == Some(&b'}')
        && num.is_some_and(|num| num < count)
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
