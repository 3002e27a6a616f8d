//! What the handles and the tasks of a cluster share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::event::{ClusterEvent, Kind, Rows};
use super::follows::Follows;
use super::lane::Act;
use super::namespace::{Namespace, Sign};
use super::options::ClusterOptions;
use super::pace::Signal;
use super::queue::{Entry, Queue, Refusal, Ticket, Urgency};
use super::requests::Requests;
use super::stats::Counters;
use super::{Map, lock, weight};
use crate::adapter::{AdapterError, Local, Missing};
use crate::backend::{BackendError, Counter, Members, Profile, RoomIndex};
use crate::message::{Envelope, Message};
use crate::target::{Room, ServerId};

pub(super) struct Shared {
    pub(super) id: ServerId,
    pub(super) profile: Profile,
    pub(super) options: ClusterOptions,
    pub(super) queue: Queue,
    pub(super) follows: Arc<Follows>,
    pub(super) requests: Arc<Requests>,
    pub(super) counters: Counters,
    namespaces: RwLock<Map<Room, Arc<Namespace>>>,
    link: Mutex<Link>,
    /// Whether a broadcast that is logged now can expect an offset soon.
    log_reachable: AtomicBool,
    pub(super) rows: Rows,
    /// Set when the cluster is to be left.
    pub(super) closing: Signal,
    /// Set when nothing more happens.
    pub(super) ended: Signal,
    /// What came of the first attempt to connect and to follow what this server has to hear of.
    pub(super) started: watch::Sender<Option<Result<(), Arc<BackendError>>>>,
}

/// The link with the broker.
#[derive(Clone)]
pub(super) enum Link {
    /// The first attempt to connect is under way.
    Starting,
    Up(Option<Arc<dyn Counter>>),
    Down {
        reason: Arc<str>,
        since: Instant,
    },
}

impl Shared {
    pub(super) fn new(profile: Profile, options: ClusterOptions) -> Self {
        Self {
            id: options.server_id.clone().unwrap_or_else(ServerId::random),
            queue: Queue::new(options.max_queued_bytes),
            follows: Arc::new(Follows::new(profile.rooms)),
            requests: Arc::default(),
            counters: Counters::default(),
            namespaces: RwLock::default(),
            link: Mutex::new(Link::Starting),
            log_reachable: AtomicBool::new(true),
            rows: Rows::default(),
            closing: Signal::new(),
            ended: Signal::new(),
            started: watch::Sender::new(None),
            profile,
            options,
        }
    }

    // Namespaces.

    /// Adds a namespace; one of the same name is closed.
    pub(super) fn enter(&self, name: &str, local: Arc<dyn Local>) -> Arc<Namespace> {
        let members = self.profile.members;
        let follows = self.follows.clone();
        let namespace = Arc::new(Namespace::new(name.into(), local, members, follows));
        let old = self.lock_namespaces_mut(|all| {
            if self.closing.is_raised() {
                namespace.close();
                return None;
            }
            self.follows.enter(&namespace.name);
            all.insert(namespace.name.clone(), namespace.clone())
        });
        if let Some(old) = old {
            self.shut(&old);
        }
        if matches!(*lock(&self.link), Link::Up(_)) {
            self.say(&namespace, Sign::Hello);
        }
        namespace
    }

    /// Removes a namespace, and tells the other servers. What it has queued is still sent.
    pub(super) fn leave(&self, namespace: &Arc<Namespace>) {
        let current = self.lock_namespaces_mut(|all| {
            let current = all
                .get(&namespace.name)
                .is_some_and(|it| Arc::ptr_eq(it, namespace));
            if current {
                all.remove(&namespace.name);
                self.follows.leave(&namespace.name);
            }
            current
        });
        if current && self.has_heartbeats() {
            // If it is refused, the others notice the silence.
            let _ = self.publish(namespace, Message::AdapterClose);
        }
        self.shut(namespace);
    }

