//! The protocol's side of a session: what packets mean and what becomes of them. It knows no
//! transport; [`task`](super::task) moves the bytes.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Instant;

use sala_engine_proto::ws::Event;
use sala_engine_proto::{
    Action, CloseReason, Data, Frame, Packet, PacketType, ParseError, Session, payload,
};
use tokio::sync::oneshot;

use super::handle::{ConnectionEvent, SessionHandle};
use super::mailbox::{PollReply, PostBody};
use super::running::{Running, Scope};
use crate::app::Connection;
use crate::transport::websocket::{Flow, WebSocket};

/// The protocol's side of a session, without its transport.
#[repr(C)]
pub(super) struct Protocol<C> {
    pub(super) handle: SessionHandle,
    pub(super) running: Running,
    pub(super) ending: Option<Box<Ending>>,
    pub(super) now: Instant,
    /// The application has been told of the session.
    pub(super) started: bool,
    /// The client has sent no message yet.
    pub(super) silent: bool,
    pub(super) machine: Session,
    pub(super) connection: Option<C>,
}

/// Why and how the session has to end.
pub(super) struct Ending {
    pub(super) reason: CloseReason,
    pub(super) description: Option<Cow<'static, str>>,
    /// The code for the WebSocket close frame.
    pub(super) code: Option<u16>,
    /// What a waiting poll is told.
    pub(super) farewell: Farewell,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    Close,
    Noop,
    NoopAndClose,
}

impl<C: Connection> Protocol<C> {
    pub(super) fn with_connection(
        &mut self,
        cx: &mut Context<'_>,
        f: impl FnOnce(&mut C, &mut Scope<'_, '_>),
    ) {
        if let Some(connection) = &mut self.connection {
            f(connection, &mut Scope::new(cx, &mut self.running));
        }
    }

    pub(super) fn is_saturated(&self) -> bool {
        self.running.len() >= self.handle.core().config.max_running_handlers
    }

    pub(super) fn end(&mut self, reason: CloseReason, description: Option<&'static str>) {
        if self.ending.is_none() {
            self.ending = Some(Box::new(Ending {
                reason,
                description: description.map(Cow::Borrowed),
                code: None,
                farewell: Farewell::Close,
            }));
        }
    }

    /// A WebSocket message of the session's transport.
    pub(super) fn receive_event(&mut self, event: Event<'_>, cx: &mut Context<'_>) -> Flow {
        let packet = match event {
            Event::Text(text) => Packet::decode_text(text, self.handle.revision()),
            Event::Binary(bytes) => Packet::decode_binary(bytes, self.handle.revision()),
            Event::Ping(_) | Event::Pong(_) => return Flow::Continue,
            Event::Close(code, _) => {
                self.end(CloseReason::TransportClose, None);
                if let Some(ending) = &mut self.ending {
                    ending.code = code;
                }
                return Flow::Stop;
            }
        };
        self.receive(packet, cx)
    }

    /// A polling body.
    pub(super) fn receive_payload(&mut self, body: &PostBody, cx: &mut Context<'_>) {
        let packets = match body {
            PostBody::Text(text) => payload::decode(text, self.handle.revision()),
            PostBody::Binary(bytes) => payload::decode_binary_v3(bytes),
        };
        for packet in packets {
            if let Flow::Stop = self.receive(packet, cx) {
                break;
            }
        }
        if let Some(ending) = &mut self.ending
            && ending.reason == CloseReason::TransportClose
        {
            ending.farewell = Farewell::Noop;
        }
    }

    pub(super) fn receive(
        &mut self,
        packet: Result<Packet<'_>, ParseError>,
        cx: &mut Context<'_>,
    ) -> Flow {
        let Ok(packet) = packet else {
            self.end(CloseReason::ParseError, None);
            return Flow::Stop;
        };
        if self.handle.is_observed() && self.handle.is_open() {
            let event = ConnectionEvent::Packet {
                kind: packet.kind,
                data: &packet.data,
            };
            self.handle.notify(&event);
        }
        match self.machine.packet(packet.kind, self.now) {
            Action::Deliver => self.deliver(packet.data, cx),
            action => self.act(action),
        }
    }

    pub(super) fn deliver(&mut self, data: Data<'_>, cx: &mut Context<'_>) -> Flow {
        // A close that was asked for while earlier messages of the same read were handled.
        if !self.handle.is_open() {
            return Flow::Continue;
        }
        if self.silent {
            self.silent = false;
            self.handle.core().stats.no_longer_silent();
        }
        self.with_connection(cx, |connection, scope| connection.message(data, scope));
        if self.is_saturated() {
            Flow::Pause
        } else {
            Flow::Continue
        }
    }

    pub(super) fn act(&mut self, action: Action) -> Flow {
        match action {
            Action::SendPing => self.send_control(PacketType::Ping),
            Action::SendPong => {
                self.handle.notify(&ConnectionEvent::Heartbeat);
                self.send_control(PacketType::Pong);
            }
            Action::Heartbeat => self.handle.notify(&ConnectionEvent::Heartbeat),
            Action::Close(reason, description) => {
                self.end(reason, description);
                return Flow::Stop;
            }
            _ => {}
        }
        Flow::Continue
    }

