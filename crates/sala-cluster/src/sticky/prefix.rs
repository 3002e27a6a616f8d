//! The first two characters of a session id tell which worker made it.

/// The alphabet of session ids.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The first two of the twenty characters of the ids that a worker makes. The other eighteen are
/// random (108 bits). The primary needs no table of sessions, so nothing is reported, nothing is in
/// a race with the next request, and a session is found as long as its worker lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Prefix(u16);

impl Prefix {
    /// How many there are.
    pub(crate) const COUNT: u32 = 64 * 64;

    pub(crate) fn new(number: u32) -> Option<Self> {
        (number < Self::COUNT).then_some(Self(number as u16))
    }

    pub(crate) fn number(self) -> u16 {
        self.0
    }

    pub(crate) fn text(self) -> [u8; 2] {
        let digit = |at| ALPHABET[usize::from(at)];
        [digit(self.0 >> 6), digit(self.0 & 63)]
    }

    /// That of a session id, if it is one.
    pub(crate) fn of(session: &str) -> Option<Self> {
        let bytes: &[u8; 20] = session.as_bytes().try_into().ok()?;
        let value = |byte| ALPHABET.iter().position(|&c| c == byte);
        Some(Self((value(bytes[0])? << 6 | value(bytes[1])?) as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_found_again_in_a_session_id() {
        for number in 0..Prefix::COUNT {
            let prefix = Prefix::new(number).unwrap();
            let text = prefix.text();
            let text = std::str::from_utf8(&text).unwrap();
            assert_eq!(
                Prefix::of(&format!("{text}345678901234567890")),
                Some(prefix)
            );
        }
        assert_eq!(Prefix::new(Prefix::COUNT), None);
        for no_id in ["", "AA", "A+345678901234567890", "AA3456789012345678901"] {
            assert_eq!(Prefix::of(no_id), None, "{no_id}");
        }
    }
}
