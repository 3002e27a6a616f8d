//! Values of the channel and values of Socket.IO.

use sala::{Bytes, RawArgs, Value as Sent};
use serde_json::{Map, Value, json};

use super::channel;

/// A value to send, from what the channel says.
pub fn to_sent(value: &Value) -> Sent {
    if let Some(bytes) = channel::as_bytes(value) {
        return Sent::from(Bytes::from(bytes));
    }
    match value {
        Value::Array(items) => Sent::from(items.iter().map(to_sent).collect::<Vec<_>>()),
        Value::Object(fields) => Sent::Object(
            fields
                .iter()
                .map(|(key, item)| (key.clone(), to_sent(item)))
                .collect(),
        ),
        other => Sent::from(other.clone()),
    }
}

/// A value that was received, as the channel writes it.
pub fn to_shown(value: &Sent) -> Value {
    match value {
        Sent::Null => Value::Null,
        Sent::Bool(value) => json!(value),
        Sent::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => json!(integer),
            (None, Some(integer)) => json!(integer),
            (None, None) => json!(number.as_f64()),
        },
        Sent::String(text) => json!(text),
        Sent::Binary(bytes) => channel::bytes(bytes),
        Sent::Array(items) => items.iter().map(to_shown).collect(),
        Sent::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, item)| (key.to_owned(), to_shown(item)))
                .collect::<Map<_, _>>(),
        ),
    }
}

/// Arguments, as the channel writes them.
pub fn shown(args: &RawArgs) -> Vec<Value> {
    args.to_values().iter().map(to_shown).collect()
}

/// Arguments to send, from what the channel says.
pub fn args(values: &[Value]) -> RawArgs {
    RawArgs::from_values(values.iter().map(to_sent).collect())
}

/// An array, empty if it is none.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text or a list of texts.
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        other => items(other)
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
    }
}
