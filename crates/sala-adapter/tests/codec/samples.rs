//! A message of each type, and random ones.

use std::time::Duration;

use bytes::Bytes;
use sala_adapter::message::{RequestId, SocketSnapshot};
use sala_adapter::{Envelope, Flags, Message, RoomSet, Target};
use sala_proto::{RawArgs, Value};

use crate::values::Random;

fn rooms(random: &mut Random) -> RoomSet {
    (0..random.below(4)).map(|_| random.text()).collect()
}

fn target(random: &mut Random) -> Target {
    let flags = Flags {
        volatile: random.below(2) == 0,
        compress: [None, Some(true), Some(false)][random.below(3) as usize],
        expect_single_response: random.below(4) == 0,
        timeout: (random.below(2) == 0).then(|| Duration::from_millis(random.below(1 << 40))),
        local: false,
    };
    Target {
        rooms: rooms(random),
        except: rooms(random),
        flags,
    }
}

fn request(random: &mut Random) -> RequestId {
    random.text().into()
}

fn values(random: &mut Random, most: u64) -> Vec<Value> {
    (0..random.below(most + 1))
        .map(|_| random.value(2))
        .collect()
}

fn event(random: &mut Random) -> RawArgs {
    let name = random.text();
    RawArgs::from_values(values(random, 3)).with_event(&name)
}

fn snapshot(random: &mut Random) -> SocketSnapshot {
    SocketSnapshot {
        id: random.text().into(),
        handshake: random.value(2),
        rooms: rooms(random),
        data: random.value(3),
    }
}

/// A message of the type with this number.
pub(crate) fn message(number: u8, random: &mut Random) -> Message {
    match number {
        1 => Message::InitialHeartbeat,
        2 => Message::Heartbeat,
        3 => Message::Broadcast {
            packet: event(random),
            target: target(random),
            request: (random.below(2) == 0).then(|| request(random)),
        },
        4 => Message::Join {
            target: target(random),
            rooms: rooms(random),
        },
        5 => Message::Leave {
            target: target(random),
            rooms: rooms(random),
        },
        6 => Message::Disconnect {
            target: target(random),
            close: random.below(2) == 0,
        },
        7 => Message::FetchSockets {
            request: request(random),
            target: target(random),
        },
        8 => Message::FetchSocketsResponse {
            request: request(random),
            sockets: (0..random.below(3)).map(|_| snapshot(random)).collect(),
        },
        9 => Message::ServerSideEmit {
            packet: event(random),
            request: (random.below(2) == 0).then(|| request(random)),
        },
        10 => Message::ServerSideEmitResponse {
            request: request(random),
            answer: RawArgs::from_values(values(random, 1)),
        },
        11 => Message::BroadcastClientCount {
            request: request(random),
            clients: random.below(1 << 32) as usize,
        },
        12 => Message::BroadcastAck {
            request: request(random),
            answer: RawArgs::from_values(values(random, 1)),
        },
        _ => Message::AdapterClose,
    }
}

pub(crate) fn envelope(number: u8, random: &mut Random) -> Envelope {
    Envelope {
        namespace: ["/", "/chat", "/é\""][random.below(3) as usize].into(),
        sender: Some(random.text().into()),
        recipient: None,
        message: message(number, random),
    }
}

/// Encoded messages of all types, with something in each place.
pub(crate) fn encoded(form: sala_adapter::codec::Form) -> Vec<(u8, Bytes)> {
    let mut random = Random(7);
    (1..=13)
        .flat_map(|number| [number; 4])
        .map(|number| {
            let envelope = envelope(number, &mut random);
            let bytes = sala_adapter::codec::encode(&envelope, form).unwrap();
            (number, bytes.into())
        })
        .collect()
}
