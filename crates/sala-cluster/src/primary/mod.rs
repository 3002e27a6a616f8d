//! The process that owns the port.

mod config;
mod control;
mod door;
mod error;
mod keeper;
mod log;
mod process;
mod proxy;
mod relay;
mod seat;
mod table;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use self::config::Config;
pub use self::config::Primary;
pub use self::control::order;
pub use self::error::PrimaryError;
pub(crate) use self::process::WORKER;
pub use self::proxy::{Entrance, Forwarding, UnknownForwarding};
use self::relay::Relay;
use self::seat::Order;
use self::table::Table;
use crate::channel::control::Connection;
use crate::files;
use crate::outage::Outage;
use crate::sticky::Prefix;

/// How many workers in a row may die right after their start before the primary gives up, if none
/// is left.
const MAX_INSTANT_DEATHS: u32 = 5;

/// A [`Primary`] that listens.
#[derive(Debug)]
pub struct Bound {
    shared: Arc<Shared>,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    failures: mpsc::Receiver<PrimaryError>,
    reloads: mpsc::Receiver<Reload>,
}

/// Somebody wants all workers replaced, and to hear of it, line by line.
pub(crate) type Reload = Option<mpsc::Sender<String>>;

/// What all parts of a primary share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) table: Table,
    pub(crate) relay: Arc<Relay>,
    /// How many workers have been started.
    started: AtomicU32,
    malformed: AtomicU64,
    refused_balancer: Outage,
    /// Connections between whose ends the primary stands hold a receiver.
    carrying: watch::Sender<()>,
    /// Connections that nobody could take.
    unserved: Outage,
    /// Connections that a worker passed on and that did not fit.
    out_of_files: Outage,
    failed: mpsc::Sender<PrimaryError>,
    reload: mpsc::Sender<Reload>,
    /// Prefixes given out, also to workers that are not ready yet.
    prefixes: Mutex<u32>,
}

