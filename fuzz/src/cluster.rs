//! The decoders of what servers say to each other.

use bytes::Bytes;
use sala_adapter::codec::{self, Form};
use sala_adapter::{Envelope, Room};
use sala_proto::wire::{Reader, Writer};
use sala_proto::{Assembler, Codec, DecodeError, Limits, RawArgs, Value};

/// A message of the shared format, whole and as the data of each type. What is read is written in each
/// form, and read from there it is written again to the same bytes.
pub fn cluster_message(input: &[u8]) {
    let message = Bytes::copy_from_slice(input);
    let namespace = Room::from("/");
    if let Ok(envelope) = codec::decode(&message, Some(&namespace)) {
        check(&envelope);
    }
    for kind in 0..=14 {
        if let Ok(message) = codec::decode_data(kind, Some(&message)) {
            check(&Envelope {
                namespace: namespace.clone(),
                sender: None,
                recipient: None,
                message,
            });
        }
    }
}

fn check(envelope: &Envelope) {
    for form in [Form::Json, Form::Notepack, Form::MsgPack] {
        let bytes: Bytes = codec::encode(envelope, form)
            .expect("what was read can be written")
            .into();
        let again = codec::decode(&bytes, None).expect("what was written can be read");
        let again = codec::encode(&again, form).expect("what was read can be written");
        assert!(
            again == bytes,
            "{}\n{}",
            bytes.escape_ascii(),
            again.escape_ascii()
        );
    }
}

/// An event of another server, sent on to clients of both codecs and to servers in both forms.
pub fn cluster_event(input: &[u8]) {
    let message = Bytes::copy_from_slice(input);
    let Ok(event) = Reader::new(&message).and_then(|mut reader| {
        let event = reader.event()?;
        reader.end().map(|()| event)
    }) else {
        return;
    };
    let values = event.to_values();
    assert_eq!(values.len(), event.len());
    // Bytes may also be the key of a map, of which a tree has only the text.
    assert!(event.has_binary() || !values.iter().any(Value::has_binary));
    assert!(event.weight() <= input.len() + 1000);
    for codec in [Codec::default(), Codec::MsgPack] {
        match at_client(&codec, &event) {
            Ok(args) => assert_eq!(args.len(), values.len() + 1),
            // A client's packet has fewer attachments and shorter names, and placeholders in the data
            // are taken for ours.
            Err(
                DecodeError::TooManyAttachments
                | DecodeError::IllegalAttachments
                | DecodeError::EventNameTooLong,
            ) => {}
            // The name is reserved.
            Err(DecodeError::InvalidPayload) => {
                assert!(
                    event
                        .event()
                        .is_some_and(|name| sala_proto::is_reserved(&name))
                );
            }
            Err(error) => panic!("{error}: {event:?}"),
        }
    }
    for json in [true, false] {
        let mut out = Vec::new();
        let mut writer = match json {
            true => Writer::json(&mut out),
            false => Writer::msgpack(&mut out),
        };
        writer.event(&event).expect("an event that was read");
        let out = Bytes::from(out);
        let mut reader = Reader::new(&out).expect("our own bytes");
        let again = reader.event().expect("an event that was written");
        assert_eq!(again.len(), event.len());
    }
}

fn at_client(codec: &Codec, event: &RawArgs) -> Result<RawArgs, DecodeError> {
    let mut buf = Vec::new();
    let encoded = codec
        .encode_raw_event(&mut buf, "/", None, event, Some("offset"))
        .expect("an event that was read");
    let mut assembler = Assembler::new(codec, Limits::default());
    let mut packet = if encoded.binary {
        assembler.push_binary(buf.into())?
    } else {
        let text = String::from_utf8(buf).expect("text packets are UTF-8");
        assembler
            .push_text(&text)?
            .map(sala_proto::Packet::into_owned)
    };
    for attachment in encoded.attachments {
        packet = assembler.push_binary(attachment)?;
    }
    let packet = packet.expect("all messages of the packet were pushed");
    Ok(packet.data.expect("an event has data"))
}
