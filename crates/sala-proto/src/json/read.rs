//! JSON text that was [scanned](super::scan) before, into a tree. No recursion.

use bytes::Bytes;

use super::scan::{find_special, skip_number, skip_space, skip_string};
use crate::{DecodeError, Number, Object, Text, Value};

/// A container under construction: where its items or members begin among those that wait.
#[derive(Clone, Copy)]
enum Open {
    List(usize),
    Object(usize),
}

/// A string of the text.
enum Token<'a> {
    Plain(&'a str),
    /// With its quotes and escapes.
    Quoted(&'a str),
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

/// Values are written where they wait: most are as short as a few words, and moving such a one right
/// after it was written makes the processor wait for its own writes.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    attachments: Option<&'a [Bytes]>,
    open: Vec<Open>,
    /// Items of the lists that are open, and in the end the whole.
    items: Vec<Value>,
    /// Members of the objects that are open. The last one of each object that waits for its value has none yet.
    members: Vec<(Text, Value)>,
}

// Copied from constant memory as a whole, rather than put together and then read again.
const NULL: Value = Value::Null;
const FALSE: Value = Value::Bool(false);
const TRUE: Value = Value::Bool(true);
const ZERO: Value = Value::Number(Number::Int(0));
const EMPTY_TEXT: Value = Value::String(Text::EMPTY);
const EMPTY_LIST: Value = Value::Array(Vec::new());
const EMPTY_OBJECT: Value = Value::Object(Object::new());
const NEW_MEMBER: (Text, Value) = (Text::EMPTY, Value::Null);

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
                        self.open.push(Open::Object(self.members.len()));
                        self.members.reserve(ROOM);
                        self.name()?;
                        continue;
                    }
                    self.at += 1;
                    fill(self.place(), EMPTY_OBJECT);
                }
                b'[' => {
                    self.at += 1;
                    if self.peek()? != b']' {
                        self.open.push(Open::List(self.items.len()));
                        self.items.reserve(ROOM);
                        continue;
                    }
                    self.at += 1;
                    fill(self.place(), EMPTY_LIST);
                }
                b'"' => {
                    let token = self.string()?;
                    if let Value::String(text) = fill(self.place(), EMPTY_TEXT) {
                        token.write_to(text);
                    }
                }
                b't' => self.word(TRUE, 4),
                b'f' => self.word(FALSE, 5),
                b'n' => self.word(NULL, 4),
                b'-' | b'0'..=b'9' => self.number()?,
                _ => return Err(DecodeError::InvalidPayload),
            }
            if self.ended()? {
                return self.items.pop().ok_or(DecodeError::InvalidPayload);
            }
        }
    }

    /// Where the next value belongs: behind the name that was read, or at the end of the list.
    #[inline(always)]
    fn place(&mut self) -> &mut Value {
        if let Some(Open::Object(_)) = self.open.last()
            && let Some((_, value)) = self.members.last_mut()
        {
            return value;
        }
        self.items.push_mut(NULL)
    }

    /// After a value: closes the containers that end here. True if the whole is complete.
    fn ended(&mut self) -> Result<bool, DecodeError> {
        while let Some(&open) = self.open.last() {
            if self.separator()? {
                if let Open::Object(_) = open {
                    self.name()?;
                }
                return Ok(false);
            }
            self.open.pop();
            match open {
                Open::Object(from) => {
                    let object = Object::from(take_from(&mut self.members, from));
                    if self.attachments.is_some() {
                        let value = self.replace(object)?;
                        fill(self.place(), value);
                    } else if let Value::Object(place) = fill(self.place(), EMPTY_OBJECT) {
                        *place = object;
                    }
                }
                Open::List(from) => {
                    let items = take_from(&mut self.items, from);
                    if let Value::Array(place) = fill(self.place(), EMPTY_LIST) {
                        *place = items;
                    }
                }
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

    /// The name of a member and its colon: the member waits for its value.
    #[inline(always)]
    fn name(&mut self) -> Result<(), DecodeError> {
        if self.peek()? != b'"' {
            return Err(DecodeError::InvalidPayload);
        }
        let token = self.string()?;
        let (name, _) = self.members.push_mut(NEW_MEMBER);
        token.write_to(name);
        self.peek()?; // the white space in front of the colon
        self.at += 1;
        Ok(())
    }

    /// A string whose quote is here.
    #[inline(always)]
    fn string(&mut self) -> Result<Token<'a>, DecodeError> {
        let (text, start) = (self.text, self.at);
        let special = find_special(text.as_bytes(), start + 1);
        if text.as_bytes().get(special) == Some(&b'"') {
            self.at = special + 1;
            return Ok(Token::Plain(&text[start + 1..special]));
        }
        self.at = skip_string(text.as_bytes(), start).ok_or(DecodeError::InvalidPayload)?;
        Ok(Token::Quoted(&text[start..self.at]))
    }

    #[inline(always)]
    fn word(&mut self, value: Value, len: usize) {
        fill(self.place(), value);
        self.at += len;
    }

    #[inline(always)]
    fn number(&mut self) -> Result<(), DecodeError> {
        let (text, start) = (self.text, self.at);
        let Value::Number(number) = fill(self.place(), ZERO) else {
            return Ok(());
        };
        if let Some((n, end)) = small_integer(text.as_bytes(), start) {
            *number = Number::Int(n);
            self.at = end;
        } else {
            let end = skip_number(text.as_bytes(), start).ok_or(DecodeError::InvalidPayload)?;
            *number = read_other_number(&text[start..end]);
            self.at = end;
        }
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

impl Token<'_> {
    /// Writes what the token stands for into an empty text.
    #[inline(always)]
    fn write_to(self, text: &mut Text) {
        match self {
            Token::Plain(plain) => text.push_str(plain),
            Token::Quoted(quoted) => *text = read_string(quoted).into(),
        }
    }
}

/// Moves what is behind `from` into memory of its size, as a whole.
#[inline(always)]
fn take_from<T>(all: &mut Vec<T>, from: usize) -> Vec<T> {
    if from > 0 {
        return all.split_off(from);
    }
    let mut own = Vec::with_capacity(all.len());
    own.append(all);
    own
}

/// Puts a value in the place of a null, which needs no drop.
#[inline(always)]
fn fill(place: &mut Value, value: Value) -> &mut Value {
    std::mem::forget(std::mem::replace(place, value));
    place
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

/// An integer of up to 18 digits at `at`, and where it ends; nothing if the number is another one.
#[inline(always)]
fn small_integer(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let (mut n, mut end) = (0_i64, first);
    while let Some(&byte) = bytes.get(end)
        && byte.is_ascii_digit()
    {
        // What does not fit is not used.
        n = n.wrapping_mul(10).wrapping_add(i64::from(byte - b'0'));
        end += 1;
    }
    let fraction = matches!(bytes.get(end), Some(b'.' | b'e' | b'E'));
    let fits = (1..=18).contains(&(end - first));
    (fits && !fraction).then(|| (if negative { -n } else { n }, end))
}

/// The number that the text of one stands for.
pub(crate) fn read_number(text: &str) -> Number {
    match small_integer(text.as_bytes(), 0) {
        Some((n, end)) if end == text.len() => Number::Int(n),
        _ => read_other_number(text),
    }
}

/// A number that is no [`small_integer`].
fn read_other_number(text: &str) -> Number {
    if !text.contains(['.', 'e', 'E']) {
        if let Ok(n) = text.parse() {
            return Number::Int(n);
        }
        if let Ok(n) = text.parse() {
            return Number::UInt(n);
        }
    }
    // The grammar of JSON is within that of Rust; too large a number is infinite, as in JavaScript.
    Number::Float(text.parse().unwrap_or(f64::NAN))
}
