//! The arguments of a packet, kept as bytes until somebody asks for a type.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::json::{self, Item, Scan};
use crate::msgpack::{self, Dialect};
use crate::{ArgsError, DecodeError, Value};

mod de;
mod serde_impls;
mod text;
mod write;

use self::text::Text;

/// The arguments of an event or an ack, or the one value of a connect packet, not yet deserialized.
///
/// The event's name is apart from the arguments: see [`event`](Self::event). Reading never uses
/// anything up: after a failure another type may be tried.
#[derive(Clone)]
pub struct Args<'a> {
    name: Option<Name>,
    repr: Repr<'a>,
}

/// Arguments that borrow nothing.
///
/// As a type of data they go through any codec, in and out. Between two packets of the same codec
/// they are copied as bytes, without being parsed.
pub type RawArgs = Args<'static>;

#[derive(Clone)]
enum Repr<'a> {
    Json(JsonArgs<'a>),
    MsgPack(MsgPackArgs),
    Values(Arc<[Value]>),
}

/// MessagePack values one after the other, which were checked, and how many.
#[derive(Clone)]
struct MsgPackArgs {
    bytes: Bytes,
    len: usize,
    dialect: Dialect,
}

/// Where the event's name is.
#[derive(Clone)]
enum Name {
    /// In the JSON text, with its quotes.
    InText(Item),
    Text(Arc<str>),
    /// A number as text.
    Number(Arc<str>),
}

/// JSON text that was checked, and where the arguments are in it.
#[derive(Clone)]
struct JsonArgs<'a> {
    /// A list, or with `list` unset the only argument.
    text: Text<'a>,
    list: bool,
    /// The first item of the list is the event's name, not an argument.
    skip: bool,
    /// How many arguments.
    len: usize,
    /// From the first argument to the end of the last.
    inner: Item,
    attached: Option<Arc<Attached>>,
}

/// The attachments of a packet, and its arguments with the bytes in their places.
struct Attached {
    list: Vec<Bytes>,
    /// Made when somebody asks.
    values: OnceLock<Vec<Value>>,
}

impl<'a> JsonArgs<'a> {
    /// The arguments, separated by commas.
    fn inner(&self) -> &str {
        &self.text[self.inner.start..self.inner.end]
    }

    fn attachments(&self) -> &[Bytes] {
        self.attached
            .as_ref()
            .map_or(&[], |attached| &attached.list)
    }

    /// The arguments with the attachments in their places, if there are attachments.
    fn attached_values(&self) -> Option<&[Value]> {
        let attached = self.attached.as_ref()?;
        let read = || self.read_values(&attached.list).unwrap_or_default(); // checked before
        Some(attached.values.get_or_init(read))
    }

    fn read_values(&self, attachments: &[Bytes]) -> Result<Vec<Value>, DecodeError> {
        let mut values = json::read_items(&self.text, attachments)?;
        values.drain(..usize::from(self.skip));
        Ok(values)
    }

    fn values(&self) -> Vec<Value> {
        if let Some(values) = self.attached_values() {
            return values.to_vec();
        }
        match json::read_value(&self.text) {
            Value::Array(mut items) if self.list => {
                items.drain(..usize::from(self.skip));
                items
            }
            value => vec![value],
        }
    }
}

impl<'a> Args<'a> {
    /// A scanned JSON list that starts with the event's name.
    pub(crate) fn json_event(text: &'a str, scan: &Scan) -> Self {
        Self {
            name: Some(Name::InText(scan.first)),
            repr: Repr::Json(JsonArgs {
                text: Text::Borrowed(&text[..scan.value.end]),
                list: true,
                skip: true,
                len: scan.len - 1,
                inner: Item {
                    start: scan.rest,
                    end: scan.value.end - 1,
                },
                attached: None,
            }),
        }
    }

    /// A scanned JSON list of arguments.
    pub(crate) fn json_list(text: &'a str, scan: &Scan) -> Self {
        let end = scan.value.end - 1;
        let start = if scan.len == 0 { end } else { scan.first.start };
        Self {
            name: None,
            repr: Repr::Json(JsonArgs {
                text: Text::Borrowed(&text[..scan.value.end]),
                list: true,
                skip: false,
                len: scan.len,
                inner: Item { start, end },
                attached: None,
            }),
        }
    }

    /// A scanned JSON value that is the only argument.
    pub(crate) fn json_single(text: &'a str, scan: &Scan) -> Self {
        Self {
            name: None,
            repr: Repr::Json(JsonArgs {
                text: Text::Borrowed(&text[..scan.value.end]),
                list: false,
                skip: false,
                len: 1,
                inner: scan.value,
                attached: None,
            }),
        }
    }