    /// A WebSocket message of a probing transport.
    pub(super) fn receive_probe_event(&mut self, event: Event<'_>) -> Action {
        let (kind, probe) = match event {
            Event::Text(text) => match Packet::decode_text(text, self.handle.revision()) {
                Ok(packet) => (packet.kind, packet.data == Data::Text("probe")),
                Err(_) => (PacketType::Message, false),
            },
            Event::Binary(_) | Event::Close(..) => (PacketType::Message, false),
            Event::Ping(_) | Event::Pong(_) => return Action::None,
        };
        self.machine.probe_packet(kind, probe, self.now)
    }

    /// Queues a packet of the session's own, behind the messages that are waiting.
    pub(super) fn send_control(&mut self, kind: PacketType) {
        let frame = control(kind, "");
        self.handle.observe_create(&frame);
        let mut mailbox = self.handle.mailbox();
        mailbox.bytes += frame.len();
        mailbox.queue.push_back(frame);
    }

    pub(super) fn control_reply(&self, kinds: &[PacketType]) -> PollReply {
        let frames: Vec<Frame> = kinds.iter().map(|kind| control(*kind, "")).collect();
        self.encode_poll(&frames)
    }

    pub(super) fn encode_poll<'f>(
        &self,
        frames: impl IntoIterator<Item = &'f Frame, IntoIter: Clone>,
    ) -> PollReply {
        let frames = frames.into_iter();
        let compress = frames.clone().any(Frame::may_compress);
        let body = payload::encode(frames, self.handle.revision(), self.handle.wants_base64());
        PollReply {
            body: body.bytes,
            binary: body.binary,
            compress,
        }
    }

    pub(super) fn answer_poll(&self, reply: oneshot::Sender<PollReply>, kinds: &[PacketType]) {
        let body = self.control_reply(kinds);
        {
            let mut mailbox = self.handle.mailbox();
            mailbox.polling = false;
            mailbox.writable = false;
        }
        // A client that has gone is noticed by the guard of its request.
        reply.send(body).ok();
    }

    pub(super) fn write_poll(&mut self, slot: &mut Option<oneshot::Sender<PollReply>>) {
        if slot.is_none() {
            return;
        }
        let frames = {
            let mut mailbox = self.handle.mailbox();
            if mailbox.queue.is_empty() || mailbox.drops_queue() {
                return;
            }
            let frames = std::mem::take(&mut mailbox.queue);
            let bytes = mailbox.bytes;
            mailbox.wrote(bytes);
            mailbox.polling = false;
            mailbox.writable = false;
            frames
        };
        self.handle.notify(&ConnectionEvent::Flush(frames.len()));
        let body = self.encode_poll(&frames);
        if let Some(reply) = slot.take() {
            reply.send(body).ok(); // as in `answer_poll`
        }
        self.handle.notify(&ConnectionEvent::Drain);
    }

    /// Sends `frames` and what earlier writes left over. Tells what the frames weighed that have
    /// gone out; the others stay.
    pub(super) fn write_websocket(
        &mut self,
        socket: &mut WebSocket,
        frames: &mut VecDeque<Frame>,
        cx: &mut Context<'_>,
    ) -> usize {
        if frames.is_empty() && socket.is_idle() {
            return 0;
        }
        if !frames.is_empty() {
            self.handle.notify(&ConnectionEvent::Flush(frames.len()));
        }
        let mut sent = 0;
        match socket.poll_send(cx, frames, &mut sent) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.handle.notify(&ConnectionEvent::Drain),
            Poll::Ready(Err(_)) => self.end(CloseReason::TransportError, Some("write error")),
        }
        sent
    }

    pub(super) fn finish(&mut self, ending: &Ending, cx: &mut Context<'_>) {
        self.machine.closed();
        self.handle.set_closed();
        self.handle.core().registry.remove(self.handle.id());
        if std::mem::take(&mut self.silent) {
            self.handle.core().stats.no_longer_silent();
        }
        if ending.reason == CloseReason::SlowConsumer {
            self.handle.core().stats.slow_consumer();
        }
        let reason = ending.reason;
        let description = ending.description.as_deref();
        self.handle.notify(&ConnectionEvent::Close {
            reason,
            description,
        });
        self.with_connection(cx, |connection, scope| {
            connection.close(reason, description, scope)
        });
        self.connection = None;
        self.handle.mailbox().shut();
    }
}

impl<C> Drop for Protocol<C> {
    /// The runtime may drop a task in the middle of its life.
    fn drop(&mut self) {
        if !self.handle.is_closed() {
            self.handle.set_closed();
            self.handle.core().registry.remove(self.handle.id());
            self.handle.mailbox().shut();
        }
        if self.silent {
            self.handle.core().stats.no_longer_silent();
        }
        self.handle.core().task_ended();
    }
}

/// A packet of the engine's own.
pub(super) fn control(kind: PacketType, data: &str) -> Frame {
    Frame::packet(kind.digit(), |buf| buf.extend_from_slice(data.as_bytes()))
}
