//! The upgrade request and what it is answered.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::deflate::{self, Agreed};
use super::header_value::Cursor;

/// What every server appends to the client's key (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The parts of an upgrade request that matter, as received. Where a header comes in several lines
/// their values are joined with `, `.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// `Upgrade`.
    pub upgrade: Option<&'a [u8]>,
    /// `Sec-WebSocket-Key`.
    pub key: Option<&'a [u8]>,
    /// `Sec-WebSocket-Version`.
    pub version: Option<&'a [u8]>,
    /// `Sec-WebSocket-Protocol`.
    pub protocol: Option<&'a [u8]>,
    /// `Sec-WebSocket-Extensions`.
    pub extensions: Option<&'a [u8]>,
}

/// What goes into the 101 response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// `Sec-WebSocket-Accept`.
    pub accept_key: String,
    /// `Sec-WebSocket-Protocol`, if the client offered any: the first of them (A101).
    pub protocol: Option<String>,
    /// `Sec-WebSocket-Extensions`, if compression was agreed on.
    pub deflate: Option<Agreed>,
}

/// Why an upgrade is refused. `Display` gives the text of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The method is not GET.
    Method,
    /// `Upgrade` is not `websocket`.
    Upgrade,
    /// `Sec-WebSocket-Key` is not 16 bytes in base64.
    Key,
    /// `Sec-WebSocket-Version` is neither 13 nor 8.
    Version,
    /// `Sec-WebSocket-Protocol` is no list of different tokens.
    Protocol,
    /// `Sec-WebSocket-Extensions` is malformed or offers nothing that fits.
    Extensions,
}

impl Refusal {
    /// The HTTP status: 405 for a wrong method, else 400.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            _ => 400,
        }
    }

    /// The text of the body.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Method => "Invalid HTTP method",
            Self::Upgrade => "Invalid Upgrade header",
            Self::Key => "Missing or invalid Sec-WebSocket-Key header",
            Self::Version => "Missing or invalid Sec-WebSocket-Version header",
            Self::Protocol => "Invalid Sec-WebSocket-Protocol header",
            Self::Extensions => "Invalid or unacceptable Sec-WebSocket-Extensions header",
        }
    }

    /// A header that goes with it: the versions that would have been accepted.
    #[must_use]
    pub const fn header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Version => Some(("Sec-WebSocket-Version", "13, 8")),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Refusal {}

/// Whether a request asks for an upgrade at all: it has an `Upgrade` header, and `Connection` names
/// it. Other requests are plain HTTP, whatever their query says.
#[must_use]
pub fn is_upgrade(connection: Option<&[u8]>, upgrade: Option<&[u8]>) -> bool {
    let Some(connection) = connection else {
        return false;
    };
    upgrade.is_some()
        && connection
            .split(|byte| *byte == b',')
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// Checks an upgrade request in the reference's order (A100, A101, A104). Without a configuration
/// offers of compression are ignored, even malformed ones (A103).
///
/// # Errors
///
/// The first thing that is wrong.
pub fn check(request: &Request<'_>, deflate: Option<&deflate::Config>) -> Result<Accept, Refusal> {
    if request.method != "GET" {
        return Err(Refusal::Method);
    }
    if !request
        .upgrade
        .is_some_and(|upgrade| upgrade.eq_ignore_ascii_case(b"websocket"))
    {
        return Err(Refusal::Upgrade);
    }
    let key = request.key.filter(|key| is_key(key)).ok_or(Refusal::Key)?;
    if !matches!(request.version, Some(b"13" | b"8")) {
        return Err(Refusal::Version);
    }
    let protocol = match request.protocol {
        Some(list) => Some(first_protocol(list).ok_or(Refusal::Protocol)?),
        None => None,
    };
    let deflate = match (deflate, request.extensions) {
        (Some(config), Some(offers)) => {
            deflate::negotiate(offers, config).map_err(|_| Refusal::Extensions)?
        }
        _ => None,
    };
    Ok(Accept {
        accept_key: accept_key(key),
        protocol,
        deflate,
    })
}

/// The proof that the server has read the client's key: `Sec-WebSocket-Accept`.
///
/// ```
/// use sala_engine_proto::ws::handshake::accept_key;
///
/// assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Whether this is 16 bytes in base64, as the reference tests it: by shape.
fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22]
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

/// The first of a list of tokens, if all of it is one, without repetition.
fn first_protocol(list: &[u8]) -> Option<String> {
    let mut cursor = Cursor::new(list);
    let mut seen = HashSet::new();
    let mut first = None;
    loop {
        let token = cursor.element_token()?;
        if !seen.insert(token) {
            return None;
        }
        first.get_or_insert(token);
        match cursor.next() {
            None => break,
            Some(b',') => {}
            Some(_) => return None,
        }
    }
    first.and_then(|token| String::from_utf8(token.to_vec()).ok())
}
