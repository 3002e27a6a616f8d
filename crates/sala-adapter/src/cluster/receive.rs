//! What a message of another server does here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sala_proto::RawArgs;
use tokio::time::Instant;

use super::collector::Verdict;
use super::event::ClusterEvent;
use super::namespace::{Namespace, Sign};
use super::shared::Shared;
use crate::adapter::{AckSink, Command};
use crate::backend::{BackendError, BackendErrorKind, Delivery};
use crate::message::{Envelope, Message, RequestId};
use crate::recovery::Offset;
use crate::target::{ServerId, Target};

/// Applies what came from the broker, before it returns.
pub(super) fn apply(shared: &Arc<Shared>, delivery: Delivery) {
    match delivery {
        Delivery::Message { envelope, offset } => message(shared, envelope, offset),
        Delivery::Malformed { source, error } => shared.malformed(&source, &error),
        Delivery::Logged {
            namespace,
            number,
            offset,
        } => {
            // One that has been left is no longer waited for.
            if let Some(namespace) = shared.namespace(&namespace) {
                namespace.lane.resolve(number, offset);
                shared.run_lane(&namespace);
            }
        }
        Delivery::Foreign => shared.counters.ignored.add(1),
        Delivery::Lost { reason } => shared.lost(&reason),
    }
}

fn message(shared: &Arc<Shared>, envelope: Envelope, offset: Option<Offset>) {
    if envelope.sender.as_ref() == Some(&shared.id) {
        return shared.counters.own.add(1);
    }
    let for_others = envelope.recipient.is_some_and(|it| it != shared.id);
    let namespace = shared.namespace(&envelope.namespace);
    let Some(namespace) = namespace.filter(|_| !for_others) else {
        return shared.counters.ignored.add(1);
    };
    shared.counters.received.add(1);
    if let Some(sender) = &envelope.sender {
        heard(shared, &namespace, sender);
    }
    let received = Received {
        shared,
        namespace: &namespace,
        sender: envelope.sender,
    };
    received.apply(envelope.message, offset);
}

fn heard(shared: &Shared, namespace: &Namespace, server: &ServerId) {
    let new = namespace.members().heard(server, Instant::now());
    if new && shared.has_heartbeats() {
        shared.event(ClusterEvent::MemberJoined {
            namespace: &namespace.name,
            server,
        });
    }
}

/// A server is no longer waited for. Where the broker counts, this changes nothing: there a server that has nothing
/// to say is silent for as long as it likes, and its clients may still answer.
pub(super) fn departed(shared: &Shared, namespace: &Namespace, server: &ServerId, silent: bool) {
    if !shared.has_heartbeats() {
        return;
    }
    shared.requests.departed(&namespace.name, server);
    shared.event(ClusterEvent::MemberLeft {
        namespace: &namespace.name,
        server,
        silent,
    });
}

/// A message that concerns this server.
struct Received<'a> {
    shared: &'a Arc<Shared>,
    namespace: &'a Arc<Namespace>,
    sender: Option<ServerId>,
}

impl Received<'_> {
    fn apply(self, message: Message, offset: Option<Offset>) {
        match message {
            Message::InitialHeartbeat => self.shared.say(self.namespace, Sign::Heartbeat),

            Message::Heartbeat => {}
            Message::AdapterClose => self.goodbye(),
            Message::Broadcast {
                packet,
                target,
                request: None,
            } => self.broadcast(&packet, &target, offset.as_ref()),
            Message::Broadcast {
                packet,
                target,
                request: Some(request),
            } => self.broadcast_with_ack(&packet, &target, request),
            Message::Join { target, rooms } => self.command(&Command::Join(rooms), &target),
            Message::Leave { target, rooms } => self.command(&Command::Leave(rooms), &target),
            Message::Disconnect { target, close } => {
                self.command(&Command::Disconnect { close }, &target);
            }
            Message::ServerSideEmit { packet, request } => self.server_side(&packet, request),
            Message::FetchSockets { request, target } => {
                let sockets = self.local(|local| local.sockets(&target));
                self.reply(Message::FetchSocketsResponse {
                    request,
                    sockets: sockets.unwrap_or_default(),
                });
            }
            Message::FetchRooms { request } => {
                let rooms = self.local(|local| local.rooms()).unwrap_or_default();
                self.reply(Message::FetchRoomsResponse { request, rooms });
            }
            Message::FetchIds { request, rooms } => {
                let target = Target {
                    rooms,
                    ..Target::default()
                };
                let sockets = self.local(|local| local.sockets(&target));
                let ids = sockets.into_iter().flatten().map(|it| it.id).collect();
                self.reply(Message::FetchIdsResponse { request, ids });
            }
            answer => self.answer(answer),
        }
    }

    fn goodbye(&self) {
        if let Some(sender) = &self.sender
            && self.namespace.members().left(sender)
        {
            departed(self.shared, self.namespace, sender, false);
        }
    }

    fn broadcast(&self, packet: &RawArgs, target: &Target, offset: Option<&Offset>) {
        self.local(|local| local.broadcast(packet, target, offset));
    }

    /// Says to how many clients the event was sent, also if to none, and then what each answers.
    fn broadcast_with_ack(&self, packet: &RawArgs, target: &Target, request: RequestId) {
        let id = request.clone();
        let sink = self.sink(move |answer| Message::BroadcastAck {
            request: id.clone(),
            answer,
        });
        let clients = self.local(|local| local.broadcast_with_ack(packet, target, sink));
        self.reply(Message::BroadcastClientCount {
            request,
            clients: clients.unwrap_or(0),
        });
    }

    fn command(&self, command: &Command, target: &Target) {
        self.local(|local| local.command(command, target));
    }

    /// Runs the listeners; the first answer counts.
    fn server_side(&self, packet: &RawArgs, request: Option<RequestId>) {
        let answer = request.map(|request| {
            let send = self.sink(move |answer| Message::ServerSideEmitResponse {
                request: request.clone(),
                answer,
            });
            let answered = AtomicBool::new(false);
            let once: AckSink = Arc::new(move |answer| {
                if !answered.swap(true, Ordering::Relaxed) {
                    send(answer);
                }
            });
            once
        });
        self.local(|local| local.server_side_emit(packet, answer));
    }

    fn answer(&self, answer: Message) {
        let shared = self.shared;
        let verdict = shared
            .requests
            .answer(&self.namespace.name, self.sender.as_ref(), answer);
        match verdict {
            Verdict::Taken => {}
            Verdict::Ignored => shared.counters.ignored.add(1),
            Verdict::TooLarge => {
                let source = self.sender.as_ref().map_or("a server", ServerId::as_str);
                let text = "more answers to one request than max_answer_bytes allows";
                let error = BackendError::new(BackendErrorKind::TooLarge, text);
                shared.malformed(source, &error);
            }
        }
    }

    /// Where answers of clients or listeners go, whenever they come.
    fn sink(&self, message: impl Fn(RawArgs) -> Message + Send + Sync + 'static) -> AckSink {
        let shared = self.shared.clone();
        let namespace = self.namespace.clone();
        let recipient = self.sender.clone();
        Arc::new(move |answer| shared.reply(&namespace, recipient.clone(), message(answer)))
    }

    fn reply(&self, answer: Message) {
        self.shared
            .reply(self.namespace, self.sender.clone(), answer);
    }

    fn local<R>(&self, call: impl FnOnce(&dyn crate::Local) -> R) -> Option<R> {
        let local = &*self.namespace.local;
        self.shared.guard(self.namespace, || call(local))
    }
}