    /// Adds the attachments of a JSON packet. Every placeholder is looked at now, so that later
    /// nothing can fail.
    pub(crate) fn attach(&mut self, list: Vec<Bytes>) -> Result<(), DecodeError> {
        if let Repr::Json(json) = &mut self.repr {
            let values = if json::all_plain(&json.text, list.len()) {
                OnceLock::new()
            } else {
                OnceLock::from(json.read_values(&list)?)
            };
            json.attached = Some(Arc::new(Attached { list, values }));
        }
        Ok(())
    }

    /// The name of the event, found without parsing anything else. `None` for the arguments of an
    /// ack or of a connect packet.
    #[must_use]
    #[inline]
    pub fn event(&self) -> Option<EventName<'_>> {
        let (text, number) = match (self.name.as_ref()?, &self.repr) {
            (Name::Text(text), _) => (Cow::Borrowed(&**text), false),
            (Name::Number(text), _) => (Cow::Borrowed(&**text), true),
            (Name::InText(at), Repr::Json(json)) => {
                return Some(name_in(&json.text[at.start..at.end]));
            }
            (Name::InText(_), _) => return None,
        };
        Some(EventName { text, number })
    }

    /// The arguments alone: [`event`](Self::event) is `None` afterwards.
    #[must_use]
    pub fn after_event(mut self) -> Self {
        self.name = None;
        self
    }

    /// The same arguments as those of the event `name`.
    #[must_use]
    pub fn with_event(mut self, name: &str) -> Self {
        self.name = Some(Name::Text(name.into()));
        self
    }

    /// Reads the arguments as `T`.
    ///
    /// A tuple takes one argument for each of its items, `()` takes anything, and every other type
    /// takes the first argument. Arguments that nobody takes are ignored, as in JavaScript; a
    /// missing one is `None` for an `Option` and an error for every other type. serde sees a
    /// fixed-size array as a tuple: read an argument that is a list of two numbers as
    /// `([f64; 2],)`. Bytes are read by types that ask serde for bytes, such as `bytes::Bytes`
    /// with its `serde` feature.
    ///
    /// # Errors
    ///
    /// If the arguments are not of this type, or nest deeper than 128 levels; a [`Value`] alone may be
    /// as deep as [`Limits::max_depth`](crate::Limits::max_depth) lets packets be.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        T::deserialize(de::ArgsDeserializer::new(self))
    }

    /// The arguments as trees, bytes in their places.
    #[must_use]
    pub fn to_values(&self) -> Vec<Value> {
        match &self.repr {
            Repr::Json(json) => json.values(),
            Repr::MsgPack(args) => args.values(args.len),
            Repr::Values(values) => values.to_vec(),
        }
    }

    /// How many arguments there are, without the event's name.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.repr {
            Repr::Json(json) => json.len,
            Repr::MsgPack(args) => args.len,
            Repr::Values(values) => values.len(),
        }
    }

    /// Whether there is no argument.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The attachments that came behind a JSON packet, in the order in which they came. Codecs that
    /// keep bytes inside the packet have none here.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        match &self.repr {
            Repr::Json(json) => json.attachments(),
            _ => &[],
        }
    }

    /// The arguments as JSON text separated by commas, if they came as JSON without attachments.
    #[must_use]
    pub fn as_json(&self) -> Option<&str> {
        match &self.repr {
            Repr::Json(json) if json.attached.is_none() => Some(json.inner()),
            _ => None,
        }
    }

    /// About how many bytes of memory they hold. Cheap unless they are trees.
    #[must_use]
    pub fn weight(&self) -> usize {
        let name = self.event().map_or(0, |name| name.len());
        name + match &self.repr {
            Repr::Json(json) => {
                json.text.len() + json.attachments().iter().map(Bytes::len).sum::<usize>()
            }
            Repr::MsgPack(args) => args.bytes.len(),
            Repr::Values(values) => values.iter().map(Value::weight).sum(),
        }
    }

    /// Whether there are bytes among them: what the reference calls `hasBinary`.
    #[must_use]
    pub fn has_binary(&self) -> bool {
        match &self.repr {
            Repr::Json(json) => json.attached.is_some(),
            Repr::MsgPack(args) => msgpack::has_binary(&args.bytes, args.dialect),
            Repr::Values(values) => values.iter().any(Value::has_binary),
        }
    }

    /// The same arguments without borrows. Cloning the result is cheap.
    #[must_use]
    pub fn into_owned(self) -> RawArgs {
        self.owned(None)
    }

    /// As [`into_owned`](Self::into_owned), but what they borrow is shared with `message` instead of
    /// copied, if it is a part of it. The message stays in memory as long as they do.
    #[must_use]
    pub fn into_shared(self, message: &Bytes) -> RawArgs {
        self.owned(Some(message))
    }

    fn owned(self, message: Option<&Bytes>) -> RawArgs {
        let repr = match self.repr {
            Repr::Json(json) => Repr::Json(JsonArgs {
                text: json.text.into_owned(message),
                list: json.list,
                skip: json.skip,
                len: json.len,
                inner: json.inner,
                attached: json.attached,
            }),
            Repr::MsgPack(args) => Repr::MsgPack(args),
            Repr::Values(values) => Repr::Values(values),
        };
        Args {
            name: self.name,
            repr,
        }
    }
}

