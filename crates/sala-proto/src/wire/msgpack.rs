//! Reading MessagePack.

use std::borrow::Cow;

use bytes::Bytes;

use super::Kind;
use crate::args::Args;
use crate::limits::MAX_DEPTH;
use crate::msgpack::{Cursor, Dialect, Token, key_text, read_value, text_of};
use crate::{DecodeError, Number, RawArgs, Value};

#[derive(Clone)]
pub(super) struct MsgPackReader<'a> {
    message: &'a Bytes,
    cursor: Cursor<'a>,
}

impl<'a> MsgPackReader<'a> {
    pub(super) fn new(message: &'a Bytes) -> Self {
        Self {
            message,
            cursor: Cursor::new(message),
        }
    }

    pub(super) fn at(&self) -> usize {
        self.cursor.at
    }

    pub(super) fn left(&self) -> usize {
        self.message.len() - self.cursor.at
    }

    fn token(&mut self) -> Result<Token, DecodeError> {
        Ok(self.cursor.token()?.of(Dialect::Server, self.message))
    }

    pub(super) fn peek(&mut self) -> Result<Kind, DecodeError> {
        let at = self.cursor.at;
        let token = self.token()?;
        self.cursor.at = at;
        Ok(match token {
            Token::Nil | Token::Undefined => Kind::Null,
            Token::Bool(_) => Kind::Bool,
            Token::Int(_) | Token::UInt(_) | Token::Float(_) => Kind::Number,
            Token::Str(..) | Token::Date(_) => Kind::Text,
            Token::Bin(..) | Token::Ext(..) => Kind::Bytes,
            Token::List(_) => Kind::List,
            Token::Map(_) => Kind::Map,
        })
    }

    /// How many items or members follow.
    pub(super) fn open(&mut self, kind: Kind) -> Result<usize, DecodeError> {
        match (kind, self.token()?) {
            (Kind::List, Token::List(len)) | (Kind::Map, Token::Map(len)) => Ok(len),
            _ => Err(DecodeError::InvalidPayload),
        }
    }

    pub(super) fn key(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let at = self.cursor.at;
        if let Token::Str(start, end) = self.token()? {
            return Ok(text_of(&self.message[start..end]));
        }
        self.cursor.at = at;
        self.value().map(|key| String::from(key_text(key)).into())
    }

    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let at = self.cursor.at;
        match self.token()? {
            Token::Str(start, end) => Ok(text_of(&self.message[start..end])),
            Token::Date(_) => {
                self.cursor.at = at;
                match self.value()? {
                    Value::String(text) => Ok(String::from(text).into()),
                    _ => Err(DecodeError::InvalidPayload), // farther away than dates go
                }
            }
            _ => Err(DecodeError::InvalidPayload),
        }
    }

    pub(super) fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.token()? {
            Token::Bool(value) => Ok(value),
            _ => Err(DecodeError::InvalidPayload),
        }
    }

    pub(super) fn number(&mut self) -> Result<Number, DecodeError> {
        match self.token()? {
            Token::Int(n) => Ok(n.into()),
            Token::UInt(n) => Ok(n.into()),
            Token::Float(n) => Ok(n.into()),
            _ => Err(DecodeError::InvalidPayload),
        }
    }

    pub(super) fn value(&mut self) -> Result<Value, DecodeError> {
        let at = self.cursor.at;
        self.skip()?;
        self.cursor.at = at;
        read_value(&mut self.cursor, self.message, Dialect::Server)
    }

    pub(super) fn skip(&mut self) -> Result<(), DecodeError> {
        self.cursor.skip(MAX_DEPTH)
    }

    pub(super) fn event(&mut self) -> Result<RawArgs, DecodeError> {
        let len = self.open(Kind::List)?;
        if len == 0 {
            return Err(DecodeError::InvalidPayload);
        }
        let name = match (self.peek()?, self.value()?) {
            (Kind::Text, name @ Value::String(_)) => name,
            (Kind::Number, Value::Number(number)) if number.as_f64().is_finite() => number.into(),
            _ => return Err(DecodeError::InvalidPayload),
        };
        self.args(Some(name), len - 1)
    }

    pub(super) fn argument(&mut self) -> Result<RawArgs, DecodeError> {
        self.args(None, 1)
    }

    fn args(&mut self, name: Option<Value>, len: usize) -> Result<RawArgs, DecodeError> {
        let start = self.cursor.at;
        self.cursor.skip_many(len, MAX_DEPTH)?;
        let bytes = self.message.slice(start..self.cursor.at);
        Ok(Args::from_msgpack(name, bytes, len, Dialect::Server))
    }
}
