//! The namespaces of a server, by name.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::RandomState;

use super::NamespaceInner;
use super::dynamic::ParentInner;
use crate::builder::Options;
use crate::recovery::RecoveryLog;
use crate::server::ServerInner;

/// All namespaces of a server, and the parents that make more.
#[derive(Default)]
pub(crate) struct Directory(RwLock<Names>);

#[derive(Default)]
struct Names {
    by_name: HashMap<Box<str>, Arc<NamespaceInner>, RandomState>,
    /// In the order of their creation, in which they are asked.
    parents: Vec<Arc<ParentInner>>,
}

/// What asking for a namespace gave.
pub(crate) enum Found {
    /// It was there.
    Known(Arc<NamespaceInner>),
    /// It was made.
    Made(Arc<NamespaceInner>),
}

/// The full name: with a slash in front.
pub(crate) fn normalize(name: &str) -> std::borrow::Cow<'_, str> {
    if name.starts_with('/') {
        name.into()
    } else {
        format!("/{name}").into()
    }
}

impl Directory {
    /// The namespace with this name, for a client that wants in: as long as the client is there or
    /// waits, the namespace is not cleaned up. [`release`](Self::release) must follow.
    pub(crate) fn enter(&self, name: &str) -> Option<Arc<NamespaceInner>> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let nsp = names.by_name.get(name)?;
        nsp.clients.enter();
        Some(nsp.clone())
    }

    /// The main namespace, made for a server that is about to be.
    pub(crate) fn main(&self, options: &Options) -> Arc<NamespaceInner> {
        let main = Arc::new(NamespaceInner::new("/", RecoveryLog::from_options(options)));
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        names.by_name.insert("/".into(), main.clone());
        main
    }

    /// The namespace with this name, made if there is none: as a child of the first parent whose
    /// pattern matches, else by itself.
    pub(crate) fn of(&self, name: &str, server: &Arc<ServerInner>) -> Found {
        let name = normalize(name);
        // Patterns are code of the user: no lock is held while they run.
        if let Some(nsp) = self.get(&name) {
            return Found::Known(nsp);
        }
        let parent = self
            .parents()
            .into_iter()
            .find(|parent| parent.matches(&name) == Some(true));
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(nsp) = names.by_name.get(&*name) {
            return Found::Known(nsp.clone());
        }
        let nsp = match parent {
            Some(parent) => parent.child(&name, &server.options),
            None => Arc::new(NamespaceInner::new(
                &name,
                RecoveryLog::from_options(&server.options),
            )),
        };
        server.enlist(&nsp);
        names.by_name.insert(name.into(), nsp.clone());
        Found::Made(nsp)
    }

    /// The child of `parent` with this name, made if there is none, for a client that wants in.
    /// `None` if the parent has as many children as it may.
    pub(crate) fn enter_child(
        &self,
        parent: &Arc<ParentInner>,
        name: &str,
        server: &Arc<ServerInner>,
    ) -> Option<Found> {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(nsp) = names.by_name.get(name) {
            nsp.clients.enter();
            return Some(Found::Known(nsp.clone()));
        }
        if parent.children() >= server.options.max_child_namespaces {
            return None;
        }
        let nsp = parent.child(name, &server.options);
        server.enlist(&nsp);
        nsp.clients.enter();
        names.by_name.insert(name.into(), nsp.clone());
        Some(Found::Made(nsp))
    }

    /// A client has left, or was not let in. Removes an empty child if that is wanted.
    pub(crate) fn release(&self, nsp: &Arc<NamespaceInner>, cleanup: bool) {
        let last = nsp.clients.exit();
        let Some(parent) = nsp.parent().filter(|_| last && cleanup) else {
            return;
        };
        if !self.remove_empty(nsp, parent) {
            return;
        }
        // Not under the lock: the application may be told that the others could not be. If the namespace is there
        // again by now, it has closed this one already.
        if let Some(link) = nsp.link() {
            // Closed when this returns; the future tells when the others know.
            drop(link.adapter.close());
        }
    }

    /// Removes a namespace that has no clients. Returns whether it did.
    fn remove_empty(&self, nsp: &NamespaceInner, parent: &ParentInner) -> bool {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = names.by_name.get(nsp.name());
        let is_known = known.is_some_and(|known| std::ptr::eq(&**known, nsp));
        // Somebody may have come in between; nobody can while the lock is held.
        let unused = is_known && nsp.clients.is_empty();
        if unused {
            names.by_name.remove(nsp.name());
            parent.forget_child();
        }
        unused
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<NamespaceInner>> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        names.by_name.get(name).cloned()
    }

    pub(crate) fn add_parent(&self, make: impl FnOnce(usize) -> ParentInner) -> Arc<ParentInner> {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let parent = Arc::new(make(names.parents.len()));
        names.parents.push(parent.clone());
        parent
    }

    pub(crate) fn parents(&self) -> Vec<Arc<ParentInner>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .parents
            .clone()
    }

    pub(crate) fn has_parents(&self) -> bool {
        !self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .parents
            .is_empty()
    }

    pub(crate) fn all(&self) -> Vec<Arc<NamespaceInner>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .by_name
            .values()
            .cloned()
            .collect()
    }
}
