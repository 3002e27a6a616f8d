//! One connection: decodes what the client sends and drives its sockets.

mod connect;
mod dispatch;
mod inbox;
mod leave;
mod rejoin;

use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use sala_adapter::recovery::SavedSession;
use sala_engine::{CloseReason, Connection, Data, Frame, Revision, Scope, SessionHandle};
use sala_proto::{Args, Assembler, Packet, PacketKind, RawArgs, split_query};

pub(crate) use self::inbox::{Inbox, Work};
use crate::cluster::sessions;
use crate::error::{ErrorContext, ErrorKind, HandlerError};
use crate::namespace::admission::Seat;
use crate::namespace::table::Table;
use crate::reason::DisconnectReason;
use crate::server::ServerInner;
use crate::socket::inner::Phase;
use crate::socket::{Data as SocketData, Socket};
use crate::versioned::Cached;

/// Socket.IO, as the engine sees it.
///
/// It is only of interest as the parameter of [`Engine`](sala_engine::Engine), which
/// [`Server::engine`](crate::Server::engine) returns.
pub struct App {
    server: Weak<ServerInner>,
}

impl App {
    pub(crate) fn new(server: Weak<ServerInner>) -> Self {
        Self { server }
    }
}

impl sala_engine::App for App {
    type Connection = Client;

    fn connect(&self, session: &SessionHandle, scope: &mut Scope<'_, '_>) -> Client {
        let Some(shared) = self.server.upgrade().filter(|shared| !shared.is_closing()) else {
            session.close_now();
            return Client(None);
        };
        shared.start_sweeper();
        let mut live = Live::new(shared, session.clone());
        if live.is_revision_3() {
            // Clients of Socket.IO 2 do not ask for the main namespace: they are in it.
            live.connect("/", None, scope);
            live.drain(scope);
        }
        Client(Some(live))
    }
}

/// The Socket.IO side of one connection.
pub struct Client(Option<Live>);

/// A connection of a server that lives.
struct Live {
    shared: Arc<ServerInner>,
    session: SessionHandle,
    inbox: Arc<Inbox>,
    assembler: Assembler,
    /// One for each namespace that the client is in or waits for, in the order in which it asked.
    members: Vec<Member>,
    /// Names of namespaces that parents are being asked for.
    resolving: Vec<Box<str>>,
    /// Namespaces that the server made the client leave: what it sends there was under way.
    dismissed: Vec<Box<str>>,
    /// Until when a namespace must be joined.
    connect_deadline: Option<Instant>,
    /// Until when the attachments of a packet must have come.
    attachment_deadline: Option<Instant>,
    /// The client broke the protocol: nothing it sends is looked at any more.
    broken: bool,
}

/// The client in one namespace.
struct Member {
    socket: Socket,
    table: Cached<Table>,
    /// What is left to restore when the client is let in.
    restored: Option<Box<Restored>>,
    _seat: Seat,
}

/// A session that was taken back.
struct Restored {
    session: SavedSession<SocketData>,
    offset: Box<str>,
    missed: Missed,
}

/// What a session has missed.
enum Missed {
    /// In the log of this server.
    Logged(Vec<Frame>),
    /// In the log of the cluster.
    Stored(sessions::Missed),
}

impl Live {
    fn new(shared: Arc<ServerInner>, session: SessionHandle) -> Self {
        shared.counters.client_came();
        Self {
            assembler: Assembler::new(&shared.options.codec, shared.options.limits),
            connect_deadline: Instant::now().checked_add(shared.options.connect_timeout),
            shared,
            session,
            inbox: Arc::default(),
            members: Vec::new(),
            resolving: Vec::new(),
            dismissed: Vec::new(),
            attachment_deadline: None,
            broken: false,
        }
    }

    fn is_revision_3(&self) -> bool {
        self.session.revision() == Revision::V3
    }

    fn message(&mut self, data: Data<'_>, scope: &mut Scope<'_, '_>) {
        if self.broken {
            return;
        }
        let packet = match data {
            Data::Text(text) => self.assembler.push_text(text),
            Data::Binary(bytes) => self.assembler.push_binary(Bytes::from(bytes.into_owned())),
        };
        match packet {
            Ok(Some(packet)) => {
                self.attachment_deadline = None;
                self.packet(packet, scope);
            }
            Ok(None) => {
                let timeout = self.shared.options.attachment_timeout;
                if self.attachment_deadline.is_none() {
                    self.attachment_deadline = Instant::now().checked_add(timeout);
                }
            }
            Err(error) => self.violation(error),
        }
        self.drain(scope);
    }

    fn packet(&mut self, packet: Packet<'_>, scope: &mut Scope<'_, '_>) {
        let (name, query) = if self.is_revision_3() {
            split_query(&packet.nsp)
        } else {
            (&*packet.nsp, None)
        };
        if packet.kind == PacketKind::Connect {
            let auth = match query {
                Some(query) => Some(connect::query_auth(query)),
                None => packet.data.map(Args::into_owned),
            };
            return self.connect(name, auth, scope);
        }
        let Some(index) = self.find(name) else {
            if self.dismissed.iter().any(|dismissed| **dismissed == *name) {
                return;
            }
            return self.violation("a packet for a namespace that is not joined");
        };
        match packet.kind {
            PacketKind::Event => {
                if let Some(args) = &packet.data {
                    self.event(index, args, packet.id, scope);
                }
            }
            PacketKind::Ack => self.ack(index, packet.id, packet.data),
            PacketKind::Disconnect => {
                self.leave(
                    index,
                    DisconnectReason::ClientNamespaceDisconnect,
                    None,
                    scope,
                );
            }
            _ => self.violation("a packet that only servers send"),
        }
    }

