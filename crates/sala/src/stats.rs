//! Counters.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use sala_adapter::cluster::ClusterStats;
use sala_engine::EngineStats;
use tokio::sync::Notify;

use crate::error::{ErrorContext, ErrorKind};

/// A snapshot of what a server has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What the engine counted: connections, refused requests, slow consumers, dropped volatile
    /// messages.
    pub engine: EngineStats,
    /// Sockets connected now, over all namespaces.
    pub sockets: usize,
    /// CONNECT packets answered with CONNECT_ERROR.
    pub refused: u64,
    /// Connections whose session was recovered.
    pub recovered: u64,
    /// Connections closed because they broke the protocol or sent undecodable packets.
    pub violations: u64,
    /// Events whose arguments were not what the handler takes.
    pub decode_errors: u64,
    /// Errors returned by handlers.
    pub handler_errors: u64,
    /// Panics of handlers.
    pub panics: u64,
    /// Packets refused by gates.
    pub gated: u64,
    /// What the link with the other servers counted; `None` on a server that is alone.
    pub cluster: Option<ClusterStats>,
}

/// Live counters of rare events; nothing on the path of a message.
#[derive(Default)]
pub(crate) struct Counters {
    clients: AtomicUsize,
    no_clients: Notify,
    pub(crate) refused: Counter,
    pub(crate) recovered: Counter,
    violations: Counter,
    decode_errors: Counter,
    handler_errors: Counter,
    panics: Counter,
    gated: Counter,
}

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn client_came(&self) {
        self.clients.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn client_left(&self) {
        if self.clients.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.no_clients.notify_waiters();
        }
    }

    pub(crate) fn error(&self, context: &ErrorContext<'_>) {
        match context.kind {
            ErrorKind::Protocol => self.violations.count(),
            ErrorKind::Arguments => self.decode_errors.count(),
            ErrorKind::Handler | ErrorKind::Encode => self.handler_errors.count(),
            ErrorKind::Panic => self.panics.count(),
            ErrorKind::Gate => self.gated.count(),
            // Counted by the engine, or seen by who set the limit.
            _ => {}
        }
    }

    pub(crate) fn snapshot(
        &self,
        engine: EngineStats,
        sockets: usize,
        cluster: Option<ClusterStats>,
    ) -> Stats {
        Stats {
            engine,
            sockets,
            refused: self.refused.get(),
            recovered: self.recovered.get(),
            violations: self.violations.get(),
            decode_errors: self.decode_errors.get(),
            handler_errors: self.handler_errors.get(),
            panics: self.panics.get(),
            gated: self.gated.get(),
            cluster,
        }
    }

    /// Resolves when no connection is left.
    pub(crate) async fn no_clients(&self) {
        loop {
            let notified = self.no_clients.notified();
            if self.clients.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }
}
