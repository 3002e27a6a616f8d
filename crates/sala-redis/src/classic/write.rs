//! Writing messages.

use sala_adapter::codec::{
    CodecError, Form, Opts, write_packet, write_rooms, write_snapshot, write_target,
};
use sala_adapter::message::RequestId;
use sala_adapter::{Envelope, Message, ServerId, Target};
use sala_proto::wire::{Members, Writer};
use sala_proto::{EncodeError, RawArgs};

use super::parser::{self, Parser};
use super::requests;

/// Writes a message, whatever channel it goes to.
///
/// # Errors
///
/// `Malformed` if the classic format has no such message, or a value in it cannot be written.
pub fn encode(envelope: &Envelope, parser: Option<&dyn Parser>) -> Result<Vec<u8>, CodecError> {
    let form = form(&envelope.message);
    let mut out = Vec::with_capacity(128);
    write(&mut form.writer(&mut out), envelope)?;
    match parser {
        Some(parser) if form != Form::Json => parser::encode(parser, out),
        _ => Ok(out),
    }
}

/// Events for sockets and the answers of clients are always in MessagePack. All else is in JSON, as
/// in the reference, unless it holds bytes: those the reference would turn into lists of numbers, but reads in
/// MessagePack just as well.
fn form(message: &Message) -> Form {
    match message {
        Message::Broadcast { .. } | Message::BroadcastAck { .. } => Form::Notepack,
        message => Form::for_message(message, Form::Notepack),
    }
}

fn write(writer: &mut Writer<'_>, envelope: &Envelope) -> Result<(), CodecError> {
    let sender = envelope.sender.as_ref();
    match &envelope.message {
        Message::Broadcast {
            packet,
            target,
            request: None,
        } => Ok(broadcast(writer, envelope, packet, target)?),
        message if message.answers().is_some() => answer(writer, message),
        message => question(writer, sender, envelope, message),
    }
}

/// `[uid, packet, opts]`
fn broadcast(
    writer: &mut Writer<'_>,
    envelope: &Envelope,
    packet: &RawArgs,
    target: &Target,
) -> Result<(), EncodeError> {
    let by_emitter = envelope.sender.as_ref().is_some_and(ServerId::is_emitter);
    let opts = if by_emitter {
        Opts::Emitter
    } else {
        Opts::Adapter
    };
    writer.list([0, 1, 2].into_iter(), |writer, part| {
        match (part, &envelope.sender) {
            (0, Some(sender)) => {
                writer.text(sender.as_str());
                Ok(())
            }
            (0, None) => {
                writer.null();
                Ok(())
            }
            (1, _) => write_packet(writer, packet, Some(envelope.namespace.as_str())),
            _ => write_target(writer, target, opts),
        }
    })
}

/// `{uid, requestId, type, …}` as far as there is any.
fn question(
    writer: &mut Writer<'_>,
    sender: Option<&ServerId>,
    envelope: &Envelope,
    message: &Message,
) -> Result<(), CodecError> {
    // Emitters name themselves where an answer would be possible, and nowhere else.
    let is_command = matches!(
        message,
        Message::Join { .. } | Message::Leave { .. } | Message::Disconnect { .. }
    );
    let sender = sender.filter(|sender| !(is_command && sender.is_emitter()));
    let request = message.asks();
    let kind = requests::number(message)
        .ok_or_else(|| CodecError::malformed("the classic format has no such message"))?;
    let own = own_members(message);
    let len = 1 + usize::from(sender.is_some()) + usize::from(request.is_some()) + own;
    writer.map(len, |map| {
        if let Some(sender) = sender {
            map.key("uid").text(sender.as_str());
        }
        if let Some(request) = request {
            map.key("requestId").text(request.as_str());
        }
        map.key("type").uint(kind);
        members(map, message, envelope.namespace.as_str())
    })?;
    Ok(())
}

/// How many members follow the type.
fn own_members(message: &Message) -> usize {
    match message {
        Message::FetchRooms { .. } => 0,
        Message::FetchIds { .. }
        | Message::FetchSockets { .. }
        | Message::ServerSideEmit { .. } => 1,
        _ => 2,
    }
}

fn members(
    map: &mut Members<'_, '_>,
    message: &Message,
    namespace: &str,
) -> Result<(), EncodeError> {
    match message {
        Message::FetchIds { rooms, .. } => write_rooms(map.key("rooms"), rooms),
        Message::Join { target, rooms } | Message::Leave { target, rooms } => {
            write_target(map.key("opts"), target, Opts::NoFlags)?;
            write_rooms(map.key("rooms"), rooms)
        }
        Message::Disconnect { target, close } => {
            write_target(map.key("opts"), target, Opts::NoFlags)?;
            map.key("close").bool(*close);
            Ok(())
        }
        Message::FetchSockets { target, .. } => {
            write_target(map.key("opts"), target, Opts::NoFlags)
        }
        Message::ServerSideEmit { packet, .. } => map.key("data").event(packet),
        Message::Broadcast { packet, target, .. } => {
            write_packet(map.key("packet"), packet, Some(namespace))?;
            write_target(map.key("opts"), target, Opts::Adapter)
        }
        _ => Ok(()),
    }
}

/// Answers carry neither who answers nor, the older ones, a type.
fn answer(writer: &mut Writer<'_>, message: &Message) -> Result<(), CodecError> {
    match message {
        Message::FetchSocketsResponse { request, sockets } => untyped(writer, request, |map| {
            map.key("sockets").list(sockets.iter(), write_snapshot)
        }),
        Message::FetchRoomsResponse { request, rooms } => {
            untyped(writer, request, |map| write_rooms(map.key("rooms"), rooms))
        }
        Message::FetchIdsResponse { request, ids } => untyped(writer, request, |map| {
            map.key("sockets").list(ids.iter(), |writer, id| {
                writer.text(id.as_str());
                Ok(())
            })
        }),
        Message::ServerSideEmitResponse { request, answer } => {
            typed(writer, requests::SERVER_SIDE_EMIT, request, "data", answer)
        }
        Message::BroadcastAck { request, answer } => {
            typed(writer, requests::BROADCAST_ACK, request, "packet", answer)
        }
        Message::BroadcastClientCount { request, clients } => writer.map(3, |map| {
            map.key("type").uint(requests::BROADCAST_CLIENT_COUNT);
            map.key("requestId").text(request.as_str());
            map.key("clientCount").uint(*clients as u64);
            Ok(())
        }),
        _ => Err(EncodeError::new("the classic format has no such answer")),
    }
    .map_err(CodecError::from)
}

/// `{requestId, …}`
fn untyped(
    writer: &mut Writer<'_>,
    request: &RequestId,
    member: impl FnOnce(&mut Members<'_, '_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    writer.map(2, |map| {
        map.key("requestId").text(request.as_str());
        member(map)
    })
}

/// `{type, requestId, …}`; the last member is left out if there is no answer, as JavaScript does.
fn typed(
    writer: &mut Writer<'_>,
    kind: u64,
    request: &RequestId,
    member: &str,
    answer: &RawArgs,
) -> Result<(), EncodeError> {
    writer.map(2 + usize::from(!answer.is_empty()), |map| {
        map.key("type").uint(kind);
        map.key("requestId").text(request.as_str());
        if answer.is_empty() {
            return Ok(());
        }
        map.key(member).argument(answer)
    })
}
