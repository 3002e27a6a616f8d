//! JSON text: checking, reading into a tree, writing with bytes lifted out.

use serde::Serialize;

use crate::EncodeError;
use crate::limits::MAX_DEPTH;

mod float;
mod key;
mod placeholder;
mod read;
mod scan;
mod transcode;
mod write;

pub(crate) use float::write_f64;
pub(crate) use key::key_text;
pub(crate) use placeholder::{all_plain, plain_at, write_buffers, write_placeholder};
pub(crate) use read::{read_items, read_number, read_string, read_value};
pub(crate) use scan::{Item, Scan, find_special, scan, scan_first, skip_space};
pub(crate) use transcode::write_msgpack;
pub(crate) use write::{JsonWriter, write_buffer, write_string};

/// Counts a level of nesting while encoding: a cycle must be an error, not a stack overflow.
pub(crate) fn deeper(depth: usize) -> Result<usize, EncodeError> {
    if depth >= MAX_DEPTH {
        return Err(EncodeError::new("data nested too deeply, or a cycle"));
    }
    Ok(depth + 1)
}

/// Whether serde_json uses this struct name for a struct whose only field is JSON text: raw values,
/// and numbers if somebody switched arbitrary precision on.
pub(crate) fn is_json_token(name: &str) -> bool {
    name == RAW_VALUE || name == "$serde_json::private::Number"
}

/// The name under which serde_json's raw values go through serde.
pub(crate) const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// The JSON text that is the field of a struct with such a name.
pub(crate) fn raw_text<T: Serialize + ?Sized>(field: &T) -> Result<String, EncodeError> {
    match serde_json::to_value(field) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        _ => Err(EncodeError::new("raw JSON that is no text")),
    }
}

/// Reads such a text into a tree.
pub(crate) fn read_raw(text: &str) -> Result<crate::Value, EncodeError> {
    scan(text.as_bytes(), MAX_DEPTH).map_err(|_| EncodeError::new("raw JSON that is none"))?;
    Ok(read_value(text))
}
