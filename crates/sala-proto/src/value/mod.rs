//! A value tree with binary in it.

use bytes::Bytes;

mod de;
mod object;
mod ser;
mod text;

pub(crate) use de::Tree;
pub use object::Object;
pub use ser::to_value;
pub use text::Text;

/// Data of any shape: JSON's values and bytes. Objects keep the order of their keys.
///
/// It serializes and deserializes with any serde format; in JSON text, outside of a packet, bytes
/// become an array of numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    String(Text),
    /// Bytes: an attachment of a JSON packet, bytes inside a MessagePack one.
    Binary(Bytes),
    /// A list.
    Array(Vec<Value>),
    /// Named values in order.
    Object(Object),
}

/// A number. Integers stay exact. As in JavaScript 1 and 1.0 are equal.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// An integer that fits 64 bits with sign.
    Int(i64),
    /// An integer above `i64::MAX`.
    UInt(u64),
    /// Any other number.
    Float(f64),
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self.normal(), other.normal()) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::UInt(a), Self::UInt(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            _ => false,
        }
    }
}

impl Number {
    /// The same number as an integer, if it is one.
    pub(crate) fn normal(self) -> Self {
        match (self.as_i64(), self.as_u64()) {
            (Some(n), _) => Self::Int(n),
            (None, Some(n)) => Self::UInt(n),
            _ => self,
        }
    }

    /// The number as a float, rounded if it is a large integer.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(n) => n as f64,
            Self::UInt(n) => n as f64,
            Self::Float(n) => n,
        }
    }

    /// The number as an unsigned integer, if it is one. A float such as 2.0 counts.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        match self {
            Self::Int(n) => u64::try_from(n).ok(),
            Self::UInt(n) => Some(n),
            Self::Float(n)
                if (0.0..18_446_744_073_709_551_616.0).contains(&n) && n.fract() == 0.0 =>
            {
                Some(n as u64)
            }
            Self::Float(_) => None,
        }
    }

    /// The number as an integer, if it is one. A float such as -2.0 counts.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(n),
            Self::UInt(_) => None,
            Self::Float(n)
                if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&n)
                    && n.fract() == 0.0 =>
            {
                Some(n as i64)
            }
            Self::Float(_) => None,
        }
    }
}

impl From<u64> for Number {
    fn from(n: u64) -> Self {
        i64::try_from(n).map_or(Self::UInt(n), Self::Int)
    }
}

impl Value {
    /// The text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number as an unsigned integer, if it is one.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number().and_then(Number::as_u64)
    }

    /// The number as an integer, if it is one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number().and_then(Number::as_i64)
    }

    /// The number as a float, if it is a number.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        self.as_number().map(Number::as_f64)
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<Number> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The bytes, if it is bytes.
    #[must_use]
    pub fn as_binary(&self) -> Option<&Bytes> {
        match self {
            Self::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members, if it is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The member of this name, if it is an object that has one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object().and_then(|object| object.get(key))
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether there are bytes anywhere in it: what the reference calls `hasBinary`.
    #[must_use]
    pub fn has_binary(&self) -> bool {
        match self {
            Self::Binary(_) => true,
            Self::Array(items) => items.iter().any(Self::has_binary),
            Self::Object(object) => object.iter().any(|(_, value)| value.has_binary()),
            _ => false,
        }
    }

    /// About how many bytes it takes in memory: for limits.
    #[must_use]
    pub fn weight(&self) -> usize {
        let inside = match self {
            Self::String(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Array(items) => items.iter().map(Self::weight).sum(),
            Self::Object(object) => {
                let members = object.iter();
                members.map(|(key, value)| key.len() + value.weight()).sum()
            }
            Self::Null | Self::Bool(_) | Self::Number(_) => 0,
        };
        size_of::<Self>() + inside
    }

    /// Reads a type out of the tree, which is used up.
    ///
    /// # Errors
    ///
    /// If the tree is not of that type.
    pub fn deserialize_into<T: serde::de::DeserializeOwned>(self) -> Result<T, crate::ArgsError> {
        T::deserialize(self)
    }
}

macro_rules! from_numbers {
    ($($int:ty => $as:ty),*) => {$(
        impl From<$int> for Value {
            fn from(n: $int) -> Self {
                Self::Number(<$as>::from(n).into())
            }
        }
    )*};
}

impl From<i64> for Number {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl From<f64> for Number {
    fn from(n: f64) -> Self {
        Self::Float(n)
    }
}

from_numbers!(
    u8 => u64, u16 => u64, u32 => u64, u64 => u64,
    i8 => i64, i16 => i64, i32 => i64, i64 => i64, f32 => f64, f64 => f64
);

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::String(text)
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Exact: integers keep their digits, floats theirs.
impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(n), _) => n.into(),
                (None, Some(n)) => n.into(),
                (None, None) => n.as_f64().unwrap_or(f64::NAN).into(),
            },
            Json::String(text) => text.into(),
            Json::Array(items) => items.into(),
            Json::Object(members) => Self::Object(members.into_iter().collect()),
        }
    }
}
