//! JSON text that was [scanned](super::scan) before, into a tree. No recursion.

use bytes::Bytes;

use super::scan::{find_special, skip_number, skip_space, skip_string};
use crate::{DecodeError, Number, Object, Value};

/// A container under construction.
enum Frame {
    List(Vec<Value>),
    Object(Object, String),
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
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, attachments: Option<&'a [Bytes]>) -> Self {
        Self {
            text,
            at: 0,
            attachments,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        self.at = skip_space(self.text.as_bytes(), self.at);
        self.text.as_bytes().get(self.at).copied()
    }

    fn value(mut self) -> Result<Value, DecodeError> {
        let mut stack: Vec<Frame> = Vec::new();
        loop {
            let mut value = match self.byte().ok_or(DecodeError::InvalidPayload)? {
                b'{' => {
                    self.at += 1;
                    match self.key()? {
                        Some(key) => {
                            stack.push(Frame::Object(Object::new(), key));
                            continue;
                        }
                        None => Value::Object(Object::new()),
                    }
                }
                b'[' => {
                    self.at += 1;
                    if self.byte() != Some(b']') {
                        stack.push(Frame::List(Vec::new()));
                        continue;
                    }
                    self.at += 1;
                    Value::Array(Vec::new())
                }
                _ => self.scalar()?,
            };
            // The value is complete; so may be the containers around it.
            loop {
                let Some(frame) = stack.last_mut() else {
                    return Ok(value);
                };
                match frame {
                    Frame::List(items) => {
                        items.push(value);
                        if self.separator()? {
                            break;
                        }
                    }
                    Frame::Object(object, key) => {
                        object.insert(std::mem::take(key), value);
                        if self.separator()? {
                            *key = self.key()?.ok_or(DecodeError::InvalidPayload)?;
                            break;
                        }
                    }
                }
                value = match stack.pop() {
                    Some(Frame::List(items)) => Value::Array(items),
                    Some(Frame::Object(object, _)) => self.replace(object)?,
                    None => return Err(DecodeError::InvalidPayload),
                };
            }
        }
    }

    /// Whether a comma follows; if not, the container's end was consumed.
    fn separator(&mut self) -> Result<bool, DecodeError> {
        let byte = self.byte().ok_or(DecodeError::InvalidPayload)?;
        self.at += 1;
        Ok(byte == b',')
    }

    /// A key and its colon, or `None` at the object's end, which is consumed.
    fn key(&mut self) -> Result<Option<String>, DecodeError> {
        if self.byte() == Some(b'}') {
            self.at += 1;
            return Ok(None);
        }
        let key = self.string()?;
        self.byte(); // the white space in front of the colon
        self.at += 1;
        Ok(Some(key))
    }

    fn string(&mut self) -> Result<String, DecodeError> {
        if self.byte() != Some(b'"') {
            return Err(DecodeError::InvalidPayload);
        }
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let special = find_special(bytes, start);
        if bytes.get(special) == Some(&b'"') {
            self.at = special + 1;
            return Ok(self.text[start..special].to_owned());
        }
        let end = skip_string(bytes, self.at).ok_or(DecodeError::InvalidPayload)?;
        let text = read_string(&self.text[self.at..end]);
        self.at = end;
        Ok(text)
    }

    fn scalar(&mut self) -> Result<Value, DecodeError> {
        let bytes = self.text.as_bytes();
        let (value, len) = match bytes[self.at] {
            b'"' => return self.string().map(Value::String),
            b't' => (Value::Bool(true), 4),
            b'f' => (Value::Bool(false), 5),
            b'n' => (Value::Null, 4),
            b'-' | b'0'..=b'9' => {
                let end = skip_number(bytes, self.at).ok_or(DecodeError::InvalidPayload)?;
                let number = read_number(&self.text[self.at..end]);
                (Value::Number(number), end - self.at)
            }
            _ => return Err(DecodeError::InvalidPayload),
        };
        self.at += len;
        Ok(value)
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
    if let Ok(n) = text.parse::<i64>() {
        return Number::Int(n);
    }
    if let Ok(n) = text.parse::<u64>() {
        return Number::UInt(n);
    }
    // The grammar of JSON is within that of Rust; too large a number is infinite, as in JavaScript.
    Number::Float(text.parse().unwrap_or(f64::NAN))
}
