//! Writing a message.

use serde::Serialize;

use crate::json::{JsonWriter, write_string};
use crate::msgpack::{self, Dialect, Kind, MsgPackWriter, write_head};
use crate::{EncodeError, RawArgs, Value};

/// Appends values to a message, in JSON or in MessagePack for another server.
///
/// Each method writes one value.
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
    json: bool,
}

/// A map that is being written.
pub struct Members<'w, 'b> {
    writer: &'w mut Writer<'b>,
    empty: bool,
}

impl<'b> Members<'_, 'b> {
    /// Writes a key; what is returned must write the value.
    pub fn key(&mut self, key: &str) -> &mut Writer<'b> {
        self.writer.comma(&mut self.empty);
        self.writer.text(key);
        if self.writer.json {
            self.writer.out.push(b':');
        }
        self.writer
    }
}

impl<'b> Writer<'b> {
    /// Writes JSON text as `JSON.stringify` does.
    #[must_use]
    pub fn json(out: &'b mut Vec<u8>) -> Self {
        Self { out, json: true }
    }

    /// Writes MessagePack in its shortest forms.
    #[must_use]
    pub fn msgpack(out: &'b mut Vec<u8>) -> Self {
        Self { out, json: false }
    }

    /// Whether it writes JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    fn comma(&mut self, empty: &mut bool) {
        if !std::mem::take(empty) && self.json {
            self.out.push(b',');
        }
    }

    fn open(&mut self, kind: Kind, len: usize) {
        match (self.json, kind) {
            (true, Kind::Map) => self.out.push(b'{'),
            (true, Kind::List) => self.out.push(b'['),
            (false, kind) => write_head(self.out, kind, len),
        }
    }

    fn close(&mut self, end: u8) {
        if self.json {
            self.out.push(end);
        }
    }

    /// Writes a map: `members` must write as many members as `len` says.
    ///
    /// # Errors
    ///
    /// What `members` says.
    pub fn map(
        &mut self,
        len: usize,
        members: impl FnOnce(&mut Members<'_, 'b>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.open(Kind::Map, len);
        members(&mut Members {
            writer: self,
            empty: true,
        })?;
        self.close(b'}');
        Ok(())
    }

    /// Writes a list: `write` must write each item.
    ///
    /// # Errors
    ///
    /// What `write` says.
    pub fn list<I: ExactSizeIterator>(
        &mut self,
        items: I,
        mut write: impl FnMut(&mut Self, I::Item) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.open(Kind::List, items.len());
        let mut empty = true;
        for item in items {
            self.comma(&mut empty);
            write(self, item)?;
        }
        self.close(b']');
        Ok(())
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        if self.json {
            self.out.extend_from_slice(b"null");
        } else {
            self.out.push(0xc0);
        }
    }

    /// Writes a truth value.
    pub fn bool(&mut self, value: bool) {
        match (self.json, value) {
            (true, true) => self.out.extend_from_slice(b"true"),
            (true, false) => self.out.extend_from_slice(b"false"),
            (false, true) => self.out.push(0xc3),
            (false, false) => self.out.push(0xc2),
        }
    }

    /// Writes an integer.
    pub fn uint(&mut self, value: u64) {
        if self.json {
            let mut digits = itoa::Buffer::new();
            self.out.extend_from_slice(digits.format(value).as_bytes());
        } else {
            msgpack::write_uint(self.out, value);
        }
    }

    /// Writes text.
    pub fn text(&mut self, text: &str) {
        if self.json {
            write_string(self.out, text);
        } else {
            msgpack::write_str(self.out, text);
        }
    }

    /// Writes any value. In JSON bytes become what `JSON.stringify` makes of a `Buffer`.
    ///
    /// # Errors
    ///
    /// If the value nests deeper than 512 levels.
    pub fn value(&mut self, value: &Value) -> Result<(), EncodeError> {
        if self.json {
            value.serialize(&mut JsonWriter::new(self.out, None))
        } else {
            value.serialize(MsgPackWriter::new(self.out))
        }
    }

    /// Writes an event: a list of its name and its arguments. They are copied if they came in the same
    /// form, and rewritten in one pass if not.
    ///
    /// # Errors
    ///
    /// If they are no event: [`Args::event`](crate::Args::event) is `None`. Also as [`value`](Self::value).
    pub fn event(&mut self, event: &RawArgs) -> Result<(), EncodeError> {
        if event.event().is_none() {
            return Err(EncodeError::new("an event without a name"));
        }
        self.open(Kind::List, 1 + event.len());
        if self.json {
            event.write_json_name(self.out)?;
            if !event.is_empty() {
                self.out.push(b',');
            }
            event.write_json(self.out, None)?;
        } else {
            event.write_msgpack_name(self.out);
            event.write_msgpack(self.out, Dialect::Server)?;
        }
        self.close(b']');
        Ok(())
    }

    /// Writes the first argument, or `null` if there is none.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
    pub fn argument(&mut self, args: &RawArgs) -> Result<(), EncodeError> {
        match args.len() {
            0 => self.null(),
            1 if self.json => args.write_json(self.out, None)?,
            1 => args.write_msgpack(self.out, Dialect::Server)?,
            _ => self.value(&args.first())?,
        }
        Ok(())
    }
}
