//! Reading MessagePack: first a walk that checks, then trees from what was checked. No recursion, no
//! allocation that a declared length decides.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{DecodeError, Number, Object, Text, Value};

/// Whose MessagePack it is. They differ in extensions only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A client's: notepack.io 2.
    Client,
    /// Another server's: notepack.io 3 or @msgpack/msgpack, which have dates of extension type -1. The
    /// first of them still reads what notepack.io 2 writes.
    Server,
}

/// One marker with its data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token {
    Nil,
    /// notepack.io's `undefined`: a one-byte extension of type 0.
    Undefined,
    /// notepack.io's date in milliseconds: an eight-byte extension of type 0.
    Date(i64),
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    /// A range of the input.
    Str(usize, usize),
    Bin(usize, usize),
    /// The type and a range of the input, of any other extension.
    Ext(i8, usize, usize),
    List(usize),
    Map(usize),
}

impl Token {
    /// What the token means in this dialect.
    pub(crate) fn of(self, dialect: Dialect, bytes: &[u8]) -> Self {
        match self {
            Self::Ext(-1, start, end) if dialect == Dialect::Server => {
                super::date::timestamp(&bytes[start..end]).map_or(self, Self::Date)
            }
            token => token,
        }
    }
}

/// Whether there are bytes among values that were checked.
pub(crate) fn has_binary(bytes: &[u8], dialect: Dialect) -> bool {
    let mut cursor = Cursor::new(bytes);
    while let Ok(token) = cursor.token() {
        if let Token::Bin(..) | Token::Ext(..) = token.of(dialect, bytes) {
            return true;
        }
    }
    false
}

/// A position in the input.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let chunk = rest.first_chunk().ok_or(DecodeError::Malformed)?;
        self.at += N;
        Ok(*chunk)
    }

    /// A length of one, two or four bytes.
    fn len(&mut self, width: u8) -> Result<usize, DecodeError> {
        Ok(match width {
            0 => usize::from(self.take::<1>()?[0]),
            1 => usize::from(u16::from_be_bytes(self.take()?)),
            // Where a usize has fewer bits the input cannot be that long either.
            _ => usize::try_from(u32::from_be_bytes(self.take()?))
                .map_err(|_| DecodeError::Malformed)?,
        })
    }

    /// The range of the next `len` bytes.
    fn range(&mut self, len: usize) -> Result<(usize, usize), DecodeError> {
        let start = self.at;
        let end = start.checked_add(len).ok_or(DecodeError::Malformed)?;
        if end > self.bytes.len() {
            return Err(DecodeError::Malformed);
        }
        self.at = end;
        Ok((start, end))
    }

    fn ext(&mut self, len: usize) -> Result<Token, DecodeError> {
        let kind = i8::from_be_bytes(self.take()?);
        let (start, end) = self.range(len)?;
        Ok(Token::Ext(kind, start, end))
    }

    pub(crate) fn token(&mut self) -> Result<Token, DecodeError> {
        let [marker] = self.take()?;
        Ok(match marker {
            0x00..=0x7f => Token::Int(marker.into()),
            0x80..=0x8f => Token::Map(usize::from(marker & 0x0f)),
            0x90..=0x9f => Token::List(usize::from(marker & 0x0f)),
            0xa0..=0xbf => self.str(usize::from(marker & 0x1f))?,
            0xc0 => Token::Nil,
            0xc1 => return Err(DecodeError::Malformed),
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xc4..=0xc6 => {
                let len = self.len(marker - 0xc4)?;
                let (start, end) = self.range(len)?;
                Token::Bin(start, end)
            }
            0xc7..=0xc9 => {
                let len = self.len(marker - 0xc7)?;
                match self.ext(len)? {
                    // An ArrayBuffer.
                    Token::Ext(0, start, end) => Token::Bin(start, end),
                    token => token,
                }
            }
            0xca => Token::Float(f32::from_be_bytes(self.take()?).into()),
            0xcb => Token::Float(f64::from_be_bytes(self.take()?)),
            0xcc => Token::Int(self.take::<1>()?[0].into()),
            0xcd => Token::Int(u16::from_be_bytes(self.take()?).into()),
            0xce => Token::Int(u32::from_be_bytes(self.take()?).into()),
            0xcf => match Number::from(u64::from_be_bytes(self.take()?)) {
                Number::Int(n) => Token::Int(n),
                Number::UInt(n) => Token::UInt(n),
                Number::Float(n) => Token::Float(n),
            },
            0xd0 => Token::Int(i8::from_be_bytes(self.take()?).into()),
            0xd1 => Token::Int(i16::from_be_bytes(self.take()?).into()),
            0xd2 => Token::Int(i32::from_be_bytes(self.take()?).into()),
            0xd3 => Token::Int(i64::from_be_bytes(self.take()?)),
            0xd4..=0xd8 => match (self.ext(1 << (marker - 0xd4))?, marker) {
                (Token::Ext(0, ..), 0xd4) => Token::Undefined,
                (Token::Ext(0, ..), 0xd7) => {
                    self.at -= 8;
                    Token::Date(i64::from_be_bytes(self.take()?))
                }
                (token, _) => token,
            },
            0xd9..=0xdb => {
                let len = self.len(marker - 0xd9)?;
                self.str(len)?
            }
            0xdc | 0xdd => Token::List(self.len(marker - 0xdc + 1)?),
            0xde | 0xdf => Token::Map(self.len(marker - 0xde + 1)?),
            0xe0..=0xff => Token::Int((marker as i8).into()),
        })
    }

    fn str(&mut self, len: usize) -> Result<Token, DecodeError> {
        let (start, end) = self.range(len)?;
        Ok(Token::Str(start, end))
    }

    /// Walks over one value, checking it. Each item is at least a byte, so the time is bounded by
    /// the input whatever the lengths say.
    pub(crate) fn skip(&mut self, max_depth: usize) -> Result<(), DecodeError> {
        self.skip_many(1, max_depth)
    }

    /// Walks over values, checking them.
    pub(crate) fn skip_many(&mut self, count: usize, max_depth: usize) -> Result<(), DecodeError> {
        let mut open: Vec<usize> = Vec::new();
        let mut left = count;
        loop {
            while left == 0 {
                match open.pop() {
                    Some(outer) => left = outer,
                    None => return Ok(()),
                }
            }
            left -= 1;
            let items = match self.token()? {
                Token::List(len) => len,
                Token::Map(len) => len.checked_mul(2).ok_or(DecodeError::Malformed)?,
                _ => continue,
            };
            if open.len() >= max_depth {
                return Err(DecodeError::TooDeep);
            }
            if items > self.bytes.len() - self.at {
                return Err(DecodeError::Malformed);
            }
            open.push(left);
            left = items;
        }
    }
}

