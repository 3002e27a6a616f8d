//! The connections of a worker.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::Duration;

use sala_engine_proto::Network;
use sala_engine_proto::intake::{Arrival, Intake, Leave};
use tokio::sync::{Mutex, mpsc, watch};

use super::CONTROL_BYTES;
use crate::channel::control::{Connection, ToPrimary, Welcome};
use crate::channel::{Parcel, Queue};
use crate::sticky::Prefix;

/// What is left when the channel is gone.
const NOW: Leave = Leave {
    grace: Duration::ZERO,
    spread: Duration::ZERO,
};

/// A connection that the primary has passed.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) connection: Connection,
    pub(crate) descriptor: OwnedFd,
}

/// The [`Intake`] of a worker.
#[derive(Debug)]
pub(crate) struct Door {
    prefix: Prefix,
    trusted_proxies: Vec<Network>,
    queue: Queue,
    arrivals: Mutex<mpsc::Receiver<Arrived>>,
    newcomers: AtomicU64,
    /// Sessions and newcomers, as the primary was last told.
    reported: StdMutex<(u32, u64)>,
    leave: watch::Receiver<Option<Leave>>,
}

impl Door {
    pub(crate) fn new(
        welcome: Welcome,
        arrivals: mpsc::Receiver<Arrived>,
        leave: watch::Receiver<Option<Leave>>,
    ) -> Self {
        Self {
            prefix: welcome.prefix,
            trusted_proxies: welcome.trusted_proxies,
            queue: Queue::new(CONTROL_BYTES),
            arrivals: Mutex::new(arrivals),
            newcomers: AtomicU64::new(0),
            reported: StdMutex::default(),
            leave,
        }
    }

    /// What waits for the primary.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Asks to be let go.
    pub(crate) fn leaving(&self) {
        self.say(&ToPrimary::Leaving);
    }

    /// A connection was lost on the way: it is not to be waited for.
    pub(crate) fn lost(&self, connection: &Connection) {
        if connection.newcomer {
            self.newcomers.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn pong(&self) {
        self.say(&ToPrimary::Pong);
    }

    pub(crate) async fn asked_to_leave(&self) -> Leave {
        Intake::leave(self).await
    }

    fn say(&self, message: &ToPrimary) {
        // If there is no room, the primary hangs or has gone.
        self.queue.push(message.encode().into()).ok();
    }
}

impl Intake for Door {
    fn session_prefix(&self) -> [u8; 2] {
        self.prefix.text()
    }

    fn trusted_proxies(&self) -> Vec<Network> {
        self.trusted_proxies.clone()
    }

    fn begin(&self) {
        self.say(&ToPrimary::Ready);
    }

    fn next(&self) -> Pin<Box<dyn Future<Output = Option<Arrival>> + Send + '_>> {
        Box::pin(async {
            let arrived = self.arrivals.lock().await.recv().await?;
            if arrived.connection.newcomer {
                self.newcomers.fetch_add(1, Ordering::Relaxed);
            }
            Some(Arrival {
                stream: TcpStream::from(arrived.descriptor),
                read: arrived.connection.read.into(),
                remote: arrived.connection.remote,
                secure: arrived.connection.secure,
            })
        })
    }

    /// The first request is ours, since the primary has looked; so is a session of ours, which may
    /// be an old one that nobody knows any more. A handshake that is not the first request goes
    /// back, so that those behind a proxy are spread as well; while this worker leaves, all do.
    fn is_ours(&self, first: bool, session: Option<&str>) -> bool {
        match session {
            None => first && self.leave.borrow().is_none(),
            Some(session) => first || Prefix::of(session) == Some(self.prefix),
        }
    }

    fn pass_on(&self, arrival: Arrival) {
        let frame = ToPrimary::PassOn(Connection {
            remote: arrival.remote,
            secure: arrival.secure,
            read: arrival.read.into(),
            newcomer: false,
        });
        let parcel = Parcel::with(frame.encode(), arrival.stream.into());
        if self.queue.push(parcel).is_err() {
            tracing::error!("a connection could not be passed on: the primary takes nothing");
        }
    }

    /// Also when only newcomers have come: those that brought no session, such as the requests of a
    /// health check, would otherwise count as sessions to come.
    fn report(&self, sessions: usize) {
        let report = (sessions as u32, self.newcomers.load(Ordering::Relaxed));
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if *reported != report {
            *reported = report;
            let (sessions, newcomers) = report;
            self.say(&ToPrimary::Report {
                sessions,
                newcomers,
            });
        }
    }

    fn leave(&self) -> Pin<Box<dyn Future<Output = Leave> + Send>> {
        let mut leave = self.leave.clone();
        Box::pin(async move {
            let asked = leave.wait_for(Option::is_some).await;
            asked.ok().and_then(|asked| *asked).unwrap_or(NOW)
        })
    }
}
