//! The way of this client into a namespace, from its CONNECT packet to the answer.

use std::sync::Arc;

use sala_adapter::SocketId;
use sala_adapter::recovery::PrivateId;
use sala_engine::{Frame, Revision, Scope};
use sala_proto::{Object, RawArgs, Value};
use serde::Deserialize;

use super::{Inbox, Live, Member, Missed, Restored, Work};
use crate::error::{Error, Refused};
use crate::handler::EventKey;
use crate::namespace::Namespace;
use crate::namespace::admission::{self, Seat};
use crate::reason::DisconnectReason;
use crate::socket::Socket;
use crate::socket::inner::{NewSocket, Phase, SocketInner};

/// What a client says that wants its session back.
#[derive(Deserialize)]
pub(super) struct Claim {
    pub(super) pid: String,
    pub(super) offset: String,
}

/// What a client of Socket.IO 2 sends instead of `auth`.
pub(super) fn query_auth(query: &str) -> RawArgs {
    let mut auth = Object::default();
    for (key, value) in sala_engine::Query::parse(query).iter() {
        auth.insert(key.into_owned(), Value::from(&*value));
    }
    RawArgs::from_values(vec![Value::Object(auth)])
}

impl Live {
    /// The client asks for a namespace.
    pub(super) fn connect(&mut self, name: &str, auth: Option<RawArgs>, scope: &mut Scope<'_, '_>) {
        // Told to leave by another task, which has yet to say so: the client was faster.
        if let Some(index) = self.find(name)
            && self.members[index].socket.0.phase() == Phase::Leaving
        {
            let reason = DisconnectReason::ServerNamespaceDisconnect;
            self.leave(index, reason, None, scope);
        }
        let known = self
            .members
            .iter()
            .any(|member| member.socket.nsp().name() == name)
            || self.resolving.iter().any(|waiting| **waiting == *name);
        if known {
            return self.violation("a second CONNECT packet for one namespace");
        }
        self.dismissed.retain(|dismissed| **dismissed != *name);
        if let Err(refused) = self.check_limits() {
            return self.send_refusal(name, &refused, false);
        }
        if let Some(seat) = Seat::take(&self.shared, name) {
            self.begin(seat, auth, scope);
        } else if self.shared.directory.has_parents() {
            self.resolve(name, auth, scope);
        } else {
            self.unknown(name);
        }
    }

    fn check_limits(&self) -> Result<(), Refused> {
        let options = &self.shared.options;
        if self.members.len() + self.resolving.len() >= options.max_namespaces {
            return Err(Refused::new("too many namespaces"));
        }
        let waiting = |member: &&Member| member.socket.0.phase() == Phase::Connecting;
        let pending = self.resolving.len() + self.members.iter().filter(waiting).count();
        if pending >= options.max_pending_connects {
            return Err(Refused::new("too many pending connects"));
        }
        Ok(())
    }

    /// Asks the parents of dynamic namespaces.
    fn resolve(&mut self, name: &str, auth: Option<RawArgs>, scope: &mut Scope<'_, '_>) {
        let name: Box<str> = name.into();
        self.resolving.push(name.clone());
        let (shared, inbox, session) = (
            self.shared.clone(),
            self.inbox.clone(),
            self.session.clone(),
        );
        scope.run(Box::pin(async move {
            let none = || RawArgs::from_values(vec![Value::Object(Object::default())]);
            let shown = auth.clone().unwrap_or_else(none);
            let seat = admission::find(shared, name.clone(), shown).await;
            inbox.push(&session, Work::Resolved(name, auth, seat));
        }));
    }

    /// The parents have answered.
    pub(super) fn resolved(
        &mut self,
        name: &str,
        auth: Option<RawArgs>,
        seat: Option<Seat>,
        scope: &mut Scope<'_, '_>,
    ) {
        self.resolving.retain(|waiting| **waiting != *name);
        if self.broken {
            return;
        }
        match seat {
            Some(seat) => self.begin(seat, auth, scope),
            None => self.unknown(name),
        }
    }

    fn unknown(&self, name: &str) {
        self.send_refusal(name, &Refused::new("Invalid namespace"), false);
    }

    /// Looks for a session that the client wants back.
    fn begin(&mut self, seat: Seat, auth: Option<RawArgs>, scope: &mut Scope<'_, '_>) {
        let nsp = &seat.nsp().inner;
        let claim = nsp.recovery.as_ref().and(auth.as_ref());
        let Some(claim) = claim.and_then(|auth| auth.parse::<Claim>().ok()) else {
            return self.enter(seat, auth, None, scope);
        };
        if let Some(store) = nsp.link().and_then(|link| link.store.clone()) {
            return self.ask_store(seat, auth, claim, store, scope);
        }
        let restored = self.take_session(seat.nsp(), claim);
        self.enter(seat, auth, restored, scope);
    }

    /// Makes the socket and runs the middlewares.
    pub(super) fn enter(
        &mut self,
        seat: Seat,
        auth: Option<RawArgs>,
        restored: Option<Box<Restored>>,
        scope: &mut Scope<'_, '_>,
    ) {
        let nsp = seat.nsp().clone();
        let skip = restored.is_some()
            && nsp
                .inner
                .recovery
                .as_ref()
                .is_some_and(|log| log.skip_middlewares);
        let mut table = nsp.inner.table.cached();
        let current = table.get(&nsp.inner.table).clone();
        let socket = self.make_socket(nsp, auth, restored.as_deref());
        // Most clients are in one namespace; a list that grows by doubling starts with four.
        self.members.reserve_exact(1);
        self.members.push(Member {
            socket: socket.clone(),
            table,
            restored,
            _seat: seat,
        });
        if skip || current.admit.is_empty() {
            self.admit(self.members.len() - 1, scope);
        } else {
            scope.run(Box::pin(admission::decide(current, socket)));
        }
    }

