//! JSON text that was [scanned](super::scan) before, into a tree. No recursion.

use bytes::Bytes;

use super::scan::{find_special, skip_number, skip_space, skip_string};
use crate::{DecodeError, Number, Object, Text, Value};

/// A container under construction: where its items or members begin among those that wait.
enum Open {
    List(usize),
    Object(usize),
}

/// Reads one value. Text that was not scanned gives some value, never a panic.
pub(crate) fn read_value(text: &str) -> Value {
    // Without attachments nothing is replaced, so nothing can be wrong.
    Reader::new(text, None).value().unwrap_or_default()
}

/// Reads the items of a list, with placeholders replaced by the attachments they name.
pub(crate) fn read_items(text: &str, attachments: &[Bytes]) -> Result<Vec<Value>, DecodeError> {
    match Reader::new(text, Some(attachments)).value()? {
        Value::Array(items) => Ok(items),
        _ => Err(DecodeError::InvalidPayload),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    attachments: Option<&'a [Bytes]>,
    open: Vec<Open>,
    /// Items of the lists that are open, and members of the objects: what a container has in the end
    /// moves into memory of just its size. The last member of an object waits for its value.
    items: Vec<Value>,
    members: Vec<(Text, Value)>,
}

/// How many values make room for themselves at first.
const ROOM: usize = 16;

impl<'a> Reader<'a> {
    fn new(text: &'a str, attachments: Option<&'a [Bytes]>) -> Self {
        Self {
            text,
            at: 0,
            attachments,
            open: Vec::new(),
            items: Vec::new(),
            members: Vec::new(),
        }
    }

    fn value(mut self) -> Result<Value, DecodeError> {
        loop {
            let value = match self.peek()? {
                b'{' => {
                    self.at += 1;
                    if self.peek()? != b'}' {
                        self.open(Open::Object(self.members.len()));
                        self.key()?;
                        continue;
                    }
                    self.at += 1;
                    Value::Object(Object::new())
                }
                b'[' => {
                    self.at += 1;
                    if self.peek()? != b']' {
                        self.open(Open::List(self.items.len()));
                        continue;
                    }
                    self.at += 1;
                    Value::Array(Vec::new())
                }
                b'"' => Value::String(self.string()?),
                first => self.scalar(first)?,
            };
            if let Some(whole) = self.put(value)? {
                return Ok(whole);
            }
        }
    }

    fn open(&mut self, open: Open) {
        if self.open.is_empty() {
            self.open.reserve(ROOM);
            self.items.reserve(ROOM);
            self.members.reserve(ROOM);
        }
        self.open.push(open);
    }

    /// Puts a complete value into its container, which may be complete then too. What is in no
    /// container is the whole.
    fn put(&mut self, mut value: Value) -> Result<Option<Value>, DecodeError> {
        loop {
            let Some(open) = self.open.last() else {
                return Ok(Some(value));
            };
            match *open {
                Open::List(from) => {
                    self.items.push(value);
                    if self.separator()? {
                        return Ok(None);
                    }
                    value = Value::Array(self.items.drain(from..).collect());
                }
                Open::Object(from) => {
                    if let Some(member) = self.members.last_mut() {
                        member.1 = value;
                    }
                    if self.separator()? {
                        self.key()?;
                        return Ok(None);
                    }
                    let members: Vec<_> = self.members.drain(from..).collect();
                    value = self.replace(members.into())?;
                }
            }
            self.open.pop();
        }
    }

    /// The next byte that is no white space.
    #[inline]
    fn peek(&mut self) -> Result<u8, DecodeError> {
        self.at = skip_space(self.text.as_bytes(), self.at);
        let byte = self.text.as_bytes().get(self.at);
        byte.copied().ok_or(DecodeError::InvalidPayload)
    }

    /// Whether a comma follows; if not, the container's end was consumed.
    #[inline]
    fn separator(&mut self) -> Result<bool, DecodeError> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte == b',')
    }

    /// A key and its colon.
    #[inline]
    fn key(&mut self) -> Result<(), DecodeError> {
        if self.peek()? != b'"' {
            return Err(DecodeError::InvalidPayload);
        }
        let key = self.string()?;
        self.members.push((key, Value::Null));
        self.peek()?; // the white space in front of the colon
        self.at += 1;
        Ok(())
    }

    /// A string whose quote is here.
    #[inline]
    fn string(&mut self) -> Result<Text, DecodeError> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let special = find_special(bytes, start);
        if bytes.get(special) == Some(&b'"') {
            self.at = special + 1;
            return Ok(self.text[start..special].into());
        }
        let end = skip_string(bytes, self.at).ok_or(DecodeError::InvalidPayload)?;
        let text = read_string(&self.text[self.at..end]);
        self.at = end;
        Ok(text.into())
    }

    fn scalar(&mut self, first: u8) -> Result<Value, DecodeError> {
        let (value, len) = match first {
            b't' => (Value::Bool(true), 4),
            b'f' => (Value::Bool(false), 5),
            b'n' => (Value::Null, 4),
            b'-' | b'0'..=b'9' => return self.number().map(Value::Number),
            _ => return Err(DecodeError::InvalidPayload),
        };
        self.at += len;
        Ok(value)
    }

    fn number(&mut self) -> Result<Number, DecodeError> {
        let bytes = self.text.as_bytes();
        let end = skip_number(bytes, self.at).ok_or(DecodeError::InvalidPayload)?;
        let number = read_number(&self.text[self.at..end]);
        self.at = end;
        Ok(number)
    }

    /// A placeholder becomes the attachment it names; anything else stays what it is.
    fn replace(&self, object: Object) -> Result<Value, DecodeError> {
        let Some(attachments) = self.attachments else {
            return Ok(Value::Object(object));
        };
        if object.get("_placeholder").and_then(Value::as_bool) != Some(true) {
            return Ok(Value::Object(object));
        }
        object
            .get("num")
            .and_then(Value::as_u64)
            .and_then(|num| attachments.get(usize::try_from(num).ok()?))
            .map(|bytes| Value::Binary(bytes.clone()))
            .ok_or(DecodeError::IllegalAttachments)
    }
}

/// The text of a JSON string with its quotes. Lone surrogates, which JavaScript has and Rust has
/// not, become U+FFFD.
pub(crate) fn read_string(quoted: &str) -> String {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or_default();
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return inner.to_owned();
    }
    serde_json::from_str(quoted).unwrap_or_else(|_| {
        let mut reader = serde_json::Deserializer::from_str(quoted);
        serde::Deserializer::deserialize_bytes(&mut reader, LossyText).unwrap_or_default()
    })
}

/// Takes the bytes of a string that is not Unicode.
struct LossyText;

impl serde::de::Visitor<'_> for LossyText {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// The number that the text of one stands for.
pub(crate) fn read_number(text: &str) -> Number {
    let bytes = text.as_bytes();
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    if !digits.iter().all(u8::is_ascii_digit) {
        return read_float(text);
    }
    if digits.len() > 18 {
        return read_large(text);
    }
    let add = |n, digit: &u8| n * 10 + i64::from(digit - b'0');
    let n = digits.iter().fold(0, add);
    Number::Int(if digits.len() < bytes.len() { -n } else { n })
}

/// An integer that may have more than 64 bits.
fn read_large(text: &str) -> Number {
    if let Ok(n) = text.parse() {
        return Number::Int(n);
    }
    text.parse().map_or_else(|_| read_float(text), Number::UInt)
}

fn read_float(text: &str) -> Number {
    // The grammar of JSON is within that of Rust; too large a number is infinite, as in JavaScript.
    Number::Float(text.parse().unwrap_or(f64::NAN))
}
