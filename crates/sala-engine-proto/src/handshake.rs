//! The handshake: what a request asks for, what it is refused with, what it is answered.

use std::borrow::Cow;
use std::fmt;

use crate::{Revision, Transport, json};

/// The query string of a request, decoded.
///
/// Of a key that is given more than once the last value counts, as in the reference.
///
/// ```
/// use sala_engine_proto::{Query, Revision};
///
/// let query = Query::parse("EIO=3&EIO=4&transport=polling&token=a%20b");
/// assert_eq!(query.eio, Revision::V4);
/// assert_eq!(query.transport.as_deref(), Some("polling"));
/// assert_eq!(query.sid, None);
/// assert!(query.iter().any(|(key, value)| key == "token" && value == "a b"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    raw: String,
    /// `EIO`: revision 4 if it is exactly `4`; everything else, and nothing, is revision 3.
    pub eio: Revision,
    /// `transport`, as it was sent. Only [`Transport::name`]s mean something.
    pub transport: Option<String>,
    /// `sid`: the session this request belongs to. An empty value counts as none.
    pub sid: Option<String>,
    /// `j`: the callback index of JSONP polling, as it was sent; it may be empty.
    pub j: Option<String>,
    /// `b64`: the client cannot take binary frames. Any value but the empty one counts.
    pub b64: bool,
}

impl Query {
    /// Decodes a query string, without its `?`. Nothing is an error: percent signs that encode
    /// nothing stay as they are, bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn parse(raw_query: &str) -> Self {
        let mut query = Self {
            raw: raw_query.to_owned(),
            eio: Revision::V3,
            transport: None,
            sid: None,
            j: None,
            b64: false,
        };
        for (key, value) in pairs(raw_query) {
            match key.as_ref() {
                "EIO" => {
                    query.eio = if value == "4" {
                        Revision::V4
                    } else {
                        Revision::V3
                    }
                }
                "transport" => query.transport = Some(value.into_owned()),
                "sid" => query.sid = Some(value.into_owned()).filter(|sid| !sid.is_empty()),
                "j" => query.j = Some(value.into_owned()),
                "b64" => query.b64 = !value.is_empty(),
                _ => {}
            }
        }
        query
    }

    /// All keys with their values, decoded, in the order in which they were sent. A key that was
    /// sent more than once comes more than once; collecting into a map keeps the last value.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        pairs(&self.raw)
    }

    /// The query string as it was sent.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }
}

/// Keys and values, decoded. The query of most requests has nothing in it that is encoded, and needs
/// only to be split.
fn pairs(raw: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let is_encoded = memchr::memchr2(b'%', b'+', raw.as_bytes()).is_some();
    let (encoded, plain) = if is_encoded { (raw, "") } else { ("", raw) };
    let plain = plain.split('&').filter(|pair| !pair.is_empty());
    form_urlencoded::parse(encoded.as_bytes()).chain(plain.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (Cow::Borrowed(key), Cow::Borrowed(value))
    }))
}

/// Why a request is refused before it reaches a session. `Display` gives the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeError {
    /// The transport is missing, not enabled, or no transport at all (A041).
    UnknownTransport,
    /// No session of this id lives on this server (A042).
    UnknownSid,
    /// A session was asked for by another method than GET (A043).
    BadHandshakeMethod,
    /// The request does not fit the session or makes no sense (A044).
    BadRequest,
    /// The application refused (A045).
    Forbidden,
    /// The revision is not enabled (A047).
    UnsupportedProtocolVersion,
}

