//! Writing a tree with serde, and types into a tree.

use serde::ser::{Serialize, Serializer};

use super::{Number, Object, Value};
use crate::EncodeError;

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Int(n) => serializer.serialize_i64(n),
            Self::UInt(n) => serializer.serialize_u64(n),
            Self::Float(n) => serializer.serialize_f64(n),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

/// Turns data into a tree: bytes stay bytes, a tuple becomes an array, a whole float an integer.
///
/// # Errors
///
/// If a type refuses to serialize itself, a map's key is no text, an integer needs more than 64
/// bits, or the data nests deeper than 512 levels (a cycle).
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, EncodeError> {
    crate::spread::to_values(&(value,)).map(|mut values| values.pop().unwrap_or_default())
}
