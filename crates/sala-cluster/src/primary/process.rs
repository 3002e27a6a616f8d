//! One worker process: started, listened to, killed if it hangs.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::sync::{Notify, watch};

use super::keeper::{Ear, Keeper};
use super::{Shared, relay};
use crate::channel::control::{Connection, ToWorker, Welcome};
use crate::channel::{self, Parcel, Queue, Sender};
use crate::node::{self, Acks, Node, Serialization};
use crate::sticky::Prefix;

/// What may wait for a worker: connections, at some hundred bytes each.
const CONTROL_BYTES: usize = 8 << 20;
/// How much longer than the grace period a worker may take to end: when its clients have gone, it saves
/// their sessions, which takes a while on a machine that is busy with them.
const AFTER_GRACE: Duration = Duration::from_secs(10);
/// The environment variable that tells a process that it is a worker, and which.
pub(crate) const WORKER: &str = "SALA_WORKER";

/// What others know of a worker.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: u32,
    pub(crate) seat: usize,
    pub(crate) prefix: Prefix,
    pub(crate) pid: u32,
    /// What is to be sent to it.
    pub(crate) control: Arc<Queue>,
    /// How it wants messages, if it is one of Node.js.
    pub(crate) node: Option<Serialization>,
    pub(super) kill: Notify,
    pub(super) leaving: AtomicBool,
}

impl Link {
    /// A worker without a process.
    #[cfg(test)]
    pub(crate) fn fake(id: u32, control: Queue) -> Self {
        Self {
            id,
            seat: id as usize,
            prefix: Prefix::new(id).expect("below the count"),
            pid: 0,
            control: Arc::new(control),
            node: None,
            kill: Notify::new(),
            leaving: AtomicBool::new(false),
        }
    }

    /// A connection as the worker wants it.
    pub(crate) fn parcel(&self, connection: &Connection, descriptor: OwnedFd) -> Parcel {
        let frame = match self.node {
            None => ToWorker::Connection(connection.clone()).encode(),
            Some(form) => node::connection(form, connection),
        };
        Parcel::with(frame, descriptor)
    }

    /// Asks the worker to let go of its clients and end.
    pub(super) fn leave(&self, shared: &Shared) {
        self.leaving.store(true, Ordering::Release);
        shared.table.set_open(self.id, false);
        let leave = ToWorker::Leave {
            grace: shared.config.grace,
            spread: shared.config.spread,
        };
        match self.node {
            // If there is no room it hangs, and is killed for that.
            None => drop(self.control.push(leave.encode().into())),
            Some(_) => self.signal(Signal::TERM),
        }
    }

    /// Sends a signal to the worker.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // It may have ended just now.
            kill_process(pid, signal).ok();
        }
    }
}

/// Where a worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Ready,
    Gone(Death),
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) status: ExitStatus,
    /// How long it had been ready.
    pub(crate) served: Duration,
}

/// A worker, as its seat sees it.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) link: Arc<Link>,
    phase: watch::Receiver<Phase>,
}

impl Process {
    /// Starts a worker.
    pub(crate) fn start(shared: &Arc<Shared>, seat: usize) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let node = shared.config.node(seat);
        let child = command(shared, seat, theirs.into()).spawn()?;
        let link = Arc::new(Link {
            id: shared.next_id(),
            seat,
            prefix: shared.free_prefix(),
            pid: child.id().unwrap_or(0),
            control: Arc::new(Queue::new(CONTROL_BYTES)),
            node,
            kill: Notify::new(),
            leaving: AtomicBool::new(false),
        });
        let (phases, phase) = watch::channel(Phase::Starting);
        let (sender, receiver) = channel::split(UnixStream::from_std(ours)?);
        let ear = match node {
            None => welcome(shared, &link, sender)?,
            Some(form) => welcome_node(shared, &link, sender, form),
        };
        Keeper::new(shared, &link, phases, ear).start(child, receiver);
        tracing::info!(
            worker = link.id,
            seat = seat + 1,
            pid = link.pid,
            "worker started"
        );
        Ok(Self { link, phase })
    }

    /// Resolves when the worker is ready (true) or has ended before that.
    pub(crate) async fn ready(&mut self) -> bool {
        let phase = self.phase.wait_for(|phase| *phase != Phase::Starting).await;
        phase.is_ok_and(|phase| *phase == Phase::Ready)
    }

    /// Resolves when the worker has ended.
    pub(crate) async fn gone(&mut self) -> Option<Death> {
        let gone = |phase: &Phase| matches!(phase, Phase::Gone(_));
        match self.phase.wait_for(gone).await.as_deref() {
            Ok(Phase::Gone(death)) => Some(*death),
            _ => None,
        }
    }

    /// Asks the worker to let go of its clients and end; kills it if it does not. Returns whether it
    /// ended by itself.
    pub(crate) async fn retire(&mut self, shared: &Shared) -> bool {
        let link = Arc::clone(&self.link);
        let config = &shared.config;
        link.leave(shared);
        let limit = config.grace + AFTER_GRACE;
        if tokio::time::timeout(limit, self.gone()).await.is_ok() {
            return true;
        }
        tracing::error!(
            worker = link.id,
            pid = link.pid,
            "worker did not end within the grace period of {:?}; it is killed",
            config.grace
        );
        self.kill();
        self.gone().await;
        false
    }

    /// Ends the worker at once.
    pub(crate) fn kill(&self) {
        self.link.kill.notify_one();
    }
}

/// The first frame to a worker, with its end of the bus.
fn welcome(shared: &Shared, link: &Arc<Link>, mut sender: Sender) -> io::Result<Ear> {
    let (bus, far_bus) = StdUnixStream::pair()?;
    bus.set_nonblocking(true)?;
    let welcome = ToWorker::Welcome(Welcome {
        prefix: link.prefix,
        recovery: shared.relay.keeps_log(),
        trusted_proxies: shared.config.trusted_proxies.clone(),
    });
    // The queue is empty and open.
    let parcel = Parcel::with(welcome.encode(), far_bus.into());
    link.control.push(parcel).ok();
    let broken = {
        let link = Arc::clone(link);
        move || link.kill.notify_one()
    };
    let bus = relay::attach(&shared.relay, link.id, UnixStream::from_std(bus)?, broken);
    let link = Arc::clone(link);
    let sending = tokio::spawn(async move { sender.drive(&link.control).await });
    Ok(Ear::Sala { sending, bus })
}

fn welcome_node(shared: &Shared, link: &Arc<Link>, mut sender: Sender, form: Serialization) -> Ear {
    let acks = Acks::default();
    let queue = Arc::clone(&link.control);
    let route = shared.relay.add_node(link.id, Arc::clone(&queue), form);
    tokio::spawn({
        let acks = Arc::clone(&acks);
        async move {
            if let Err(error) = node::drive(&mut sender, &queue, &acks).await {
                channel::report(&error);
            }
        }
    });
    Ear::Node {
        node: Node::new(form),
        acks,
        route,
    }
}

fn command(shared: &Shared, seat: usize, channel: OwnedFd) -> Command {
    let (program, arguments) = shared.config.program(seat);
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env(WORKER, (seat + 1).to_string())
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDNAMES")
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::from(channel))
        // Ctrl-C in a terminal is for the primary, which tells the workers what to do.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(form) = shared.config.node(seat) {
        command
            .env_remove(WORKER)
            .env("NODE_CHANNEL_FD", "0")
            .env("NODE_CHANNEL_SERIALIZATION_MODE", form.name())
            // Tells Node.js that it is a worker of a cluster, and which.
            .env("NODE_UNIQUE_ID", (seat + 1).to_string());
    }
    command
}
