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

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Closes it. Returns whether it was open.
    pub(super) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }
}
