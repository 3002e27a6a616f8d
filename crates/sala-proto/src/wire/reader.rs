//! Reading a message in the order in which it is written.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{DecodeError, RawArgs, Value};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: `null`, and what MessagePack has for `undefined`.
    Null,
    /// True or false.
    Bool,
    /// A number.
    Number,
    /// Text, dates of MessagePack included.
    Text,
    /// Bytes, which JSON has not.
    Bytes,
    /// A list.
    List,
    /// Named values.
    Map,
}

/// Reads a message from its start to its end, checking what it passes.
pub struct Reader<'a> {
    source: &'a Bytes,
    json: bool,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads JSON if the message starts with `{` or `[`, and MessagePack otherwise, where these bytes would be
    /// the whole of a message: a number.
    pub fn new(source: &'a Bytes) -> Result<Self, DecodeError> {
        todo!()
    }
    /// Reads JSON text.
    pub fn json(source: &'a Bytes) -> Result<Self, DecodeError> {
        todo!()
    }
    /// Reads MessagePack.
    pub fn msgpack(source: &'a Bytes) -> Self {
        Self { source, json: false, at: 0 }
    }
    /// Whether the message is JSON text.
    pub fn is_json(&self) -> bool {
        self.json
    }
    /// What comes next.
    pub fn peek(&self) -> Result<Kind, DecodeError> {
        todo!()
    }
    /// Reads a map: `member` is called with each key, and reads the value or leaves it to be skipped.
    pub fn map<E: From<DecodeError>>(
        &mut self,
        member: impl FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        todo!()
    }
    /// Reads a list: `item` is called for each item, and reads it or leaves it to be skipped.
    pub fn list<E: From<DecodeError>>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        todo!()
    }
    /// Reads text.
    pub fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        todo!()
    }
    /// Reads text, or a number as the text that JavaScript makes of it.
    pub fn name(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        todo!()
    }
    /// Reads a truth value.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        todo!()
    }
    /// Reads an integer that is not negative.
    pub fn uint(&mut self) -> Result<u64, DecodeError> {
        todo!()
    }
    /// Reads any value.
    pub fn value(&mut self) -> Result<Value, DecodeError> {
        todo!()
    }
    /// Reads an event: a list that starts with the name, a text or a number. It stays a part of the message.
    pub fn event(&mut self) -> Result<RawArgs, DecodeError> {
        todo!()
    }
    /// Reads any value as the only argument. It stays a part of the message.
    pub fn argument(&mut self) -> Result<RawArgs, DecodeError> {
        todo!()
    }
    /// Goes past any value.
    pub fn skip(&mut self) -> Result<(), DecodeError> {
        todo!()
    }
    /// The message must end here.
    pub fn end(self) -> Result<(), DecodeError> {
        todo!()
    }
}
