//! The session that a request names, found in its first line.

use sala_engine_proto::Query;

/// The longest first line that is looked at: no head may be longer either.
pub(crate) const MAX_LINE: usize = 16 << 10;

/// What the first bytes of a connection tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The first line is not complete.
    Partial,
    /// The id of the session that the request belongs to, as it was sent. None for a handshake, for
    /// any other request, and for what is no HTTP: any worker will know the answer.
    Session(Option<String>),
}

/// Looks at the beginning of a request. Only the query of the first line counts, by the rule by
/// which the worker reads it: the reference looks for `sid=` in the whole head, where a cookie or a
/// referer may have one too.
pub(crate) fn look(input: &[u8]) -> Seen {
    let line = without_empty_lines(input);
    match (line, memchr::memchr(b'\n', line)) {
        ([], _) | ([b'\r'], _) => unfinished(input),
        ([first, ..], _) if !first.is_ascii_uppercase() => Seen::Session(None),
        (_, None) => unfinished(input),
        (_, Some(end)) => Seen::Session(session(&line[..end])),
    }
}

/// Servers skip empty lines before a request: clients of old ended bodies with one.
fn without_empty_lines(mut input: &[u8]) -> &[u8] {
    while let Some(rest) = input
        .strip_prefix(b"\r\n")
        .or_else(|| input.strip_prefix(b"\n"))
    {
        input = rest;
    }
    input
}

fn unfinished(input: &[u8]) -> Seen {
    if input.len() < MAX_LINE {
        Seen::Partial
    } else {
        Seen::Session(None)
    }
}

fn session(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let target = line.split(' ').nth(1)?;
    let target = target.split('#').next()?;
    let (_, query) = target.split_once('?')?;
    Query::parse(query).sid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_in_the_query_and_nowhere_else() {
        let table: &[(&str, Option<&str>)] = &[
            (
                "GET /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1",
                Some("abc"),
            ),
            ("POST /socket.io/?sid=a&sid=b&t=1 HTTP/1.1", Some("b")),
            ("GET /?s%69d=a%62c HTTP/1.0", Some("abc")),
            ("GET /socket.io/?EIO=4&transport=polling HTTP/1.1", None),
            ("GET /socket.io/?sid= HTTP/1.1", None),
            ("GET /sid=abc HTTP/1.1", None),
            ("GET /?a=b#sid=c HTTP/1.1", None),
            ("GET /#?sid=c HTTP/1.1", None),
            ("GET", None),
            ("\u{16}\u{3}\u{1}", None),
        ];
        for (line, expected) in table {
            let head = format!("{line}\r\nCookie: sid=AAAAAAAAAAAAAAAAAAAA\r\n\r\n");
            assert_eq!(
                look(head.as_bytes()),
                Seen::Session(expected.map(str::to_owned))
            );
            let end = line.len() + 2;
            for at in 1..end {
                let partial = look(&head.as_bytes()[..at]);
                let early = !head.as_bytes()[0].is_ascii_uppercase();
                assert_eq!(partial == Seen::Partial, !early, "{line} at {at}");
            }
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_waited_for() {
        let mut line = b"GET /?sid=".to_vec();
        line.resize(MAX_LINE - 1, b'a');
        assert_eq!(look(&line), Seen::Partial);
        line.push(b'a');
        assert_eq!(look(&line), Seen::Session(None));
        assert_eq!(look(&[b'\n'; MAX_LINE]), Seen::Session(None));
    }

    /// Found by the fuzzer: the worker skips empty lines before a request, the primary did not, so that the
    /// request came to a worker that does not know the session.
    #[test]
    fn empty_lines_before_a_request_are_skipped() {
        for before in ["\r\n", "\n", "\n\r\n"] {
            let input = format!("{before}GET /?sid=abc HTTP/1.1\r\n");
            for at in 0..input.len() {
                assert_eq!(look(&input.as_bytes()[..at]), Seen::Partial, "{at}");
            }
            assert_eq!(look(input.as_bytes()), Seen::Session(Some("abc".into())));
        }
        assert_eq!(look(b"\rG"), Seen::Session(None));
    }
}
