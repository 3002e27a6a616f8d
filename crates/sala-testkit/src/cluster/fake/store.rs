use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sala_adapter::message::Message;
use sala_adapter::recovery::{
    Offset, PrivateId, RecoveryError, RecoveryStore, Restored, SavedSession, TakenSession,
};
use sala_adapter::{BoxFuture, RoomSet};
use sala_proto::RawArgs;
use tokio::time::Instant;

use super::broker::FakeBroker;

/// The lost sessions that a broker keeps, and until when.
pub(super) type Sessions = Mutex<HashMap<(String, PrivateId), (SavedSession, Instant)>>;

/// Sessions beside the log of a broker.
pub(super) struct FakeStore {
    pub(super) broker: FakeBroker,
}

impl FakeStore {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, PrivateId), (SavedSession, Instant)>> {
        let sessions = self.broker.sessions.lock();
        sessions.unwrap_or_else(PoisonError::into_inner)
    }

    fn after(&self, nsp: &str, rooms: &RoomSet, offset: &Offset) -> Option<Vec<(RawArgs, Offset)>> {
        let log = self.broker.log_after(offset)?.into_iter();
        let missed = log.filter_map(|logged| match logged.envelope.message {
            Message::Broadcast { packet, target, .. }
                if logged.envelope.namespace == nsp && target.matches(rooms) =>
            {
                Some((packet, logged.offset))
            }
            _ => None,
        });
        Some(missed.collect())
    }
}

impl RecoveryStore for FakeStore {
    fn save<'a>(
        &'a self,
        namespace: &'a str,
        session: SavedSession,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), RecoveryError>> {
        Box::pin(async move {
            let key = (namespace.to_owned(), session.pid.clone());
            self.lock().insert(key, (session, Instant::now() + ttl));
            Ok(())
        })
    }

    fn take<'a>(
        &'a self,
        namespace: &'a str,
        pid: &'a PrivateId,
        offset: &'a Offset,
    ) -> BoxFuture<'a, Result<Option<TakenSession>, RecoveryError>> {
        Box::pin(async move {
            let taken = self.lock().remove(&(namespace.to_owned(), pid.clone()));
            let fresh = taken.filter(|(_, until)| *until > Instant::now());
            Ok(fresh.and_then(|(session, _)| {
                let missed = self.after(namespace, &session.rooms, offset)?;
                Some(Restored { session, missed })
            }))
        })
    }

    fn missed<'a>(
        &'a self,
        namespace: &'a str,
        rooms: &'a RoomSet,
        after: &'a Offset,
    ) -> BoxFuture<'a, Result<Vec<(RawArgs, Offset)>, RecoveryError>> {
        Box::pin(async move { Ok(self.after(namespace, rooms, after).unwrap_or_default()) })
    }
}
