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
use tokio::sync::oneshot;

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

    /// Asks for a session. It is given out once: should nobody wait for it when it comes, it goes back.
    async fn session(
        &self,
        namespace: Text,
        pid: Text,
        offset: Text,
    ) -> Result<Answer, RecoveryError> {
        let (sender, receiver) = oneshot::channel();
        let store = Self::new(Arc::clone(&self.bus));
        tokio::spawn(async move {
            let ask = Ask::Take {
                namespace: namespace.clone(),
                pid: pid.clone(),
                offset,
            };
            let unwanted = sender.send(store.ask(ask).await);
            if let Err(Ok(Answer::Taken {
                sid, rooms, data, ..
            })) = unwanted
            {
                let ask = Ask::Save {
                    namespace,
                    pid,
                    sid,
                    rooms,
                    data,
                };
                // If the primary has gone, so has its log.
                store.ask(ask).await.ok();
            }
        });
        let answer = receiver.await;
        answer.map_err(|_| RecoveryError::new("the runtime is ending"))?
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
            let (pid_text, offset) = (pid.as_str().into(), offset.as_str().into());
            let Answer::Taken {
                sid,
                rooms,
                data,
                missed,
            } = self.session(namespace.into(), pid_text, offset).await?
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel;
    use crate::channel::bus::{Downstream, Upstream};

    /// On a machine that was too busy, a server gave up waiting for a session, which came a moment later and
    /// was lost: its client could not recover any more.
    #[tokio::test]
    async fn a_session_that_comes_too_late_goes_back() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let theirs = tokio::net::UnixStream::from_std(theirs).unwrap();
        let (mut sender, mut receiver) = channel::split(theirs);
        let (bus, _inbound) = Bus::start(ours).unwrap();
        let store = Store::new(bus);
        let (pid, offset) = (PrivateId::from("pid"), Offset::from("offset"));
        let asked = tokio::select! {
            biased;
            _ = store.take("/", &pid, &offset) => panic!("nobody has answered"),
            asked = receiver.recv() => asked.unwrap().unwrap(),
        };
        let Ok(Upstream::Ask(number, Ask::Take { .. })) = Upstream::decode(asked) else {
            panic!("no session was asked for");
        };
        let answer = Answer::Taken {
            sid: "sid".into(),
            rooms: vec!["room".into()],
            data: Bytes::from_static(b"\xc0"),
            missed: Vec::new(),
        };
        let answer = Downstream::Answer { number, answer }.encode();
        sender.write(&answer, None).await.unwrap();
        let saved = Upstream::decode(receiver.recv().await.unwrap().unwrap());
        let ask = Ask::Save {
            namespace: "/".into(),
            pid: "pid".into(),
            sid: "sid".into(),
            rooms: vec!["room".into()],
            data: Bytes::from_static(b"\xc0"),
        };
        assert_eq!(saved, Ok(Upstream::Ask(number + 1, ask)));
    }
}
