//! Messages as the vectors show them, made without the code under test.

use sala_adapter::message::{RequestId, SocketSnapshot};
use sala_adapter::{Envelope, Flags, Message, RoomSet, Target};
use sala_proto::{Object, RawArgs, Value};

/// A map of members; those without a value are left out.
fn map<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let members = members.into_iter();
    let members = members.filter_map(|(key, value)| Some((key, value?)));
    Value::Object(members.collect::<Object>())
}

fn rooms(rooms: &RoomSet) -> Value {
    Value::Array(rooms.iter().map(|room| room.as_str().into()).collect())
}

fn flags(flags: &Flags) -> Value {
    map([
        ("volatile", flags.volatile.then(|| true.into())),
        ("compress", flags.compress.map(Value::from)),
        (
            "expectSingleResponse",
            flags.expect_single_response.then(|| true.into()),
        ),
        (
            "timeout",
            flags
                .timeout
                .map(|timeout| (timeout.as_millis() as u64).into()),
        ),
    ])
}

fn opts(target: &Target) -> Option<Value> {
    Some(map([
        ("rooms", Some(rooms(&target.rooms))),
        ("except", Some(rooms(&target.except))),
        ("flags", Some(flags(&target.flags))),
    ]))
}

fn event(event: &RawArgs) -> Option<Value> {
    let mut items = vec![event.event()?.to_value()];
    items.append(&mut event.to_values());
    Some(items.into())
}

fn id(request: &RequestId) -> Option<Value> {
    Some(request.as_str().into())
}

fn snapshot(socket: &SocketSnapshot) -> Value {
    map([
        ("id", Some(socket.id.as_str().into())),
        ("handshake", Some(socket.handshake.clone())),
        ("rooms", Some(rooms(&socket.rooms))),
        ("data", Some(socket.data.clone())),
    ])
}

/// What stands under `data`.
pub(crate) fn data(message: &Message) -> Option<Value> {
    Some(match message {
        Message::Broadcast {
            packet,
            target,
            request,
        } => map([
            (
                "packet",
                Some(map([("type", Some(2.into())), ("data", event(packet))])),
            ),
            ("requestId", request.as_ref().and_then(id)),
            ("opts", opts(target)),
        ]),
        Message::Join {
            target,
            rooms: joined,
        }
        | Message::Leave {
            target,
            rooms: joined,
        } => map([("opts", opts(target)), ("rooms", Some(rooms(joined)))]),
        Message::Disconnect { target, close } => {
            map([("opts", opts(target)), ("close", Some((*close).into()))])
        }
        Message::FetchSockets { request, target } => {
            map([("opts", opts(target)), ("requestId", id(request))])
        }
        Message::FetchSocketsResponse { request, sockets } => map([
            ("requestId", id(request)),
            (
                "sockets",
                Some(Value::Array(sockets.iter().map(snapshot).collect())),
            ),
        ]),
        Message::ServerSideEmit { packet, request } => map([
            ("requestId", request.as_ref().and_then(id)),
            ("packet", event(packet)),
        ]),
        Message::ServerSideEmitResponse { request, answer }
        | Message::BroadcastAck { request, answer } => map([
            ("requestId", id(request)),
            ("packet", answer.to_values().pop()),
        ]),
        Message::BroadcastClientCount { request, clients } => map([
            ("requestId", id(request)),
            ("clientCount", Some((*clients as u64).into())),
        ]),
        _ => return None,
    })
}

/// A whole message.
pub(crate) fn envelope(envelope: &Envelope) -> Value {
    map([
        ("type", envelope.message.number().map(Value::from)),
        ("data", data(&envelope.message)),
        ("uid", envelope.sender.as_ref().map(|id| id.as_str().into())),
        ("nsp", Some(envelope.namespace.as_str().into())),
        (
            "requesterUid",
            envelope.recipient.as_ref().map(|id| id.as_str().into()),
        ),
    ])
}

/// Whether two values are the same to JavaScript: the vectors print integers beyond 2^53 as it does.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64(), b.as_f64());
            a == b || (a.is_nan() && b.is_nan())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let equal = |(key, value)| b.get(key).is_some_and(|other| same(value, other));
            a.len() == b.len() && a.iter().all(equal)
        }
        (a, b) => a == b,
    }
}
