//! The head of a request: is it the engine's, is it well-formed, how long is its body?

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, Request, StatusCode, Uri};

/// The longest head, in bytes: Node.js's limit.
pub const MAX_HEAD: usize = 16 << 10;
/// The most header lines: hyper's limit.
const MAX_HEADERS: usize = 100;

/// What the bytes at the beginning of a request are if not a whole head of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHead {
    /// Not yet a whole head.
    Partial,
    /// Nothing for us: another target, another version of HTTP, something unusual or malformed.
    Foreign,
    /// Ours by its path, but its session lives in another process.
    Elsewhere,
    /// Ours, and to be refused; where its body ends is not known.
    Refused(StatusCode),
}

/// A whole head.
#[derive(Debug)]
pub struct Head {
    /// The head as the HTTP libraries of Rust know it.
    pub parts: Parts,
    /// How long it was.
    pub len: usize,
    /// What follows it.
    pub framing: Framing,
    /// The client asks that the connection end after the reply.
    pub close: bool,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`; 0 without a body.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Reads the head that `input` begins with. `owns` tells whether a request target is ours.
///
/// # Errors
///
/// It does not begin with a whole head, or not with one of ours.
pub fn parse(input: &[u8], owns: impl Fn(&str) -> bool) -> Result<Head, NoHead> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let result = request.parse_with_uninit_headers(input, &mut headers);
    match request.path {
        None if result == Ok(httparse::Status::Partial) => return Err(too_long(input)),
        Some(target) if owns(target) => {}
        _ => return Err(NoHead::Foreign),
    }
    match result {
        Ok(httparse::Status::Partial) => Err(too_long(input)),
        Ok(httparse::Status::Complete(len)) if len > MAX_HEAD => Err(too_long(input)),
        Ok(httparse::Status::Complete(len)) if request.version == Some(1) => {
            whole(&request, input, len)
        }
        Err(httparse::Error::TooManyHeaders) => {
            Err(NoHead::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE))
        }
        // Such as HTTP/1.0, or what is no HTTP at all: the other server knows the right answer.
        _ => Err(NoHead::Foreign),
    }
}

/// Whether a head may end within `input`, given that none ended before `from`.
pub fn may_end(input: &[u8], from: usize) -> bool {
    let from = from.saturating_sub(3);
    memchr::memchr_iter(b'\n', &input[from..]).any(|at| {
        let rest = &input[from + at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}

fn too_long(input: &[u8]) -> NoHead {
    if input.len() > MAX_HEAD {
        NoHead::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else {
        NoHead::Partial
    }
}

fn whole(request: &httparse::Request<'_, '_>, input: &[u8], len: usize) -> Result<Head, NoHead> {
    let (mut parts, ()) = Request::new(()).into_parts();
    // One copy that all values share.
    let block = Bytes::copy_from_slice(&input[..len]);
    let shared = |part: &[u8]| block.slice(place(part, input));
    let target = request.path.unwrap_or_default();
    let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes());
    let uri = Uri::from_maybe_shared(shared(target.as_bytes()));
    let (Ok(method), Ok(uri)) = (method, uri) else {
        return Err(NoHead::Foreign);
    };
    parts.method = method;
    parts.uri = uri;
    parts.headers = HeaderMap::with_capacity(request.headers.len());
    for header in request.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(shared(header.value));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(NoHead::Foreign);
        };
        parts.headers.append(name, value);
    }
    let framing = framing(&parts.headers);
    let unusual_upgrade =
        parts.headers.contains_key(UPGRADE) && framing != Some(Framing::Length(0));
    if unusual_upgrade || parts.headers.contains_key(EXPECT) {
        return Err(NoHead::Foreign);
    }
    match framing {
        Some(framing) if has_good_host(&parts.headers) => Ok(Head {
            framing,
            close: has_close(&parts.headers),
            parts,
            len,
        }),
        _ => Err(NoHead::Refused(StatusCode::BAD_REQUEST)),
    }
}

/// Where `part` lies within `input`, of which it is a part.
fn place(part: &[u8], input: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - input.as_ptr().addr();
    start..start + part.len()
}

/// None if two servers could disagree on where the body ends.
fn framing(headers: &HeaderMap) -> Option<Framing> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (lengths.next(), codings.next()) {
        (None, None) => Some(Framing::Length(0)),
        (Some(length), None) if lengths.all(|other| other == length) => {
            let digits = length.as_bytes();
            // `parse` would take a sign.
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            Some(Framing::Length(length.to_str().ok()?.parse().ok()?))
        }
        (None, Some(coding)) if codings.next().is_none() => coding
            .as_bytes()
            .eq_ignore_ascii_case(b"chunked")
            .then_some(Framing::Chunked),
        _ => None,
    }
}

/// HTTP/1.1 demands one `Host`, which may be empty.
fn has_good_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let is_allowed =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(byte);
    host.as_bytes().iter().all(is_allowed)
}

/// Whether a message says that the connection ends after it.
pub(crate) fn has_close(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn parsed(input: &str) -> Result<Head, NoHead> {
        parse(input.as_bytes(), |target| target.starts_with("/e/"))
    }

    fn head(lines: &str) -> String {
        format!("POST /e/?x=1 HTTP/1.1\r\nHost: localhost:1\r\n{lines}\r\n")
    }

    #[track_caller]
    fn whole(input: &str) -> Head {
        parsed(input).unwrap()
    }

    #[test]
    fn a_head_becomes_what_hyper_would_make_of_it() {
        let text = head("X-One: a\r\nx-one:  b \r\nCookie: \u{e9}\r\n");
        let head = whole(&format!("{text}body"));
        assert_eq!(head.len, text.len());
        assert_eq!(head.parts.method, Method::POST);
        assert_eq!(head.parts.uri, "/e/?x=1");
        assert_eq!(head.parts.version, http::Version::HTTP_11);
        let values: Vec<_> = head.parts.headers.get_all("x-one").iter().collect();
        assert_eq!(values, ["a", "b"]);
        assert_eq!(head.parts.headers["cookie"].as_bytes(), "\u{e9}".as_bytes());
        assert!(!head.close);
        assert!(whole(&self::head("Connection: Keep-Alive, CLOSE\r\n")).close);
    }

    #[test]
    fn a_head_is_partial_until_its_last_byte_and_its_end_is_seen() {
        let text = head("A: b\r\n");
        for at in 0..text.len() {
            assert!(matches!(parsed(&text[..at]), Err(NoHead::Partial)), "{at}");
            for from in 0..=at {
                assert!(!may_end(&text.as_bytes()[..at], from));
            }
            assert!(may_end(text.as_bytes(), at));
        }
    }

    #[test]
    fn the_end_of_a_body_is_certain_or_the_request_is_refused() {
        let good = [
            ("", Framing::Length(0)),
            ("Content-Length: 0\r\n", Framing::Length(0)),
            ("Content-Length: 012\r\n", Framing::Length(12)),
            (
                "Content-Length: 7\r\nContent-Length: 7\r\n",
                Framing::Length(7),
            ),
            ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
            ("transfer-encoding: Chunked\r\n", Framing::Chunked),
        ];
        for (lines, framing) in good {
            assert_eq!(whole(&head(lines)).framing, framing, "{lines}");
        }
        for lines in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length: 1 1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: \u{b}chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding:\r\n",
        ] {
            let result = parsed(&head(lines));
            // What is no header at all is refused by the other server.
            let refused = matches!(
                result,
                Err(NoHead::Refused(StatusCode::BAD_REQUEST)) | Err(NoHead::Foreign)
            );
            assert!(refused, "{lines}: {result:?}");
        }
    }

    #[test]
    fn there_is_one_good_host() {
        for lines in [
            "",
            "Host: a\r\nHost: a\r\n",
            "Host: a b\r\n",
            "Host: a/b\r\n",
            "Host: a@b\r\n",
            "Host: a\\b\r\n",
        ] {
            let result = parsed(&format!("GET /e/ HTTP/1.1\r\n{lines}\r\n"));
            assert!(
                matches!(result, Err(NoHead::Refused(_))),
                "{lines}: {result:?}"
            );
        }
        for host in ["", "a", "[::1]:80", "x.example:65535", "%41"] {
            let text = format!("GET /e/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert!(parsed(&text).is_ok(), "{host}");
        }
    }

    #[test]
    fn what_is_unusual_goes_elsewhere_as_soon_as_it_shows() {
        for text in [
            "GET / ",
            "GET /e ",
            "GET http://x/e/ ",
            "OPTIONS * ",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET /e/ HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET /e/ HTTP/1.2\r\n",
            "GET /e/ HTTP/1.1\r\nHost: a\r\n b\r\n",
            "GET /e/ HTTP/1.1\r\nHost : a\r\n",
            "GET /e/ HTTP/1.1\r\nHost: a\0\r\n",
            "GET /e/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            "\u{16}\u{3}\u{1}\0",
        ] {
            assert!(matches!(parsed(text), Err(NoHead::Foreign)), "{text:?}");
        }
    }

    #[test]
    fn heads_are_bounded_in_bytes_and_lines() {
        let line = |len| format!("A: {}\r\n", "x".repeat(len));
        let fixed = head(&line(0)).len();
        whole(&head(&line(MAX_HEAD - fixed)));
        let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let refused = |text: &str| matches!(parsed(text), Err(NoHead::Refused(status)) if status == too_large);
        let long = head(&line(MAX_HEAD - fixed + 1));
        assert!(refused(&long));
        assert!(refused(&long[..MAX_HEAD + 1]));
        whole(&head(&line(1).repeat(MAX_HEADERS - 1)));
        assert!(refused(&head(&line(1).repeat(MAX_HEADERS))));
        assert!(refused(&"G".repeat(MAX_HEAD + 1)));
    }
}