impl HandshakeError {
    /// The code that clients see: 0 to 5.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSid => 1,
            Self::BadHandshakeMethod => 2,
            Self::BadRequest => 3,
            Self::Forbidden => 4,
            Self::UnsupportedProtocolVersion => 5,
        }
    }

    /// The text that clients see, unless the application gives another.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSid => "Session ID unknown",
            Self::BadHandshakeMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::Forbidden => "Forbidden",
            Self::UnsupportedProtocolVersion => "Unsupported protocol version",
        }
    }

    /// The HTTP status of the reply to a plain request: 403 if the application refused, else 400.
    /// (A refused upgrade is always answered 400.)
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Forbidden => 403,
            _ => 400,
        }
    }

    /// The body of the reply: `{"code":1,"message":"Session ID unknown"}`, with `message` in place
    /// of the usual text if it is given.
    #[must_use]
    pub fn body(self, message: Option<&str>) -> String {
        let message = message.unwrap_or(self.message());
        let mut body = Vec::with_capacity(24 + message.len());
        body.extend_from_slice(b"{\"code\":");
        body.push(b'0' + self.code());
        body.extend_from_slice(b",\"message\":");
        json::push_string(&mut body, message);
        body.push(b'}');
        String::from_utf8(body).expect("made of UTF-8 text")
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for HandshakeError {}

/// Appends the open packet without its type digit: the JSON that answers a handshake, with its
/// keys in the reference's order (A035). Times are in milliseconds, `max_payload` in bytes.
pub fn open_packet(
    buf: &mut Vec<u8>,
    sid: &str,
    upgrades: &[Transport],
    ping_interval_ms: u64,
    ping_timeout_ms: u64,
    max_payload: usize,
) {
    buf.extend_from_slice(b"{\"sid\":");
    json::push_string(buf, sid);
    buf.extend_from_slice(b",\"upgrades\":[");
    for (i, transport) in upgrades.iter().enumerate() {
        if i > 0 {
            buf.push(b',');
        }
        json::push_string(buf, transport.name());
    }
    buf.extend_from_slice(b"],\"pingInterval\":");
    json::push_number(buf, ping_interval_ms);
    buf.extend_from_slice(b",\"pingTimeout\":");
    json::push_number(buf, ping_timeout_ms);
    buf.extend_from_slice(b",\"maxPayload\":");
    json::push_number(buf, max_payload as u64);
    buf.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_key_wins() {
        let query =
            Query::parse("EIO=4&EIO=3&sid=a&sid=&j=1&j=x%2Fy&b64=1&b64=&transport=a&transport=");
        assert_eq!(query.eio, Revision::V3);
        assert_eq!(query.sid, None);
        assert_eq!(query.j.as_deref(), Some("x/y"));
        assert!(!query.b64);
        assert_eq!(query.transport.as_deref(), Some(""));
    }

    #[test]
    fn what_is_not_encoded_is_split_as_what_is() {
        for raw in ["", "a", "=", "&", "a=b&&c", "a=b=c&=d&", "é=ü&\u{0}=\n"] {
            let plain: Vec<_> = pairs(raw).collect();
            let decoded: Vec<_> = form_urlencoded::parse(raw.as_bytes()).collect();
            assert_eq!(plain, decoded, "{raw}");
        }
    }

    #[test]
    fn only_the_text_4_is_revision_4() {
        for (raw, revision) in [
            ("EIO=4", Revision::V4),
            ("EIO=%34", Revision::V4),
            ("", Revision::V3),
            ("EIO=", Revision::V3),
            ("EIO=3", Revision::V3),
            ("EIO=5", Revision::V3),
            ("EIO=04", Revision::V3),
            ("EIO=4.0", Revision::V3),
            ("EIO=+4", Revision::V3),
            ("eio=4", Revision::V3),
            ("EIO=abc", Revision::V3),
        ] {
            assert_eq!(Query::parse(raw).eio, revision, "{raw}");
        }
    }

    #[test]
    fn everything_else_is_kept_for_the_application() {
        let query = Query::parse("a=b&token=%F0%9F%98%80+x&empty&=v&bad=%zz&utf=%ff&__proto__=p");
        let pairs: Vec<_> = query
            .iter()
            .map(|(k, v)| (k.into_owned(), v.into_owned()))
            .collect();
        let expected = [
            ("a", "b"),
            ("token", "😀 x"),
            ("empty", ""),
            ("", "v"),
            ("bad", "%zz"),
            ("utf", "\u{fffd}"),
            ("__proto__", "p"),
        ];
        assert_eq!(pairs.len(), expected.len());
        for (pair, expected) in pairs.iter().zip(expected) {
            assert_eq!((pair.0.as_str(), pair.1.as_str()), expected);
        }
    }

    #[test]
    fn bodies_are_the_texts_of_the_reference() {
        let rows = [
            (
                HandshakeError::UnknownTransport,
                r#"{"code":0,"message":"Transport unknown"}"#,
            ),
            (
                HandshakeError::UnknownSid,
                r#"{"code":1,"message":"Session ID unknown"}"#,
            ),
            (
                HandshakeError::BadHandshakeMethod,
                r#"{"code":2,"message":"Bad handshake method"}"#,
            ),
            (
                HandshakeError::BadRequest,
                r#"{"code":3,"message":"Bad request"}"#,
            ),
            (
                HandshakeError::Forbidden,
                r#"{"code":4,"message":"Forbidden"}"#,
            ),
            (
                HandshakeError::UnsupportedProtocolVersion,
                r#"{"code":5,"message":"Unsupported protocol version"}"#,
            ),
        ];
        for (error, body) in rows {
            assert_eq!(error.body(None), body);
            assert_eq!(error.status(), if error.code() == 4 { 403 } else { 400 });
        }
        assert_eq!(
            HandshakeError::Forbidden.body(Some("no \"entry\"\n")),
            r#"{"code":4,"message":"no \"entry\"\n"}"#
        );
    }

    #[test]
    fn the_open_packet_has_the_keys_of_the_reference_in_their_order() {
        let mut buf = Vec::new();
        open_packet(
            &mut buf,
            "a\"b",
            &[Transport::WebSocket],
            25_000,
            20_000,
            1_000_000,
        );
        assert_eq!(
            String::from_utf8(buf).unwrap(),
            r#"{"sid":"a\"b","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
        );
        let mut buf = Vec::new();
        open_packet(&mut buf, "x", &[], 1, 2, 3);
        assert_eq!(
            String::from_utf8(buf).unwrap(),
            r#"{"sid":"x","upgrades":[],"pingInterval":1,"pingTimeout":2,"maxPayload":3}"#
        );
    }
}
