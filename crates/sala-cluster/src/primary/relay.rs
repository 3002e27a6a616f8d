//! Carries messages from worker to worker, by the ids of the servers in them.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sala_adapter::recovery::Retention;
use serde_json::json;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::log::Log;
use crate::channel::bus::{Answer, Downstream, Publish, Upstream};
use crate::channel::wire::Text;
use crate::channel::{self, HEAD, MAX_FRAME, Queue, Receiver, Refusal};
use crate::node::{self, Serialization};
use crate::outage::Outage;
use crate::worker::NOTHING;

/// How long a worker that takes nothing is waited for before messages for it are dropped.
const PATIENCE: Duration = Duration::from_secs(2);
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// The most servers (one for each namespace of a Node.js worker) that are remembered of a worker.
const MAX_MEMBERS: usize = 100_000;
/// The number of the message with which a server leaves.
const ADAPTER_CLOSE: u8 = 13;

/// The bus of all workers.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Held while a logged message is put into the queues, so that all have the order of the log.
    log: Option<Mutex<Log>>,
    share: usize,
    routes: Mutex<Vec<Arc<Route>>>,
    nobody: Notify,
    relayed: AtomicU64,
    dropped: AtomicU64,
    malformed: Outage,
    unsendable: Outage,
}

/// One worker on the bus.
#[derive(Debug)]
pub(crate) struct Route {
    id: u32,
    queue: Arc<Queue>,
    /// How a Node.js worker wants its messages; those of Rust have frames of their own.
    node: Option<Serialization>,
    /// It wants messages.
    open: AtomicBool,
    /// Which servers, in which namespaces, are there.
    members: Mutex<HashSet<(Text, Text)>>,
    /// Messages dropped for it that it has not been told of.
    lost: AtomicU64,
}

/// What the bus has done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelayStats {
    pub(crate) relayed: u64,
    pub(crate) dropped: u64,
    pub(crate) malformed: u64,
}

impl Relay {
    /// A bus on which each worker may have `share` bytes waiting for each other worker.
    pub(crate) fn new(recovery: Option<Retention>, share: usize) -> Self {
        Self {
            log: recovery.map(|retention| Mutex::new(Log::new(retention))),
            share,
            routes: Mutex::default(),
            nobody: Notify::new(),
            relayed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            malformed: Outage::default(),
            unsendable: Outage::default(),
        }
    }

    pub(crate) fn keeps_log(&self) -> bool {
        self.log.is_some()
    }

    pub(crate) fn stats(&self) -> RelayStats {
        RelayStats {
            relayed: self.relayed.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            malformed: self.malformed.count(),
        }
    }

    /// Adds a Node.js worker, which has one channel for everything. What it says is
    /// [published](Self::publish) by whoever reads that.
    pub(crate) fn add_node(&self, id: u32, queue: Arc<Queue>, form: Serialization) -> Arc<Route> {
        let route = self.add(id, queue, Some(form));
        route.open.store(true, Relaxed);
        route
    }

    fn add(&self, id: u32, queue: Arc<Queue>, node: Option<Serialization>) -> Arc<Route> {
        let route = Arc::new(Route {
            id,
            queue,
            node,
            open: AtomicBool::new(false),
            members: Mutex::default(),
            lost: AtomicU64::new(0),
        });
        lock(&self.routes).push(Arc::clone(&route));
        route
    }

    /// Takes a worker that has ended off the bus, and tells the others that its servers are gone, so
    /// that nobody waits for their answers or their heartbeats.
    pub(crate) fn detach(&self, id: u32) {
        let (gone, others) = {
            let mut routes = lock(&self.routes);
            let gone: Vec<_> = routes.extract_if(.., |route| route.id == id).collect();
            (gone, routes.clone())
        };
        for route in gone {
            route.queue.close();
            for (server, namespace) in lock(&route.members).drain() {
                let body = farewell(server.as_str(), namespace.as_str());
                let mut message = Outgoing::new(id, body.into(), "".into());
                let open: Vec<_> = others
                    .iter()
                    .filter(|other| other.is_open())
                    .cloned()
                    .collect();
                self.send(&mut message, &open, &[]);
            }
        }
        if others.is_empty() {
            self.nobody.notify_waiters();
        }
    }

    /// Resolves when no worker is left.
    pub(crate) async fn nobody_left(&self) {
        loop {
            let mut nobody = std::pin::pin!(self.nobody.notified());
            nobody.as_mut().enable();
            if lock(&self.routes).is_empty() {
                return;
            }
            nobody.await;
        }
    }

