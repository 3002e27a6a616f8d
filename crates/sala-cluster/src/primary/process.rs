//! One worker process: started, listened to, killed if it hangs.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::{Shared, relay};
use crate::channel::control::{Connection, ToPrimary, ToWorker};
use crate::channel::{self, Parcel, Queue, Receiver};
use crate::sticky::{Prefix, Seen, look};

/// What may wait for a worker: connections, at some hundred bytes each.
const CONTROL_BYTES: usize = 8 << 20;
/// How much longer than the grace period a worker may take to end.
const AFTER_GRACE: Duration = Duration::from_secs(2);
/// The environment variable that tells a process that it is a worker, and which.
pub(crate) const WORKER: &str = "SALA_WORKER";

/// What others know of a worker.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: u32,
    pub(crate) seat: usize,
    pub(crate) prefix: Prefix,
    pub(crate) pid: u32,
    pub(crate) control: Queue,
    kill: Notify,
    leaving: AtomicBool,
}

/// Where a worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Ready,
    Gone(ExitStatus),
}

/// A worker, as its seat sees it.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) link: Arc<Link>,
    pub(crate) started: Instant,
    phase: watch::Receiver<Phase>,
}

impl Process {
    /// Starts a worker.
    pub(crate) fn start(shared: &Arc<Shared>, seat: usize) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        let (bus, far_bus) = StdUnixStream::pair()?;
        for end in [&ours, &bus] {
            end.set_nonblocking(true)?;
        }
        let child = command(shared, seat, theirs.into()).spawn()?;
        let link = Arc::new(Link {
            id: shared.next_id(),
            seat,
            prefix: shared.free_prefix(),
            pid: child.id().unwrap_or(0),
            control: Queue::new(CONTROL_BYTES),
            kill: Notify::new(),
            leaving: AtomicBool::new(false),
        });
        let welcome = ToWorker::Welcome {
            prefix: link.prefix,
            recovery: shared.relay.keeps_log(),
        };
        // The queue is empty and open.
        link.control
            .push(Parcel::with(welcome.encode(), far_bus.into()))
            .ok();
        let (phases, phase) = watch::channel(Phase::Starting);
        let (mut sender, receiver) = channel::split(UnixStream::from_std(ours)?);
        relay::attach(&shared.relay, link.id, UnixStream::from_std(bus)?);
        tokio::spawn({
            let link = Arc::clone(&link);
            // An error means that the worker has gone, which its exit tells.
            async move { sender.drive(&link.control).await.ok() }
        });
        let keeper = Keeper {
            shared: Arc::clone(shared),
            link: Arc::clone(&link),
            phases,
            heard: Instant::now(),
            malformed: 0,
        };
        tokio::spawn(keeper.run(child, receiver));
        tracing::info!(
            worker = link.id,
            seat = seat + 1,
            pid = link.pid,
            "worker started"
        );
        Ok(Self {
            link,
            started: Instant::now(),
            phase,
        })
    }

    /// Resolves when the worker is ready (true) or has ended before that.
    pub(crate) async fn ready(&mut self) -> bool {
        let phase = self.phase.wait_for(|phase| *phase != Phase::Starting).await;
        phase.is_ok_and(|phase| *phase == Phase::Ready)
    }

    /// Resolves when the worker has ended.
    pub(crate) async fn gone(&mut self) -> Option<ExitStatus> {
        let gone = |phase: &Phase| matches!(phase, Phase::Gone(_));
        match self.phase.wait_for(gone).await.as_deref() {
            Ok(Phase::Gone(status)) => Some(*status),
            _ => None,
        }
    }

    /// Asks the worker to let go of its clients and end; kills it if it does not. Returns whether it
    /// ended by itself.
    pub(crate) async fn retire(&mut self, shared: &Shared) -> bool {
        let link = Arc::clone(&self.link);
        link.leaving.store(true, Ordering::Release);
        shared.table.set_open(link.id, false);
        let config = &shared.config;
        let leave = ToWorker::Leave {
            grace: config.grace,
            spread: config.spread,
        };
        // If there is no room it hangs, and is killed below.
        link.control.push(leave.encode().into()).ok();
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
    command
}

/// Attends to a worker until it ends.
struct Keeper {
    shared: Arc<Shared>,
    link: Arc<Link>,
    phases: watch::Sender<Phase>,
    /// When it last said anything.
    heard: Instant,
    malformed: u64,
}

