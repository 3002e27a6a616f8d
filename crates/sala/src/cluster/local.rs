//! What the other servers want of this one.

use std::sync::{Arc, Weak};

use sala_adapter::adapter::{AckSink, Command, Local};
use sala_adapter::message::SocketSnapshot;
use sala_adapter::recovery::Offset;
use sala_adapter::{Room, RoomSet, Target};
use sala_proto::RawArgs;

use crate::namespace::{Namespace, NamespaceInner};
use crate::server::ServerInner;

/// A namespace of this server, as its cluster sees it. Keeps neither of them alive.
///
/// What arrives is done at once, in the order in which it arrives. It never waits behind what this server
/// itself has sent and has not yet seen in the log: a join that did would be overtaken by the broadcast after it.
pub(super) struct Here {
    server: Weak<ServerInner>,
    nsp: Weak<NamespaceInner>,
}

impl Here {
    pub(super) fn new(server: &Arc<ServerInner>, nsp: &Arc<NamespaceInner>) -> Self {
        Self {
            server: Arc::downgrade(server),
            nsp: Arc::downgrade(nsp),
        }
    }

    /// The namespace, unless it or the server is gone.
    fn nsp(&self) -> Option<Namespace> {
        Some(Namespace {
            inner: self.nsp.upgrade()?,
            shared: self.server.upgrade()?,
        })
    }
}

impl Local for Here {
    fn broadcast(&self, packet: &RawArgs, target: &Target, offset: Option<&Offset>) {
        if let Some(nsp) = self.nsp() {
            nsp.deliver(packet, target, offset);
        }
    }

    fn broadcast_with_ack(&self, packet: &RawArgs, target: &Target, answers: AckSink) -> usize {
        self.nsp()
            .map_or(0, |nsp| nsp.deliver_question(packet, target, answers))
    }

    fn command(&self, command: &Command, target: &Target) {
        if let Some(nsp) = self.nsp() {
            nsp.obey(command, target);
        }
    }

    fn sockets(&self, target: &Target) -> Vec<SocketSnapshot> {
        let Some(nsp) = self.nsp() else {
            return Vec::new();
        };
        let sockets = nsp.select(target).into_iter();
        sockets
            .filter_map(|socket| match socket.describe() {
                Ok(snapshot) => Some(snapshot),
                Err(error) => {
                    tracing::warn!(socket = %socket.id(), %error, "a socket cannot be described");
                    None
                }
            })
            .collect()
    }

    fn server_side_emit(&self, packet: &RawArgs, answer: Option<AckSink>) {
        if let Some(nsp) = self.nsp() {
            nsp.inner.server_side.begin(&nsp, packet, answer);
        }
    }

    fn rooms(&self) -> RoomSet {
        self.nsp
            .upgrade()
            .map(|nsp| nsp.rooms.names())
            .unwrap_or_default()
    }

    fn has_room(&self, room: &Room) -> bool {
        self.nsp
            .upgrade()
            .is_some_and(|nsp| nsp.rooms.has_room(room))
    }
}
