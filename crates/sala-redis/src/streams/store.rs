//! Sessions for connection state recovery, and what they have missed.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value as Answer};
use sala_adapter::adapter::BoxFuture;
use sala_adapter::message::Message;
use sala_adapter::recovery::{
    Offset, PrivateId, RecoveryError, RecoveryStore, Restored, SavedSession,
};
use sala_adapter::target::RoomSet;
use sala_proto::{RawArgs, Value};

use super::StreamsOptions;
use super::entry::Fields;
use super::id::StreamId;
use super::reader::{Entry, entries};
use super::session;
use crate::connect::{Connector, Renewed};

/// How many entries are read at once.
const PAGE: usize = 250;

/// How many entries are looked at for one client. A client that was away for more of them connects as a new
/// one.
const MAX_LOOKED_AT: usize = 100_000;

/// How many packets, and bytes of them, one client can get.
const MAX_MISSED: usize = 65_536;
const MAX_MISSED_BYTES: usize = 32 << 20;

type Missed = Vec<(RawArgs, Offset)>;

/// Keeps sessions in Redis, beside the streams in which the packets are.
pub(super) struct SessionStore {
    options: Arc<StreamsOptions>,
    commands: Renewed,
}

impl SessionStore {
    pub(super) fn new(options: Arc<StreamsOptions>, connector: Connector) -> Self {
        Self {
            options,
            commands: Renewed::new(connector),
        }
    }

    fn key(&self, pid: &PrivateId) -> String {
        format!("{}{}", self.options.session_prefix, pid.as_str())
    }

    async fn run(&self, doing: &str, key: &str, command: Cmd) -> Result<Answer, RecoveryError> {
        let answer = self.commands.run(doing, key.as_bytes(), &command).await;
        answer.map_err(RecoveryError::new)
    }

    async fn save_session(
        &self,
        session: &SavedSession<Value>,
        ttl: Duration,
    ) -> Result<(), RecoveryError> {
        let text = session::encode(session).map_err(RecoveryError::new)?;
        let key = self.key(&session.pid);
        let mut set = redis::cmd("SET");
        // Redis refuses a life of nothing.
        let ttl = ttl.as_millis().max(1) as u64;
        set.arg(&key).arg(&text[..]).arg("PX").arg(ttl);
        self.run("saving a session", &key, set).await.map(drop)
    }

    async fn take_session(
        &self,
        pid: &PrivateId,
    ) -> Result<Option<SavedSession<Value>>, RecoveryError> {
        let key = self.key(pid);
        let mut get = redis::cmd("GETDEL");
        get.arg(&key);
        let text = match self.run("taking a session", &key, get).await? {
            Answer::BulkString(text) => text,
            _ => return Ok(None),
        };
        let session = session::decode(&text).map_err(RecoveryError::new)?;
        Ok((session.pid == *pid).then_some(session))
    }

    async fn take_all(
        &self,
        namespace: &str,
        pid: &PrivateId,
        offset: &Offset,
    ) -> Result<Option<Restored<(RawArgs, Offset), Value>>, RecoveryError> {
        let Some(offset) = StreamId::parse(offset.as_bytes()) else {
            return Ok(None);
        };
        let Some(session) = self.take_session(pid).await? else {
            return Ok(None);
        };
        let missed = self.missed_since(namespace, &session.rooms, offset).await?;
        Ok(missed.map(|missed| Restored { session, missed }))
    }

    /// What was written after an entry for members of these rooms. `None` if that entry is no longer
    /// there, or if it would be too much.
    async fn missed_since(
        &self,
        namespace: &str,
        rooms: &RoomSet,
        after: StreamId,
    ) -> Result<Option<Missed>, RecoveryError> {
        let (mut missed, mut bytes, mut looked_at) = (Missed::new(), 0, 0);
        let mut last = after;
        loop {
            let mut page = self.page(namespace, last).await?.into_iter();
            // Each page begins with the end of the one before: nothing was trimmed in between.
            if page.next().is_none_or(|entry| entry.id != last) {
                return Ok(None);
            }
            let length = page.len();
            for entry in page {
                last = entry.id;
                if let Some(packet) = packet_for(namespace, rooms, entry) {
                    bytes += packet.weight();
                    missed.push((packet, last.into()));
                }
            }
            looked_at += length;
            let is_too_much =
                looked_at > MAX_LOOKED_AT || missed.len() > MAX_MISSED || bytes > MAX_MISSED_BYTES;
            if is_too_much {
                tracing::warn!(
                    namespace,
                    packets = missed.len(),
                    bytes,
                    looked_at,
                    "a client missed too much to be recovered; it connects as a new one"
                );
                return Ok(None);
            }
            if length + 1 < PAGE {
                return Ok(Some(missed));
            }
        }
    }

    /// A page of the namespace's stream that begins with an entry.
    async fn page(&self, namespace: &str, from: StreamId) -> Result<Vec<Entry>, RecoveryError> {
        let stream = self.options.stream_of(namespace);
        let mut range = redis::cmd("XRANGE");
        range.arg(&stream).arg(from).arg("+").arg("COUNT").arg(PAGE);
        let answer = self.run("reading missed packets", &stream, range).await?;
        entries(answer).map_err(RecoveryError::new)
    }
}

/// The packet of an entry, if a session in these rooms has missed it. Volatile ones are not missed: to be lost
/// while the client is away is what they are for.
fn packet_for(namespace: &str, rooms: &RoomSet, entry: Entry) -> Option<RawArgs> {
    let fields = Fields::from_pairs(entry.pairs).ok()?;
    if fields.kind != 3 || fields.nsp != namespace.as_bytes() {
        return None;
    }
    // Whoever reads the stream reports what is malformed in it.
    match fields.decode().ok()?.message {
        Message::Broadcast {
            packet,
            target,
            request: None,
        } => (!target.flags.volatile && target.matches(rooms)).then_some(packet),
        _ => None,
    }
}

impl RecoveryStore for SessionStore {
    fn save<'a>(
        &'a self,
        _namespace: &'a str,
        session: SavedSession<Value>,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), RecoveryError>> {
        Box::pin(async move { self.save_session(&session, ttl).await })
    }

    fn take<'a>(
        &'a self,
        namespace: &'a str,
        pid: &'a PrivateId,
        offset: &'a Offset,
    ) -> BoxFuture<'a, Result<Option<Restored<(RawArgs, Offset), Value>>, RecoveryError>> {
        Box::pin(self.take_all(namespace, pid, offset))
    }

    fn missed<'a>(
        &'a self,
        namespace: &'a str,
        rooms: &'a RoomSet,
        after: &'a Offset,
    ) -> BoxFuture<'a, Result<Missed, RecoveryError>> {
        Box::pin(async move {
            let after = StreamId::parse(after.as_bytes())
                .ok_or_else(|| RecoveryError::new("this is no offset of a stream"))?;
            let missed = self.missed_since(namespace, rooms, after).await?;
            missed.ok_or_else(|| RecoveryError::new("the stream was trimmed, or it is too much"))
        })
    }
}
