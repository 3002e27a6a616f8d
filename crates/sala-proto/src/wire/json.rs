//! Reading JSON text.

use std::borrow::Cow;

use bytes::Bytes;

use super::Kind;
use crate::args::{Args, name_in};
use crate::json::{self, Scan, scan_first, skip_space};
use crate::limits::MAX_DEPTH;
use crate::{DecodeError, Number, RawArgs, Value};

#[derive(Clone)]
pub(super) struct JsonReader<'a> {
    message: &'a Bytes,
    text: &'a str,
    at: usize,
}

impl<'a> JsonReader<'a> {
    pub(super) fn new(message: &'a Bytes) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(message).map_err(|_| DecodeError::InvalidPayload)?;
        Ok(Self {
            message,
            text,
            at: 0,
        })
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left, white space aside.
    pub(super) fn left(&self) -> usize {
        self.text.len() - skip_space(self.text.as_bytes(), self.at)
    }

    /// The next byte that is no white space.
    fn byte(&mut self) -> Result<u8, DecodeError> {
        let bytes = self.text.as_bytes();
        self.at = skip_space(bytes, self.at);
        bytes
            .get(self.at)
            .copied()
            .ok_or(DecodeError::InvalidPayload)
    }

    pub(super) fn peek(&mut self) -> Result<Kind, DecodeError> {
        Ok(match self.byte()? {
            b'n' => Kind::Null,
            b't' | b'f' => Kind::Bool,
            b'-' | b'0'..=b'9' => Kind::Number,
            b'"' => Kind::Text,
            b'[' => Kind::List,
            b'{' => Kind::Map,
            _ => return Err(DecodeError::InvalidPayload),
        })
    }

    fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        if self.byte()? != byte {
            return Err(DecodeError::InvalidPayload);
        }
        self.at += 1;
        Ok(())
    }

    pub(super) fn open(&mut self, kind: Kind) -> Result<(), DecodeError> {
        self.expect(if kind == Kind::Map { b'{' } else { b'[' })
    }

    /// Goes past the comma in front of the next item, or past the end.
    pub(super) fn next(&mut self, close: u8, first: bool) -> Result<bool, DecodeError> {
        match self.byte()? {
            byte if byte == close => {
                self.at += 1;
                Ok(false)
            }
            b',' if !first => {
                self.at += 1;
                // A comma promises an item.
                let promised = self.byte()? != close;
                promised.then_some(true).ok_or(DecodeError::InvalidPayload)
            }
            _ if first => Ok(true),
            _ => Err(DecodeError::InvalidPayload),
        }
    }

    /// A key, and its colon.
    pub(super) fn key(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let key = self.text()?;
        self.expect(b':')?;
        self.byte()?;
        Ok(key)
    }

    /// Checks the next value and goes past it; also gives its text.
    fn scan(&mut self) -> Result<(&'a str, Scan), DecodeError> {
        self.byte()?;
        let text = &self.text[self.at..];
        let scan = scan_first(text.as_bytes(), MAX_DEPTH)?;
        self.at += scan.value.end;
        Ok((&text[..scan.value.end], scan))
    }

    /// The text of the next value, if it is of this kind.
    fn token(&mut self, kind: Kind) -> Result<&'a str, DecodeError> {
        if self.peek()? != kind {
            return Err(DecodeError::InvalidPayload);
        }
        Ok(self.scan()?.0)
    }

    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        Ok(name_in(self.token(Kind::Text)?).into_text())
    }

    pub(super) fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.token(Kind::Bool)? == "true")
    }

    pub(super) fn number(&mut self) -> Result<Number, DecodeError> {
        Ok(json::read_number(self.token(Kind::Number)?))
    }

    pub(super) fn value(&mut self) -> Result<Value, DecodeError> {
        Ok(json::read_value(self.scan()?.0))
    }

    pub(super) fn skip(&mut self) -> Result<(), DecodeError> {
        self.scan().map(|_| ())
    }

    pub(super) fn event(&mut self) -> Result<RawArgs, DecodeError> {
        let (text, scan) = self.scan()?;
        let name = text.as_bytes().get(scan.first.start);
        let is_name = match name {
            Some(b'"') => true,
            Some(b'-' | b'0'..=b'9') => {
                let number = json::read_number(&text[scan.first.start..scan.first.end]);
                number.as_f64().is_finite()
            }
            _ => false,
        };
        if scan.first_byte != b'[' || !is_name {
            return Err(DecodeError::InvalidPayload);
        }
        Ok(Args::json_event(text, &scan).into_shared(self.message))
    }

    pub(super) fn argument(&mut self) -> Result<RawArgs, DecodeError> {
        let (text, scan) = self.scan()?;
        Ok(Args::json_single(text, &scan).into_shared(self.message))
    }
}