    async fn take(&self, from: &Route, message: Upstream) {
        match message {
            Upstream::Open => from.open.store(true, Relaxed),
            Upstream::Publish(publish) => self.publish(from, publish).await,
            Upstream::Ask(number, ask) => {
                // A worker that asks and does not listen waits for itself.
                if from.queue.room(from.id, self.share, FOREVER).await.is_err() {
                    return;
                }
                let answer = Log::answer(self.log.as_ref(), ask);
                let mut frame = Downstream::Answer { number, answer }.encode();
                if frame.len() > HEAD + MAX_FRAME {
                    // More was missed than can be told: the client begins anew.
                    self.unsendable(from);
                    let answer = Answer::Unknown;
                    frame = Downstream::Answer { number, answer }.encode();
                }
                from.queue.put(from.id, frame.into());
            }
        }
    }

    pub(crate) async fn publish(&self, from: &Route, publish: Publish) {
        from.note(&publish);
        let left_out = self.wait_for_room(from, &publish).await;
        let Some(logged) = &publish.logged else {
            let Some(to) = self.recipients(from, &publish) else {
                return self.too_late();
            };
            let mut message = Outgoing::new(from.id, publish.body, "".into());
            message.recipient = publish.recipient;
            self.send(&mut message, &to, &left_out);
            return;
        };
        // While the log is held, all queues get its order. Who they are is decided now: a worker that
        // came while others were waited for may have asked what its clients missed before this.
        let mut log = self.log.as_ref().map(lock);
        let Some(to) = self.recipients(from, &publish) else {
            return self.too_late();
        };
        let offset = match &mut log {
            Some(log) if publish.kind != NOTHING => log.append(&publish, logged),
            _ => "".into(),
        };
        let sent = Downstream::Sent {
            number: logged.number,
            offset: offset.clone(),
        };
        let mut message = Outgoing::new(from.id, publish.body, offset);
        self.send(&mut message, &to, &left_out);
        if from.node.is_none() {
            from.queue.put(from.id, sent.encode().into());
        }
    }

    /// Slows a worker down that sends more than others take. Returns those that take nothing.
    async fn wait_for_room(&self, from: &Route, publish: &Publish) -> Vec<u32> {
        let mut left_out = Vec::new();
        for route in self.recipients(from, publish).unwrap_or_default() {
            match route.queue.room(from.id, self.share, PATIENCE).await {
                Ok(()) | Err(Refusal::Closed) => {}
                Err(Refusal::Full) => {
                    self.lose(&route);
                    left_out.push(route.id);
                }
            }
        }
        left_out
    }

    fn send(&self, message: &mut Outgoing, to: &[Arc<Route>], left_out: &[u32]) {
        for route in to.iter().filter(|route| !left_out.contains(&route.id)) {
            match message.put(route) {
                Ok(()) => drop(self.relayed.fetch_add(1, Relaxed)),
                Err(Unsendable) => {
                    route.lost.fetch_add(1, Relaxed);
                    self.unsendable(route);
                }
            }
        }
    }

    /// Everybody else, or whoever asked. A server that is not known may be anywhere. `None` if the
    /// sender has been taken off the bus: the others were told that it has gone.
    fn recipients(&self, from: &Route, publish: &Publish) -> Option<Vec<Arc<Route>>> {
        let others = |route: &&Arc<Route>| route.id != from.id && route.is_open();
        let routes = lock(&self.routes);
        if !routes.iter().any(|route| route.id == from.id) {
            return None;
        }
        if publish.kind == NOTHING {
            return Some(Vec::new());
        }
        if !publish.recipient.is_empty() {
            let member = (publish.recipient.clone(), publish.namespace.clone());
            let mut all = routes.iter().filter(others);
            if let Some(route) = all.find(|route| lock(&route.members).contains(&member)) {
                return Some(vec![Arc::clone(route)]);
            }
        }
        Some(routes.iter().filter(others).cloned().collect())
    }

