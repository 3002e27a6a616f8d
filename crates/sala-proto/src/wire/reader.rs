//! Reading a message in the order in which it is written.

use std::borrow::Cow;

use bytes::Bytes;

use super::json::JsonReader;
use super::msgpack::MsgPackReader;
use crate::args::number_text;
use crate::{DecodeError, Number, RawArgs, Value};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: `null`, and what MessagePack has for `undefined`.
    Null,
    /// True or false.
    Bool,
    /// A number.
    Number,
    /// Text; also a date of MessagePack, which is read as the text that JSON has for it.
    Text,
    /// Bytes, which JSON has not, and extensions of MessagePack that nobody knows.
    Bytes,
    /// A list.
    List,
    /// Named values.
    Map,
}

/// Reads a message from its start to its end, checking what it passes.
///
/// Each method reads one value. After an error the place in the message is undefined.
///
/// A message may be as hostile as it likes: nothing panics, and no memory is taken that the message does
/// not fill itself. Values nest at most 512 levels deep.
#[derive(Clone)]
pub struct Reader<'a> {
    form: Form<'a>,
}

#[derive(Clone)]
enum Form<'a> {
    Json(JsonReader<'a>),
    MsgPack(MsgPackReader<'a>),
}

impl<'a> Reader<'a> {
    /// Reads JSON if the message starts with `{` or `[`, which would be the whole of a MessagePack
    /// message, a number, and MessagePack otherwise.
    ///
    /// # Errors
    ///
    /// As [`json`](Self::json).
    pub fn new(message: &'a Bytes) -> Result<Self, DecodeError> {
        match message.first() {
            Some(b'{' | b'[') => Self::json(message),
            _ => Ok(Self::msgpack(message)),
        }
    }

    /// Reads JSON text.
    ///
    /// # Errors
    ///
    /// If the message is not UTF-8.
    pub fn json(message: &'a Bytes) -> Result<Self, DecodeError> {
        let form = Form::Json(JsonReader::new(message)?);
        Ok(Self { form })
    }

    /// Reads MessagePack of another server.
    #[must_use]
    pub fn msgpack(message: &'a Bytes) -> Self {
        let form = Form::MsgPack(MsgPackReader::new(message));
        Self { form }
    }

    /// Whether the message is JSON text.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self.form, Form::Json(_))
    }

    /// What comes next. Reads nothing.
    ///
    /// # Errors
    ///
    /// If the message ends here or no value starts here.
    pub fn peek(&mut self) -> Result<Kind, DecodeError> {
        match &mut self.form {
            Form::Json(reader) => reader.peek(),
            Form::MsgPack(reader) => reader.peek(),
        }
    }

    /// Reads a map: `member` is called with each key, and reads the value or leaves it to be skipped.
    ///
    /// # Errors
    ///
    /// If it is no map, or broken; and what `member` says.
    pub fn map<E: From<DecodeError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut left = self.open(Kind::Map)?;
        while self.next(&mut left)? {
            let key = match &mut self.form {
                Form::Json(reader) => reader.key()?,
                Form::MsgPack(reader) => reader.key()?,
            };
            let at = self.at();
            member(self, &key)?;
            if self.at() == at {
                self.skip()?;
            }
        }
        Ok(())
    }

    /// Reads a list: `item` is called for each item, and reads it or leaves it to be skipped.
    ///
    /// # Errors
    ///
    /// If it is no list, or broken; and what `item` says.
    pub fn list<E: From<DecodeError>>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut left = self.open(Kind::List)?;
        while self.next(&mut left)? {
            let at = self.at();
            item(self)?;
            if self.at() == at {
                self.skip()?;
            }
        }
        Ok(())
    }

    /// Reads text.
    ///
    /// # Errors
    ///
    /// If it is no text.
    pub fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        match &mut self.form {
            Form::Json(reader) => reader.text(),
            Form::MsgPack(reader) => reader.text(),
        }
    }

    /// Reads text, or a number as the text that JavaScript makes of it.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn name(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        match self.peek()? {
            Kind::Number => self.number().map(|number| number_text(number).into()),
            _ => self.text(),
        }
    }

    /// Reads a truth value.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match &mut self.form {
            Form::Json(reader) => reader.bool(),
            Form::MsgPack(reader) => reader.bool(),
        }
    }

    /// Reads a number.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn number(&mut self) -> Result<Number, DecodeError> {
        match &mut self.form {
            Form::Json(reader) => reader.number(),
            Form::MsgPack(reader) => reader.number(),
        }
    }

    /// Reads an integer that is not negative.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn uint(&mut self) -> Result<u64, DecodeError> {
        self.number()?.as_u64().ok_or(DecodeError::InvalidPayload)
    }

    /// Reads any value. Bytes are shared with the message.
    ///
    /// # Errors
    ///
    /// If it is broken or nests too deep.
    pub fn value(&mut self) -> Result<Value, DecodeError> {
        match &mut self.form {
            Form::Json(reader) => reader.value(),
            Form::MsgPack(reader) => reader.value(),
        }
    }

    /// Reads an event: a list that starts with its name, a text or a number. It shares the bytes of the
    /// message.
    ///
    /// # Errors
    ///
    /// If it is none, is broken or nests too deep.
    pub fn event(&mut self) -> Result<RawArgs, DecodeError> {
        match &mut self.form {
            Form::Json(reader) => reader.event(),
            Form::MsgPack(reader) => reader.event(),
        }
    }

    /// Reads any value as the only argument. It shares the bytes of the message.
    ///
    /// # Errors
    ///
    /// If it is broken or nests too deep.
    pub fn argument(&mut self) -> Result<RawArgs, DecodeError> {
        match &mut self.form {
            Form::Json(reader) => reader.argument(),
            Form::MsgPack(reader) => reader.argument(),
        }
    }

    /// Goes past any value.
    ///
    /// # Errors
    ///
    /// If it is broken or nests too deep.
    pub fn skip(&mut self) -> Result<(), DecodeError> {
        match &mut self.form {
            Form::Json(reader) => reader.skip(),
            Form::MsgPack(reader) => reader.skip(),
        }
    }

    /// Ends the reading, where the message must end.
    ///
    /// # Errors
    ///
    /// If something is left.
    pub fn end(self) -> Result<(), DecodeError> {
        let left = match self.form {
            Form::Json(reader) => reader.left(),
            Form::MsgPack(reader) => reader.left(),
        };
        match left {
            0 => Ok(()),
            left => Err(DecodeError::TrailingBytes(left)),
        }
    }

    fn at(&self) -> usize {
        match &self.form {
            Form::Json(reader) => reader.at(),
            Form::MsgPack(reader) => reader.at(),
        }
    }

    fn open(&mut self, kind: Kind) -> Result<Left, DecodeError> {
        Ok(match &mut self.form {
            Form::Json(reader) => {
                reader.open(kind)?;
                Left::Until {
                    close: if kind == Kind::Map { b'}' } else { b']' },
                    first: true,
                }
            }
            Form::MsgPack(reader) => Left::Count(reader.open(kind)?),
        })
    }

    /// Whether there is one more item; if not, the end of the list or map was read.
    fn next(&mut self, left: &mut Left) -> Result<bool, DecodeError> {
        match (&mut self.form, left) {
            (Form::Json(reader), Left::Until { close, first }) => {
                reader.next(*close, std::mem::take(first))
            }
            (_, Left::Count(count)) => {
                let more = *count > 0;
                *count = count.saturating_sub(1);
                Ok(more)
            }
            (Form::MsgPack(_), Left::Until { .. }) => Ok(false), // `open` never makes it
        }
    }
}

/// What is left of a list or map.
enum Left {
    /// As many as there are until this byte.
    Until {
        close: u8,
        first: bool,
    },
    Count(usize),
}
