//! Attends to one worker for as long as it lives.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::Shared;
use super::door::refuse;
use super::process::{Death, Link, Phase};
use super::relay::Route;
use crate::channel::control::{Connection, ToPrimary, ToWorker};
use crate::channel::{Frame, NoDescriptor, Receiver};
use crate::node::{Acks, Heard, Node, Said};
use crate::sticky::{Seen, look};

/// The least silence after which a Node.js worker is taken to hang: the `heartbeatTimeout` of its adapter.
const NODE_HANG_TIMEOUT: Duration = Duration::from_secs(10);
/// How long what a dead worker had sent may take to reach the others.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Listens to a worker until it ends, and ends it if it hangs.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    link: Arc<Link>,
    phases: watch::Sender<Phase>,
    ear: Ear,
    started: Instant,
    ready: Option<Instant>,
    /// When it last said anything.
    heard: Instant,
    malformed: u64,
}

/// In which language a worker speaks.
pub(super) enum Ear {
    Sala {
        /// Sends what waits for it, and ends when it can no more.
        sending: JoinHandle<()>,
        /// Carries its messages, and ends when it has.
        bus: JoinHandle<()>,
    },
    Node {
        node: Node,
        acks: Acks,
        route: Arc<Route>,
    },
}

/// Something that a worker said.
enum Word {
    Frame(Frame),
    Node(Heard),
}

impl Ear {
    /// What comes next; `None` when the channel has ended. Cancel safe.
    async fn hear(&self, receiver: &mut Receiver) -> io::Result<Option<Word>> {
        Ok(match self {
            Self::Sala { .. } => receiver.recv().await?.map(Word::Frame),
            Self::Node { node, .. } => node.hear(receiver).await?.map(Word::Node),
        })
    }
}

impl Keeper {
    pub(super) fn new(
        shared: &Arc<Shared>,
        link: &Arc<Link>,
        phases: watch::Sender<Phase>,
        ear: Ear,
    ) -> Self {
        let now = Instant::now();
        Self {
            shared: Arc::clone(shared),
            link: Arc::clone(link),
            phases,
            ear,
            started: now,
            ready: None,
            heard: now,
            malformed: 0,
        }
    }

    pub(super) fn start(self, child: Child, receiver: Receiver) {
        tokio::spawn(self.run(child, receiver));
    }

