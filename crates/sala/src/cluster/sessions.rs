//! Lost sessions in a store that all servers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sala_adapter::RoomSet;
use sala_adapter::recovery::{Offset, PrivateId, RecoveryError, RecoveryStore, SavedSession};
use sala_proto::RawArgs;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::error::{ErrorContext, ErrorKind, HandlerError};
use crate::namespace::Namespace;
use crate::socket::{Data, Socket};

/// How long the store may take. A client waits meanwhile, and so does a server that closes.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a session has missed, in the order of the log.
pub(crate) type Missed = Vec<(RawArgs, Offset)>;

/// What is under way between this server and the store.
#[derive(Default)]
pub(crate) struct Sessions {
    saving: AtomicUsize,
    saved: Notify,
    /// The store has failed, and the application knows.
    failing: AtomicBool,
}

impl Sessions {
    /// Resolves when no session is being saved.
    pub(crate) async fn saved(&self) {
        loop {
            let saved = self.saved.notified();
            if self.saving.load(Ordering::Acquire) == 0 {
                return;
            }
            saved.await;
        }
    }
}

/// Counts one session that is being saved.
struct Saving(Namespace);

impl Saving {
    fn begin(nsp: &Namespace) -> Self {
        nsp.shared.sessions.saving.fetch_add(1, Ordering::AcqRel);
        Self(nsp.clone())
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        let sessions = &self.0.shared.sessions;
        if sessions.saving.fetch_sub(1, Ordering::AcqRel) == 1 {
            sessions.saved.notify_waiters();
        }
    }
}

/// Keeps the session of a socket that has left its rooms. It counts as being saved from this call on.
pub(crate) fn save(
    socket: &Socket,
    store: &Arc<dyn RecoveryStore>,
    rooms: RoomSet,
) -> Option<impl Future<Output = ()> + Send + use<>> {
    let session = SavedSession {
        sid: socket.id().clone(),
        pid: socket.0.pid.clone()?,
        rooms,
        data: socket.data().snapshot(),
    };
    Some(keep(socket.nsp(), store, session))
}

/// Gives a session back that was taken for a client which is gone again.
pub(crate) fn put_back(nsp: &Namespace, session: SavedSession<Data>) {
    if let Some(log) = nsp.inner.log() {
        return log.keep(session);
    }
    let store = nsp.inner.link().and_then(|link| link.store.as_ref());
    // Without a runtime the process is at its end.
    if let (Some(store), Ok(runtime)) = (store, tokio::runtime::Handle::try_current()) {
        runtime.spawn(keep(nsp, store, session));
    }
}

fn keep(
    nsp: &Namespace,
    store: &Arc<dyn RecoveryStore>,
    session: SavedSession<Data>,
) -> impl Future<Output = ()> + Send + use<> {
    let saving = Saving::begin(nsp);
    let store = store.clone();
    let session = SavedSession {
        sid: session.sid,
        pid: session.pid,
        rooms: session.rooms,
        data: session.data.to_value(),
    };
    async move {
        let nsp = &saving.0;
        let recovery = nsp.shared.options.recovery.as_ref();
        let ttl = recovery.map_or(Duration::ZERO, |recovery| recovery.duration);
        checked(nsp, "saved", store.save(nsp.name(), session, ttl)).await;
    }
}

/// Takes a session back, if there is one.
pub(crate) async fn take(
    nsp: &Namespace,
    store: &dyn RecoveryStore,
    pid: &PrivateId,
    offset: &Offset,
) -> Option<(SavedSession<Data>, Missed)> {
    let taken = checked(nsp, "taken back", store.take(nsp.name(), pid, offset)).await??;
    let session = SavedSession {
        sid: taken.session.sid,
        pid: taken.session.pid,
        rooms: taken.session.rooms,
        data: Data::from_value(taken.session.data),
    };
    Some((session, taken.missed))
}

/// What was logged for a session after `offset`. `None` if the store failed.
pub(crate) async fn missed(
    nsp: &Namespace,
    store: &dyn RecoveryStore,
    rooms: &RoomSet,
    after: &Offset,
) -> Option<Missed> {
    checked(nsp, "completed", store.missed(nsp.name(), rooms, after)).await
}

/// Waits for the store, but not for ever, and tells the application once that it fails.
async fn checked<T>(
    nsp: &Namespace,
    what: &str,
    asked: impl Future<Output = Result<T, RecoveryError>>,
) -> Option<T> {
    let failing = &nsp.shared.sessions.failing;
    let error: HandlerError = match timeout(STORE_TIMEOUT, asked).await {
        Ok(Ok(done)) => {
            failing.store(false, Ordering::Release);
            return Some(done);
        }
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let cause = cause.unwrap_or_else(|| error.to_string());
            format!("a session could not be {what}: {cause}").into()
        }
        Err(_) => format!("a session could not be {what}: no answer in {STORE_TIMEOUT:?}").into(),
    };
    if failing.swap(true, Ordering::AcqRel) {
        tracing::debug!(namespace = nsp.name(), %error, "connection state recovery failed");
    } else {
        nsp.shared.report(&ErrorContext {
            socket: None,
            namespace: nsp.name(),
            event: None,
            kind: ErrorKind::Recovery,
            error: &error,
        });
    }
    None
}
