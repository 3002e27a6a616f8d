//! What the official adapter and emitter wrote, read and written again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sala_adapter::codec::{self, Form};
use serde_json::Value;

use super::{decode_entry, encode_entry, name, session};

struct Row(Value);

impl Row {
    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    fn raw(&self) -> Bytes {
        STANDARD
            .decode(self.text("raw_base64"))
            .expect("base64")
            .into()
    }

    /// Its fields, in the order of the reference.
    fn pairs(&self) -> Vec<Bytes> {
        let order = self.0["field_order"].as_array().expect("a list");
        let names = order.iter().map(|name| name.as_str().expect("a name"));
        let pair = |name: &str| {
            let value = self.0["fields"][name].as_str().expect("a text");
            [name, value].map(|text| Bytes::copy_from_slice(text.as_bytes()))
        };
        names.flat_map(pair).collect()
    }
}

fn rows() -> Vec<Row> {
    let files = [
        include_str!("../../../sala-adapter/tests/vectors/redis-streams.json"),
        include_str!("../../../sala-adapter/tests/vectors/redis-streams-csr.json"),
        include_str!("../../../sala-adapter/tests/vectors/redis-streams-options.json"),
    ];
    let rows = files
        .iter()
        .flat_map(|file| serde_json::from_str::<Vec<Value>>(file).expect("a list of rows"));
    rows.map(Row).collect()
}

fn of(command: &str) -> Vec<Row> {
    let is_one = |row: &Row| row.text("command") == command;
    rows().into_iter().filter(is_one).collect()
}

/// Checks that only these differ, and returns how many rows there were.
fn differing(rows: Vec<Row>, expected: &[&str], is_same: impl Fn(&Row) -> bool) -> usize {
    let calls = |row: &Row| row.text("call").to_owned();
    let differing: Vec<_> = rows.iter().filter(|row| !is_same(row)).map(calls).collect();
    assert_eq!(differing, expected);
    rows.len()
}

#[test]
fn every_entry_of_the_reference_is_read_and_written_again_to_the_same_bytes() {
    let different = [
        // It holds no bytes any more, since @msgpack/msgpack writes an ArrayBuffer as an empty map:
        // written again it is JSON.
        "A: io.emit(\"arraybuffer\", Uint8Array.from([7,8]).buffer)",
        // The id of an acknowledgement that only the sending server knows is not carried on.
        "A: socketA.emit(\"direct-ack\", 1, cb)",
    ];
    let rows = differing(of("XADD"), &different, |row| {
        let envelope = decode_entry(row.pairs()).expect("it is a message");
        let plaintext = row.text("call").contains("onlyPlaintext");
        encode_entry(&envelope, plaintext).expect("it can be written") == row.pairs()
    });
    assert!(rows >= 60, "{rows} entries");
}

#[test]
fn every_published_message_of_the_reference_is_read_and_written_again_to_the_same_bytes() {
    let is_published = |row: &Row| ["PUBLISH", "SPUBLISH"].contains(&row.text("command"));
    // The data of the socket holds a date, which we keep as text.
    let different = [
        "A: io.fetchSockets()",
        "A: io.in(\"room2\").except(\"x\").fetchSockets()",
        "A: io.timeout(700).in(\"room2\").fetchSockets()",
        "A: [remoteSocket] = await io.in(<id of socket B>).fetchSockets()",
    ];
    let published = rows().into_iter().filter(is_published).collect();
    let rows = differing(published, &different, |row| {
        let envelope = codec::decode(&row.raw(), None).expect("it is a message");
        codec::encode(&envelope, Form::MsgPack).expect("it can be written") == row.raw()
    });
    assert!(rows >= 40, "{rows} messages");
}

#[test]
fn every_session_of_the_reference_is_read_and_written_again() {
    // Its data holds a date, which we keep as text: four bytes become 24, and what they mean is the same.
    let rows = of("SET");
    for row in &rows {
        let read = session::decode(&row.raw()).expect("it is a session");
        let again = session::encode(&read).expect("it can be written");
        assert_eq!(session::decode(&again).expect("it is a session"), read);
        let at = read.data.get("at").and_then(|at| at.as_str());
        assert_eq!(at, Some("1970-01-01T00:00:00.000Z"));
        let key = format!("sio:session:{}", read.pid.as_str());
        assert_eq!(key, row.text("channel"));
    }
    assert_eq!(rows.len(), 1);
}

#[test]
fn every_namespace_of_the_reference_goes_to_the_same_stream() {
    let of_options = of("XADD")
        .into_iter()
        .filter(|row| row.text("call").contains("streamCount 4"));
    let mut count = 0;
    for row in of_options {
        let namespace = row.0["fields"]["nsp"].as_str().expect("a namespace");
        assert_eq!(name::stream_of(namespace, "st", 4), row.text("channel"));
        count += 1;
    }
    assert!(count >= 8, "{count} namespaces");
}