impl RawArgs {
    /// Arguments made of trees.
    #[must_use]
    pub fn from_values(values: Vec<Value>) -> Self {
        Self {
            name: None,
            repr: Repr::Values(values.into()),
        }
    }

    /// Arguments made of data, by the rule of
    /// [`Codec::encode_event`](crate::Codec::encode_event).
    ///
    /// # Errors
    ///
    /// As [`to_value`](crate::to_value).
    pub fn new<T: serde::Serialize + ?Sized>(data: &T) -> Result<Self, crate::EncodeError> {
        let (bytes, len) = crate::spread::to_msgpack(data)?;
        Ok(Self::from_msgpack(None, bytes, len, Dialect::Client))
    }

    /// An event: its name, and arguments made of data by the rule of
    /// [`Codec::encode_event`](crate::Codec::encode_event).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn new_event<T: serde::Serialize + ?Sized>(
        name: &str,
        data: &T,
    ) -> Result<Self, crate::EncodeError> {
        Self::new(data).map(|args| args.with_event(name))
    }

    /// An event: the first value is its name. If it is no name, they are all arguments.
    pub(crate) fn from_event_values(mut values: Vec<Value>) -> Self {
        let name = match values.first() {
            Some(Value::String(text)) => Some(Name::Text(text.as_str().into())),
            Some(Value::Number(number)) => Some(Name::Number(number_text(*number).into())),
            _ => None,
        };
        if name.is_some() {
            values.remove(0);
        }
        Self {
            name,
            repr: Repr::Values(values.into()),
        }
    }

    /// `len` values that were checked, and the event's name.
    pub(crate) fn from_msgpack(
        name: Option<Value>,
        bytes: Bytes,
        len: usize,
        dialect: Dialect,
    ) -> Self {
        let name = match name {
            Some(Value::String(text)) => Some(Name::Text(text.as_str().into())),
            Some(Value::Number(number)) => Some(Name::Number(number_text(number).into())),
            _ => None,
        };
        Self {
            name,
            repr: Repr::MsgPack(MsgPackArgs {
                bytes,
                len,
                dialect,
            }),
        }
    }
}

/// No arguments.
impl Default for RawArgs {
    fn default() -> Self {
        Self::from_msgpack(None, Bytes::new(), 0, Dialect::Client)
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut args = f.debug_struct("Args");
        if let Some(event) = self.event() {
            args.field("event", &event.as_ref());
        }
        match self.as_json() {
            Some(json) => args.field("json", &json),
            None => args.field("values", &self.to_values()),
        };
        args.finish()
    }
}

/// The name of an event: text, or a number, which is shown as JavaScript prints it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventName<'a> {
    text: Cow<'a, str>,
    number: bool,
}

impl<'a> EventName<'a> {
    /// Whether it came as a number. Listeners do not tell `5` from `"5"`.
    #[must_use]
    pub fn is_number(&self) -> bool {
        self.number
    }

    /// The name as the first item of a packet's data.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self.text.parse() {
            Ok(n) if self.number => Value::Number(crate::Number::Float(n).normal()),
            _ => Value::from(&*self.text),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn into_text(self) -> Cow<'a, str> {
        self.text
    }
}

impl Deref for EventName<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl AsRef<str> for EventName<'_> {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl PartialEq<str> for EventName<'_> {
    fn eq(&self, other: &str) -> bool {
        *self.text == *other
    }
}

impl fmt::Display for EventName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The name that this JSON string or number stands for.
pub(crate) fn name_in(token: &str) -> EventName<'_> {
    match token
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(inner) => EventName {
            // Names are short: `contains` then looks at each byte, and costs half of what `memchr` does.
            text: if !inner.as_bytes().contains(&b'\\') {
                Cow::Borrowed(inner)
            } else {
                Cow::Owned(json::read_string(token))
            },
            number: false,
        },
        None => EventName {
            text: match json::read_value(token) {
                Value::Number(number) => Cow::Owned(number_text(number)),
                _ => Cow::Borrowed(token),
            },
            number: true,
        },
    }
}

pub(crate) fn number_text(number: crate::Number) -> String {
    match number {
        crate::Number::Int(n) => n.to_string(),
        crate::Number::UInt(n) => n.to_string(),
        crate::Number::Float(n) if n.is_infinite() => {
            if n > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
        }
        crate::Number::Float(n) if n.is_nan() => "NaN".to_owned(),
        crate::Number::Float(n) => {
            let mut text = Vec::new();
            json::write_f64(&mut text, n);
            String::from_utf8(text).unwrap_or_default()
        }
    }
}
