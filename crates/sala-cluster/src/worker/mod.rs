//! A worker: what the primary started.

mod backend;
mod bus;
mod intake;
mod store;

use std::env;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use sala_engine_proto::intake::{Intake, Leave};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

pub(crate) use self::backend::NOTHING;
pub use self::backend::WorkerBackend;
use self::bus::Bus;
use self::intake::Door;
use crate::channel::control::{Connection, ToWorker};
use crate::channel::{self, NoDescriptor, Receiver, broken};
use crate::files;
use crate::outage::Outage;
use crate::primary::{Primary, WORKER};

/// What may wait for the primary.
const CONTROL_BYTES: usize = 8 << 20;
/// Connections that came and were not taken.
const MAX_ARRIVALS: usize = 4096;
/// How long the program may take to end by itself when the primary has gone.
const AFTER_PRIMARY: Duration = Duration::from_secs(10);
/// The exit status of a worker that did not end by itself when the primary had gone.
const ORPHANED: i32 = 70;

/// What this process is.
#[derive(Debug)]
pub enum Role {
    /// The one that was started by hand: describe the primary and run it.
    Primary(Primary),
    /// One that the primary started.
    Worker(Worker),
}

/// Tells whether this process is the primary or one of its workers: the reference's
/// `cluster.isPrimary`.
///
/// A worker is told by the environment variable `SALA_WORKER`; its standard input is the channel
/// to the primary, and is empty for everybody else from this call on. Call it once, early, and
/// within a runtime.
///
/// In both, the soft limit of open files is raised to the hard one. A worker that gets SIGTERM lets
/// go of its clients and ends, as on a reload; who wants it to end at once sends SIGKILL.
///
/// If the primary ends, [`Worker::leave`] resolves at once, and the process is ended ten seconds
/// later if it is still there.
///
/// # Errors
///
/// If the variable is set but there is no such channel: the process was started by somebody else.
pub async fn role() -> io::Result<Role> {
    Ok(match Worker::inherited().await? {
        None => Role::Primary(Primary::new()),
        Some(worker) => Role::Worker(worker),
    })
}

/// This process as a worker: where its connections come from, and how it reaches the other workers.
///
/// Cloning is cheap and gives the same worker.
#[derive(Clone)]
pub struct Worker(Arc<Inner>);

struct Inner {
    number: usize,
    recovery: bool,
    door: Arc<Door>,
    bus: Mutex<Option<StdUnixStream>>,
}

impl Worker {
    /// This process as a worker, if a primary started it: [`role`] for programs whose primary is
    /// another one, such as `sala cluster`. All that is said there holds here.
    ///
    /// # Errors
    ///
    /// As [`role`].
    pub async fn inherited() -> io::Result<Option<Self>> {
        match env::var(WORKER) {
            Err(_) => Ok(None),
            Ok(number) => Self::inherit(&number).await.map(Some),
        }
    }

    async fn inherit(number: &str) -> io::Result<Self> {
        let strange = |what: &str| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{WORKER} is set, but {what}: only the primary of a cluster sets it"),
            )
        };
        let number = number
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| strange("it is no number from 1 on"))?;
        if io::stdin().is_terminal() {
            return Err(strange("standard input is a terminal"));
        }
        let control = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        if control.peer_addr().is_err() {
            return Err(strange("standard input is no socket"));
        }
        let null = std::fs::File::open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        control.set_nonblocking(true)?;
        files::raise_limit();
        let watched = control.try_clone()?;
        let (mut sender, mut receiver) = channel::split(UnixStream::from_std(control)?);
        let frame = receiver
            .recv()
            .await?
            .ok_or_else(|| broken("the primary has gone"))?;
        let (Ok(ToWorker::Welcome(welcome)), Ok(bus)) =
            (ToWorker::decode(frame), receiver.take_descriptor())
        else {
            return Err(broken("the primary speaks another version"));
        };
        let (arrived, arrivals) = mpsc::channel(MAX_ARRIVALS);
        let (asked, leave) = watch::channel(None);
        let recovery = welcome.recovery;
        let door = Arc::new(Door::new(welcome, arrivals, leave));
        tokio::spawn({
            let door = Arc::clone(&door);
            async move { sender.drive(door.queue()).await }
        });
        tokio::spawn(tell_of_terminate(
            signal(SignalKind::terminate())?,
            Arc::clone(&door),
        ));
        let asked = Arc::new(asked);
        watch_primary(watched, Arc::clone(&asked))?;
        let listener = Listener {
            door: Arc::clone(&door),
            arrived,
            asked,
            out_of_files: Outage::default(),
        };
        tokio::spawn(listener.run(receiver));
        Ok(Self(Arc::new(Inner {
            number,
            recovery,
            door,
            bus: Mutex::new(Some(bus.into())),
        })))
    }

    /// The number of its seat, from 1 on. A successor has that of the worker it replaces.
    #[must_use]
    pub fn number(&self) -> usize {
        self.0.number
    }

    /// Where the connections of this worker come from, for the server to
    /// [serve](https://docs.rs/sala/latest/sala/struct.Server.html#method.serve_intake).
    #[must_use]
    pub fn intake(&self) -> Arc<dyn Intake> {
        Arc::clone(&self.0.door) as Arc<dyn Intake>
    }

    /// How the server reaches those of the other workers, for
    /// [`Server::builder().adapter(…)`](https://docs.rs/sala/latest/sala/struct.ServerBuilder.html#method.adapter):
    /// the official cluster adapter, without Node.js between. Give it to one server: a second one is
    /// told that the channel is in use.
    ///
    /// If the primary keeps lost sessions ([`Primary::recovery`]), the server's recovery uses them.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn backend(&self) -> WorkerBackend {
        let bus = self
            .0
            .bus
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let bus = bus.ok_or_else(|| io::Error::other("it is in use already"));
        WorkerBackend::new(bus.and_then(Bus::start), self.0.recovery)
    }

    /// Resolves when the worker is to end: the primary is ending or has gone, or a successor has
    /// taken over. A server that serves the [intake](Self::intake) heeds it by itself.
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn leave(&self) -> Leave {
        self.0.door.asked_to_leave().await
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("number", &self.0.number)
            .finish_non_exhaustive()
    }
}

