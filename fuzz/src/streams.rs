//! The decoders of what is kept in Redis streams.

use bytes::Bytes;
use sala_redis::streams::{decode_entry, decode_session, encode_entry, encode_session};

/// An entry, its fields on lines of their own, names and values by turns. What is read is written, and read from
/// there it is written again to the same fields.
pub fn streams_entry(input: &[u8]) {
    let lines = input.split(|byte| *byte == b'\n');
    let fields = lines.map(Bytes::copy_from_slice).collect();
    let Ok(envelope) = decode_entry(fields) else {
        return;
    };
    for plaintext in [false, true] {
        let fields = encode_entry(&envelope, plaintext).expect("what was read can be written");
        let again = decode_entry(fields.clone()).expect("what was written can be read");
        let again = encode_entry(&again, plaintext).expect("what was read can be written");
        assert!(again == fields, "{fields:?}\n{again:?}");
    }
}

/// A saved session.
pub fn streams_session(input: &[u8]) {
    let Ok(session) = decode_session(input) else {
        return;
    };
    let text = encode_session(&session).expect("what was read can be written");
    let again = decode_session(&text).expect("what was written can be read");
    let again = encode_session(&again).expect("what was read can be written");
    assert!(
        again == text,
        "{}\n{}",
        text.escape_ascii(),
        again.escape_ascii()
    );
}
