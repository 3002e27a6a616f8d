//! What the official adapter and emitter wrote, read and written again.

use bytes::Bytes;
use sala_adapter::codec::{self, Form};

use super::{decode_entry, decode_session, encode_entry, encode_session, name};
use crate::vectors::{Row, rows};

impl Row {
    fn is(&self, commands: &[&str]) -> bool {
        commands
            .iter()
            .any(|command| self.json["command"] == *command)
    }

    /// Names and values by turns, in the order of the reference.
    fn fields(&self) -> Vec<Bytes> {
        let names = self.json["field_order"].as_array().expect("a list");
        let names = names.iter().map(|name| name.as_str().expect("a name"));
        let pair = |name: &str| {
            let value = self.json["fields"][name].as_str().expect("a text");
            [name, value].map(|text| Bytes::copy_from_slice(text.as_bytes()))
        };
        names.flat_map(pair).collect()
    }
}

/// What was written with these commands.
fn of(commands: &[&str]) -> Vec<Row> {
    let files = [
        "redis-streams",
        "redis-streams-csr",
        "redis-streams-options",
    ];
    let all = files.iter().flat_map(|file| rows(file));
    all.filter(|row| row.is(commands)).collect()
}

/// Checks that only these differ, and returns how many rows there were.
fn differing(rows: Vec<Row>, expected: &[&str], is_same: impl Fn(&Row) -> bool) -> usize {
    let calls = |row: &Row| row.call.clone();
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
    let rows = differing(of(&["XADD"]), &different, |row| {
        let envelope = decode_entry(row.fields()).expect("it is a message");
        let plaintext = row.call.contains("onlyPlaintext");
        encode_entry(&envelope, plaintext).expect("it can be written") == row.fields()
    });
    assert!(rows >= 60, "{rows} entries");
}

#[test]
fn every_published_message_of_the_reference_is_read_and_written_again_to_the_same_bytes() {
    // The data of the socket holds a date, which we keep as text.
    let different = [
        "A: io.fetchSockets()",
        "A: io.in(\"room2\").except(\"x\").fetchSockets()",
        "A: io.timeout(700).in(\"room2\").fetchSockets()",
        "A: [remoteSocket] = await io.in(<id of socket B>).fetchSockets()",
    ];
    let rows = differing(of(&["PUBLISH", "SPUBLISH"]), &different, |row| {
        let envelope = codec::decode(&row.raw, None).expect("it is a message");
        codec::encode(&envelope, Form::MsgPack).expect("it can be written") == row.raw
    });
    assert!(rows >= 40, "{rows} messages");
}

#[test]
fn every_session_of_the_reference_is_read_and_written_again() {
    // Its data holds a date, which we keep as text: four bytes become 24, and what they mean is the same.
    let rows = of(&["SET"]);
    for row in &rows {
        let read = decode_session(&row.raw).expect("it is a session");
        let again = encode_session(&read).expect("it can be written");
        assert_eq!(decode_session(&again).expect("it is a session"), read);
        let at = read.data.get("at").and_then(|at| at.as_str());
        assert_eq!(at, Some("1970-01-01T00:00:00.000Z"));
        let key = format!("sio:session:{}", read.pid.as_str());
        assert_eq!(key, row.channel);
    }
    assert_eq!(rows.len(), 1);
}

#[test]
fn every_namespace_of_the_reference_goes_to_the_same_stream() {
    let of_options = of(&["XADD"])
        .into_iter()
        .filter(|row| row.call.contains("streamCount 4"));
    let mut count = 0;
    for row in of_options {
        let namespace = row.json["fields"]["nsp"].as_str().expect("a namespace");
        assert_eq!(name::stream_of(namespace, "st", 4), row.channel);
        count += 1;
    }
    assert!(count >= 8, "{count} namespaces");
}
