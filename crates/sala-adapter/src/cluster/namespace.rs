//! One namespace of this server, as the cluster sees it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

use super::follows::Follows;
use super::lane::Lane;
use super::lock;
use super::members::Members;
use crate::adapter::Local;
use crate::backend;
use crate::message::Message;
use crate::target::{Room, ServerId};

pub(super) struct Namespace {
    pub(super) name: Room,
    pub(super) local: Arc<dyn Local>,
    pub(super) lane: Lane,
    members: Mutex<Members>,
    follows: Arc<Follows>,
    /// How many other servers the broker counted the last time.
    counted: AtomicUsize,
    closed: AtomicBool,
    /// Which signs of life are queued.
    hello: AtomicBool,
    heartbeat: AtomicBool,
}

/// A sign of life. Each is queued at most once per namespace, so that neither a peer that asks for
/// it nor a broker that comes and goes can fill the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Hello,
    Heartbeat,
}

impl Sign {
    pub(super) fn of(message: &Message) -> Option<Self> {
        match message {
            Message::InitialHeartbeat => Some(Self::Hello),
            Message::Heartbeat => Some(Self::Heartbeat),
            _ => None,
        }
    }

    pub(super) fn message(self) -> Message {
        match self {
            Self::Hello => Message::InitialHeartbeat,
            Self::Heartbeat => Message::Heartbeat,
        }
    }
}

impl Namespace {
    pub(super) fn new(
        name: Room,
        local: Arc<dyn Local>,
        members: backend::Members,
        follows: Arc<Follows>,
    ) -> Self {
        Self {
            name,
            local,
            lane: Lane::default(),
            members: Mutex::new(Members::new(members, Instant::now())),
            follows,
            counted: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            hello: AtomicBool::new(false),
            heartbeat: AtomicBool::new(false),
        }
    }

    /// Whether messages for it arrive, or never will.
    pub(super) fn hears(&self) -> bool {
        self.is_closed() || self.follows.hears(&self.name)
    }

    pub(super) fn members(&self) -> MutexGuard<'_, Members> {
        lock(&self.members)
    }

    /// The other servers that are known, by name.
    pub(super) fn known(&self) -> Vec<ServerId> {
        self.members().names()
    }

    pub(super) fn set_counted(&self, others: usize) {
        self.counted.store(others, Ordering::Relaxed);
    }

    pub(super) fn counted(&self) -> usize {
        self.counted.load(Ordering::Relaxed)
    }

    /// A sign is about to be queued. `false` if one is already.
    pub(super) fn begin(&self, sign: Sign) -> bool {
        !self.queued(sign).swap(true, Ordering::AcqRel)
    }

    /// A sign has left the queue: the next one is due so long from now.
    pub(super) fn end(&self, sign: Sign) {
        self.members().said(&sign.message(), Instant::now());
        self.queued(sign).store(false, Ordering::Release);
    }

    /// When this server has to say that it is there, if servers send heartbeats and none waits in the queue.
    pub(super) fn heartbeat_due(&self) -> Option<Instant> {
        let is_queued = self.queued(Sign::Heartbeat).load(Ordering::Acquire);
        self.members().heartbeat_due().filter(|_| !is_queued)
    }

    fn queued(&self, sign: Sign) -> &AtomicBool {
        match sign {
            Sign::Hello => &self.hello,
            Sign::Heartbeat => &self.heartbeat,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Closes it. Returns whether it was open.
    pub(super) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }
}
