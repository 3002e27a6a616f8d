//! Messages that are wrong in some way, and those that are unusual and right.

use std::time::Duration;

use bytes::Bytes;
use sala_adapter::codec::{self, CodecError, CodecErrorKind, Form, Opts};
use sala_adapter::{
    BackendError, BackendErrorKind, Envelope, Message, Room, RoomSet, ServerId, Target,
};
use sala_proto::RawArgs;
use sala_proto::wire::{Reader, Writer};

use crate::samples;
use crate::values::Random;

fn decode(text: &str) -> Result<Envelope, CodecError> {
    codec::decode(&Bytes::copy_from_slice(text.as_bytes()), None)
}

fn error(text: &str) -> String {
    let error = decode(text).expect_err(text);
    assert_eq!(error.kind(), CodecErrorKind::Malformed, "{text}");
    error.to_string()
}

/// A broadcast with these options.
fn target(opts: &str) -> Target {
    let text = format!(
        r#"{{"type":3,"data":{{"packet":{{"type":2,"data":["e"]}},"opts":{opts}}},"uid":"u","nsp":"/"}}"#
    );
    match decode(&text).unwrap().message {
        Message::Broadcast { target, .. } => target,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_error_names_the_member_that_is_wrong() {
    for (text, expected) in [
        ("", "broken or cut off"),
        ("{", "broken, or of another kind than expected"),
        ("{}", "`type`: is missing"),
        (
            r#"{"type":"3"}"#,
            "`type`: broken, or of another kind than expected",
        ),
        (r#"{"type":3,"nsp":"/"}"#, "`data.packet`: is missing"),
        (r#"{"type":2,"uid":"a"}"#, "`nsp`: is missing"),
        (
            r#"{"type":2,"nsp":[]}"#,
            "`nsp`: broken, or of another kind than expected",
        ),
        (
            r#"{"type":3,"data":[]}"#,
            "`data`: broken, or of another kind than expected",
        ),
        (
            r#"{"type":3,"data":{"packet":{"type":2}}}"#,
            "`data.packet.data`: is missing",
        ),
        (
            r#"{"type":3,"data":{"packet":{"type":3,"data":["e"]}}}"#,
            "`data.packet.type`: 3, which is no event",
        ),
        (
            r#"{"data":{"packet":{"data":["e"]}},"type":3,"nsp":"/"}"#,
            "`data.opts`: is missing",
        ),
        (
            r#"{"type":3,"data":{"packet":{"data":[{}]}}}"#,
            "`data.packet.data`: broken, or of another kind than expected",
        ),
        (
            r#"{"type":3,"data":{"opts":{"rooms":"room"}}}"#,
            "`data.opts.rooms`: broken, or of another kind than expected",
        ),
        (
            r#"{"type":3,"data":{"opts":{"except":[{}]}}}"#,
            "`data.opts.except`: broken, or of another kind than expected",
        ),
        (
            r#"{"type":3,"data":{"opts":{"flags":[]}}}"#,
            "`data.opts.flags`: broken, or of another kind than expected",
        ),
        (
            r#"{"type":4,"data":{"opts":{}},"nsp":"/"}"#,
            "`data.rooms`: is missing",
        ),
        (
            r#"{"type":7,"data":{"opts":{}},"nsp":"/"}"#,
            "`data.requestId`: is missing",
        ),
        (
            r#"{"type":8,"data":{"requestId":"a","sockets":[{"rooms":[]}]}}"#,
            "`data.sockets.id`: is missing",
        ),
        (
            r#"{"type":11,"data":{"requestId":"a","clientCount":-1}}"#,
            "`data.clientCount`: broken, or of another kind than expected",
        ),
        (
            r#"{"type":12,"data":{"packet":1},"nsp":"/"}"#,
            "`data.requestId`: is missing",
        ),
        (r#"{"type":2,"nsp":"/"}x"#, "1 trailing bytes"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn a_type_that_is_not_known_is_told_from_a_broken_message() {
    for (text, number) in [
        (
            r#"{"type":14,"data":{"anything":1},"uid":"u","nsp":"/"}"#,
            14,
        ),
        (r#"{"data":5,"type":0,"nsp":"/"}"#, 0),
        (r#"{"type":99}"#, 99),
    ] {
        let error = decode(text).unwrap_err();
        assert_eq!(error.kind(), CodecErrorKind::UnknownType(number), "{text}");
        assert!(
            error
                .to_string()
                .contains("which this version does not know")
        );
        let error = BackendError::from(error);
        assert_eq!(error.kind(), BackendErrorKind::Malformed);
    }
    let error = codec::decode_data(14, None).unwrap_err();
    assert_eq!(error.kind(), CodecErrorKind::UnknownType(14));
}

#[test]
fn members_come_in_any_order_and_others_are_left_out() {
    let envelope = decode(
        r#"{ "nsp" : "/chat", "extra": {"a":[1]}, "requesterUid":"r", "nodeId":"n", "source":"_sio_adapter",
            "data": { "opts": {"except":["x"], "more":null}, "requestId": null,
                      "packet": {"nsp":"/other","id":7,"data":["e",{"deep":[[]]}],"type":2} },
            "uid": null, "type": 3 } "#,
    )
    .unwrap();
    assert_eq!(envelope.namespace, "/chat");
    assert_eq!(envelope.sender, None);
    assert_eq!(envelope.recipient, Some("r".into()));
    let Message::Broadcast {
        packet,
        target,
        request: None,
    } = envelope.message
    else {
        panic!()
    };
    assert_eq!(packet.event().as_deref(), Some("e"));
    assert_eq!(packet.as_json(), Some(r#"{"deep":[[]]}"#));
    assert_eq!(target, Target::all().except("x"));
}

#[test]
fn the_namespace_of_the_channel_is_taken_where_the_message_names_none() {
    let message = Bytes::from_static(br#"{"type":2,"uid":"emitter"}"#);
    let channel = Room::from("/chat");
    let envelope = codec::decode(&message, Some(&channel)).unwrap();
    assert_eq!(envelope.namespace, channel);
    assert_eq!(envelope.sender, Some(ServerId::emitter()));
    let message = Bytes::from_static(br#"{"type":2,"nsp":"/own"}"#);
    let envelope = codec::decode(&message, Some(&channel)).unwrap();
    assert_eq!(envelope.namespace, "/own");
}

#[test]
fn rooms_may_be_numbers_and_lists_and_flags_may_be_missing() {
    let read = target(r#"{"rooms":[1,2.5,"1","é"],"except":[-7]}"#);
    assert_eq!(read.rooms, RoomSet::from_iter(["1", "2.5", "é"]));
    assert_eq!(read.except, RoomSet::from_iter(["-7"]));
    assert_eq!(read.flags, Target::all().flags);
    assert_eq!(target("{}"), Target::all());
    assert_eq!(target(r#"{"rooms":null,"flags":null}"#), Target::all());
}

#[test]
fn flags_that_are_strange_are_left_out() {
    let read = target(
        r#"{"flags":{"volatile":null,"compress":null,"broadcast":true,"binary":{},"timeout":"1","local":true}}"#,
    );
    assert_eq!(read, Target::all());
    let timeout = |text: &str| {
        target(&format!(r#"{{"flags":{{"timeout":{text}}}}}"#))
            .flags
            .timeout
    };
    assert_eq!(timeout("1500"), Some(Duration::from_millis(1500)));
    assert_eq!(timeout("0.9"), Some(Duration::ZERO));
    assert_eq!(timeout("-5"), Some(Duration::ZERO));
    assert_eq!(timeout("1e999"), None);
    assert_eq!(timeout("null"), None);
}

#[test]
fn options_have_the_order_of_who_writes_them() {
    let target = Target::all().to("a").except("b").volatile();
    for (opts, expected) in [
        (
            Opts::Adapter,
            r#"{"rooms":["a"],"except":["b"],"flags":{"volatile":true}}"#,
        ),
        (
            Opts::Emitter,
            r#"{"rooms":["a"],"flags":{"volatile":true},"except":["b"]}"#,
        ),
        (Opts::NoFlags, r#"{"rooms":["a"],"except":["b"]}"#),
    ] {
        let mut out = Vec::new();
        codec::write_target(&mut Writer::json(&mut out), &target, opts).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    let mut out = Vec::new();
    let local = Target::all().local().timeout(Duration::MAX);
    codec::write_target(&mut Writer::json(&mut out), &local, Opts::Adapter).unwrap();
    let flags = r#""flags":{"timeout":18446744073709551615}}"#;
    assert!(String::from_utf8(out).unwrap().ends_with(flags));
}

#[test]
fn a_packet_names_its_namespace_if_it_is_to() {
    let event = RawArgs::new_event("e", &1).unwrap();
    let mut out = Vec::new();
    codec::write_packet(&mut Writer::msgpack(&mut out), &event, Some("/n")).unwrap();
    assert_eq!(out, b"\x83\xa4type\x02\xa4data\x92\xa1e\x01\xa3nsp\xa2/n");
    let out = Bytes::from(out);
    let packet = codec::read_packet(&mut Reader::msgpack(&out)).unwrap();
    assert_eq!(packet.namespace, Some("/n".into()));
    assert_eq!(packet.event.parse::<u8>().unwrap(), 1);
}

#[test]
fn what_cannot_be_expressed_is_an_error() {
    let envelope = |message| Envelope {
        namespace: "/".into(),
        sender: None,
        recipient: None,
        message,
    };
    for message in [
        // No name.
        Message::ServerSideEmit {
            packet: RawArgs::default(),
            request: None,
        },
        // Of another format.
        Message::FetchRooms {
            request: "a".into(),
        },
    ] {
        for form in [Form::Json, Form::Notepack, Form::MsgPack] {
            let error = codec::encode(&envelope(message.clone()), form).unwrap_err();
            assert_eq!(error.kind(), CodecErrorKind::Malformed);
            assert!(codec::encode_data(&envelope(message.clone()), form).is_err());
        }
    }
}

#[test]
fn a_message_that_is_too_large_is_not_looked_at() {
    let message = Bytes::from(vec![b'{'; codec::MAX_MESSAGE_BYTES + 1]);
    let error = codec::decode(&message, None).unwrap_err();
    assert_eq!(error.kind(), CodecErrorKind::TooLarge);
    assert_eq!(BackendError::from(error).kind(), BackendErrorKind::TooLarge);
    let error = codec::decode_data(3, Some(&message)).unwrap_err();
    assert_eq!(error.kind(), CodecErrorKind::TooLarge);
}

#[test]
fn a_message_that_is_cut_off_anywhere_is_an_error() {
    for form in [Form::Json, Form::Notepack, Form::MsgPack] {
        for (number, message) in samples::encoded(form) {
            for end in 0..message.len() {
                let cut = message.slice(..end);
                assert!(codec::decode(&cut, None).is_err(), "{number} at {end}");
            }
            let longer = [&message[..], b"\0"].concat();
            assert!(codec::decode(&longer.into(), None).is_err(), "{number}");
        }
    }
}

#[test]
fn a_message_with_any_byte_changed_never_panics() {
    let mut random = Random(43);
    for form in [Form::Json, Form::Notepack] {
        for (number, message) in samples::encoded(form) {
            for at in 0..message.len() {
                let mut changed = message.to_vec();
                changed[at] = random.next() as u8;
                let changed = Bytes::from(changed);
                if let Ok(envelope) = codec::decode(&changed, None) {
                    for form in [Form::Json, Form::Notepack, Form::MsgPack] {
                        codec::encode(&envelope, form).unwrap();
                    }
                }
                let _ = codec::decode_data(number.into(), Some(&changed));
            }
        }
    }
}

#[test]
fn a_broadcast_shares_the_bytes_of_its_message() {
    let envelope = Envelope {
        namespace: "/".into(),
        sender: None,
        recipient: None,
        message: Message::Broadcast {
            packet: RawArgs::new_event("news", &("text",)).unwrap(),
            target: Target::all(),
            request: None,
        },
    };
    let message: Bytes = codec::encode(&envelope, Form::Json).unwrap().into();
    let Message::Broadcast { packet, .. } = codec::decode(&message, None).unwrap().message else {
        panic!()
    };
    let text = packet.as_json().unwrap();
    assert!(message.as_ptr_range().contains(&text.as_ptr()));
}

/// The reference asks whether `close` is true in JavaScript's sense. We refused the whole command if it was anything but
/// a boolean, so that the sockets stayed connected.
#[test]
fn close_of_a_disconnect_may_be_anything() {
    for (close, expected) in [
        ("true", true),
        ("1", true),
        ("-0.5", true),
        ("\"no\"", true),
        ("[]", true),
        ("{\"a\":[1]}", true),
        ("false", false),
        ("null", false),
        ("0", false),
        ("\"\"", false),
    ] {
        let text = format!(r#"{{"type":6,"data":{{"opts":{{}},"close":{close}}},"nsp":"/"}}"#);
        let message = decode(&text).expect(close).message;
        assert!(
            matches!(message, Message::Disconnect { close, .. } if close == expected),
            "{close}: {message:?}"
        );
    }
}
