//! Reads the golden vectors: what the official packages wrote.

#![allow(clippy::unwrap_used)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

/// One message of the official packages.
pub(crate) struct Row {
    pub(crate) call: String,
    pub(crate) channel: String,
    pub(crate) raw: Bytes,
    pub(crate) decoded: Value,
    /// All that is known of it.
    #[cfg(feature = "streams")]
    pub(crate) json: Value,
}

impl Row {
    /// Whether it was written by hand, in the forms of old versions.
    pub(crate) fn is_injected(&self) -> bool {
        self.call.starts_with("injected")
    }
}

/// The rows of a file that hold a message.
pub(crate) fn rows(file: &str) -> Vec<Row> {
    let path = format!(
        "{}/../sala-adapter/tests/vectors/{file}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let rows: Vec<Row> = rows.iter().filter_map(row).collect();
    assert!(!rows.is_empty(), "{file} holds messages");
    rows
}

fn row(row: &Value) -> Option<Row> {
    let raw = STANDARD.decode(row["raw_base64"].as_str()?).unwrap();
    Some(Row {
        call: row["call"].as_str().unwrap().to_owned(),
        channel: row["channel"].as_str().unwrap().to_owned(),
        raw: raw.into(),
        decoded: row["decoded"].clone(),
        #[cfg(feature = "streams")]
        json: row.clone(),
    })
}
