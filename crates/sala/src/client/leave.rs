//! The way of this client out of its namespaces.

use sala_adapter::RoomSet;
use sala_engine::Scope;

use super::{Live, Member, Work};
use crate::cluster::sessions;
use crate::handler::EventKey;
use crate::namespace::table::Table;
use crate::reason::DisconnectReason;
use crate::socket::Socket;
use crate::socket::inner::Phase;

/// Which handlers to call.
enum Step {
    Disconnecting,
    Disconnect,
}

impl Live {
    /// Takes a socket out of its namespace and calls its handlers.
    pub(super) fn leave(
        &mut self,
        index: usize,
        reason: DisconnectReason,
        description: Option<&str>,
        scope: &mut Scope<'_, '_>,
    ) {
        let mut member = self.members.remove(index);
        let socket = member.socket.0.clone();
        // Only the server itself makes a socket leave before this point.
        let reason = match socket.phase() {
            Phase::Leaving => DisconnectReason::ServerNamespaceDisconnect,
            _ => reason,
        };
        socket.advance(Phase::Connected, Phase::Leaving);
        if socket.phase() != Phase::Leaving {
            return member.forget();
        }
        member.call(Step::Disconnecting, reason, description, scope);
        let nsp = &socket.nsp;
        let rooms = nsp.inner.rooms.remove(&socket.id, &socket.rooms);
        socket.advance(Phase::Leaving, Phase::Gone);
        nsp.inner.tell_room_events();
        member.socket.give_up_acks();
        if reason.is_recoverable() {
            save_session(&member.socket, rooms.unwrap_or_default(), scope);
        }
        member.call(Step::Disconnect, reason, description, scope);
        if reason == DisconnectReason::ServerNamespaceDisconnect {
            self.dismiss(nsp.name());
        }
    }

    /// From now on packets for this namespace are ignored instead of taken for a violation: the
    /// client sent them before it heard that it has to leave (E031).
    fn dismiss(&mut self, name: &str) {
        if self.dismissed.len() >= self.shared.options.max_namespaces {
            self.dismissed.remove(0);
        }
        self.dismissed.push(name.into());
    }

    /// Takes all sockets out of their namespaces, one after the other.
    pub(super) fn leave_all(
        &mut self,
        reason: DisconnectReason,
        description: Option<&str>,
        scope: &mut Scope<'_, '_>,
    ) {
        while !self.members.is_empty() {
            self.leave(0, reason, description, scope);
        }
    }
}

/// Keeps the session for the client to come back to, if connection state recovery is on.
fn save_session(socket: &Socket, rooms: RoomSet, scope: &mut Scope<'_, '_>) {
    let nsp = &socket.nsp().inner;
    if let Some(log) = nsp.log() {
        log.save(socket, rooms);
    } else if let Some(store) = nsp.link().and_then(|link| link.store.as_ref())
        && let Some(save) = sessions::save(socket, store, rooms)
    {
        scope.run(Box::pin(save));
    }
}

impl Member {
    fn call(
        &mut self,
        step: Step,
        reason: DisconnectReason,
        description: Option<&str>,
        scope: &mut Scope<'_, '_>,
    ) {
        let socket = self.socket.clone();
        let key = EventKey::Static(match step {
            Step::Disconnecting => "disconnecting",
            Step::Disconnect => "disconnect",
        });
        let list = |table: &Table| match step {
            Step::Disconnecting => table.disconnecting.clone(),
            Step::Disconnect => table.disconnect.clone(),
        };
        let mut handlers = list(self.table.get(&socket.nsp().inner.table));
        if let Some(own) = socket.own_table() {
            handlers.extend(list(&own));
        }
        for listener in &handlers {
            match listener
                .hook
                .call(socket.clone(), &key, reason, description)
            {
                Ok(running) => scope.run(running),
                Err(failure) => failure.report(&socket, Some(key.as_str())),
            }
        }
    }

    /// Takes a socket that was not let in, or whose task is gone, out of everything. Its handlers
    /// are not called.
    pub(super) fn forget(self) {
        let socket = &self.socket;
        let nsp = socket.nsp();
        nsp.inner.rooms.remove(socket.id(), &socket.0.rooms);
        socket.0.bury();
        nsp.inner.tell_room_events();
        socket.give_up_acks();
        if let Some(restored) = self.restored {
            // The client is gone again before it was let in.
            sessions::put_back(nsp, restored.session);
        }
    }
}

/// If the task ended in an unusual way (a panic, a runtime that shuts down), sockets are left.
impl Drop for Live {
    fn drop(&mut self) {
        for work in self.inbox.shut() {
            match work {
                Work::Taken(asked) => asked.give_up(),
                Work::CaughtUp(caught) => caught.give_up(),
                Work::Resolved(..) | Work::Decided(..) | Work::Leave(..) => {}
            }
        }
        for member in self.members.drain(..) {
            member.forget();
        }
        self.shared.counters.client_left();
    }
}
