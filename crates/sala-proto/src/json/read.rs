//! JSON text that was [scanned](super::scan) before, into a tree. No recursion.

use bytes::Bytes;

use super::scan::{find_special, skip_number, skip_space, skip_string};
use crate::{DecodeError, Number, Object, Text, Value};

/// A container under construction: where its items or members begin among those that wait.
enum Open<'a> {
    List(usize),
    /// With the name of the member whose value comes next.
    Object(usize, Name<'a>),
}

/// The name of a member.
#[derive(Clone, Copy)]
enum Name<'a> {
    Plain(&'a str),
    /// With its quotes and escapes.
    Quoted(&'a str),
}

impl From<Name<'_>> for Text {
    #[inline(always)]
    fn from(name: Name<'_>) -> Self {
        match name {
            Name::Plain(text) => text.into(),
            Name::Quoted(text) => read_string(text).into(),
        }
    }
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

/// Values are made where they wait: most are as short as a few words, and moving such a one right after
/// it was written makes the processor wait for its own writes.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    attachments: Option<&'a [Bytes]>,
    open: Vec<Open<'a>>,
    /// Items of the lists that are open, and in the end the whole.
    items: Vec<Value>,
    /// Members of the objects that are open.
    members: Vec<(Text, Value)>,
}

/// How many items and members have room from the start.
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
            match self.peek()? {
                b'{' => {
                    self.at += 1;
                    if self.peek()? != b'}' {
                        self.open_object()?;
                        continue;
                    }
                    self.at += 1;
                    self.put(Object::new());
                }
                b'[' => {
                    self.at += 1;
                    if self.peek()? != b']' {
                        self.open.push(Open::List(self.items.len()));
                        self.items.reserve(ROOM);
                        continue;
                    }
                    self.at += 1;
                    self.put(Value::Array(Vec::new()));
                }
                b'"' => match self.string()? {
                    Name::Plain(text) => self.put(text),
                    Name::Quoted(text) => self.put(read_string(text)),
                },
                b't' => self.word(true, 4),
                b'f' => self.word(false, 5),
                b'n' => self.word(Value::Null, 4),
                b'-' | b'0'..=b'9' => self.number()?,
                _ => return Err(DecodeError::InvalidPayload),
            }
            if self.ended()? {
                return self.items.pop().ok_or(DecodeError::InvalidPayload);
            }
        }
    }

    /// After a comma: an object has a name here.
    #[inline(always)]
    fn next_name(&mut self) -> Result<(), DecodeError> {
        if let Some(&Open::Object(from, _)) = self.open.last() {
            let name = self.name()?;
            self.open.pop();
            self.open.push(Open::Object(from, name));
        }
        Ok(())
    }

    fn open_object(&mut self) -> Result<(), DecodeError> {
        let name = self.name()?;
        self.open.push(Open::Object(self.members.len(), name));
        self.members.reserve(ROOM);
        Ok(())
    }

    /// Puts a complete value into the container it is in.
    #[inline(always)]
    fn put(&mut self, value: impl Into<Value>) {
        match self.open.last() {
            Some(Open::Object(_, name)) => self.members.push(((*name).into(), value.into())),
            _ => self.items.push(value.into()),
        }
    }

    /// After a value: closes the containers that end here. True if the whole is complete.
    fn ended(&mut self) -> Result<bool, DecodeError> {
        while !self.open.is_empty() {
            if self.separator()? {
                return self.next_name().map(|()| false);
            }
            match self.open.pop() {
                Some(Open::Object(from, _)) => {
                    let object = Object::from(take_from(&mut self.members, from));
                    let value = self.replace(object)?;
                    self.put(value);
                }
                Some(Open::List(from)) => {
                    let items = take_from(&mut self.items, from);
                    self.put(Value::Array(items));
                }
                None => break,
            }
        }
        Ok(true)
    }

    /// The next byte that is no white space.
    #[inline(always)]
    fn peek(&mut self) -> Result<u8, DecodeError> {
        self.at = skip_space(self.text.as_bytes(), self.at);
        let byte = self.text.as_bytes().get(self.at);
        byte.copied().ok_or(DecodeError::InvalidPayload)
    }

    /// Whether a comma follows; if not, the container's end was consumed.
    #[inline(always)]
    fn separator(&mut self) -> Result<bool, DecodeError> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte == b',')
    }

    /// The name of a member and its colon.
    #[inline(always)]
    fn name(&mut self) -> Result<Name<'a>, DecodeError> {
        if self.peek()? != b'"' {
            return Err(DecodeError::InvalidPayload);
        }
        let name = self.string()?;
        self.peek()?; // the white space in front of the colon
        self.at += 1;
        Ok(name)
    }

    /// A string whose quote is here.
    #[inline(always)]
    fn string(&mut self) -> Result<Name<'a>, DecodeError> {
        let (text, start) = (self.text, self.at);
        let special = find_special(text.as_bytes(), start + 1);
        if text.as_bytes().get(special) == Some(&b'"') {
            self.at = special + 1;
            return Ok(Name::Plain(&text[start + 1..special]));
        }
        self.at = skip_string(text.as_bytes(), start).ok_or(DecodeError::InvalidPayload)?;
        Ok(Name::Quoted(&text[start..self.at]))
    }

    #[inline(always)]
    fn word(&mut self, value: impl Into<Value>, len: usize) {
        self.put(value);
        self.at += len;
    }

    #[inline(always)]
    fn number(&mut self) -> Result<(), DecodeError> {
        let bytes = self.text.as_bytes();
        let end = skip_number(bytes, self.at).ok_or(DecodeError::InvalidPayload)?;
        let number = read_number(&self.text[self.at..end]);
        self.put(number);
        self.at = end;
        Ok(())
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

/// Moves what is behind `from` into memory of its size, as a whole.
fn take_from<T>(all: &mut Vec<T>, from: usize) -> Vec<T> {
    if from > 0 {
        return all.split_off(from);
    }
    let mut own = Vec::with_capacity(all.len());
    own.append(all);
    own
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
