//! This server as one of several.
//!
//! Rooms are always local: a server delivers to its own sockets at once, and hands what concerns the
//! others to the [`Adapter`] of the namespace. What the others want of this server comes in through
//! [`Here`]. On a server that is alone nothing of this exists, and asking whether it does is one branch.

mod local;
mod server_side;
pub(crate) mod sessions;

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use sala_adapter::adapter::Answers;
use sala_adapter::cluster::{Cluster, ClusterEvent, ClusterOptions};
use sala_adapter::recovery::RecoveryStore;
use sala_adapter::{Adapter, AdapterError, Backend, BackendError, BackendErrorKind};

use tokio::time::timeout;

use self::local::Here;
pub(crate) use self::server_side::{ServerSide, report};
use self::sessions::STORE_TIMEOUT;
use crate::error::{Error, ErrorContext, ErrorKind};
use crate::namespace::NamespaceInner;
use crate::server::ServerInner;

/// How long a server that begins to listen waits until the others reach it.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// The link of a namespace to the same namespace on the other servers.
pub(crate) struct Link {
    pub(crate) adapter: Arc<dyn Adapter>,
    /// Where lost sessions are kept for any server, if the broker can and recovery is on. Then what can
    /// be missed goes through the log of the cluster before it goes anywhere else.
    pub(crate) store: Option<Arc<dyn RecoveryStore>>,
}

impl Link {
    /// Does something to sockets of this server that must not overtake what is on its way through the
    /// log of the cluster: at once if there is no such log.
    pub(crate) fn in_order(&self, work: impl FnOnce() + Send + 'static) {
        match self.store {
            Some(_) => self.adapter.after_logged(Box::new(work)),
            None => work(),
        }
    }
}

/// A backend without its type, to be started with the server.
pub(crate) type StartCluster = Box<dyn FnOnce(ClusterOptions) -> Cluster + Send>;

/// Forgets the type of a backend.
pub(crate) fn erase<B: Backend>(backend: B) -> StartCluster {
    Box::new(|options| Cluster::start(backend, options))
}

impl ServerInner {
    /// Enters the cluster.
    pub(crate) fn start_cluster(self: &Arc<Self>, start: StartCluster, options: ClusterOptions) {
        let server = Arc::downgrade(self);
        let cluster = start(options.on_event(move |event| tell(&server, event)));
        self.cluster.set(cluster).ok(); // a server is made once
        self.enlist(&self.main);
    }

    /// Brings a new namespace into the cluster, before anybody else knows it.
    pub(crate) fn enlist(self: &Arc<Self>, nsp: &Arc<NamespaceInner>) {
        let Some(cluster) = self.cluster.get() else {
            return;
        };
        let adapter = cluster.join(nsp.name(), Arc::new(Here::new(self, nsp)));
        let recovery = self.options.recovery.as_ref();
        let store = recovery.and_then(|_| adapter.recovery());
        nsp.connect(Link { adapter, store });
    }

    /// Resolves when the other servers reach this one; fails if only a human can help.
    pub(crate) async fn cluster_ready(&self) -> Result<(), Arc<BackendError>> {
        let Some(cluster) = self.cluster.get() else {
            return Ok(());
        };
        if let Err(error) = cluster.started().await
            && error.kind() != BackendErrorKind::Unreachable
        {
            return Err(error);
        }
        let namespaces = self.directory.all();
        let links = namespaces.iter().filter_map(|nsp| nsp.link());
        join_all(links.map(|link| link.adapter.ready())).await;
        Ok(())
    }

    /// Tells the other servers goodbye, after lost sessions have been saved and what was handed over has been
    /// sent.
    pub(crate) async fn leave_cluster(&self) {
        if let Some(cluster) = self.cluster.get() {
            // Each save knows its own end; this is for many of them behind one slow connection.
            timeout(STORE_TIMEOUT, self.sessions.saved()).await.ok();
            cluster.close().await;
        }
    }
}

/// What other servers answered, complete or not, and why it is not.
pub(crate) fn split(answers: Result<Answers, AdapterError>) -> (Answers, Option<Error>) {
    let none = || Answers::Servers(Vec::new());
    match answers {
        Ok(answers) => (answers, None),
        Err(mut error) => {
            let partial = match &mut error {
                // The error tells how many there are.
                AdapterError::Timeout { partial, .. }
                    if matches!(partial, Answers::Acks { .. }) =>
                {
                    partial.clone()
                }
                AdapterError::Timeout { partial, .. } => std::mem::replace(partial, none()),
                _ => none(),
            };
            (partial, Some(error.into()))
        }
    }
}

/// Tells the operator what has happened to the link with the cluster: once for each outage.
fn tell(server: &Weak<ServerInner>, event: ClusterEvent<'_>) {
    if !event.is_problem() {
        tracing::info!("cluster: {event}");
    } else if !event.is_first() {
        tracing::debug!("cluster: {event}");
    } else if let Some(server) = server.upgrade() {
        let namespace = match event {
            ClusterEvent::SendFailed { namespace, .. }
            | ClusterEvent::Backlogged { namespace, .. }
            | ClusterEvent::MemberLeft { namespace, .. }
            | ClusterEvent::Panicked { namespace, .. } => namespace.as_str(),
            _ => "",
        };
        server.report(&ErrorContext {
            socket: None,
            namespace,
            event: None,
            kind: ErrorKind::Cluster,
            error: &event.to_string().into(),
        });
    }
}
