//! What a primary is told before it runs.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use sala_adapter::recovery::Retention;
use sala_engine_proto::Network;

use super::error::PrimaryError;
use super::proxy::Forwarding;
use super::{Bound, socket_activation};
use crate::node::Serialization;
use crate::sticky::{Balance, Prefix};

/// The most workers: each has a prefix of session ids, as has its successor.
pub(crate) const MAX_WORKERS: usize = Prefix::COUNT as usize / 2 - 1;
/// How many clients may wait to be accepted; the kernel takes less if `net.core.somaxconn` is less.
const BACKLOG: i32 = 4096;

/// The process that owns the port, starts the workers and passes connections to them.
///
/// Made by [`role`](crate::role) or [`Primary::new`]; described by the methods below, then
/// [`run`](Self::run). Nothing happens before that.
#[derive(Debug)]
#[must_use]
pub struct Primary {
    pub(crate) config: Box<Config>,
    addresses: Vec<String>,
    listeners: Vec<TcpListener>,
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    pub(crate) program: Option<(OsString, Vec<OsString>)>,
    /// Node.js workers: how many, and what Node.js runs.
    pub(crate) node: Vec<(usize, Vec<OsString>)>,
    pub(crate) serialization: Serialization,
    pub(crate) balance: Balance,
    pub(crate) forwarding: Forwarding,
    pub(crate) grace: Duration,
    pub(crate) spread: Duration,
    pub(crate) start_timeout: Duration,
    pub(crate) hang_timeout: Duration,
    pub(crate) head_timeout: Duration,
    pub(crate) balancers: Vec<Network>,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) recovery: Option<Retention>,
    pub(crate) queue_bytes: usize,
    pub(crate) control: Option<PathBuf>,
}

impl Config {
    /// How many workers there are.
    pub(crate) fn seats(&self) -> usize {
        let node = self.node.iter().map(|(count, _)| count);
        self.workers + node.sum::<usize>()
    }

    /// Whether the worker of a seat is one of Node.js. Those have the last seats.
    pub(crate) fn node(&self, seat: usize) -> Option<Serialization> {
        (seat >= self.workers).then_some(self.serialization)
    }

    /// What to start for a seat: the program that was given, or this one again.
    pub(crate) fn program(&self, seat: usize) -> (OsString, Vec<OsString>) {
        let mut seat = seat.checked_sub(self.workers);
        for (count, arguments) in &self.node {
            match seat {
                Some(place) if place < *count => return ("node".into(), arguments.clone()),
                Some(place) => seat = Some(place - count),
                None => {}
            }
        }
        self.program.clone().unwrap_or_else(|| {
            let this = env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
            (this.into(), env::args_os().skip(1).collect())
        })
    }
}

impl Default for Primary {
    fn default() -> Self {
        Self::new()
    }
}

