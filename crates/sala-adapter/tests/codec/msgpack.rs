//! Single values in MessagePack, as the libraries of the official packages write and read them.

use bytes::Bytes;
use sala_proto::wire::{Reader, Writer};
use sala_proto::{DecodeError, Value};

use crate::values::{base64, from_notation};
use crate::view::same;

fn decode(bytes: &Bytes) -> Result<Value, DecodeError> {
    let mut reader = Reader::msgpack(bytes);
    let value = reader.value()?;
    reader.end().map(|()| value)
}

/// The libraries that adapters use. What clients use is tested with the client's parser.
const ADAPTERS: [&str; 2] = ["notepack.io@3.0.1", "@msgpack/msgpack@2.8.0"];

/// What the row holds: extensions that only one of the libraries knows are what the other makes of them.
fn expected(row: &Value) -> Option<Value> {
    let decoded = row.get("decoded")?;
    match (
        decoded.get("$ext").and_then(Value::as_i64),
        decoded.get("data"),
    ) {
        (Some(kind @ 1..), Some(data)) => {
            let pair = vec![kind.into(), Value::Binary(base64(data.as_str()?))];
            Some(Value::Array(pair))
        }
        (Some(_), _) => None, // the old forms of notepack, in its own rows
        _ if decoded.get("$utf16").is_some() => None, // text that is no Unicode
        _ => Some(from_notation(decoded).unwrap_or_default()),
    }
}

#[test]
fn every_value_of_the_reference_is_read() {
    let rows: Vec<Value> =
        serde_json::from_str(include_str!("../vectors/msgpack-values.json")).unwrap();
    let text = |row: &Value, key| row.get(key).and_then(Value::as_str).map(str::to_owned);
    let (mut read, mut refused, mut written) = (0, 0, 0);
    for row in &rows {
        if !ADAPTERS.contains(&text(row, "library").unwrap().as_str()) {
            continue;
        }
        let Some(bytes) = text(row, "raw_base64").map(|raw| base64(&raw)) else {
            continue; // nothing was written
        };
        let call = text(row, "call").unwrap();
        if text(row, "error").is_some() {
            assert!(decode(&bytes).is_err(), "{call}");
            refused += 1;
            continue;
        }
        let Some(expected) = expected(row) else {
            assert!(decode(&bytes).is_ok(), "{call}");
            continue;
        };
        let value = decode(&bytes).unwrap_or_else(|error| panic!("{call}: {error}"));
        assert!(
            same(&value, &expected),
            "{call}: {value:?}, not {expected:?}"
        );
        read += 1;

        let mut again = Vec::new();
        Writer::msgpack(&mut again).value(&value).unwrap();
        if call.starts_with("encode") && !not_written(&call, row) {
            assert_eq!(again, bytes, "{call}");
            written += 1;
        }
    }
    assert!(
        read > 130 && refused == 6 && written > 100,
        "{read} {refused} {written}"
    );
}

/// What is written in another way than the reference does.
fn not_written(call: &str, row: &Value) -> bool {
    let is_float = row
        .get("hex")
        .and_then(Value::as_str)
        .is_some_and(|hex| hex.starts_with("cb"));
    let is_whole = row
        .get("decoded")
        .is_some_and(|n| n.as_i64().is_some() || n.as_u64().is_some());
    // Values of ours have no dates; a date is the text that JSON has for it.
    call.contains("Date")
        // @msgpack/msgpack writes a float for integers from 2^53 on; this writes the integer.
        || (is_float && is_whole)
}