    /// The session that the client wants back, if it can have it.
    fn take_session(&self, nsp: &Namespace, claim: Claim) -> Option<Box<Restored>> {
        let log = nsp.inner.log()?;
        let restored = log.take(&claim.pid, &claim.offset)?;
        self.shared.counters.recovered.count();
        Some(Box::new(Restored {
            session: restored.session,
            offset: claim.offset.into(),
            missed: Missed::Logged(restored.missed),
        }))
    }

    fn make_socket(
        &self,
        nsp: Namespace,
        auth: Option<RawArgs>,
        restored: Option<&Restored>,
    ) -> Socket {
        let (id, pid) = match restored {
            Some(restored) => (
                restored.session.sid.clone(),
                Some(restored.session.pid.clone()),
            ),
            None => (
                self.new_id(&nsp),
                nsp.inner.recovery.as_ref().map(|_| PrivateId::random()),
            ),
        };
        let socket = Socket(Arc::new(SocketInner::new(NewSocket {
            id,
            session: self.session.clone(),
            nsp,
            inbox: Arc::<Inbox>::clone(&self.inbox),
            auth,
            pid,
            recovered: restored.is_some(),
        })));
        if let Some(restored) = restored {
            socket.join(&restored.session.rooms);
            socket.data().restore(restored.session.data.clone());
        }
        socket
    }

    fn new_id(&self, nsp: &Namespace) -> SocketId {
        if self.is_revision_3() {
            SocketId::revision3(nsp.name(), self.session.id().as_str())
        } else {
            SocketId::random()
        }
    }

    /// Lets a client in, tells it so, and calls the connect handlers.
    pub(super) fn admit(&mut self, index: usize, scope: &mut Scope<'_, '_>) {
        if self.broken {
            return;
        }
        let member = &mut self.members[index];
        let socket = member.socket.clone();
        let nsp = socket.nsp();
        let restored = match member.restored.take().map(|restored| *restored) {
            None => None,
            Some(Restored {
                session,
                offset,
                missed,
            }) => match missed {
                Missed::Stored(missed) => {
                    return self.catch_up(index, session, &offset, missed, scope);
                }
                Missed::Logged(missed) => Some((session, offset, missed)),
            },
        };
        let reply = match self.encode_reply(&socket) {
            Ok(reply) => reply,
            // Only a parser of the user can fail here.
            Err(error) => return self.violation(error),
        };
        let mut slow = false;
        // Calls no code of the user.
        let mut enter = |missed: &[Frame]| {
            let rooms = &nsp.inner.rooms;
            if let Err(error) = rooms.admit(socket.id(), &socket, &socket.0.rooms) {
                tracing::warn!(socket = %socket.id(), ?error, "a socket id is taken");
                return false;
            }
            for frame in missed.iter().chain([&reply]) {
                slow |= socket.push(frame, false).is_err();
            }
            // From now on targets mean this socket. Nobody saw the reply yet: this task sends it.
            socket.0.advance(Phase::Connecting, Phase::Connected)
        };
        let entered = match (nsp.inner.log(), restored) {
            (Some(log), Some((session, offset, missed))) => log.rejoin(session, &offset, |again| {
                enter(again.as_ref().unwrap_or(&missed))
            }),
            _ => enter(&[]),
        };
        if slow {
            socket.report_slow();
        }
        nsp.inner.tell_room_events();
        if !entered {
            return self.refuse(index, &Refused::new("the session is in use"));
        }
        self.greet(index, scope);
    }

    /// The answer to the CONNECT packet of a client that may come in.
    pub(super) fn encode_reply(&self, socket: &Socket) -> Result<Frame, Error> {
        let ids = (self.session.revision() != Revision::V3).then(|| {
            (
                socket.id().as_str(),
                socket.0.pid.as_ref().map(PrivateId::as_str),
            )
        });
        self.shared.encode_connect(socket.nsp().name(), ids)
    }

    /// Calls the connect handlers for a client that has been told that it is in.
    pub(super) fn greet(&mut self, index: usize, scope: &mut Scope<'_, '_>) {
        self.connect_deadline = None;
        let member = &mut self.members[index];
        let socket = member.socket.clone();
        let table = member.table.get(&socket.nsp().inner.table).clone();
        if table.connect.is_empty() {
            return;
        }
        let auth = socket.handshake().raw_auth();
        for handler in &table.connect {
            match handler.call(socket.clone(), &EventKey::Static("connection"), &auth, None) {
                Ok(running) => scope.run(running),
                Err(failure) => failure.report(&socket, Some("connection")),
            }
        }
    }

    /// Tells a client that it may not enter, and forgets its socket.
    pub(super) fn refuse(&mut self, index: usize, refused: &Refused) {
        let bare = self.is_revision_3();
        let mut member = self.members.remove(index);
        // Who was not let in does not get the session another time.
        member.restored = None;
        let name = member.socket.nsp().name();
        self.send_refusal(name, refused, bare);
        member.forget();
    }

    fn send_refusal(&self, name: &str, refused: &Refused, bare: bool) {
        self.shared.counters.refused.count();
        match self.shared.encode_refusal(name, refused, bare) {
            // The engine counts slow clients; there is no socket to report it for.
            Ok(frame) => drop(self.session.send(frame)),
            Err(error) => tracing::warn!(%error, "a refusal cannot be encoded"),
        }
    }
}
