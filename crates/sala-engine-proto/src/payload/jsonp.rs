//! JSONP polling: bodies as JavaScript calls and as form fields.

use crate::json;

/// A text body as a script: `___eio[12]("…");`.
///
/// `index` is the `j` of the handshake; only its digits are used, so that no script can be
/// smuggled in. U+2028 and U+2029, which older JavaScript takes for line ends, are escaped.
#[must_use]
pub fn jsonp(index: &str, body: &str) -> String {
    let mut script = Vec::with_capacity(body.len() + body.len() / 8 + 24);
    script.extend_from_slice(b"___eio[");
    script.extend(index.bytes().filter(u8::is_ascii_digit));
    script.extend_from_slice(b"](");
    let start = script.len();
    json::push_string(&mut script, body);
    script.extend_from_slice(b");");
    let script = String::from_utf8(script).expect("made of UTF-8 text");
    if script[start..].contains(['\u{2028}', '\u{2029}']) {
        return script
            .replace('\u{2028}', "\\u2028")
            .replace('\u{2029}', "\\u2029");
    }
    script
}

/// The body inside a JSONP POST: the form field `d`. `None` if there is none, or more than one;
/// the reference then ignores the request and answers `ok`.
///
/// Old browsers change newlines in forms, so clients write a newline as `\n` (backslash, n), and
/// these two characters themselves as `\\n`; both are undone here.
#[must_use]
pub fn jsonp_post(form_body: &[u8]) -> Option<String> {
    let mut fields = form_urlencoded::parse(form_body).filter(|(key, _)| key == "d");
    let (_, data) = fields.next()?;
    if fields.next().is_some() {
        return None;
    }
    Some(restore_newlines(&data))
}

/// Replaces `\n` by a newline where one backslash stands before the n, and drops one backslash
/// where there are more.
fn restore_newlines(data: &str) -> String {
    let mut restored = String::with_capacity(data.len());
    let mut rest = data;
    while let Some(at) = rest.find("\\n") {
        let before = &rest[..at];
        if before.ends_with('\\') {
            // The backslash before is already in place; this one is dropped.
            restored.push_str(before);
            restored.push('n');
        } else {
            restored.push_str(before);
            restored.push('\n');
        }
        rest = &rest[at + 2..];
    }
    restored.push_str(rest);
    restored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_of_the_index_survive() {
        assert_eq!(jsonp("12ab", "0{\"a\"}"), "___eio[12](\"0{\\\"a\\\"}\");");
        assert_eq!(jsonp("](alert(1))//", "6"), "___eio[1](\"6\");");
        assert_eq!(jsonp("", "6"), "___eio[](\"6\");");
        assert_eq!(jsonp("٣", "6"), "___eio[](\"6\");");
    }

    #[test]
    fn line_separators_of_javascript_are_escaped() {
        assert_eq!(
            jsonp("0", "4a\u{2028}b\u{2029}\n\u{1e}é"),
            "___eio[0](\"4a\\u2028b\\u2029\\n\\u001eé\");"
        );
    }

    #[test]
    fn newlines_are_restored_as_the_reference_does() {
        let rows = [
            ("4hello", "4hello"),
            (r"4a\nb", "4a\nb"),
            (r"4a\\nb", r"4a\nb"),
            (r"4a\\\nb", r"4a\\nb"),
            (r"\n\n\\n", "\n\n\\n"),
            (r"\\", r"\\"),
            (r"\", r"\"),
            (r"n\", r"n\"),
            (r"\\n\n", "\\n\n"),
            ("", ""),
        ];
        for (sent, body) in rows {
            assert_eq!(restore_newlines(sent), body, "{sent}");
        }
    }

    #[test]
    fn the_field_d_is_found_in_the_form() {
        assert_eq!(jsonp_post(b"d=4hello").as_deref(), Some("4hello"));
        assert_eq!(jsonp_post(b"a=1&d=4a%5Cnb+c&e").as_deref(), Some("4a\nb c"));
        assert_eq!(jsonp_post(b"d=").as_deref(), Some(""));
        assert_eq!(jsonp_post(b"d").as_deref(), Some(""));
        assert_eq!(jsonp_post(b"x=4hello"), None);
        assert_eq!(jsonp_post(b""), None);
        assert_eq!(jsonp_post(b"d=1&d=2"), None);
        assert_eq!(jsonp_post(b"d=%ff").as_deref(), Some("\u{fffd}"));
    }
}
