//! Who handles what: the handlers of a namespace, or of one socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;

use crate::error::ErrorContext;
use crate::gate::ErasedGate;
use crate::handler::{ErasedAdmit, ErasedDisconnect, ErasedHandler, ErasedServerSide, EventKey};
use crate::socket::{Incoming, Outgoing, Socket};

/// Names one listener, to remove it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

impl ListenerId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

pub(crate) type IncomingHook = Arc<dyn Fn(&Socket, &Incoming<'_>) + Send + Sync>;
pub(crate) type OutgoingHook = Arc<dyn Fn(&Socket, &Outgoing<'_>) + Send + Sync>;
pub(crate) type ErrorHook = Arc<dyn Fn(&ErrorContext<'_>) + Send + Sync>;

/// All handlers. Copied when it is changed; see [`Versioned`](crate::versioned::Versioned).
#[derive(Clone, Default)]
pub(crate) struct Table {
    events: HashMap<Box<str>, Listeners, RandomState>,
    server_side: HashMap<Box<str>, ServerSideListeners, RandomState>,
    pub(crate) connect: Vec<Arc<dyn ErasedHandler>>,
    pub(crate) disconnecting: Vec<Listener<Arc<dyn ErasedDisconnect>>>,
    pub(crate) disconnect: Vec<Listener<Arc<dyn ErasedDisconnect>>>,
    pub(crate) admit: Vec<Arc<dyn ErasedAdmit>>,
    pub(crate) gates: Vec<Listener<Arc<dyn ErasedGate>>>,
    pub(crate) any: Vec<Listener<IncomingHook>>,
    pub(crate) any_outgoing: Vec<Listener<OutgoingHook>>,
    pub(crate) errors: Vec<Listener<ErrorHook>>,
}

/// The listeners of one event of other servers.
#[derive(Clone)]
pub(crate) struct ServerSideListeners {
    pub(crate) key: EventKey,
    pub(crate) handlers: Vec<Arc<dyn ErasedServerSide>>,
}

/// The listeners of one event.
#[derive(Clone)]
pub(crate) struct Listeners {
    pub(crate) key: EventKey,
    pub(crate) list: Vec<EventListener>,
}

/// One listener of an event.
#[derive(Clone)]
pub(crate) struct EventListener {
    pub(crate) id: ListenerId,
    pub(crate) once: bool,
    pub(crate) handler: Arc<dyn ErasedHandler>,
}

/// One listener of something else.
#[derive(Clone)]
pub(crate) struct Listener<T> {
    id: ListenerId,
    pub(crate) hook: T,
}

impl<T> Listener<T> {
    pub(crate) fn new(hook: T) -> Self {
        Self {
            id: ListenerId::next(),
            hook,
        }
    }

    pub(crate) fn id(&self) -> ListenerId {
        self.id
    }
}

impl Table {
    /// The listeners of an event.
    pub(crate) fn event(&self, name: &str) -> Option<&Listeners> {
        self.events.get(name)
    }

    pub(crate) fn add_event(
        &mut self,
        key: EventKey,
        once: bool,
        handler: Arc<dyn ErasedHandler>,
    ) -> ListenerId {
        let id = ListenerId::next();
        let name = key.as_str().into();
        let listeners = self.events.entry(name).or_insert(Listeners {
            key,
            list: Vec::new(),
        });
        listeners.list.push(EventListener { id, once, handler });
        id
    }

    /// The listeners of an event of other servers.
    pub(crate) fn server_side(&self, name: &str) -> Option<&ServerSideListeners> {
        self.server_side.get(name)
    }

    pub(crate) fn add_server_side(&mut self, key: EventKey, handler: Arc<dyn ErasedServerSide>) {
        let name = key.as_str().into();
        let listeners = self
            .server_side
            .entry(name)
            .or_insert_with(|| ServerSideListeners {
                key,
                handlers: Vec::new(),
            });
        listeners.handlers.push(handler);
    }

    /// Removes all listeners of an event of other servers.
    pub(crate) fn remove_server_side(&mut self, name: &str) {
        self.server_side.remove(name);
    }

    /// Removes all listeners of an event; false if there was none.
    pub(crate) fn remove_event(&mut self, name: &str) -> bool {
        self.events.remove(name).is_some()
    }

    /// Removes one listener of whatever kind; false if it is not there (any more).
    pub(crate) fn remove(&mut self, id: ListenerId) -> bool {
        fn without<T>(list: &mut Vec<T>, is: impl Fn(&T) -> bool) -> bool {
            let at = list.iter().position(is);
            at.map(|at| list.remove(at)).is_some()
        }
        let mut emptied = None;
        let found = self.events.iter_mut().any(|(name, listeners)| {
            let found = without(&mut listeners.list, |listener| listener.id == id);
            if found && listeners.list.is_empty() {
                emptied = Some(name.clone());
            }
            found
        });
        if let Some(name) = emptied {
            self.events.remove(&name);
        }
        found
            || without(&mut self.disconnecting, |listener| listener.id == id)
            || without(&mut self.disconnect, |listener| listener.id == id)
            || without(&mut self.gates, |listener| listener.id == id)
            || without(&mut self.any, |listener| listener.id == id)
            || without(&mut self.any_outgoing, |listener| listener.id == id)
            || without(&mut self.errors, |listener| listener.id == id)
    }

    /// The names of the events that somebody listens to.
    pub(crate) fn event_names(&self) -> Vec<String> {
        self.events.keys().map(|name| name.to_string()).collect()
    }
}