impl Keeper {
    async fn run(mut self, mut child: Child, mut receiver: Receiver) {
        let ping = (self.shared.config.hang_timeout / 6).max(Duration::from_millis(10));
        let mut ping = tokio::time::interval(ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let started = Instant::now();
        let mut speaks = true;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                frame = receiver.recv(), if speaks => match frame {
                    Ok(Some(frame)) => self.take(frame, &mut receiver),
                    Ok(None) => speaks = false,
                    Err(error) => {
                        tracing::error!(worker = self.link.id, %error, "worker broke its channel; it is killed");
                        speaks = false;
                        kill(&mut child, &self.link);
                    }
                },
                _ = ping.tick() => if self.hangs(started) {
                    kill(&mut child, &self.link);
                },
                () = self.link.kill.notified() => kill(&mut child, &self.link),
            }
        };
        // What it said last may still be there: connections that it passed on.
        while let Ok(Ok(Some(frame))) =
            tokio::time::timeout(Duration::from_millis(100), receiver.recv()).await
        {
            self.take(frame, &mut receiver);
        }
        self.end(status.unwrap_or_default());
    }

    fn end(&self, status: ExitStatus) {
        let link = &self.link;
        self.shared.table.remove(link.id);
        link.control.close();
        self.shared.relay.detach(link.id);
        if link.leaving.load(Ordering::Acquire) {
            tracing::info!(worker = link.id, pid = link.pid, %status, "worker has ended");
        } else {
            tracing::error!(worker = link.id, seat = link.seat + 1, pid = link.pid, %status, "worker died");
        }
        self.phases.send_replace(Phase::Gone(status));
    }

    fn take(&mut self, frame: channel::Frame, receiver: &mut Receiver) {
        self.heard = Instant::now();
        match ToPrimary::decode(frame) {
            Ok(ToPrimary::Ready) => {
                tracing::info!(worker = self.link.id, pid = self.link.pid, "worker is ready");
                self.shared.table.add(Arc::clone(&self.link));
                self.phases.send_replace(Phase::Ready);
            }
            Ok(ToPrimary::Report {
                sessions,
                newcomers,
            }) => {
                let table = &self.shared.table;
                table.report(self.link.id, sessions.into(), newcomers);
            }
            Ok(ToPrimary::PassOn(connection)) => match receiver.take_descriptor() {
                Some(descriptor) => self.pass_on(connection, descriptor),
                None => self.malformed(),
            },
            Ok(ToPrimary::Pong) => {
                if *self.phases.borrow() == Phase::Ready
                    && !self.link.leaving.load(Ordering::Acquire)
                {
                    self.shared.table.set_open(self.link.id, true);
                }
            }
            Err(_) => self.malformed(),
        }
    }

    /// A connection whose next request is for another worker.
    fn pass_on(&self, connection: Connection, descriptor: OwnedFd) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let session = match look(&connection.read) {
                Seen::Session(session) => session,
                Seen::Partial => None,
            };
            shared
                .dispatch(session.as_deref(), connection, descriptor)
                .await;
        });
    }

    fn malformed(&mut self) {
        self.malformed += 1;
        if self.malformed == 1 {
            tracing::error!(
                worker = self.link.id,
                "worker sent a frame that makes no sense; is it built with another version?"
            );
        }
        self.shared.count_malformed();
    }

    /// Asks whether the worker is there. Returns whether to end it.
    fn hangs(&mut self, started: Instant) -> bool {
        let config = &self.shared.config;
        let link = &self.link;
        let silent = self.heard.elapsed();
        let starting = *self.phases.borrow() == Phase::Starting;
        if starting && started.elapsed() > config.start_timeout {
            tracing::error!(
                worker = link.id,
                pid = link.pid,
                "worker was not ready within {:?}; does it serve the connections of `sala_cluster::role()`? It is killed",
                config.start_timeout
            );
            return true;
        }
        if !starting && silent > config.hang_timeout {
            tracing::error!(
                worker = link.id,
                pid = link.pid,
                "worker hangs: it did not answer for {:?}; it is killed",
                config.hang_timeout
            );
            return true;
        }
        if !starting && silent > config.hang_timeout / 3 {
            self.shared.table.set_open(link.id, false);
        }
        // No room means that it hangs.
        link.control.push(ToWorker::Ping.encode().into()).ok();
        false
    }
}

fn kill(child: &mut Child, link: &Link) {
    // It may be stopped (SIGSTOP), and it may have ended just now: both are fine.
    child.start_kill().ok();
    // Processes that it started are left to themselves if they made groups of their own.
    if let Some(pid) = i32::try_from(link.pid).ok().and_then(Pid::from_raw) {
        kill_process_group(pid, Signal::KILL).ok();
    }
}
