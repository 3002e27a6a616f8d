//! The server: its namespaces, its engine, its end.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use sala_adapter::cluster::Cluster;
use sala_engine::{Drain, Engine};
use sala_proto::RawArgs;
use tokio::sync::Notify;

use crate::builder::{ErrorHook, Options, ServerBuilder};
use crate::client::App;
use crate::cluster::sessions::Sessions;
use crate::error::{Error, ErrorContext};
use crate::namespace::directory::{Directory, Found};
use crate::namespace::dynamic::{Matcher, ParentInner};
use crate::namespace::{Namespace, NamespaceInner, ParentNamespace};
use crate::recovery::RecoveryLog;
use crate::socket::TypeMap;
use crate::stats::{Counters, Stats};

type NamespaceHook = Arc<dyn Fn(&Namespace) + Send + Sync>;

/// A Socket.IO server.
///
/// A handle: cloning is cheap and gives the same server. It dereferences to its main namespace
/// `/`, so everything that a [`Namespace`] can do, a server can: `io.on_connect(..)`, `io.emit(..)`,
/// `io.to("room")`. Mind that `io.emit` therefore reaches the clients of `/` only, as in the
/// reference.
///
/// Handlers that need the server should take it from [`Socket::server`](crate::Socket::server): a
/// clone captured in a handler keeps the server alive for ever.
///
/// To serve requests, call [`listen`](Self::listen), or put [`service`](Self::service) or
/// [`layer`](Self::layer) into a hyper or axum server.
#[derive(Clone)]
pub struct Server {
    main: Namespace,
}

pub(crate) struct ServerInner {
    pub(crate) options: Options,
    pub(crate) state: TypeMap,
    pub(crate) directory: Directory,
    pub(crate) main: Arc<NamespaceInner>,
    pub(crate) counters: Counters,
    pub(crate) engine: Engine<App>,
    pub(crate) cluster: OnceLock<Cluster>,
    pub(crate) sessions: Sessions,
    on_error: Option<ErrorHook>,
    on_new_namespace: RwLock<Vec<NamespaceHook>>,
    closing: AtomicBool,
    /// Tells listeners to stop.
    stop: Notify,
    sweeping: AtomicBool,
}