    fn shut(&self, namespace: &Namespace) {
        if namespace.close() {
            self.requests.close(&namespace.name);
            namespace.lane.give_up(None);
            self.run_lane(namespace);
        }
    }

    pub(super) fn namespace(&self, name: &Room) -> Option<Arc<Namespace>> {
        let all = self.namespaces.read();
        all.unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    pub(super) fn namespaces(&self) -> Vec<Arc<Namespace>> {
        let all = self.namespaces.read();
        all.unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    fn lock_namespaces_mut<R>(
        &self,
        change: impl FnOnce(&mut Map<Room, Arc<Namespace>>) -> R,
    ) -> R {
        let all = self.namespaces.write();
        change(&mut all.unwrap_or_else(PoisonError::into_inner))
    }

    // What goes out.

    /// Queues a message of this server.
    pub(super) fn publish(
        &self,
        namespace: &Arc<Namespace>,
        message: Message,
    ) -> Result<(), AdapterError> {
        self.hand_over(namespace, message, None)
            .map_err(|refusal| self.refused(namespace, refusal))
    }

    /// The same with a place in the lane of the namespace, whose lock is held: a refusal is to be
    /// [reported](Self::refused) when it is not any more.
    pub(super) fn hand_over(
        &self,
        namespace: &Arc<Namespace>,
        message: Message,
        logged: Option<u64>,
    ) -> Result<(), Refusal> {
        if namespace.is_closed() {
            return Err(Refusal::Closed);
        }
        if self.has_heartbeats() {
            namespace.members().said(&message, Instant::now());
        }
        self.push(namespace, None, message, logged, Urgency::Ordinary)
    }

    /// Queues the answer to a question of another server.
    pub(super) fn reply(
        &self,
        namespace: &Arc<Namespace>,
        recipient: Option<ServerId>,
        answer: Message,
    ) {
        let pushed = self.push(namespace, recipient, answer, None, Urgency::Ordinary);
        if let Err(refusal) = pushed {
            // Nobody waits for the error: whoever asked will miss the answer.
            self.refused(namespace, refusal);
        }
    }

    /// Says that this server is there, before anything else that is queued.
    pub(super) fn say(&self, namespace: &Arc<Namespace>, sign: Sign) {
        if !self.has_heartbeats() || !namespace.begin(sign) {
            return;
        }
        let message = sign.message();
        namespace.members().said(&message, Instant::now());
        // Refused only if the cluster is closed.
        let _ = self.push(namespace, None, message, None, Urgency::Now);
    }

    /// Counts and reports that a message was not taken.
    pub(super) fn refused(&self, namespace: &Namespace, refusal: Refusal) -> AdapterError {
        match refusal {
            Refusal::Closed => AdapterError::Closed,
            Refusal::Full => {
                self.counters.backlogged.add(1);
                self.event(ClusterEvent::Backlogged {
                    namespace: &namespace.name,
                    first: self.begins(Kind::Backlogged),
                });
                AdapterError::Backlogged
            }
        }
    }

    fn push(
        &self,
        namespace: &Arc<Namespace>,
        recipient: Option<ServerId>,
        message: Message,
        logged: Option<u64>,
        urgency: Urgency,
    ) -> Result<(), Refusal> {
        let entry = Entry {
            ticket: Ticket {
                namespace: namespace.clone(),
                weight: weight::of_message(&message),
                sign: Sign::of(&message),
                logged,
            },
            envelope: Envelope {
                namespace: namespace.name.clone(),
                sender: Some(self.id.clone()),
                recipient,
                message,
            },
        };
        self.queue.push(entry, urgency)
    }

    pub(super) fn has_heartbeats(&self) -> bool {
        matches!(self.profile.members, Members::Heartbeats { .. })
    }

    // The lanes of namespaces with recovery.

    pub(super) fn log_reachable(&self) -> bool {
        self.log_reachable.load(Ordering::Acquire)
    }

    /// Delivers what need not wait any more to this server's own sockets.
    pub(super) fn run_lane(&self, namespace: &Namespace) {
        namespace.lane.run(|act| {
            self.guard(namespace, || match act {
                Act::Deliver(ready) => {
                    let offset = ready.offset.as_ref();
                    namespace
                        .local
                        .broadcast(&ready.packet, &ready.target, offset);
                }
                Act::Call(call) => call(),
            });
        });
    }

    /// Delivers what waits for the log since before `limit`, or all of it, without an offset.
    pub(super) fn give_up_offsets(&self, limit: Option<Instant>) {
        for namespace in self.namespaces() {
            namespace.lane.give_up(limit);
            self.run_lane(&namespace);
        }
    }

    // The link.

    pub(super) fn link(&self) -> Link {
        lock(&self.link).clone()
    }

    /// The broker is connected; nothing is followed yet. Returns how long the outage was.
    pub(super) fn link_up(&self, counter: Option<Arc<dyn Counter>>) -> Option<Duration> {
        let before = std::mem::replace(&mut *lock(&self.link), Link::Up(counter));
        let away = match before {
            Link::Down { since, .. } => Some(since.elapsed()),
            Link::Starting | Link::Up(_) => None,
        };
        self.log_reachable.store(true, Ordering::Release);
        for namespace in self.namespaces() {
            namespace.members().excuse(away.unwrap_or_default());
            self.say(&namespace, Sign::Hello);
        }
        away
    }

    /// The first link has failed, or all is followed: the broker may let a server in and refuse it its channels.
    pub(super) fn has_started(&self, how: Result<(), BackendError>) {
        self.started.send_if_modified(|started| match started {
            Some(_) => false,
            None => {
                *started = Some(how.map_err(Arc::new));
                true
            }
        });
    }

    /// The broker cannot be reached: nobody waits for it any more.
    pub(super) fn link_down(&self, error: BackendError, retry: Duration) {
        let reason = error.to_string().into();
        let first = {
            let mut link = lock(&self.link);
            let (since, first) = match &*link {
                Link::Down { since, .. } => (*since, false),
                Link::Starting | Link::Up(_) => (Instant::now(), true),
            };
            *link = Link::Down { reason, since };
            first
        };
        self.log_reachable.store(false, Ordering::Release);
        self.give_up_offsets(None);
        self.follows.reset();
        if first {
            self.counters.outages.add(1);
        }
        self.event(ClusterEvent::Disconnected {
            error: &error,
            first,
            retry,
        });
        self.has_started(Err(error));
    }

    /// Why nobody can be asked.
    pub(super) fn unreachable(&self, namespace: &Namespace, reason: Arc<str>) -> AdapterError {
        let known = namespace.known();
        let missing = if self.has_heartbeats() {
            Missing::Servers(known)
        } else {
            Missing::Count {
                received: 0,
                expected: namespace.counted().max(known.len()),
                silent: known,
            }
        };
        AdapterError::Unreachable { reason, missing }
    }

    // The end.

    /// Begins to leave the cluster.
    pub(super) fn begin_close(&self) {
        if !self.closing.raise() {
            return;
        }
        for namespace in self.namespaces() {
            self.leave(&namespace);
        }
        self.queue.close();
    }

    /// Nothing more is sent or received.
    pub(super) fn end(&self) {
        let lost = self.queue.clear();
        self.counters.failed.add(lost.len() as u64);
        for entry in lost {
            entry.ticket.namespace.lane.give_up(None);
            self.run_lane(&entry.ticket.namespace);
        }
        *lock(&self.link) = Link::Down {
            reason: "the cluster is closed".into(),
            since: Instant::now(),
        };
        self.follows.reset();
        self.ended.raise();
    }
}

impl RoomIndex for Shared {
    fn has_room(&self, namespace: &str, room: &Room) -> bool {
        self.namespace(&namespace.into())
            .is_some_and(|namespace| namespace.local.has_room(room))
    }
}
