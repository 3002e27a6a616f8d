//! MessagePack into JSON text, without a tree. No recursion.

use bytes::Bytes;

use super::read::{Cursor, Dialect, Token, key_text, read_value, scalar_value, text_of};
use crate::json::{write_buffer, write_f64, write_placeholder, write_string};
use crate::{DecodeError, Value};

/// A list or map, and how many values it still wants.
struct Open {
    left: usize,
    map: bool,
}

/// Appends `count` values that were checked, separated by commas. Bytes go to `lifted`, with
/// placeholders in the text; without it they become what `JSON.stringify` makes of a `Buffer`.
pub(crate) fn write_json(
    out: &mut Vec<u8>,
    bytes: &Bytes,
    count: usize,
    dialect: Dialect,
    lifted: Option<&mut Vec<Bytes>>,
) -> Result<(), DecodeError> {
    let mut writer = Writer {
        out,
        bytes,
        cursor: Cursor::new(bytes),
        dialect,
        lifted,
    };
    for i in 0..count {
        if i > 0 {
            writer.out.push(b',');
        }
        writer.value()?;
    }
    Ok(())
}

struct Writer<'a, 'b> {
    out: &'b mut Vec<u8>,
    bytes: &'a Bytes,
    cursor: Cursor<'a>,
    dialect: Dialect,
    lifted: Option<&'b mut Vec<Bytes>>,
}

impl Writer<'_, '_> {
    fn value(&mut self) -> Result<(), DecodeError> {
        let mut stack: Vec<Open> = Vec::new();
        loop {
            let (left, map) = match self.cursor.token()? {
                Token::List(len) => (len, false),
                Token::Map(len) => (len, true),
                scalar => {
                    self.scalar(scalar);
                    match self.ended(&mut stack)? {
                        true => return Ok(()),
                        false => continue,
                    }
                }
            };
            self.out.push(if map { b'{' } else { b'[' });
            if left > 0 {
                if map {
                    self.key()?;
                }
                stack.push(Open { left, map });
                continue;
            }
            self.out.push(if map { b'}' } else { b']' });
            if self.ended(&mut stack)? {
                return Ok(());
            }
        }
    }

    /// After a value: closes what is full and goes on to the next value. True if there is none.
    fn ended(&mut self, stack: &mut Vec<Open>) -> Result<bool, DecodeError> {
        while let Some(open) = stack.last_mut() {
            open.left -= 1;
            if open.left > 0 {
                self.out.push(b',');
                if open.map {
                    self.key()?;
                }
                return Ok(false);
            }
            self.out.push(if open.map { b'}' } else { b']' });
            stack.pop();
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<(), DecodeError> {
        let at = self.cursor.at;
        match self.cursor.token()? {
            Token::Str(start, end) => write_string(self.out, &text_of(&self.bytes[start..end])),
            _ => {
                self.cursor.at = at;
                let key = read_value(&mut self.cursor, self.bytes, self.dialect)?;
                write_string(self.out, &key_text(key));
            }
        }
        self.out.push(b':');
        Ok(())
    }

    fn scalar(&mut self, token: Token) {
        match token {
            Token::Bool(true) => self.out.extend_from_slice(b"true"),
            Token::Bool(false) => self.out.extend_from_slice(b"false"),
            Token::Int(n) => self.integer(n),
            Token::UInt(n) => self.integer(n),
            Token::Float(n) => write_f64(self.out, n),
            Token::Str(start, end) => write_string(self.out, &text_of(&self.bytes[start..end])),
            Token::Bin(start, end) => self.binary(&self.bytes.slice(start..end)),
            token => match scalar_value(token, self.bytes, self.dialect) {
                Value::String(date) => write_string(self.out, &date),
                Value::Array(extension) => self.extension(&extension),
                _ => self.out.extend_from_slice(b"null"),
            },
        }
    }

    fn integer(&mut self, n: impl itoa::Integer) {
        let mut digits = itoa::Buffer::new();
        self.out.extend_from_slice(digits.format(n).as_bytes());
    }

    /// An extension that nobody knows: its type and its bytes.
    fn extension(&mut self, pair: &[Value]) {
        self.out.push(b'[');
        for value in pair {
            match value {
                Value::Binary(bytes) => self.binary(bytes),
                kind => {
                    self.integer(kind.as_i64().unwrap_or_default());
                    self.out.push(b',');
                }
            }
        }
        self.out.push(b']');
    }

    fn binary(&mut self, bytes: &Bytes) {
        match &mut self.lifted {
            Some(lifted) => {
                write_placeholder(self.out, lifted.len());
                lifted.push(bytes.clone());
            }
            None => write_buffer(self.out, bytes),
        }
    }
}
