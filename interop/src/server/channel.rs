//! The control channel of a probe: commands on stdin, answers and events on stdout, one JSON object per line.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Reports an event.
pub fn report(ev: &str, mut fields: Value) {
    fields["ev"] = json!(ev);
    print(&fields);
}

fn print(line: &Value) {
    let mut stdout = std::io::stdout().lock();
    // A test that has ended no longer reads.
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}

/// From this length on bytes that both ends know are written as their length.
const LONG: usize = 65_536;

/// Bytes as the channel writes them: `{"$bin": base64}`, or `{"$fill": length}` if they are the known ones.
pub fn bytes(bytes: &[u8]) -> Value {
    if bytes.len() >= LONG && filler(bytes.len()).eq(bytes.iter().copied()) {
        return json!({"$fill": bytes.len()});
    }
    json!({"$bin": STANDARD.encode(bytes)})
}

/// The bytes, if the value is what [`bytes()`] writes.
pub fn as_bytes(value: &Value) -> Option<Vec<u8>> {
    if let Some(length) = value.get("$fill").and_then(Value::as_u64) {
        return Some(filler(usize::try_from(length).ok()?).collect());
    }
    STANDARD.decode(value.get("$bin")?.as_str()?).ok()
}

/// Bytes that are long and known to both ends.
fn filler(length: usize) -> impl Iterator<Item = u8> {
    (0..length).map(|i| (i * 31 + (i >> 8)) as u8)
}

/// Runs the commands that come, one after the other, until stdin ends.
pub async fn serve_commands<F>(mut run: impl FnMut(String, Value) -> F)
where
    F: Future<Output = Result<Value, String>>,
{
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let command: Value = serde_json::from_str(&line).expect("a command is JSON");
        let number = command["n"].clone();
        let name = command["do"].as_str().unwrap_or_default().to_owned();
        match run(name, command).await {
            Ok(value) => print(&json!({"re": number, "value": value})),
            Err(error) => print(&json!({"re": number, "error": error})),
        }
    }
}
