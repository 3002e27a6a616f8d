//! The recovery store of the workers: it lives in the primary.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sala_adapter::BoxFuture;
use sala_adapter::codec;
use sala_adapter::message::Message;
use sala_adapter::recovery::{
    Offset, PrivateId, RecoveryError, RecoveryStore, Restored, SavedSession,
};
use sala_adapter::target::RoomSet;
use sala_proto::wire::{Reader, Writer};
use sala_proto::{RawArgs, Value};

use super::backend::texts;
use super::bus::{Bus, Gone};
use crate::channel::bus::{Answer, Ask};
use crate::channel::wire::Text;

/// Asks the primary.
#[derive(Debug)]
pub(super) struct Store {
    bus: Arc<Bus>,
}

type Packets = Vec<(RawArgs, Offset)>;

impl Store {
    pub(super) fn new(bus: Arc<Bus>) -> Self {
        Self { bus }
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, RecoveryError> {
        let gone = |Gone| RecoveryError::new("the primary has gone");
        match self.bus.ask(ask).await.map_err(gone)? {
            Answer::Off => Err(RecoveryError::new("the primary keeps no sessions")),
            answer => Ok(answer),
        }
    }
}

impl RecoveryStore for Store {
    /// The time to live is that of the primary's retention.
    fn save<'a>(
        &'a self,
        namespace: &'a str,
        session: SavedSession<Value>,
        _: Duration,
    ) -> BoxFuture<'a, Result<(), RecoveryError>> {
        Box::pin(async move {
            let mut data = Vec::new();
            Writer::msgpack(&mut data)
                .value(&session.data)
                .map_err(RecoveryError::new)?;
            let ask = Ask::Save {
                namespace: namespace.into(),
                pid: session.pid.as_str().into(),
                sid: session.sid.as_str().into(),
                rooms: texts(&session.rooms),
                data: data.into(),
            };
            self.ask(ask).await.map(drop)
        })
    }

    fn take<'a>(
        &'a self,
        namespace: &'a str,
        pid: &'a PrivateId,
        offset: &'a Offset,
    ) -> BoxFuture<'a, Result<Option<Restored<(RawArgs, Offset), Value>>, RecoveryError>> {
        Box::pin(async move {
            let ask = Ask::Take {
                namespace: namespace.into(),
                pid: pid.as_str().into(),
                offset: offset.as_str().into(),
            };
            let Answer::Taken {
                sid,
                rooms,
                data,
                missed,
            } = self.ask(ask).await?
            else {
                return Ok(None);
            };
            let session = SavedSession {
                sid: sid.as_str().into(),
                pid: pid.clone(),
                rooms: rooms.iter().map(Text::as_str).collect(),
                data: Reader::msgpack(&data).value().map_err(RecoveryError::new)?,
            };
            let missed = packets(missed)?;
            Ok(Some(Restored { session, missed }))
        })
    }

    fn missed<'a>(
        &'a self,
        namespace: &'a str,
        rooms: &'a RoomSet,
        after: &'a Offset,
    ) -> BoxFuture<'a, Result<Packets, RecoveryError>> {
        Box::pin(async move {
            let ask = Ask::Missed {
                namespace: namespace.into(),
                rooms: texts(rooms),
                after: after.as_str().into(),
            };
            match self.ask(ask).await? {
                Answer::Missed(missed) => packets(missed),
                _ => Err(RecoveryError::new("the log no longer goes back that far")),
            }
        })
    }
}

fn packets(packets: Vec<(Text, Bytes)>) -> Result<Packets, RecoveryError> {
    let packet = |(offset, body): (Text, Bytes)| {
        let envelope = codec::decode(&body, None).map_err(RecoveryError::new)?;
        match envelope.message {
            Message::Broadcast { packet, .. } => Ok((packet, offset.as_str().into())),
            _ => Err(RecoveryError::new("the log holds what is no event")),
        }
    };
    packets.into_iter().map(packet).collect()
}