/// A container under construction, and how many values it still wants.
enum Frame {
    List(Vec<Value>, usize),
    Map(Object, Option<Text>, usize),
}

/// The next `count` values of input that was checked; fewer if it was not.
pub(crate) fn read_values(bytes: &Bytes, count: usize, dialect: Dialect) -> Vec<Value> {
    let mut cursor = Cursor::new(bytes);
    let mut values = Vec::new();
    for _ in 0..count {
        match read_value(&mut cursor, bytes, dialect) {
            Ok(value) => values.push(value),
            Err(_) => break,
        }
    }
    values
}

/// The value at the cursor, which goes over `bytes`.
pub(crate) fn read_value(
    cursor: &mut Cursor<'_>,
    bytes: &Bytes,
    dialect: Dialect,
) -> Result<Value, DecodeError> {
    let mut stack: Vec<Frame> = Vec::new();
    loop {
        let mut value = match cursor.token()? {
            Token::List(len) => {
                stack.push(Frame::List(Vec::new(), len));
                None
            }
            Token::Map(len) => {
                stack.push(Frame::Map(Object::new(), None, len));
                None
            }
            scalar => Some(scalar_value(scalar, bytes, dialect)),
        };
        loop {
            let Some(frame) = stack.last_mut() else {
                match value {
                    Some(value) => return Ok(value),
                    None => break,
                }
            };
            let full = match (frame, value.take()) {
                (Frame::List(items, len), value) => {
                    items.extend(value);
                    items.len() == *len
                }
                (Frame::Map(_, key @ None, left), Some(value)) if *left > 0 => {
                    *key = Some(key_text(value));
                    false
                }
                (Frame::Map(object, key, left), value) => {
                    if let (Some(key), Some(value)) = (key.take(), value) {
                        object.insert(key, value);
                        *left -= 1;
                    }
                    *left == 0
                }
            };
            if !full {
                break;
            }
            value = match stack.pop() {
                Some(Frame::List(items, _)) => Some(Value::Array(items)),
                Some(Frame::Map(object, ..)) => Some(Value::Object(object)),
                None => return Err(DecodeError::Malformed),
            };
        }
    }
}

/// A key as JavaScript makes a property name of it.
pub(crate) fn key_text(key: Value) -> Text {
    match key {
        Value::String(text) => text,
        Value::Number(number) => crate::args::number_text(number).into(),
        Value::Bool(value) => if value { "true" } else { "false" }.into(),
        Value::Null => "null".into(),
        Value::Binary(_) | Value::Array(_) | Value::Object(_) => "[object Object]".into(),
    }
}

/// The text there. What is no Unicode is replaced.
pub(crate) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// What is not a list or map.
pub(super) fn scalar_value(token: Token, bytes: &Bytes, dialect: Dialect) -> Value {
    match token.of(dialect, bytes) {
        // JSON has no word for `undefined` either.
        Token::Nil | Token::Undefined | Token::List(_) | Token::Map(_) => Value::Null,
        Token::Bool(value) => Value::Bool(value),
        Token::Int(n) => n.into(),
        Token::UInt(n) => n.into(),
        Token::Float(n) => n.into(),
        Token::Str(start, end) => Value::String(text_of(&bytes[start..end]).into()),
        Token::Bin(start, end) => Value::Binary(bytes.slice(start..end)),
        Token::Date(millis) => super::date::iso_text(millis),
        // A pair, as in notepack.io.
        Token::Ext(kind, start, end) => Value::Array(vec![
            i64::from(kind).into(),
            Value::Binary(bytes.slice(start..end)),
        ]),
    }
}
