//! Writing a message.

use crate::{Args, EncodeError, Value};

/// Appends one value in JSON or MessagePack.
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
    json: bool,
}

/// A map that is being written.
pub struct Members<'w, 'b> {
    writer: &'w mut Writer<'b>,
    empty: bool,
}

impl Members<'_, '_> {
    /// Writes a key; the value is to be written with what it returns.
    pub fn key(&mut self, key: &str) -> &mut Writer<'_> {
        todo!()
    }
}

impl<'b> Writer<'b> {
    /// Writes JSON text.
    pub fn json(out: &'b mut Vec<u8>) -> Self {
        Self { out, json: true }
    }
    /// Writes MessagePack in its shortest forms.
    pub fn msgpack(out: &'b mut Vec<u8>) -> Self {
        Self { out, json: false }
    }
    /// Whether it writes JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }
    /// Writes a map of `len` members, which `members` writes.
    pub fn map(
        &mut self,
        len: usize,
        members: impl FnOnce(&mut Members<'_, 'b>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        todo!()
    }
    /// Writes a list, each item with `write`.
    pub fn list<I: ExactSizeIterator>(
        &mut self,
        items: I,
        write: impl FnMut(&mut Self, I::Item) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        todo!()
    }
    /// Writes nothing.
    pub fn null(&mut self) {
        todo!()
    }
    /// Writes a truth value.
    pub fn bool(&mut self, value: bool) {
        todo!()
    }
    /// Writes an integer.
    pub fn uint(&mut self, value: u64) {
        todo!()
    }
    /// Writes text.
    pub fn text(&mut self, text: &str) {
        todo!()
    }
    /// Writes any value. In JSON bytes become what `JSON.stringify` makes of a `Buffer`.
    pub fn value(&mut self, value: &Value) -> Result<(), EncodeError> {
        todo!()
    }
    /// Writes an event: a list of its name and its arguments.
    pub fn event(&mut self, event: &Args<'_>) -> Result<(), EncodeError> {
        todo!()
    }
    /// Writes the first argument, or nothing if there is none.
    pub fn argument(&mut self, args: &Args<'_>) -> Result<(), EncodeError> {
        todo!()
    }
}
