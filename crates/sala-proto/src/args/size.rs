//! How much memory arguments take, near enough for a limit.

use super::{Args, Name, Repr};
use crate::Value;

impl Args<'_> {
    /// About how many bytes the arguments and the event's name take: for text and bytes as they
    /// came, exactly those. Walks through trees; everything else is known without looking.
    #[must_use]
    pub fn weight(&self) -> usize {
        let name = match &self.name {
            Some(Name::Text(text) | Name::Number(text)) => text.len(),
            Some(Name::InText(_)) | None => 0,
        };
        name + match &self.repr {
            Repr::Json(json) => {
                json.text.len() + json.attachments().iter().map(|it| it.len()).sum::<usize>()
            }
            Repr::MsgPack(packed) => packed.bytes.len(),
            Repr::Values(values) => values.iter().map(Value::weight).sum(),
        }
    }
}

impl Value {
    /// About how many bytes the value takes, small things counted as what they take in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Null | Self::Bool(_) | Self::Number(_) => 0,
                Self::String(text) => text.len(),
                Self::Binary(bytes) => bytes.len(),
                Self::Array(items) => items.iter().map(Self::weight).sum(),
                Self::Object(object) => object
                    .iter()
                    .map(|(name, value)| size_of::<String>() + name.len() + value.weight())
                    .sum(),
            }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::RawArgs;

    #[test]
    fn the_weight_grows_with_what_is_inside() {
        let of = |value: Value| RawArgs::from_values(vec![value]).weight();
        let small = of(Value::Null);
        assert!(of("x".repeat(1000).into()) >= small + 1000);
        assert!(of(Value::Binary(Bytes::from(vec![0; 1000]))) >= small + 1000);
        assert!(of(Value::Array(vec![Value::Null; 1000])) >= small + 1000);
        let mut object = crate::Object::new();
        object.insert("k".repeat(1000), Value::Null);
        assert!(of(Value::Object(object)) >= small + 1000);
    }
}