/// Takes what the primary says.
struct Listener {
    door: Arc<Door>,
    arrived: mpsc::Sender<intake::Arrived>,
    asked: Arc<watch::Sender<Option<Leave>>>,
    out_of_files: Outage,
}

impl Listener {
    fn out_of_files(&self, connection: &Connection) {
        self.door.lost(connection);
        if self.out_of_files.begins() {
            tracing::error!(
                "a connection was lost: this worker has as many open files as it may have (ulimit -n)"
            );
        }
    }

    async fn run(self, mut receiver: Receiver) {
        loop {
            match receiver.recv().await {
                Ok(Some(frame)) => {
                    if !self.take(frame, &mut receiver).await {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "the channel to the primary broke");
                    break;
                }
            }
        }
        orphaned(&self.asked);
    }

    /// Returns whether the channel makes sense.
    async fn take(&self, frame: channel::Frame, receiver: &mut Receiver) -> bool {
        match ToWorker::decode(frame) {
            Ok(ToWorker::Connection(connection)) => {
                let descriptor = match receiver.take_descriptor() {
                    Ok(descriptor) => descriptor,
                    Err(NoDescriptor::OutOfFiles) => {
                        self.out_of_files(&connection);
                        return true;
                    }
                    Err(NoDescriptor::Missing) => return false,
                };
                let arrived = intake::Arrived {
                    connection,
                    descriptor,
                };
                // Waits if the program takes none: then it hangs, as far as clients can tell.
                self.arrived.send(arrived).await.is_ok()
            }
            Ok(ToWorker::Leave { grace, spread }) => {
                self.asked.send_replace(Some(Leave { grace, spread }));
                true
            }
            Ok(ToWorker::Ping) => {
                self.door.pong();
                true
            }
            Ok(ToWorker::Welcome(_)) | Err(_) => false,
        }
    }
}

/// Tells the primary when this process is asked to end, by systemd or by hand: it sends no more
/// clients, and says how long the others may take to go.
async fn tell_of_terminate(mut terminate: Signal, door: Arc<Door>) {
    while terminate.recv().await.is_some() {
        door.leaving();
    }
}

/// The primary has gone: nobody else will send clients, and a new primary starts new workers.
fn orphaned(asked: &watch::Sender<Option<Leave>>) {
    let leave = Leave {
        grace: AFTER_PRIMARY / 2,
        spread: Duration::from_secs(1),
    };
    asked.send_if_modified(|asked| {
        let first = asked.is_none();
        if first {
            tracing::error!("the primary has gone; this worker ends");
            *asked = Some(leave);
        }
        first
    });
}

/// Ends this process some time after the primary has gone, even if its runtime hangs: a worker
/// without a primary holds the clients of nobody's server.
fn watch_primary(
    channel: StdUnixStream,
    asked: Arc<watch::Sender<Option<Leave>>>,
) -> io::Result<()> {
    let watch = move || {
        loop {
            let mut polled = [PollFd::new(&channel, PollFlags::RDHUP)];
            match poll(&mut polled, None) {
                Err(error) if error == rustix::io::Errno::INTR => {}
                // Only a broken system refuses to tell; the listener still sees the end.
                Err(_) => return,
                Ok(_) => break,
            }
        }
        orphaned(&asked);
        std::thread::sleep(AFTER_PRIMARY);
        std::process::exit(ORPHANED);
    };
    std::thread::Builder::new()
        .name("sala-primary-watch".into())
        .spawn(watch)?;
    Ok(())
}
