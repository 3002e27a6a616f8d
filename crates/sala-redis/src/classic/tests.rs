//! The messages of the official packages, read and written again.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use sala_adapter::codec::{CodecError, CodecErrorKind};
use sala_adapter::{Envelope, Message, Room, ServerId};

use super::names::Names;
use super::{decode_broadcast, decode_request, decode_response, encode};
use crate::vectors::{Row, rows};

const FILES: [&str; 2] = ["redis-classic", "redis-classic-specific-response"];

fn all() -> Vec<Row> {
    FILES.iter().flat_map(|file| rows(file)).collect()
}

/// Reads a message as the inlet does that follows its channel.
fn read(channel: &str, raw: &Bytes) -> Result<Option<Envelope>, CodecError> {
    let (base, rest) = channel.split_once('#').unwrap();
    let namespace = Room::from(rest.split_once('#').unwrap().0);
    match base.rsplit_once('-').map(|(_, kind)| kind) {
        Some("request") => decode_request(raw, &namespace, None).map(Some),
        Some("response") => decode_response(raw, &namespace, None),
        _ => decode_broadcast(raw, &namespace, None),
    }
}

/// What we cannot give back: rooms that are numbers become text, the old forms for a single socket the new one, and
/// a broadcast with a request loses nothing but the place of its namespace.
fn is_the_same_to_us(row: &Row) -> bool {
    !row.is_injected() && !row.call.contains("io.to(42)")
}

#[test]
fn every_message_is_read_and_written_again_as_it_was() {
    let (mut same, mut read_only) = (0, 0);
    for row in all() {
        let envelope = match read(&row.channel, &row.raw) {
            Ok(envelope) => envelope,
            Err(error) => {
                assert!(
                    row.call.contains("unknown request type"),
                    "{}: {error}",
                    row.call
                );
                assert_eq!(error.kind(), CodecErrorKind::UnknownType(10));
                continue;
            }
        };
        if !is_the_same_to_us(&row) {
            read_only += 1;
            continue;
        }
        let written = encode(&envelope.unwrap(), None).unwrap();
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(
            written,
            row.raw,
            "{}: {} {}",
            row.call,
            shown(&written),
            shown(&row.raw)
        );
        same += 1;
    }
    assert!(same > 75 && read_only > 5, "{same} {read_only}");
}

#[test]
fn every_message_goes_to_the_channel_on_which_it_was_seen() {
    for row in all().iter().filter(|row| !row.is_injected()) {
        let Ok(Some(mut envelope)) = read(&row.channel, &row.raw) else {
            continue;
        };
        let key = row.channel.split(['-', '#']).next().unwrap();
        let rest = row.channel.splitn(3, '#').nth(2).unwrap();
        let specific = row.channel.contains("-response") && !rest.is_empty();
        if specific {
            envelope.recipient = Some(ServerId::from(rest.trim_end_matches('#')));
        }
        let names = Names {
            key: key.into(),
            specific,
        };
        assert_eq!(names.of(&envelope), row.channel, "{}", row.call);
    }
}

#[test]
fn the_meaning_of_every_kind_is_kept() {
    let mut seen = std::collections::BTreeSet::new();
    for row in all() {
        let Ok(Some(Envelope {
            sender, message, ..
        })) = read(&row.channel, &row.raw)
        else {
            continue;
        };
        let decoded = &row.decoded;
        if let Some(list) = decoded.as_array() {
            assert_eq!(sender.unwrap(), *list[0].as_str().unwrap());
        } else if row.channel.contains("-request") {
            assert_eq!(
                sender.as_ref().map(ServerId::as_str),
                decoded["uid"].as_str()
            );
        } else {
            assert_eq!(sender, None);
        }
        let id = message
            .asks()
            .or(message.answers())
            .map(|id| id.as_str().to_owned());
        if !row.is_injected() {
            assert_eq!(id.as_deref(), decoded["requestId"].as_str(), "{}", row.call);
        }
        if let Message::Disconnect { close, .. } = &message {
            assert_eq!(Some(*close), decoded["close"].as_bool());
        }
        if let Message::BroadcastClientCount { clients, .. } = &message {
            assert_eq!(Some(*clients as u64), decoded["clientCount"].as_u64());
        }
        let name = format!("{message:?}");
        seen.insert(name.split([' ', '{']).next().unwrap().to_owned());
    }
    let all = [
        "Broadcast",
        "BroadcastAck",
        "BroadcastClientCount",
        "Disconnect",
        "FetchIds",
        "FetchIdsResponse",
        "FetchRooms",
        "FetchRoomsResponse",
        "FetchSockets",
        "FetchSocketsResponse",
        "Join",
        "Leave",
        "ServerSideEmit",
        "ServerSideEmitResponse",
    ];
    assert!(seen.iter().eq(all.iter()), "{seen:?}");
}