    /// A worker that has gone had sent more than could be carried by now.
    fn too_late(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// A message is dropped for a worker.
    fn lose(&self, route: &Route) {
        self.dropped.fetch_add(1, Relaxed);
        if route.lost.fetch_add(1, Relaxed) == 0 {
            tracing::error!(
                worker = route.id,
                "worker takes no messages for {PATIENCE:?}; messages of the others to it are dropped"
            );
        }
    }

    /// A message is too long for a frame, or cannot be told to a worker that runs Node.js.
    fn unsendable(&self, route: &Route) {
        self.dropped.fetch_add(1, Relaxed);
        if self.unsendable.begins() {
            tracing::error!(
                worker = route.id,
                "a message is longer than 63 MiB, or cannot be told to a worker that runs Node.js; it is dropped"
            );
        }
    }

    pub(crate) fn count_malformed(&self, route: &Route) {
        if self.malformed.begins() {
            tracing::error!(
                worker = route.id,
                "worker sent a message that makes no sense; is it built with another version?"
            );
        }
    }
}

/// Puts a worker on the bus. The task carries what it says, and ends with it. If the bus breaks
/// before that, the worker is of no more use to the others, and `broken` is called.
pub(crate) fn attach(
    relay: &Arc<Relay>,
    id: u32,
    bus: UnixStream,
    broken: impl FnOnce() + Send + 'static,
) -> JoinHandle<()> {
    let route = relay.add(id, Arc::new(Queue::new(usize::MAX)), None);
    let (mut sender, receiver) = channel::split(bus);
    tokio::spawn({
        let route = Arc::clone(&route);
        async move { sender.drive(&route.queue).await }
    });
    let relay = Arc::clone(relay);
    tokio::spawn(async move {
        if let Err(error) = listen(&relay, &route, receiver).await {
            relay.count_malformed(&route);
            tracing::error!(worker = id, %error, "worker broke the bus; it is killed");
            broken();
        }
    })
}

async fn listen(relay: &Relay, route: &Route, mut receiver: Receiver) -> io::Result<()> {
    while let Some(frame) = receiver.recv().await? {
        match Upstream::decode(frame) {
            Ok(message) => relay.take(route, message).await,
            Err(_) => relay.count_malformed(route),
        }
    }
    Ok(())
}

impl Route {
    fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// Whether any server of this worker has been heard and has not left.
    pub(crate) fn has_members(&self) -> bool {
        !lock(&self.members).is_empty()
    }

    /// Puts a message in, behind a note on those that were dropped before.
    fn put(&self, from: u32, frame: Bytes) {
        if self.node.is_none() && self.lost.load(Relaxed) > 0 {
            let count = self.lost.swap(0, Relaxed);
            self.queue
                .put(from, Downstream::Lost { count }.encode().into());
        }
        self.queue.put(from, frame.into());
    }

    /// Remembers which servers are there.
    fn note(&self, publish: &Publish) {
        let mut members = lock(&self.members);
        let member = (publish.sender.clone(), publish.namespace.clone());
        if publish.kind == ADAPTER_CLOSE {
            members.remove(&member);
        } else if members.len() < MAX_MEMBERS && !members.contains(&member) {
            // Copied: a part of a frame would keep all of its buffer.
            members.insert((
                publish.sender.as_str().into(),
                publish.namespace.as_str().into(),
            ));
        }
    }
}

/// A message that no frame can carry.
#[derive(Debug)]
struct Unsendable;

/// A message on its way to several workers, encoded once for each kind of them.
struct Outgoing {
    from: u32,
    body: Bytes,
    offset: Text,
    recipient: Text,
    native: Option<Bytes>,
    node: Vec<(Serialization, Bytes)>,
}

impl Outgoing {
    fn new(from: u32, body: Bytes, offset: Text) -> Self {
        Self {
            from,
            body,
            offset,
            recipient: "".into(),
            native: None,
            node: Vec::new(),
        }
    }

    fn put(&mut self, route: &Route) -> Result<(), Unsendable> {
        let frame = match route.node {
            None => self.native(),
            Some(form) => self.for_node(form).map_err(|_| Unsendable)?,
        };
        if frame.len() > HEAD + MAX_FRAME {
            return Err(Unsendable);
        }
        route.put(self.from, frame);
        Ok(())
    }

    fn native(&mut self) -> Bytes {
        let deliver = || {
            Downstream::Deliver {
                offset: self.offset.clone(),
                body: self.body.clone(),
            }
            .encode()
        };
        self.native.get_or_insert_with(deliver).clone()
    }

    fn for_node(&mut self, form: Serialization) -> Result<Bytes, node::Malformed> {
        if let Some((_, frame)) = self.node.iter().find(|(known, _)| *known == form) {
            return Ok(frame.clone());
        }
        let frame = node::adapter_message(form, &self.body, &self.recipient)?;
        self.node.push((form, frame.clone()));
        Ok(frame)
    }
}

/// What a server says when it leaves.
fn farewell(server: &str, namespace: &str) -> String {
    json!({ "type": ADAPTER_CLOSE, "uid": server, "nsp": namespace }).to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
