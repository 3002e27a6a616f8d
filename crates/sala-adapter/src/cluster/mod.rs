//! The cluster: what a [`Backend`] needs to become an [`Adapter`], for every broker the same.
//!
//! ```text
//!  namespaces ──► Adapter ──► queue (bytes) ──► writer ──► Outlet ─┐
//!                    │                            ▲                ├─ broker
//!                    └─ requests ◄── reader ◄─────┼──────── Inlet ─┘
//!  Local ◄───────────────────────────┘        supervisor: opens, keeps, opens again
//! ```
//!
//! Two tasks do the work of a link, each with one half of the backend: the *writer* sends what is queued,
//! the *reader* applies what arrives, in order and without waiting. A third, the *supervisor*, opens the
//! link again when a half has failed. Nobody else waits for the broker.

mod adapter;
mod ask;
mod backoff;
mod collector;
mod event;
mod follows;
mod keeper;
mod lane;
mod members;
mod namespace;
mod options;
mod pace;
mod queue;
mod reader;
mod receive;
mod report;
mod requests;
mod shared;
mod stats;
mod supervisor;
mod weight;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use self::adapter::NamespaceAdapter;
pub use self::event::ClusterEvent;
pub use self::options::ClusterOptions;
use self::shared::Shared;
pub use self::stats::ClusterStats;
use crate::adapter::{Adapter, Local};
use crate::backend::{Backend, BackendError};
use crate::target::ServerId;

/// A server's place in a cluster. Cheap to clone.
///
/// When the last clone and the last adapter are dropped, the cluster is left, as by
/// [`close`](Self::close) but with nobody waiting.
#[derive(Clone)]
pub struct Cluster(Arc<Handle>);

/// Leaves the cluster when nobody holds it any more. The tasks hold [`Shared`] alone.
struct Handle {
    shared: Arc<Shared>,
}

impl Cluster {
    /// Connects in the background, and keeps trying as long as the cluster is not closed: what is
    /// sent meanwhile is queued. To fail at start-up instead, look at [`started`](Self::started).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start<B: Backend>(backend: B, options: ClusterOptions) -> Self {
        let shared = Arc::new(Shared::new(backend.profile(), options));
        tokio::spawn(supervisor::supervise(backend, shared.clone()));
        Self(Arc::new(Handle { shared }))
    }

    /// By which id the other servers know this one.
    #[must_use]
    pub fn id(&self) -> &ServerId {
        &self.0.shared.id
    }

    /// Waits for the first attempt to connect and to follow the namespaces that were joined by then. If it has
    /// failed, the cluster goes on trying all the same; drop or [close](Self::close) it to stop that.
    ///
    /// *Cancel safety:* may be dropped at any time.
    ///
    /// # Errors
    ///
    /// What the backend said: what is wrong, and what to do about it.
    pub async fn started(&self) -> Result<(), Arc<BackendError>> {
        let mut started = self.0.shared.started.subscribe();
        tokio::select! {
            result = started.wait_for(Option::is_some) => {
                // The sender is in `shared`.
                result.ok().and_then(|result| result.clone()).unwrap_or(Ok(()))
            }
            () = self.0.shared.ended.raised() => Ok(()),
        }
    }

    /// Brings a namespace into the cluster: from now on `local` is called for what other servers
    /// send to it. If the namespace is there already, the new one replaces it, and the adapter of
    /// the old one is closed.
    #[must_use]
    pub fn join(&self, namespace: &str, local: Arc<dyn Local>) -> Arc<dyn Adapter> {
        Arc::new(NamespaceAdapter {
            handle: self.0.clone(),
            namespace: self.0.shared.enter(namespace, local),
        })
    }

    /// What was sent and received so far, and how things stand.
    #[must_use]
    pub fn stats(&self) -> ClusterStats {
        self.0.shared.stats()
    }

    /// Leaves the cluster: tells the other servers, sends what is queued, and lets go of the broker. Takes at
    /// most [`close_timeout`](ClusterOptions::close_timeout); what could not be sent by then is lost
    /// and counted as failed. Every adapter is closed by this.
    ///
    /// *Cancel safety:* if dropped, the cluster is left all the same.
    pub async fn close(&self) {
        self.0.shared.begin_close();
        self.0.shared.ended.raised().await;
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("id", self.id())
            .field("backend", &self.0.shared.profile.name)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.begin_close();
    }
}

type Map<K, V> = HashMap<K, V, RandomState>;

/// Takes a lock. What is behind the locks of this module is valid after every single step, so
/// one that is poisoned is taken all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