impl Bound {
    fn new(config: Config, listeners: Vec<TcpListener>) -> Result<Self, PrimaryError> {
        let addresses = listeners.iter().map(TcpListener::local_addr);
        let addresses =
            addresses
                .collect::<io::Result<_>>()
                .map_err(|source| PrimaryError::System {
                    what: "a listener does not tell its address",
                    source,
                })?;
        let (failed, failures) = mpsc::channel(1);
        let (reload, reloads) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            table: Table::new(config.balance),
            relay: Arc::new(Relay::new(config.recovery.clone(), config.queue_bytes)),
            config,
            started: AtomicU32::new(0),
            malformed: AtomicU64::new(0),
            refused_balancer: Outage::default(),
            carrying: watch::Sender::new(()),
            unserved: Outage::default(),
            out_of_files: Outage::default(),
            failed,
            reload,
            prefixes: Mutex::new(0),
        });
        Ok(Self {
            shared,
            listeners,
            addresses,
            failures,
            reloads,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Another way in, for connections that are no plain TCP connections, such as TLS streams.
    #[must_use]
    pub fn entrance(&self) -> Entrance {
        Entrance {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Runs the workers until SIGTERM or SIGINT, then lets them end. SIGHUP replaces them one by
    /// one. A second SIGTERM or SIGINT kills them at once.
    ///
    /// # Errors
    ///
    /// If workers die again and again, if they had to be killed in the end, or if the operating
    /// system refuses something that is needed.
    ///
    /// *Cancel safety:* if dropped, the workers are killed.
    pub async fn run(self) -> Result<(), PrimaryError> {
        let Self {
            shared,
            listeners,
            mut failures,
            reloads,
            ..
        } = self;
        let system = |what| move |source| PrimaryError::System { what, source };
        let handle = |kind| signal(kind).map_err(system("signals cannot be listened to"));
        files::raise_limit();
        let mut terminate = handle(SignalKind::terminate())?;
        let mut interrupt = handle(SignalKind::interrupt())?;
        let hangup = handle(SignalKind::hangup())?;

        let mut tasks = tokio::task::JoinSet::new();
        for listener in listeners {
            listener
                .set_nonblocking(true)
                .map_err(system("a listener cannot be used"))?;
            let listener = tokio::net::TcpListener::from_std(listener)
                .map_err(system("a listener cannot be used"))?;
            tasks.spawn(door::accept(Arc::clone(&shared), listener));
        }
        if let Some(path) = &shared.config.control {
            let control = control::bind(path)?;
            tasks.spawn(control::serve(Arc::clone(&shared), control));
        }
        let seats = Seats::fill(&shared);
        tasks.spawn(reload(seats.clone(), hangup, reloads));
        tasks.spawn(tell_ready(Arc::clone(&shared)));

        let failure = tokio::select! {
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            failure = failures.recv() => failure,
        };
        notify(&[NotifyState::Stopping]);
        // The listeners stay open while workers leave, so that nobody is refused who could be served.
        let killed = match failure {
            Some(_) => seats.kill().await,
            None => tokio::select! {
                killed = seats.leave() => killed,
                () = either(&mut terminate, &mut interrupt) => {
                    tracing::warn!("told to end a second time; the workers are killed");
                    seats.kill().await
                }
            },
        };
        drop(tasks);
        proxy::last_words(&shared).await;
        if let Some(path) = &shared.config.control {
            // If somebody took it away already, all the better.
            std::fs::remove_file(path).ok();
        }
        match failure {
            Some(failure) => Err(failure),
            None if killed > 0 => Err(PrimaryError::Killed { workers: killed }),
            None => Ok(()),
        }
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// The seats of all workers.
#[derive(Clone, Debug)]
struct Seats {
    orders: Vec<mpsc::Sender<Order>>,
    shared: Arc<Shared>,
}

impl Seats {
    fn fill(shared: &Arc<Shared>) -> Self {
        let fill = |number| {
            let (sender, orders) = mpsc::channel(4);
            tokio::spawn(seat::keep(Arc::clone(shared), number, orders));
            sender
        };
        Self {
            orders: (0..shared.config.seats()).map(fill).collect(),
            shared: Arc::clone(shared),
        }
    }

    /// Retires all workers. Returns how many had to be killed.
    async fn leave(&self) -> usize {
        let mut answers = Vec::new();
        for seat in &self.orders {
            let (done, answer) = oneshot::channel();
            if seat.send(Order::Leave(done)).await.is_ok() {
                answers.push(answer);
            }
        }
        let mut killed = 0;
        for answer in answers {
            killed += usize::from(answer.await == Ok(false));
        }
        self.shared.relay.nobody_left().await;
        killed
    }

    /// Kills all workers. Returns how many there were.
    async fn kill(&self) -> usize {
        let mut answers = Vec::new();
        for seat in &self.orders {
            let (done, answer) = oneshot::channel();
            // A seat that has ended has no worker.
            if seat.send(Order::Kill(done)).await.is_ok() {
                answers.push(answer);
            }
        }
        let mut killed = 0;
        for answer in answers {
            killed += usize::from(answer.await == Ok(true));
        }
        killed
    }
}

/// Replaces the workers one by one whenever somebody asks, one reload at a time.
async fn reload(seats: Seats, mut hangup: Signal, mut reloads: mpsc::Receiver<Reload>) {
    loop {
        let listener = tokio::select! {
            _ = hangup.recv() => None,
            Some(listener) = reloads.recv() => listener,
        };
        let tell = async |line: String| {
            if let Some(listener) = &listener {
                // Whoever asked may have gone; the reload goes on.
                listener.send(line).await.ok();
            }
        };
        tracing::info!("reload: replacing the workers one by one");
        notify(&[NotifyState::Reloading]);
        let count = seats.orders.len();
        let mut failure = None;
        for (number, seat) in (1..).zip(&seats.orders) {
            let (done, answer) = oneshot::channel();
            if seat.send(Order::Replace(done)).await.is_err() {
                break;
            }
            if let Ok(Err(why)) = answer.await {
                tracing::error!(seat = number, "reload stopped: {why}");
                failure = Some(why);
                break;
            }
            tell(format!("worker {number} of {count} replaced")).await;
        }
        notify(&[NotifyState::Ready]);
        match failure {
            Some(why) => tell(format!("error: {why}")).await,
            None => {
                tracing::info!("reload: done");
                tell("ok".into()).await;
            }
        }
    }
}

/// Tells systemd when the first worker serves.
async fn tell_ready(shared: Arc<Shared>) {
    shared.table.served().await;
    notify(&[NotifyState::Ready]);
}

/// Tells the service manager something, if there is one.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

/// The sockets that systemd passes.
fn socket_activation() -> Result<Vec<TcpListener>, PrimaryError> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        let taken = passed
            .take_tcp_listener(index)
            .map_err(|source| PrimaryError::System {
                what: "a socket that systemd passed is no TCP listener",
                source,
            })?;
        listeners.extend(taken);
    }
    Ok(listeners)
}

impl Shared {
    fn next_id(&self) -> u32 {
        self.started.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A prefix of session ids that no living worker has.
    fn free_prefix(&self) -> Prefix {
        let mut next = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            *next = (*next + 1) % Prefix::COUNT;
            let prefix = Prefix::new(*next).expect("below the count");
            if !self.table.has(prefix) {
                return prefix;
            }
        }
    }

    /// Sends a connection to whom it belongs, or refuses it.
    async fn dispatch(&self, session: Option<&str>, connection: Connection, descriptor: OwnedFd) {
        if let Err(descriptor) = self.table.dispatch(session, connection, descriptor).await {
            if self.unserved.begins() {
                tracing::error!("no worker takes connections; clients are answered 503");
            }
            door::refuse(descriptor).await;
        }
    }

    fn is_balancer(&self, ip: IpAddr) -> bool {
        self.config.balancers.iter().any(|net| net.contains(ip))
    }

    fn refused_balancer(&self, peer: SocketAddr) {
        if self.refused_balancer.begins() {
            tracing::error!(%peer, "a connection from a balancer has no PROXY header; is `send-proxy` on there?");
        }
    }

    fn out_of_files(&self) {
        if self.out_of_files.begins() {
            tracing::error!(
                "a connection was lost: the primary has as many open files as it may have (ulimit -n)"
            );
        }
    }

    fn count_malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    /// A worker died right after its start. Without any other, that is the end at some point.
    fn instant_death(&self, deaths: u32, why: &str) {
        if deaths >= MAX_INSTANT_DEATHS && self.table.loads().is_empty() {
            let failure = PrimaryError::WorkersDie {
                deaths,
                last: why.to_owned(),
            };
            // One failure is enough to end.
            self.failed.try_send(failure).ok();
        }
    }
}
