//! The decoders of the classic Redis adapter.

use bytes::Bytes;
use sala_adapter::{Envelope, Room};
use sala_redis::classic::{decode_broadcast, decode_request, decode_response, encode};

/// What came on a channel for broadcasts.
pub fn classic_broadcast(input: &[u8]) {
    check(input, |message, namespace| {
        decode_broadcast(message, namespace, None)
    });
}

/// What came on a channel for requests.
pub fn classic_request(input: &[u8]) {
    check(input, |message, namespace| {
        decode_request(message, namespace, None).map(Some)
    });
}

/// What came on a channel for answers.
pub fn classic_response(input: &[u8]) {
    check(input, |message, namespace| {
        decode_response(message, namespace, None)
    });
}

/// What is read is written, and read from there it is written again to the same bytes.
fn check<E: std::fmt::Debug>(
    input: &[u8],
    decode: impl Fn(&Bytes, &Room) -> Result<Option<Envelope>, E>,
) {
    let namespace = Room::from("/");
    let Ok(Some(envelope)) = decode(&Bytes::copy_from_slice(input), &namespace) else {
        return;
    };
    assert_eq!(envelope.namespace, namespace);
    let bytes = Bytes::from(encode(&envelope, None).expect("what was read can be written"));
    let again = decode(&bytes, &namespace).expect("what was written can be read");
    let again = again.expect("it is still for us");
    let again = encode(&again, None).expect("what was read can be written");
    assert!(
        again == bytes,
        "{}\n{}",
        bytes.escape_ascii(),
        again.escape_ascii()
    );
}