    async fn run(mut self, mut child: Child, mut receiver: Receiver) {
        let ping = (self.shared.config.hang_timeout / 6).max(Duration::from_millis(10));
        let mut ping = tokio::time::interval(ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut speaks = true;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                word = self.ear.hear(&mut receiver), if speaks => match word {
                    Ok(Some(word)) => self.take(word, &mut receiver).await,
                    Ok(None) => speaks = false,
                    Err(error) => {
                        tracing::error!(worker = self.link.id, %error, "worker broke its channel; it is killed");
                        speaks = false;
                        self.kill(&mut child);
                    }
                },
                _ = ping.tick() => if self.hangs() {
                    self.kill(&mut child);
                },
                () = self.link.kill.notified() => self.kill(&mut child),
            }
        };
        // What it said last may still be there: connections that it passed on.
        while let Ok(Ok(Some(word))) =
            tokio::time::timeout(Duration::from_millis(100), self.ear.hear(&mut receiver)).await
        {
            self.take(word, &mut receiver).await;
        }
        self.end(status.unwrap_or_default());
        self.hand_over().await;
        self.last_words().await;
        self.shared.relay.detach(self.link.id);
    }

    /// What it sent to the others before it ended is carried before they are told that it has gone:
    /// otherwise it would seem to have come back.
    async fn last_words(&mut self) {
        if let Ear::Sala { bus, .. } = &mut self.ear {
            tokio::time::timeout(LAST_WORDS, bus).await.ok();
        }
    }

    async fn take(&mut self, word: Word, receiver: &mut Receiver) {
        self.heard = Instant::now();
        match word {
            Word::Frame(frame) => self.take_frame(frame, receiver),
            Word::Node(Heard::Said(said)) => self.take_node(said).await,
            Word::Node(Heard::Malformed) => self.malformed(),
        }
    }

    async fn take_node(&mut self, said: Said) {
        let Ear::Node { node, acks, route } = &mut self.ear else {
            return;
        };
        match said {
            Said::Publish(publish) => {
                self.shared.relay.publish(route, publish).await;
                self.ready();
            }
            Said::Ready => self.ready(),
            Said::Acknowledged => acks.notify_one(),
            Said::Listens => node.warn_of_listening(self.link.id),
            Said::Session { id, open } => {
                if node.note(&id, open) {
                    let sessions = node.sessions() as u64;
                    self.shared.table.session(self.link.id, id, open, sessions);
                }
            }
            Said::Other => {}
        }
    }

    /// The worker can serve.
    fn ready(&mut self) {
        let first = self.phases.send_if_modified(|phase| {
            let first = *phase == Phase::Starting;
            if first {
                *phase = Phase::Ready;
            }
            first
        });
        if first {
            self.ready = Some(Instant::now());
            let link = &self.link;
            tracing::info!(worker = link.id, pid = link.pid, "worker is ready");
            self.shared.table.add(Arc::clone(link));
        }
    }

    fn end(&self, status: ExitStatus) {
        let link = &self.link;
        self.shared.table.remove(link.id);
        link.control.close();
        if link.leaving.load(Ordering::Acquire) {
            tracing::info!(worker = link.id, pid = link.pid, %status, "worker has ended");
        } else {
            tracing::error!(worker = link.id, seat = link.seat + 1, pid = link.pid, %status, "worker died");
        }
        let served = self.ready.map_or(Duration::ZERO, |ready| ready.elapsed());
        self.phases
            .send_replace(Phase::Gone(Death { status, served }));
    }

    /// Sends connections that still waited for the worker to the others, the one too that could not be
    /// sent to it any more.
    async fn hand_over(&mut self) {
        if let Ear::Sala { sending, .. } = &mut self.ear {
            tokio::time::timeout(LAST_WORDS, sending).await.ok();
        }
        for parcel in self.link.control.drain() {
            let Some(descriptor) = parcel.descriptor else {
                continue;
            };
            match ToWorker::connection(&parcel.bytes) {
                Some(connection) if self.link.node.is_none() => {
                    self.dispatch(connection, descriptor);
                }
                // What is written for Node.js is not read back.
                _ => drop(tokio::spawn(refuse(descriptor))),
            }
        }
    }

    fn take_frame(&mut self, frame: Frame, receiver: &mut Receiver) {
        match ToPrimary::decode(frame) {
            Ok(ToPrimary::Ready) => self.ready(),
            Ok(ToPrimary::Report {
                sessions,
                newcomers,
            }) => {
                let table = &self.shared.table;
                table.report(self.link.id, sessions.into(), newcomers);
            }
            Ok(ToPrimary::PassOn(connection)) => match receiver.take_descriptor() {
                Ok(descriptor) => self.dispatch(connection, descriptor),
                Err(NoDescriptor::OutOfFiles) => self.shared.out_of_files(),
                Err(NoDescriptor::Missing) => self.malformed(),
            },
            Ok(ToPrimary::Pong) => {
                if *self.phases.borrow() == Phase::Ready {
                    self.shared.table.set_open(self.link.id, true);
                }
            }
            // The primary decides how long it may take, as if it had asked itself.
            Ok(ToPrimary::Leaving) => self.link.leave(&self.shared),
            Err(_) => self.malformed(),
        }
    }

    /// Sends a connection to whom its next request is for.
    fn dispatch(&self, connection: Connection, descriptor: OwnedFd) {
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
    fn hangs(&mut self) -> bool {
        let config = &self.shared.config;
        let link = &self.link;
        let silent = self.heard.elapsed();
        let starting = *self.phases.borrow() == Phase::Starting;
        if starting && self.started.elapsed() > config.start_timeout {
            tracing::error!(
                worker = link.id,
                pid = link.pid,
                "worker was not ready within {:?}; does it serve the connections of `sala_cluster::role()`? It is killed",
                config.start_timeout
            );
            return true;
        }
        let patience = match &self.ear {
            Ear::Sala { .. } => config.hang_timeout,
            // Nobody answers there, but the adapter says something every 5 s.
            Ear::Node { route, .. } if route.has_members() => {
                config.hang_timeout.max(NODE_HANG_TIMEOUT)
            }
            Ear::Node { .. } => return false,
        };
        if !starting && silent > patience {
            tracing::error!(
                worker = link.id,
                pid = link.pid,
                "worker hangs: it said nothing for {patience:?}; it is killed"
            );
            return true;
        }
        if link.node.is_none() {
            if !starting && silent > patience / 3 {
                self.shared.table.set_open(link.id, false);
            }
            // No room means that it hangs.
            link.control.push(ToWorker::Ping.encode().into()).ok();
        }
        false
    }

    /// Ends the worker, whatever it does, and what it has started in its process group.
    fn kill(&self, child: &mut Child) {
        // It may have ended just now.
        child.start_kill().ok();
        if let Some(pid) = i32::try_from(self.link.pid).ok().and_then(Pid::from_raw) {
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}