    /// The member that is in this namespace; those that wait do not count.
    fn find(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| {
            member.socket.nsp().name() == name && member.socket.0.phase() > Phase::Connecting
        })
    }

    /// The client answers an event of the server.
    fn ack(&mut self, index: usize, id: Option<u64>, args: Option<Args<'_>>) {
        let socket = &self.members[index].socket;
        if let Some(sink) = id.and_then(|id| socket.take_ack(id)) {
            let args = args.unwrap_or_else(|| RawArgs::from_values(Vec::new()));
            sink.reply(socket.id(), &args);
        }
    }

    /// Does what other tasks, and handlers, have left.
    fn drain(&mut self, scope: &mut Scope<'_, '_>) {
        while let Some(batch) = self.inbox.take() {
            for work in batch {
                self.work(work, scope);
            }
        }
    }

    fn work(&mut self, work: Work, scope: &mut Scope<'_, '_>) {
        match work {
            Work::Resolved(name, auth, seat) => self.resolved(&name, auth, seat, scope),
            Work::Taken(asked) => self.taken(*asked, scope),
            Work::CaughtUp(caught) => self.caught_up(*caught, scope),
            Work::Decided(socket, verdict) => {
                if let Some(index) = self.index_of(&socket) {
                    match verdict {
                        Ok(()) => self.admit(index, scope),
                        Err(refused) => self.refuse(index, &refused),
                    }
                }
            }
            Work::Leave(socket, close) => {
                if close {
                    for member in &self.members {
                        member.socket.announce_leave();
                    }
                    self.leave_all(DisconnectReason::ServerNamespaceDisconnect, None, scope);
                    self.session.close();
                } else if let Some(index) = self.index_of(&socket) {
                    self.leave(
                        index,
                        DisconnectReason::ServerNamespaceDisconnect,
                        None,
                        scope,
                    );
                }
            }
        }
    }

    fn index_of(&self, socket: &Socket) -> Option<usize> {
        self.members
            .iter()
            .position(|member| member.socket == *socket)
    }

    /// The client broke the protocol: tells every socket, then closes the connection.
    fn violation(&mut self, error: impl Into<HandlerError>) {
        let error = error.into();
        let text = error.to_string();
        let mut told = false;
        for member in &self.members {
            if member.socket.0.phase() == Phase::Connected {
                member
                    .socket
                    .failed(None, ErrorKind::Protocol, text.clone().into());
                told = true;
            }
        }
        if !told {
            self.shared.report(&ErrorContext {
                socket: None,
                namespace: "",
                event: None,
                kind: ErrorKind::Protocol,
                error: &error,
            });
        }
        self.break_off();
    }

    /// Closes the connection, and listens to nothing more.
    fn break_off(&mut self) {
        self.broken = true;
        self.assembler.reset();
        self.attachment_deadline = None;
        self.connect_deadline = None;
        self.session.close();
    }

    fn timeout(&mut self, now: Instant) {
        if self.attachment_deadline.is_some_and(|at| at <= now) {
            self.violation("the attachments of a packet did not come in time");
        } else if self.connect_deadline.is_some_and(|at| at <= now) {
            self.break_off();
        }
    }
}

impl Connection for Client {
    fn message(&mut self, data: Data<'_>, scope: &mut Scope<'_, '_>) {
        if let Some(live) = &mut self.0 {
            live.message(data, scope);
        }
    }

    fn poked(&mut self, scope: &mut Scope<'_, '_>) {
        if let Some(live) = &mut self.0 {
            live.drain(scope);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let live = self.0.as_ref()?;
        live.connect_deadline
            .into_iter()
            .chain(live.attachment_deadline)
            .min()
    }

    fn timeout(&mut self, now: Instant, _: &mut Scope<'_, '_>) {
        if let Some(live) = &mut self.0 {
            live.timeout(now);
        }
    }

    fn closing(&mut self, scope: &mut Scope<'_, '_>) {
        if let Some(live) = &mut self.0 {
            if live.broken {
                live.leave_all(DisconnectReason::ForcedServerClose, None, scope);
            } else if live.shared.is_closing() {
                live.leave_all(DisconnectReason::ServerShuttingDown, None, scope);
            }
        }
    }

    fn close(&mut self, reason: CloseReason, description: Option<&str>, scope: &mut Scope<'_, '_>) {
        // Dropped afterwards: handlers may go on for long, and a server that closes waits for this.
        if let Some(mut live) = self.0.take() {
            let shutdown =
                reason == CloseReason::ForcedClose && !live.broken && live.shared.is_closing();
            let reason = if shutdown {
                DisconnectReason::ServerShuttingDown
            } else {
                reason.into()
            };
            live.leave_all(reason, description, scope);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, Inbox, Member};

    /// Every connection pays this: think twice before raising it.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Client>() <= 256, "{}", size_of::<Client>());
        assert!(size_of::<Member>() <= 64, "{}", size_of::<Member>());
        assert!(size_of::<Inbox>() <= 64, "{}", size_of::<Inbox>());
    }
}