impl Primary {
    /// A primary with one worker for each core.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            config: Box::new(Config {
                workers: cores,
                program: None,
                node: Vec::new(),
                serialization: Serialization::default(),
                balance: Balance::default(),
                forwarding: Forwarding::default(),
                grace: Duration::from_secs(30),
                spread: Duration::from_secs(1),
                start_timeout: Duration::from_secs(60),
                hang_timeout: Duration::from_secs(30),
                head_timeout: Duration::from_secs(30),
                balancers: Vec::new(),
                trusted_proxies: Vec::new(),
                recovery: None,
                queue_bytes: 8 << 20,
                control: None,
            }),
            addresses: Vec::new(),
            listeners: Vec::new(),
        }
    }

    /// How many workers there are, beside those of Node.js. Default: one for each core.
    pub fn workers(mut self, count: usize) -> Self {
        self.config.workers = count;
        self
    }

    /// Adds workers that run the official server under Node.js; `arguments` are those of `node`: a
    /// script, and what it is to be given. May be called more than once.
    ///
    /// The script does what it does under a Node.js primary: `io.adapter(createAdapter())` of
    /// `@socket.io/cluster-adapter`, `setupWorker(io)` of `@socket.io/sticky`, and no `listen()`. The
    /// workers of both kinds share rooms, acknowledgements and everything else that the adapter
    /// carries. What Node.js workers cannot: connection state recovery, which their adapter does not
    /// have. A worker that is to end gets SIGTERM; how it lets go of its clients within the
    /// [grace](Self::grace) is up to the script. It is taken to hang if the adapter, which says something
    /// every 5 s, is silent for the [`hang_timeout`](Self::hang_timeout), and for 10 s at least.
    pub fn node_workers<A: AsRef<OsStr>>(
        mut self,
        count: usize,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_owned());
        self.config.node.push((count, arguments.collect()));
        self
    }

    /// How messages to Node.js workers are written. Default: as structured clones.
    pub fn serialization(mut self, serialization: Serialization) -> Self {
        self.config.serialization = serialization;
        self
    }

    /// What the workers run. Default: this program with the same arguments, whose
    /// [`role`](crate::role) then is that of a worker.
    pub fn program<A: AsRef<OsStr>>(
        mut self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_owned());
        self.config.program = Some((program.as_ref().to_owned(), arguments.collect()));
        self
    }

    /// Listens on an address, such as `0.0.0.0:3000`; may be called more than once. Without any,
    /// the sockets that systemd passes are used (`LISTEN_FDS`).
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Uses a listener that is bound already.
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Which worker gets a new client. Default: the one with the fewest sessions.
    pub fn balance(mut self, method: Balance) -> Self {
        self.config.balance = method;
        self
    }

    /// How connections reach the workers. Default: they are passed on themselves.
    pub fn forwarding(mut self, forwarding: Forwarding) -> Self {
        self.config.forwarding = forwarding;
        self
    }

    /// How long a worker that is to end may take for its clients and handlers. Default: 30 s. It is killed
    /// if it has not ended 10 s later: so long it may take to save their sessions.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// Over which time a worker that is to end lets go of its clients, so that they do not come back
    /// all at once. Default: 1 s. Clients themselves wait 0.5 to 1.5 s before they reconnect.
    pub fn spread(mut self, spread: Duration) -> Self {
        self.config.spread = spread;
        self
    }

    /// How long a worker may take from its start until it serves. Default: 60 s.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.config.start_timeout = timeout;
        self
    }

    /// After which silence a worker is taken to hang, killed and replaced. After a third of it, it
    /// gets no new clients. Default: 30 s.
    pub fn hang_timeout(mut self, timeout: Duration) -> Self {
        self.config.hang_timeout = timeout;
        self
    }

    /// How long the first line of a request may take. Default: 30 s.
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.config.head_timeout = timeout;
        self
    }

    /// Balancers in front that begin each connection with a header of the PROXY protocol (version 1
    /// or 2), which tells the client's address. Connections from them without one are refused;
    /// headers from anybody else are not looked at. Default: none.
    pub fn proxy_protocol(mut self, from: impl IntoIterator<Item = Network>) -> Self {
        self.config.balancers.extend(from);
        self
    }

    /// Proxies in front whose `X-Forwarded-For` is believed: `handshake().address()` is then the
    /// client's. From anybody else the header is taken out of the request. So list every proxy that
    /// a request may pass, such as `127.0.0.1` for one on this machine, and no client. Default:
    /// nobody; then the header is not looked at and stays as it came.
    ///
    /// Who a request comes from is what the connection tells, or the
    /// [PROXY protocol](Self::proxy_protocol) on it. Node.js workers do not look at the header and
    /// get it as it came.
    pub fn trusted_proxies(mut self, from: impl IntoIterator<Item = Network>) -> Self {
        self.config.trusted_proxies.extend(from);
        self
    }

    /// Keeps lost sessions, and the packets that they may miss, for every worker: a client can come
    /// back to any of them. The servers of the workers need recovery too. Default: off.
    ///
    /// The limits are per namespace, in the memory of the primary.
    pub fn recovery(mut self, retention: Retention) -> Self {
        self.config.recovery = Some(retention);
        self
    }

    /// How many bytes of one worker's messages may wait for another worker. At the bound the sender
    /// is slowed down; if the other takes nothing for 2 s, messages for it are dropped. Default:
    /// 8 MiB.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.config.queue_bytes = bytes;
        self
    }

    /// Takes orders (`reload`, `status`) on a Unix socket at this path, from processes of the same
    /// user. Default: none.
    pub fn control(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.control = Some(path.into());
        self
    }

    /// Listens. Clients that connect from now on wait for the workers.
    ///
    /// # Errors
    ///
    /// If an address cannot be listened on, or there is none, or no worker.
    pub fn bind(self) -> Result<Bound, PrimaryError> {
        let Self {
            config,
            addresses,
            mut listeners,
        } = self;
        let count = config.seats();
        if !(1..=MAX_WORKERS).contains(&count) {
            return Err(PrimaryError::Workers { count });
        }
        for address in addresses {
            listeners.push(listen(&address)?);
        }
        if listeners.is_empty() {
            listeners = socket_activation()?;
        }
        if listeners.is_empty() {
            return Err(PrimaryError::NoAddress);
        }
        Bound::new(*config, listeners)
    }

    /// [Binds](Self::bind) and [runs](Bound::run).
    ///
    /// # Errors
    ///
    /// As those.
    pub async fn run(self) -> Result<(), PrimaryError> {
        self.bind()?.run().await
    }
}

fn listen(address: &str) -> Result<TcpListener, PrimaryError> {
    let failed = |source| PrimaryError::Listen {
        address: address.to_owned(),
        source,
    };
    let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(failed)?.collect();
    let listener = TcpListener::bind(&addresses[..]).map_err(failed)?;
    rustix::net::listen(&listener, BACKLOG)
        .map_err(io::Error::from)
        .map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}
