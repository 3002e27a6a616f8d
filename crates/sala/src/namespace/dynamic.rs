//! Namespaces that come into being when a client asks for them.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::FutureExt as _;
use sala_proto::RawArgs;

use super::directory::Found;
use super::table::Table;
use super::{Namespace, NamespaceInner};
use crate::builder::Options;
use crate::recovery::RecoveryLog;
use crate::server::{Server, ServerInner};
use crate::versioned::Versioned;

type Allowed = std::pin::Pin<Box<dyn Future<Output = bool> + Send>>;

/// Decides which names belong to a parent.
pub(crate) enum Matcher {
    Pattern(Box<dyn Fn(&str) -> bool + Send + Sync>),
    Function(Box<dyn Fn(String, RawArgs) -> Allowed + Send + Sync>),
}

pub(crate) struct ParentInner {
    name: Box<str>,
    matcher: Matcher,
    pub(crate) table: Versioned<Table>,
    children: AtomicUsize,
}

/// A parent of namespaces that come into being when a client asks for them: made by
/// [`Server::of_matching`](crate::Server::of_matching) or
/// [`Server::of_dynamic`](crate::Server::of_dynamic).
///
/// A child starts with the handlers and middlewares that its parent has at that moment; what the
/// parent is given later does not reach existing children. What a parent emits reaches all its
/// children.
#[derive(Clone)]
pub struct ParentNamespace {
    pub(crate) inner: Arc<ParentInner>,
    pub(crate) shared: Arc<ServerInner>,
}

impl ParentInner {
    pub(crate) fn new(index: usize, matcher: Matcher) -> Self {
        Self {
            name: format!("/_{index}").into(),
            matcher,
            table: Versioned::default(),
            children: AtomicUsize::new(0),
        }
    }

    /// Whether the pattern matches; `None` if a function decides, which needs a client.
    pub(crate) fn matches(&self, name: &str) -> Option<bool> {
        match &self.matcher {
            Matcher::Pattern(pattern) => Some(pattern(name)),
            Matcher::Function(_) => None,
        }
    }

    /// Whether a client may have this namespace. A panic of the user's code counts as no, and is
    /// reported by the panic hook.
    async fn allows(&self, name: &str, auth: &RawArgs) -> bool {
        match &self.matcher {
            Matcher::Pattern(pattern) => {
                catch_unwind(AssertUnwindSafe(|| pattern(name))).unwrap_or(false)
            }
            Matcher::Function(function) => {
                let decide = async { function(name.to_owned(), auth.clone()).await };
                AssertUnwindSafe(decide)
                    .catch_unwind()
                    .await
                    .unwrap_or(false)
            }
        }
    }

    pub(crate) fn children(&self) -> usize {
        self.children.load(Relaxed)
    }

    pub(super) fn forget_child(&self) {
        self.children.fetch_sub(1, Relaxed);
    }

    /// Makes a child. The directory is locked for writing.
    pub(super) fn child(self: &Arc<Self>, name: &str, options: &Options) -> Arc<NamespaceInner> {
        self.children.fetch_add(1, Relaxed);
        let mut child = NamespaceInner::new(name, RecoveryLog::from_options(options));
        let table = (*self.table.get()).clone();
        if !table.any_outgoing.is_empty() {
            child.watch();
        }
        child.table = Versioned::new(table);
        child.parent = Some(self.clone());
        Arc::new(child)
    }
}

/// Asks the parents, in the order of their creation, for a namespace that does not exist yet.
pub(super) async fn resolve(
    server: &Arc<ServerInner>,
    name: &str,
    auth: &RawArgs,
) -> Option<Arc<NamespaceInner>> {
    for parent in server.directory.parents() {
        if !parent.allows(name, auth).await {
            continue;
        }
        return match server.directory.enter_child(&parent, name, server)? {
            Found::Known(nsp) => Some(nsp),
            Found::Made(nsp) => {
                server.announce(&nsp);
                Some(nsp)
            }
        };
    }
    None
}

impl ParentNamespace {
    /// The name of the parent itself, `/_0`, `/_1`…, which no client can ask for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> Server {
        Server::from_inner(self.shared.clone())
    }

    /// The children that exist now.
    #[must_use]
    pub fn children(&self) -> Vec<Namespace> {
        let children = self.shared.directory.all().into_iter();
        children
            .filter(|nsp| {
                nsp.parent()
                    .is_some_and(|parent| Arc::ptr_eq(parent, &self.inner))
            })
            .map(|inner| Namespace {
                inner,
                shared: self.shared.clone(),
            })
            .collect()
    }
}

impl fmt::Debug for ParentNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentNamespace")
            .field("name", &self.name())
            .field("children", &self.inner.children())
            .finish_non_exhaustive()
    }
}
