//! Negotiating permessage-deflate (RFC 7692 section 7).

use std::collections::HashSet;
use std::fmt;

use crate::ws::header_value::{Cursor, is_token};

/// How the server compresses WebSocket messages, if it does at all.
///
/// Memory: from the first compressed message in a direction to its end, a connection keeps about
/// 48 KiB to read, and 380 KiB (250 KiB with the smallest window) to write compressed messages. Where
/// context takeover is off in that direction, it is kept for one message only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Messages of fewer bytes are sent uncompressed. Default: 1024. As in the reference it counts
    /// only where `server_no_context_takeover` is agreed on; with a kept context small messages
    /// compress well, and all are compressed.
    pub threshold: usize,
    /// Whether the server forgets its context after each message: `Some(true)` always does,
    /// `Some(false)` refuses clients that ask for it, `None` (the default) leaves it to the client.
    pub server_no_context_takeover: Option<bool>,
    /// Whether clients must forget their context after each message. Default: they need not.
    pub client_no_context_takeover: bool,
    /// The window for what the server sends. Default: [`WindowBits::Any`].
    pub server_max_window_bits: WindowBits,
    /// The window for what clients send. Default: [`WindowBits::Any`].
    pub client_max_window_bits: WindowBits,
    /// How hard to compress: 0 (not at all) to 9; more counts as 9. Default: 6.
    pub level: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            threshold: 1024,
            server_no_context_takeover: None,
            client_no_context_takeover: false,
            server_max_window_bits: WindowBits::Any,
            client_max_window_bits: WindowBits::Any,
            level: 6,
        }
    }
}

/// What the server says about the size of a compression window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowBits {
    /// What the client wants; 15 if it wants nothing.
    #[default]
    Any,
    /// 15: a client that asks for less for the server's messages is refused, and what it says of
    /// its own window is not used.
    Full,
    /// This many, 8 to 15 (other values count as the nearest). Clients that ask for less, or do not
    /// say that they can limit their own window, are refused.
    Exactly(u8),
}

impl WindowBits {
    fn exactly(self) -> Option<u8> {
        match self {
            Self::Exactly(bits) => Some(bits.clamp(8, 15)),
            Self::Any | Self::Full => None,
        }
    }
}

/// What server and client agreed on. `Display` gives the value of the response header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// The server forgets its context after each message.
    pub server_no_context_takeover: bool,
    /// The client forgets its context after each message.
    pub client_no_context_takeover: bool,
    /// The window for what the server sends: 8 to 15; `None` is 15.
    pub server_max_window_bits: Option<u8>,
    /// The window for what the client sends: 8 to 15; `None` is 15.
    pub client_max_window_bits: Option<u8>,
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate")?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        if let Some(bits) = self.client_max_window_bits {
            write!(f, "; client_max_window_bits={bits}")?;
        }
        Ok(())
    }
}

/// The header is malformed, or none of its offers fits the configuration. The upgrade is refused
/// with `Invalid or unacceptable Sec-WebSocket-Extensions header`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unacceptable;

/// Answers the extension offers of a client: the first acceptable one is taken. `None` if
/// permessage-deflate is not offered.
///
/// # Errors
///
/// If the header is malformed, or permessage-deflate is offered only in ways that are invalid or
/// that the configuration does not allow.
pub fn negotiate(header: &[u8], config: &Config) -> Result<Option<Agreed>, Unacceptable> {
    let mut offers = Vec::new();
    let mut cursor = Cursor::new(header);
    loop {
        let name = cursor.element_token().ok_or(Unacceptable)?;
        let offer = Offer::parse(&mut cursor, name == b"permessage-deflate")?;
        offers.extend(offer);
        match cursor.next() {
            None => break,
            Some(b',') => {}
            Some(_) => return Err(Unacceptable),
        }
    }
    if offers.is_empty() {
        return Ok(None);
    }
    let agreed = offers.iter().find_map(|offer| offer.accept(config));
    agreed.map(Some).ok_or(Unacceptable)
}

/// One offer of permessage-deflate.
#[derive(Debug, Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// The client understands the parameter, and may have named its own limit.
    client_max_window_bits: Option<Option<u8>>,
}

impl Offer {
    /// Reads parameters up to the end of the offer. Those of other extensions only have to be well
    /// formed: `None`.
    fn parse(cursor: &mut Cursor<'_>, ours: bool) -> Result<Option<Self>, Unacceptable> {
        let mut offer = Self::default();
        let mut seen = HashSet::new();
        while cursor.next_if(b';') {
            let name = cursor.param_token().ok_or(Unacceptable)?;
            let value = match cursor.next_if(b'=') {
                true => Some(cursor.value().ok_or(Unacceptable)?),
                false => None,
            };
            cursor.skip_spaces();
            if !ours {
                continue;
            }
            if !seen.insert(name) {
                return Err(Unacceptable);
            }
            match (name, value) {
                (b"server_no_context_takeover", None) => offer.server_no_context_takeover = true,
                (b"client_no_context_takeover", None) => offer.client_no_context_takeover = true,
                (b"server_max_window_bits", Some(value)) => {
                    offer.server_max_window_bits = Some(window_bits(&value)?);
                }
                (b"client_max_window_bits", None) => offer.client_max_window_bits = Some(None),
                (b"client_max_window_bits", Some(value)) => {
                    offer.client_max_window_bits = Some(Some(window_bits(&value)?));
                }
                _ => return Err(Unacceptable),
            }
        }
        Ok(ours.then_some(offer))
    }

    fn accept(&self, config: &Config) -> Option<Agreed> {
        if config.server_no_context_takeover == Some(false) && self.server_no_context_takeover {
            return None;
        }
        let server_bits = config.server_max_window_bits.exactly();
        if let Some(asked) = self.server_max_window_bits
            && (config.server_max_window_bits == WindowBits::Full
                || server_bits.is_some_and(|bits| bits > asked))
        {
            return None;
        }
        let client_bits = config.client_max_window_bits.exactly();
        if let Some(bits) = client_bits {
            let possible = self.client_max_window_bits?;
            if possible.is_some_and(|asked| bits > asked) {
                return None;
            }
        }
        Some(Agreed {
            server_no_context_takeover: self.server_no_context_takeover
                || config.server_no_context_takeover == Some(true),
            client_no_context_takeover: self.client_no_context_takeover
                || config.client_no_context_takeover,
            server_max_window_bits: server_bits.or(self.server_max_window_bits),
            client_max_window_bits: match config.client_max_window_bits {
                WindowBits::Any => self.client_max_window_bits.flatten(),
                WindowBits::Full => None,
                WindowBits::Exactly(_) => client_bits,
            },
        })
    }
}

fn window_bits(value: &[u8]) -> Result<u8, Unacceptable> {
    let bits = match value {
        [digit @ b'8'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'5'] => 10 + digit - b'0',
        _ => return Err(Unacceptable),
    };
    debug_assert!(value.iter().copied().all(is_token));
    Ok(bits)
}
