//! What all handles of one socket share.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use sala_adapter::SocketId;
use sala_adapter::recovery::PrivateId;
use sala_engine::SessionHandle;
use sala_proto::RawArgs;

use super::acks::Acks;
use super::extra::Extra;
use crate::client::Inbox;
use crate::namespace::Namespace;
use crate::rooms::Membership;

/// One client in one namespace.
///
/// Kept small, since every connected client has one for each namespace: what most sockets never
/// use lives in `extra`.
///
/// What a fan-out looks at stands at the front, in one line of the cache.
#[repr(C)]
pub(crate) struct SocketInner {
    pub(crate) session: SessionHandle,
    phase: AtomicU8,
    pub(crate) recovered: bool,
    pub(crate) nsp: Namespace,
    pub(crate) extra: OnceLock<Box<Extra>>,
    pub(crate) id: SocketId,
    /// Where other tasks leave work for the session's task.
    pub(crate) inbox: Arc<Inbox>,
    /// The CONNECT payload; `None` if the client sent none.
    pub(crate) auth: Option<Box<RawArgs>>,
    /// When the client asked for the namespace, in milliseconds since 1970.
    pub(crate) issued: u64,
    /// The secret of connection state recovery, if it is on.
    pub(crate) pid: Option<PrivateId>,
    pub(crate) rooms: Membership,
    pub(crate) acks: Mutex<Acks>,
}

/// The life of a socket. It only ever moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Middlewares run; the client has not been told anything.
    Connecting,
    /// In the namespace.
    Connected,
    /// Somebody decided that it leaves; its `disconnecting` handlers have yet to run or are running.
    Leaving,
    /// Out of its rooms and of the namespace.
    Gone,
}

/// What is known of a socket when it is made.
pub(crate) struct NewSocket {
    pub(crate) id: SocketId,
    pub(crate) session: SessionHandle,
    pub(crate) nsp: Namespace,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) auth: Option<RawArgs>,
    pub(crate) pid: Option<PrivateId>,
    pub(crate) recovered: bool,
}

impl SocketInner {
    pub(crate) fn new(new: NewSocket) -> Self {
        let issued = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        Self {
            session: new.session,
            phase: AtomicU8::new(Phase::Connecting as u8),
            recovered: new.recovered,
            nsp: new.nsp,
            extra: OnceLock::new(),
            id: new.id,
            inbox: new.inbox,
            auth: new.auth.map(Box::new),
            issued,
            pid: new.pid,
            rooms: Membership::new(),
            acks: Mutex::default(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Connecting,
            1 => Phase::Connected,
            2 => Phase::Leaving,
            _ => Phase::Gone,
        }
    }

    /// Moves to the next phase; false if somebody else was first or the socket is elsewhere.
    pub(crate) fn advance(&self, from: Phase, to: Phase) -> bool {
        debug_assert!(from < to);
        self.phase
            .compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Ends the life of the socket, wherever it stands.
    pub(crate) fn bury(&self) {
        self.phase.store(Phase::Gone as u8, Ordering::Release);
    }

    pub(crate) fn extra(&self) -> &Extra {
        self.extra.get_or_init(Box::default)
    }
}

#[cfg(test)]
mod tests {
    use super::SocketInner;

    /// Every client pays this for each namespace: think twice before raising it.
    #[test]
    fn an_idle_socket_is_small() {
        assert!(
            size_of::<SocketInner>() <= 192,
            "{}",
            size_of::<SocketInner>()
        );
    }
}
