//! The half that receives.

use std::collections::HashMap;

use bytes::Bytes;
use foldhash::fast::RandomState;
use sala_adapter::backend::{Delivery, Follow, Inlet};
use sala_adapter::codec::{self, CodecErrorKind};
use sala_adapter::{BackendError, Room, ServerId};

use super::channels::Channels;
use crate::connect::{Incoming, Subscriber, Subscription};
use crate::named::Limits;

/// Receives what is published on the channels of namespaces and rooms.
pub struct ShardedInlet {
    channels: Channels,
    server: ServerId,
    subscriber: Subscriber,
    limits: Limits,
    /// Which namespaces a channel is followed for: usually one, but the room `x` of `/` and the
    /// namespace `/#x` have the same channel.
    followed: HashMap<Vec<u8>, Vec<Room>, RandomState>,
}

impl ShardedInlet {
    pub(super) fn new(
        channels: Channels,
        server: ServerId,
        subscriber: Subscriber,
        limits: Limits,
    ) -> Self {
        Self {
            channels,
            server,
            subscriber,
            limits,
            followed: HashMap::default(),
        }
    }

    /// Notes a change, and returns what Redis has to be told of it.
    fn change(&mut self, change: &Follow) -> (bool, Vec<Subscription>) {
        match change {
            Follow::Namespace(namespace) => (true, self.begin(namespace, None)),
            Follow::LeaveNamespace(namespace) => (false, self.end(namespace, None)),
            Follow::Room { namespace, room } => (true, self.begin(namespace, Some(room))),
            Follow::LeaveRoom { namespace, room } => (false, self.end(namespace, Some(room))),
        }
    }

    fn begin(&mut self, namespace: &Room, room: Option<&Room>) -> Vec<Subscription> {
        let mut new = Vec::new();
        for name in self.names(namespace, room) {
            let owners = self.followed.entry(name.clone().into_bytes()).or_default();
            if owners.is_empty() {
                new.push(Subscription::shard(name));
            }
            owners.push(namespace.clone());
        }
        new
    }

    fn end(&mut self, namespace: &Room, room: Option<&Room>) -> Vec<Subscription> {
        let mut old = Vec::new();
        for name in self.names(namespace, room) {
            let Some(owners) = self.followed.get_mut(name.as_bytes()) else {
                continue;
            };
            if let Some(i) = owners.iter().position(|owner| owner == namespace) {
                owners.swap_remove(i);
            }
            if owners.is_empty() {
                self.followed.remove(name.as_bytes());
                old.push(Subscription::shard(name));
            }
        }
        old
    }

    /// The channels of a room, or of the namespace itself.
    fn names(&self, namespace: &Room, room: Option<&Room>) -> Vec<String> {
        let (channels, namespace) = (&self.channels, namespace.as_str());
        match room {
            Some(room) => vec![channels.within(namespace, room.as_str())],
            None => vec![
                channels.within(namespace, self.server.as_str()),
                channels.namespace(namespace),
            ],
        }
    }

    async fn tell(&self, begin: bool, what: &[Subscription]) -> Result<(), BackendError> {
        match (what, begin) {
            ([], _) => Ok(()),
            (what, true) => self.subscriber.follow(what).await,
            (what, false) => self.subscriber.leave(what).await,
        }
    }

    /// What is to be told of something that came; `None` if nothing.
    fn deliver(&self, incoming: Incoming) -> Option<Delivery> {
        match incoming {
            Incoming::Message(message) => self.read(message.channel, message.payload.into()),
            Incoming::TooLarge { channel, bytes } => {
                Some(malformed(&channel, self.limits.exceeded_by(bytes)))
            }
            Incoming::Lost(reason) => Some(Delivery::Lost {
                reason: reason.into(),
            }),
        }
    }

    fn read(&self, channel: Vec<u8>, payload: Bytes) -> Option<Delivery> {
        // What comes after the end of a subscription is for nobody.
        let owners = self.followed.get(&channel)?;
        match codec::decode(&payload, None) {
            Ok(envelope) if owners.contains(&envelope.namespace) => {
                let offset = None;
                Some(match self.limits.check(&envelope.message, payload.len()) {
                    Ok(()) => Delivery::Message { envelope, offset },
                    Err(error) => malformed(&channel, error),
                })
            }
            // Of another namespace whose channel has the same name.
            Ok(_) => Some(Delivery::Foreign),
            Err(error) => match error.kind() {
                CodecErrorKind::UnknownType(_) => Some(Delivery::Foreign),
                _ => Some(malformed(&channel, error.into())),
            },
        }
    }
}

fn malformed(channel: &[u8], error: BackendError) -> Delivery {
    Delivery::Malformed {
        source: String::from_utf8_lossy(channel).into(),
        error,
    }
}

impl Inlet for ShardedInlet {
    async fn follow(&mut self, change: &Follow) -> Result<(), BackendError> {
        self.follow_all(std::slice::from_ref(change)).await
    }

    /// Changes of the same kind that follow each other cost one round trip: a server that comes back has
    /// thousands of rooms.
    async fn follow_all(&mut self, changes: &[Follow]) -> Result<(), BackendError> {
        let (mut kind, mut pending) = (true, Vec::new());
        for change in changes {
            let (begin, what) = self.change(change);
            if begin != kind {
                self.tell(kind, &std::mem::take(&mut pending)).await?;
                kind = begin;
            }
            pending.extend(what);
        }
        self.tell(kind, &pending).await
    }

    async fn recv(&mut self) -> Result<Delivery, BackendError> {
        loop {
            let incoming = self.subscriber.recv().await?;
            if let Some(delivery) = self.deliver(incoming) {
                return Ok(delivery);
            }
        }
    }

    async fn close(&mut self) {
        let all = self
            .followed
            .drain()
            .map(|(name, _)| Subscription::shard(name));
        let all: Vec<_> = all.collect();
        // If it fails, the connection is gone, and its subscriptions with it.
        let _ = self.tell(false, &all).await;
    }
}
