//! Session ids.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A session id: 20 characters of URL-safe base64 over 15 random bytes (120 bits).
///
/// An Engine.IO session id is a credential: whoever knows it can read and inject packets. It is
/// never the public id of a Socket.IO socket (revision 3 excepted), and is never logged above
/// debug level.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid([u8; Self::LEN]);

impl Sid {
    /// Number of characters.
    pub const LEN: usize = 20;

    /// Makes an id from a cryptographically secure generator, which each thread has and the operating
    /// system seeds.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give: an id that can be guessed would hand
    /// out other people's sessions.
    #[must_use]
    pub fn random() -> Self {
        let bytes: [u8; 15] = rand::random();
        let mut text = [0; Self::LEN];
        let n = URL_SAFE_NO_PAD
            .encode_slice(bytes, &mut text)
            .expect("15 bytes make 20 characters");
        debug_assert_eq!(n, Self::LEN);
        Self(text)
    }

    /// Makes an id that begins with the two characters of `prefix`, if they are such as ids have.
    /// The others are random (108 bits).
    ///
    /// # Panics
    ///
    /// As [`random`](Self::random).
    #[must_use]
    pub fn with_prefix(prefix: [u8; 2]) -> Self {
        let mut id = Self::random();
        if prefix.iter().all(is_allowed) {
            id.0[..2].copy_from_slice(&prefix);
        }
        id
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII is ever stored")
    }
}

/// The text is not 20 characters of URL-safe base64, so it names no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSid;

impl fmt::Display for InvalidSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session id is 20 characters of A-Z, a-z, 0-9, - and _")
    }
}

impl std::error::Error for InvalidSid {}

impl FromStr for Sid {
    type Err = InvalidSid;

    fn from_str(text: &str) -> Result<Self, InvalidSid> {
        let bytes: [u8; Self::LEN] = text.as_bytes().try_into().map_err(|_| InvalidSid)?;
        if bytes.iter().all(is_allowed) {
            Ok(Self(bytes))
        } else {
            Err(InvalidSid)
        }
    }
}

fn is_allowed(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_twenty_url_safe_characters_and_unique() {
        let ids: HashSet<Sid> = (0..10_000).map(|_| Sid::random()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.as_str().parse() == Ok(*id)));
    }

    #[test]
    fn a_prefix_leaves_the_rest_random() {
        let ids: HashSet<Sid> = (0..1000).map(|_| Sid::with_prefix(*b"-Z")).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.as_str().starts_with("-Z")));
        assert!(Sid::with_prefix(*b"\xff\"").as_str().parse::<Sid>().is_ok());
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for text in [
            "",
            "__proto__",
            "AAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAA=",
            "éAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(text.parse::<Sid>(), Err(InvalidSid), "{text}");
        }
    }
}
