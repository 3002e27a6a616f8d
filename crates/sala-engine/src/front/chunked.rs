//! The chunked coding of request bodies.

use std::fmt;

/// The most that all chunk extensions and trailers of one body may take together, in bytes.
const MAX_EXTRAS: usize = 16 << 10;
/// A chunk's size may have this many hexadecimal digits: more than any body that is accepted.
const MAX_DIGITS: u8 = 15;

/// Takes the chunked coding off a body that arrives in pieces.
///
/// Lines end with CR LF and nothing else, sizes are plain hexadecimal digits, and what a chunk
/// extension or a trailer says is skipped: two servers must not see different ends of a request.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// What is left of the chunk, or its size while it is read.
    left: u64,
    digits: u8,
    extras: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    Done,
}

/// The body breaks the rules of the coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed chunked body")
    }
}

impl std::error::Error for Malformed {}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            state: State::Size,
            left: 0,
            digits: 0,
            extras: 0,
        }
    }
}

impl Decoder {
    /// Appends the data within `input` to `data`, up to the end of the body, and takes what was
    /// used off `input`.
    ///
    /// # Errors
    ///
    /// The body is malformed; where its request ends is not known.
    pub fn decode(&mut self, input: &mut &[u8], data: &mut Vec<u8>) -> Result<(), Malformed> {
        while self.state != State::Done {
            if self.state == State::Data {
                let n = input
                    .len()
                    .min(usize::try_from(self.left).unwrap_or(usize::MAX));
                let (chunk, rest) = input.split_at(n);
                data.extend_from_slice(chunk);
                *input = rest;
                self.left -= n as u64;
                if self.left > 0 {
                    return Ok(());
                }
                self.state = State::DataCr;
            }
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(());
            };
            *input = rest;
            self.state = self.after(byte)?;
        }
        Ok(())
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn after(&mut self, byte: u8) -> Result<State, Malformed> {
        use State as S;
        Ok(match (self.state, byte) {
            (S::Size, b'\r') if self.digits > 0 => S::SizeLf,
            (S::Size, b';') if self.digits > 0 => S::Extension,
            (S::Size, digit) => {
                let digit = char::from(digit).to_digit(16).ok_or(Malformed)?;
                if self.digits == MAX_DIGITS {
                    return Err(Malformed);
                }
                self.digits += 1;
                self.left = self.left << 4 | u64::from(digit);
                S::Size
            }
            (S::Extension, b'\r') => S::SizeLf,
            (S::Extension, byte) => self.skip(byte, S::Extension)?,
            (S::SizeLf, b'\n') => {
                self.digits = 0;
                if self.left == 0 {
                    S::TrailerStart
                } else {
                    S::Data
                }
            }
            (S::DataCr, b'\r') => S::DataLf,
            (S::DataLf, b'\n') => S::Size,
            (S::TrailerStart, b'\r') => S::LastLf,
            (S::Trailer, b'\r') => S::TrailerLf,
            (S::TrailerStart | S::Trailer, byte) => self.skip(byte, S::Trailer)?,
            (S::TrailerLf, b'\n') => S::TrailerStart,
            (S::LastLf, b'\n') => S::Done,
            _ => return Err(Malformed),
        })
    }

    /// A byte that means nothing here, but may not be a control character.
    fn skip(&mut self, byte: u8, next: State) -> Result<State, Malformed> {
        self.extras += 1;
        if (byte.is_ascii_control() && byte != b'\t') || self.extras > MAX_EXTRAS {
            return Err(Malformed);
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes the pieces; gives the data, what is left over, and whether the body is complete.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, bool), Malformed> {
        let mut decoder = Decoder::default();
        let mut data = Vec::new();
        let mut left = Vec::new();
        for mut piece in pieces.iter().copied() {
            decoder.decode(&mut piece, &mut data)?;
            left.extend_from_slice(piece);
        }
        Ok((data, left, decoder.is_done()))
    }

    #[test]
    fn data_is_the_same_wherever_the_body_is_split() {
        let table: &[(&str, &str, &str)] = &[
            ("0\r\n\r\n", "", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
            ("000A\r\n0123456789\r\n0\r\n\r\nGET", "0123456789", "GET"),
            ("3;a=\"b\"\r\nabc\r\n1\r\n\r\r\n0;x\r\n\r\n", "abc\r", ""),
            ("1\r\na\r\n00\r\nX: y\r\nZ:\t\r\n\r\n", "a", ""),
        ];
        for (body, data, rest) in table {
            for at in 0..=body.len() {
                let (head, tail) = body.as_bytes().split_at(at);
                let expected = (data.as_bytes().to_vec(), rest.as_bytes().to_vec(), true);
                assert_eq!(decode(&[head, tail]), Ok(expected), "{body:?} at {at}");
            }
        }
    }

    #[test]
    fn what_another_server_might_read_differently_is_refused() {
        for body in [
            "\r\n",
            ";\r\n",
            "g\r\n",
            "0x5\r\nhello",
            "+5\r\nhello",
            "-1\r\n",
            " 5\r\nhello",
            "5 \r\nhello",
            "5\nhello",
            "5\rhello",
            "5;a\nhello",
            "5;\0\r\nhello",
            "5\r\nhello!",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "0\r\n\n",
            "0\r\nX: y\n\r\n",
            "0\r\n\rX",
            "1000000000000000\r\n",
        ] {
            assert_eq!(decode(&[body.as_bytes()]), Err(Malformed), "{body:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let long = "x".repeat(MAX_EXTRAS);
        assert!(decode(&[b"1;", long.as_bytes(), b"\r\na\r\n0\r\n\r\n"]).is_ok());
        assert!(decode(&[b"1;", long.as_bytes(), b"y"]).is_err());
        assert!(decode(&[b"0\r\n", long.as_bytes(), b"\r\ny"]).is_err());
    }
}
