//! Connection state recovery of one namespace.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sala_adapter::recovery::{MemoryStore, Restored, SavedSession};
use sala_adapter::{RoomSet, Target};
use sala_engine::Frame;

use crate::builder::Options;
use crate::error::Error;
use crate::socket::{Data, Socket};

/// What is kept of a socket.
type Saved = SavedSession<Data>;

/// The lost sessions of a namespace, and the packets that they may have missed.
pub(crate) struct RecoveryLog {
    store: Mutex<MemoryStore<Frame, Data>>,
    pub(crate) skip_middlewares: bool,
}

impl RecoveryLog {
    /// How often expired sessions and packets are removed.
    pub(crate) const SWEEP_INTERVAL: Duration = MemoryStore::<Frame, Data>::SWEEP_INTERVAL;

    /// A log, if the options want one.
    pub(crate) fn from_options(options: &Options) -> Option<Self> {
        let recovery = options.recovery.as_ref()?;
        let store = MemoryStore::new(
            recovery.retention.clone(),
            SystemTime::now(),
            Instant::now(),
        );
        Some(Self {
            store: Mutex::new(store),
            skip_middlewares: recovery.skip_middlewares,
        })
    }

    /// Logs a packet and sends it. `encode` appends the offset to the arguments; `send` puts the
    /// frame into the queues of its recipients, which happens before another packet is logged: what
    /// a client has seen last then tells exactly what it has missed. `send` must not call code of
    /// the user.
    pub(crate) fn append<R>(
        &self,
        target: &Target,
        encode: impl FnOnce(Option<&str>) -> Result<Frame, Error>,
        send: impl FnOnce(&Frame) -> R,
    ) -> Result<(Frame, R), Error> {
        let mut store = self.lock();
        let frame = store.append(target, Instant::now(), |offset| {
            let frame = encode(Some(offset.as_str()))?;
            let len = frame.len();
            Ok::<_, Error>((frame, len))
        })?;
        let sent = send(&frame);
        Ok((frame, sent))
    }

    /// Keeps a session that was taken for a client which is gone again.
    pub(crate) fn keep(&self, session: Saved) {
        self.lock().save(session, Instant::now());
    }

    /// Keeps the session of a socket that has left its rooms.
    pub(crate) fn save(&self, socket: &Socket, rooms: RoomSet) {
        let Some(pid) = socket.0.pid.clone() else {
            return;
        };
        let data = socket.data().snapshot();
        let session = Saved {
            sid: socket.id().clone(),
            pid,
            rooms,
            data,
        };
        self.keep(session);
    }

    /// Takes a session back. Nobody else can have it then.
    pub(crate) fn take(&self, pid: &str, offset: &str) -> Option<Restored<Frame, Data>> {
        self.lock().take(pid, offset, Instant::now())
    }

    /// Lets a socket with a session that was taken in: `enter` is given what the session has missed
    /// and must send it. Packets may have been sent since the session was taken, so what it missed
    /// is looked up again, while nobody can send more. `None`: the log does not go back that far any
    /// more. `enter` must not call code of the user.
    pub(crate) fn rejoin(
        &self,
        session: Saved,
        offset: &str,
        enter: impl FnOnce(Option<Vec<Frame>>) -> bool,
    ) -> bool {
        let mut store = self.lock();
        let now = Instant::now();
        let pid = session.pid.clone();
        store.save(session, now);
        let missed = store
            .take(pid.as_str(), offset, now)
            .map(|restored| restored.missed);
        enter(missed)
    }

    /// Removes what has expired.
    pub(crate) fn sweep(&self) {
        self.lock().sweep(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, MemoryStore<Frame, Data>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