impl ServerInner {
    /// Whether [`Server::close`] is at work.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    fn begin_closing(&self) {
        self.closing.store(true, Ordering::Release);
        self.stop.notify_waiters();
    }

    /// Tells the application of something that went wrong and that nobody else would hear of.
    pub(crate) fn report(&self, context: &ErrorContext<'_>) {
        self.counters.error(context);
        match &self.on_error {
            Some(hook) => hook(context),
            None => context.log(),
        }
    }

    /// Removes expired sessions and packets from time to time, as long as the server lives.
    pub(crate) fn start_sweeper(self: &Arc<Self>) {
        if self.options.recovery.is_none() || self.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let server = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RecoveryLog::SWEEP_INTERVAL).await;
                let Some(server) = server.upgrade() else {
                    return;
                };
                for nsp in server.directory.all() {
                    nsp.recovery.iter().for_each(RecoveryLog::sweep);
                }
            }
        });
    }

    /// Tells the application of a new namespace.
    pub(crate) fn announce(self: &Arc<Self>, nsp: &Arc<NamespaceInner>) {
        let hooks = self
            .on_new_namespace
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if hooks.is_empty() {
            return;
        }
        let nsp = Namespace {
            inner: nsp.clone(),
            shared: self.clone(),
        };
        for hook in hooks {
            hook(&nsp);
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// A server with the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Options for a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    pub(crate) fn from_builder(builder: ServerBuilder) -> Self {
        let ServerBuilder {
            engine,
            path,
            options,
            state,
            on_error,
            adapter,
            cluster,
        } = builder;
        let engine = engine.path(&path.0, path.1);
        let inner = Arc::new_cyclic(|server: &Weak<ServerInner>| {
            let directory = Directory::default();
            let main = directory.main(&options);
            ServerInner {
                options,
                state,
                directory,
                main,
                counters: Counters::default(),
                engine: Engine::new(engine, App::new(server.clone())),
                cluster: OnceLock::new(),
                sessions: Sessions::default(),
                on_error,
                on_new_namespace: RwLock::default(),
                closing: AtomicBool::new(false),
                stop: Notify::new(),
                sweeping: AtomicBool::new(false),
            }
        });
        if let Some(start) = adapter {
            inner.start_cluster(start, cluster);
        }
        Self::from_inner(inner)
    }

    pub(crate) fn from_inner(shared: Arc<ServerInner>) -> Self {
        Self {
            main: Namespace {
                inner: shared.main.clone(),
                shared,
            },
        }
    }

    /// Resolves when the server is closed from now on.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = self.inner().clone();
        async move { shared.stop.notified().await }
    }

    pub(crate) fn inner(&self) -> &Arc<ServerInner> {
        &self.main.shared
    }

    /// The namespace with this name, made if there is none. A missing slash in front is added; the
    /// empty name is `/`.
    ///
    /// A name that matches a [pattern](Self::of_matching) becomes a child of that parent.
    pub fn of(&self, name: &str) -> Namespace {
        let shared = self.inner().clone();
        let inner = match shared.directory.of(name, &shared) {
            Found::Known(nsp) => nsp,
            Found::Made(nsp) => {
                shared.announce(&nsp);
                nsp
            }
        };
        Namespace { inner, shared }
    }

    /// A parent of all namespaces whose name, slash included, `pattern` accepts. A namespace is made
    /// when the first client asks for it. Parents are asked in the order of their creation;
    /// namespaces that exist are used without asking.
    ///
    /// Clients choose the names: see
    /// [`max_child_namespaces`](crate::ServerBuilder::max_child_namespaces) and
    /// [`cleanup_empty_child_namespaces`](crate::ServerBuilder::cleanup_empty_child_namespaces).
    ///
    /// ```
    /// use sala::{Server, Socket};
    ///
    /// let io = Server::new();
    /// io.of_matching(|name| name.strip_prefix("/team-").is_some_and(|id| id.parse::<u32>().is_ok()))
    ///     .on_connect(async |socket: Socket| println!("in {}", socket.nsp().name()));
    /// ```
    pub fn of_matching(
        &self,
        pattern: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> ParentNamespace {
        self.add_parent(Matcher::Pattern(Box::new(pattern)))
    }

    /// A parent of all namespaces that `allow` accepts for a client: it is given the name and what
    /// the client sent with its CONNECT packet, and may wait. A closure is cloned for each call.
    ///
    /// ```
    /// use sala::{RawArgs, Server};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Auth { team: String }
    ///
    /// let io = Server::new();
    /// io.of_dynamic(async |name: String, auth: RawArgs| {
    ///     auth.parse::<Auth>().is_ok_and(|auth| name == format!("/{}", auth.team))
    /// });
    /// ```
    pub fn of_dynamic<F, Fut>(&self, allow: F) -> ParentNamespace
    where
        F: AsyncFn(String, RawArgs) -> bool
            + FnOnce(String, RawArgs) -> Fut
            + Clone
            + Send
            + Sync
            + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        self.add_parent(Matcher::Function(Box::new(move |name, auth| {
            Box::pin(allow.clone()(name, auth))
        })))
    }

    fn add_parent(&self, matcher: Matcher) -> ParentNamespace {
        let shared = self.inner().clone();
        let inner = shared
            .directory
            .add_parent(|index| ParentInner::new(index, matcher));
        ParentNamespace { inner, shared }
    }

    /// Hears of every namespace that is made from now on, children included, parents not.
    pub fn on_new_namespace(&self, hook: impl Fn(&Namespace) + Send + Sync + 'static) -> &Self {
        let mut hooks = self
            .inner()
            .on_new_namespace
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        hooks.push(Arc::new(hook));
        drop(hooks);
        self
    }

    /// All namespaces that exist now.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Namespace> {
        let all = self.inner().directory.all().into_iter();
        all.map(|inner| Namespace {
            inner,
            shared: self.inner().clone(),
        })
        .collect()
    }

    /// What was given to [`ServerBuilder::state`], if there is one of this type.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.inner().state.get()
    }

    /// The engine beneath: connections, HTTP requests.
    #[must_use]
    pub fn engine(&self) -> &Engine<App> {
        &self.inner().engine
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = self.inner();
        let sockets = shared
            .directory
            .all()
            .iter()
            .map(|nsp| nsp.rooms.len())
            .sum();
        let cluster = shared.cluster.get().map(Cluster::stats);
        shared
            .counters
            .snapshot(shared.engine.stats(), sockets, cluster)
    }

    /// Resolves when the other servers of the cluster reach this one: its namespaces are known to the broker,
    /// and what others send to them from now on arrives. At once on a server that is alone.
    ///
    /// [`listen`](Self::listen) waits for it, up to ten seconds; await it yourself if your own HTTP server
    /// listens. While the broker cannot be reached it waits; the server works on its own meanwhile.
    ///
    /// # Errors
    ///
    /// What the broker said, if only a change of the configuration can help: wrong password, wrong mode,
    /// too old. The server goes on trying all the same.
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn cluster_ready(&self) -> Result<(), Error> {
        Ok(self.inner().cluster_ready().await?)
    }

    /// Closes every connection at once. Its sockets leave with the reason `server shutting down`; no
    /// DISCONNECT packet is sent, so clients reconnect. Resolves when all of them have left; the
    /// same server may go on to serve afterwards.
    ///
    /// In a cluster the server then says goodbye to the others, after what it had queued for them has been sent
    /// (for at most five seconds), and is not in the cluster any more: later emits reach its own sockets
    /// and fail with [`is_closed`](Error::is_closed).
    ///
    /// To keep clients from reconnecting, call
    /// [`disconnect_sockets(true)`](Namespace::disconnect_sockets) first.
    ///
    /// *Cancel safety:* dropping the future leaves the server refusing connections; call it again
    /// to go on.
    pub async fn close(&self) {
        let shared = self.inner();
        shared.begin_closing();
        shared.engine.close();
        shared.counters.no_clients().await;
        shared.leave_cluster().await;
        shared.closing.store(false, Ordering::Release);
    }

    /// Lets go of all clients for a restart: refuses new ones, closes connections in batches after
    /// sending what is queued for them, waits for unfinished handlers, and cuts off what is left
    /// when the grace period ends. Returns whether everything ended by itself. Sockets leave with
    /// the reason `server shutting down`. Then leaves the cluster, as [`close`](Self::close); until then
    /// the other servers are still answered.
    ///
    /// *Cancel safety:* as [`close`](Self::close).
    pub async fn close_gracefully(&self, drain: Drain) -> bool {
        let shared = self.inner();
        shared.begin_closing();
        let clean = shared.engine.drain(drain).await;
        shared.leave_cluster().await;
        shared.closing.store(false, Ordering::Release);
        clean
    }
}

impl Deref for Server {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.main
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("connections", &self.inner().engine.clients_count())
            .field("namespaces", &self.inner().directory.all().len())
            .finish_non_exhaustive()
    }
}