#[test]
fn the_old_forms_for_a_single_socket_are_understood() {
    let request = |text: &'static str| {
        decode_request(&Bytes::from(text), &"/".into(), None).map(|envelope| envelope.message)
    };
    let join = request(r#"{"uid":"u","requestId":"r","type":2,"sid":"abc","room":"x"}"#).unwrap();
    let Message::Join { target, rooms } = join else {
        panic!("{join:?}")
    };
    assert!(target.rooms.iter().eq([&Room::from("abc")]));
    assert!(rooms.iter().eq([&Room::from("x")]));
    let leave = request(r#"{"uid":"u","requestId":"r","type":3,"sid":"abc","room":"x"}"#).unwrap();
    assert!(matches!(leave, Message::Leave { .. }), "{leave:?}");
    let gone = request(r#"{"uid":"u","requestId":"r","type":4,"sid":"abc","close":true}"#).unwrap();
    let Message::Disconnect { target, close } = gone else {
        panic!("{gone:?}")
    };
    assert!(close && target.rooms.iter().eq([&Room::from("abc")]));
    // Without either it would be for everybody.
    for text in [
        r#"{"uid":"u","type":4,"close":true}"#,
        r#"{"uid":"u","type":2,"rooms":["x"]}"#,
        r#"{"uid":"u","type":5,"requestId":"r"}"#,
        r#"{"uid":"u","type":7,"requestId":"r","opts":{}}"#,
    ] {
        assert!(request(text).is_err(), "{text}");
    }
}

#[test]
fn a_broadcast_without_a_namespace_is_for_the_main_one() {
    let message =
        Bytes::from_static(b"\x93\xa1u\x82\xa4type\x02\xa4data\x91\xa1e\x81\xa5rooms\x90");
    assert!(
        decode_broadcast(&message, &"/".into(), None)
            .unwrap()
            .is_some()
    );
    assert!(
        decode_broadcast(&message, &"/chat".into(), None)
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_message_cut_at_any_byte_is_an_error_and_nothing_more() {
    for row in all() {
        if read(&row.channel, &row.raw).is_err() {
            continue;
        }
        for len in 0..row.raw.len() {
            let cut = row.raw.slice(..len);
            assert!(read(&row.channel, &cut).is_err(), "{} at {len}", row.call);
        }
        let mut longer = row.raw.to_vec();
        longer.push(b'0');
        assert!(read(&row.channel, &longer.into()).is_err(), "{}", row.call);
    }
}

#[test]
fn any_byte_may_be_wrong() {
    for row in all().iter().filter(|row| row.raw.len() < 400) {
        for at in 0..row.raw.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut wrong = row.raw.to_vec();
                wrong[at] ^= flip;
                // Whatever it is now: no panic, and what can be read can be written.
                if let Ok(Some(envelope)) = read(&row.channel, &wrong.into()) {
                    let _ = encode(&envelope, None);
                }
            }
        }
    }
}

/// Another format: the bytes of MessagePack backwards.
struct Backwards;

impl super::Parser for Backwards {
    fn encode(
        &self,
        message: &sala_proto::Value,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let mut out = Vec::new();
        sala_proto::wire::Writer::msgpack(&mut out).value(message)?;
        out.reverse();
        Ok(out)
    }

    fn decode(
        &self,
        message: &[u8],
    ) -> Result<sala_proto::Value, Box<dyn std::error::Error + Send + Sync>> {
        let forwards: Bytes = message.iter().rev().copied().collect::<Vec<_>>().into();
        let mut reader = sala_proto::wire::Reader::msgpack(&forwards);
        let value = reader.value()?;
        reader.end()?;
        Ok(value)
    }
}

#[test]
fn a_parser_replaces_messagepack_and_leaves_json_alone() {
    let namespace = Room::from("/");
    let (mut packed, mut json) = (0, 0);
    for row in rows(FILES[0])
        .iter()
        .filter(|row| row.channel.contains("#/#"))
    {
        let Ok(Some(envelope)) = read(&row.channel, &row.raw) else {
            continue;
        };
        if row.decoded.to_string().contains("$date") {
            // In a tree of values a date is text.
            continue;
        }
        let written = Bytes::from(encode(&envelope, Some(&Backwards)).unwrap());
        let parser = Some(&Backwards as &dyn super::Parser);
        let again = if row.channel.contains("-request") {
            decode_request(&written, &namespace, parser).map(Some)
        } else if row.channel.contains("-response") {
            decode_response(&written, &namespace, parser)
        } else {
            decode_broadcast(&written, &namespace, parser)
        };
        let again = encode(&again.unwrap().unwrap(), None).unwrap();
        let plain = encode(&envelope, None).unwrap();
        assert_eq!(again, plain, "{}", row.call);
        if plain.starts_with(b"{") {
            assert_eq!(written, plain);
            json += 1;
        } else {
            assert!(written.iter().rev().eq(plain.iter()));
            packed += 1;
        }
    }
    assert!(packed > 30 && json > 20, "{packed} {json}");
    let refused = decode_broadcast(&Bytes::from_static(b"\xc1"), &namespace, Some(&Backwards));
    assert!(refused.unwrap_err().to_string().contains("the parser"));
}
