//! What the operator sees: events and numbers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::time::Instant;

use super::event::{ClusterEvent, Kind};
use super::namespace::Namespace;
use super::shared::{Link, Shared};
use super::stats::ClusterStats;
use crate::backend::BackendError;
use crate::target::Room;

impl Shared {
    /// Calls the application. A panic of it is counted, and goes no further.
    pub(super) fn guard<R>(&self, namespace: &Namespace, call: impl FnOnce() -> R) -> Option<R> {
        let result = catch_unwind(AssertUnwindSafe(call)).ok();
        if result.is_none() {
            self.counters.panics.add(1);
            self.event(ClusterEvent::Panicked {
                namespace: &namespace.name,
                first: self.begins(Kind::Panicked),
            });
        }
        result
    }

    pub(super) fn malformed(&self, source: &str, error: &BackendError) {
        self.counters.malformed.add(1);
        self.event(ClusterEvent::Malformed {
            source,
            error,
            first: self.begins(Kind::Malformed),
        });
    }

    pub(super) fn failed(&self, namespace: &Room, error: &BackendError) {
        self.counters.failed.add(1);
        self.event(ClusterEvent::SendFailed {
            namespace,
            error,
            first: self.begins(Kind::SendFailed),
        });
    }

    pub(super) fn lost(&self, reason: &str) {
        self.counters.lost.add(1);
        self.event(ClusterEvent::Lost {
            reason,
            first: self.begins(Kind::Lost),
        });
    }

    pub(super) fn begins(&self, kind: Kind) -> bool {
        self.rows.begins(kind, Instant::now())
    }

    pub(super) fn event(&self, event: ClusterEvent<'_>) {
        // The panic hook has reported it already; a listener must not take the cluster with it.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.options.on_event)(event)));
    }

    pub(super) fn stats(&self) -> ClusterStats {
        let (queued_messages, queued_bytes) = self.queue.len();
        let mut members: Vec<_> = self.namespaces().iter().flat_map(|it| it.known()).collect();
        members.sort_unstable();
        members.dedup();
        ClusterStats {
            queued_messages,
            queued_bytes,
            pending_requests: self.requests.len(),
            members: members.len(),
            connected: matches!(self.link(), Link::Up(_)),
            ..self.counters.read()
        }
    }
}
