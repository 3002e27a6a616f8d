//! The engine: all sessions of one server.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::app::App;
use crate::config::EngineConfig;
use crate::registry::Registry;
use crate::session::SessionHandle;
use crate::stats::{Counters, EngineStats};

/// An Engine.IO server: accepts requests, owns sessions. Cloning is cheap and gives the same engine.
///
/// It opens no port by itself: put it behind an HTTP server as a tower
/// [`Service`](crate::EngineService) or [`Layer`](crate::EngineLayer), call
/// [`handle`](Self::handle) from a framework, or let [`serve`](Self::serve) do it all.
pub struct Engine<A: App> {
    pub(crate) core: Arc<Core>,
    pub(crate) app: Arc<A>,
}

impl<A: App> Clone for Engine<A> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            app: Arc::clone(&self.app),
        }
    }
}

/// What all sessions of an engine share.
pub(crate) struct Core {
    pub(crate) config: EngineConfig,
    pub(crate) registry: Registry,
    pub(crate) stats: Counters,
    /// With what the ids of all sessions begin, if this process is one of several behind a port.
    pub(crate) session_prefix: OnceLock<[u8; 2]>,
    closing: AtomicBool,
    tasks: AtomicUsize,
    no_tasks: Notify,
    cut: watch::Sender<bool>,
}

/// How [`Engine::drain`] lets go of its clients.
///
/// The defaults let go of 10 000 clients a second, so that a deploy is not a reconnect storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long all of it may take before what is left is cut off. Default 30 s.
    pub grace: Duration,
    /// How many sessions are closed at a time. Default 1000.
    pub batch: usize,
    /// The pause between two batches. Default 100 ms.
    pub pause: Duration,
    /// How long, once all have been told, a polling client that has no request open is waited for: a
    /// client that is there polls at once, and one that has gone never will. Default 3 s.
    pub poll_patience: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            batch: 1000,
            pause: Duration::from_millis(100),
            poll_patience: Duration::from_secs(3),
        }
    }
}

impl<A: App> Engine<A> {
    /// Makes an engine that runs `app`.
    #[must_use]
    pub fn new(config: EngineConfig, app: A) -> Self {
        Self {
            core: Arc::new(Core {
                config,
                registry: Registry::new(),
                stats: Counters::default(),
                session_prefix: OnceLock::new(),
                closing: AtomicBool::new(false),
                tasks: AtomicUsize::new(0),
                no_tasks: Notify::new(),
                cut: watch::Sender::new(false),
            }),
            app: Arc::new(app),
        }
    }

    /// The application.
    #[must_use]
    pub fn app(&self) -> &A {
        &self.app
    }

    /// The options.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.core.config
    }

    /// How many sessions are open: the reference's `clientsCount`.
    #[must_use]
    pub fn clients_count(&self) -> usize {
        self.core.registry.len()
    }

    /// All open sessions: the reference's `clients`.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionHandle> {
        self.core.registry.all()
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        self.core.stats.snapshot(self.core.registry.len())
    }

    /// Closes every session at once with the reason `forced close`; queued messages are dropped.
    /// New handshakes are accepted again right away, as in the reference.
    pub fn close(&self) {
        for session in self.core.registry.all() {
            session.close_now();
        }
    }

    /// Lets go of all clients: answers new handshakes with 503, closes sessions in batches after
    /// sending what is queued for them, waits for unfinished handlers, and cuts off what is left
    /// when the grace period ends. Returns whether everything ended by itself. Afterwards
    /// handshakes are accepted again.
    ///
    /// *Cancel safety:* dropping the future leaves the engine refusing handshakes; call it again
    /// to go on.
    pub async fn drain(&self, drain: Drain) -> bool {
        self.core.closing.store(true, Ordering::Release);
        let clean = tokio::time::timeout(drain.grace, async {
            for batch in self.core.registry.all().chunks(drain.batch.max(1)) {
                for session in batch {
                    session.close();
                }
                tokio::time::sleep(drain.pause).await;
            }
            if tokio::time::timeout(drain.poll_patience, self.core.no_tasks())
                .await
                .is_err()
            {
                let silent = self.core.registry.all();
                silent.iter().for_each(SessionHandle::close_unless_asked);
                drop(silent);
                self.core.no_tasks().await;
            }
        })
        .await
        .is_ok();
        if !clean {
            self.close();
            self.core.cut.send_replace(true);
            self.core.no_tasks().await;
            self.core.cut.send_replace(false);
        }
        self.core.closing.store(false, Ordering::Release);
        clean
    }
}

impl Core {
    /// Whether another session may be opened now.
    pub(crate) fn has_room(&self) -> bool {
        let full = |limit: Option<usize>, count| limit.is_some_and(|limit| count >= limit);
        !self.closing.load(Ordering::Acquire)
            && !full(self.config.max_sessions, self.registry.len())
            && !full(self.config.max_silent_sessions, self.stats.silent())
    }

    pub(crate) fn task_started(&self) {
        self.tasks.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn task_ended(&self) {
        if self.tasks.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.no_tasks.notify_waiters();
        }
    }

    /// Resolves when no session's task is left.
    async fn no_tasks(&self) {
        loop {
            let notified = self.no_tasks.notified();
            if self.tasks.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Resolves when unfinished handlers are to be given up.
    pub(crate) async fn cut_off(&self) {
        let mut cut = self.cut.subscribe();
        // The sender lives as long as the engine, which the caller holds.
        cut.wait_for(|cut| *cut).await.ok();
    }
}
