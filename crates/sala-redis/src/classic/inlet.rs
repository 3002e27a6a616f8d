//! The half that receives.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use sala_adapter::backend::{Context, Delivery, Follow, Inlet};
use sala_adapter::codec::{CodecError, CodecErrorKind};
use sala_adapter::{BackendError, Envelope, Room};

use super::names::Names;
use super::parser::Parser;
use super::read::{decode_broadcast, decode_request, decode_response};
use crate::connect::{Incoming, Message, Subscriber, Subscription};
use crate::named::Limits;

/// Receives what is published on the channels of namespaces.
pub struct ClassicInlet {
    names: Names,
    parser: Option<Arc<dyn Parser>>,
    context: Context,
    subscriber: Subscriber,
    limits: Limits,
    followed: HashMap<Vec<u8>, Meaning, RandomState>,
}

/// What a channel or pattern is followed for.
#[derive(Clone)]
enum Meaning {
    Broadcasts {
        namespace: Room,
        /// The length of the channel of the namespace: then comes the room.
        prefix: usize,
    },
    Requests(Room),
    Responses(Room),
}

impl ClassicInlet {
    pub(super) fn new(
        names: Names,
        parser: Option<Arc<dyn Parser>>,
        context: Context,
        subscriber: Subscriber,
        limits: Limits,
    ) -> Self {
        Self {
            names,
            parser,
            context,
            subscriber,
            limits,
            followed: HashMap::default(),
        }
    }

    /// The channel for requests comes last: who follows it is counted, and has to answer.
    fn of_namespace(&self, namespace: &Room) -> [(Subscription, Meaning); 4] {
        let (names, name) = (&self.names, namespace.as_str());
        let server = self.context.server.as_str();
        let broadcasts = Meaning::Broadcasts {
            namespace: namespace.clone(),
            prefix: names.broadcasts(name).len(),
        };
        let responses = || Meaning::Responses(namespace.clone());
        let requests = Meaning::Requests(namespace.clone());
        [
            (Subscription::pattern(names.pattern(name)), broadcasts),
            (Subscription::channel(names.responses(name)), responses()),
            (
                Subscription::channel(names.responses_to(name, server)),
                responses(),
            ),
            (Subscription::channel(names.requests(name)), requests),
        ]
    }

    async fn begin(&mut self, namespace: &Room) -> Result<(), BackendError> {
        let all = self.of_namespace(namespace);
        let subscriptions = all.clone().map(|(subscription, _)| subscription);
        for (subscription, meaning) in all {
            self.followed.insert(subscription.name, meaning);
        }
        self.subscriber.follow(&subscriptions).await
    }

    async fn end(&mut self, namespace: &Room) -> Result<(), BackendError> {
        let all = self
            .of_namespace(namespace)
            .map(|(subscription, _)| subscription);
        for subscription in &all {
            self.followed.remove(&subscription.name);
        }
        self.subscriber.leave(&all).await
    }

    /// What is to be told of something that came; `None` if nothing.
    fn deliver(&self, incoming: Incoming) -> Option<Delivery> {
        match incoming {
            Incoming::Message(message) => self.read(message),
            Incoming::TooLarge { channel, bytes } => {
                Some(malformed(&channel, self.limits.exceeded_by(bytes)))
            }
            Incoming::Lost(reason) => Some(Delivery::Lost {
                reason: reason.into(),
            }),
        }
    }

    fn read(&self, message: Message) -> Option<Delivery> {
        // What comes after the end of a subscription is for nobody.
        let meaning = self.followed.get(message.subscription())?;
        let payload = Bytes::from(message.payload);
        let parser = self.parser.as_deref();
        let read = match meaning {
            Meaning::Broadcasts { namespace, prefix } => {
                match self.is_for_us(namespace, message.channel.get(*prefix..)) {
                    true => decode_broadcast(&payload, namespace, parser),
                    false => return None,
                }
            }
            Meaning::Requests(namespace) => decode_request(&payload, namespace, parser).map(Some),
            Meaning::Responses(namespace) => decode_response(&payload, namespace, parser),
        };
        Some(self.told(&message.channel, payload.len(), read))
    }

    fn told(
        &self,
        channel: &[u8],
        bytes: usize,
        read: Result<Option<Envelope>, CodecError>,
    ) -> Delivery {
        match read {
            Ok(Some(envelope)) => match self.limits.check(&envelope.message, bytes) {
                Ok(()) => Delivery::Message {
                    envelope,
                    offset: None,
                },
                Err(error) => malformed(channel, error),
            },
            Ok(None) => Delivery::Foreign,
            Err(error) => match error.kind() {
                CodecErrorKind::UnknownType(_) => Delivery::Foreign,
                _ => malformed(channel, error.into()),
            },
        }
    }

    /// Whether a channel is that of the namespace, or of a room with members here: what others hear is not
    /// even read.
    fn is_for_us(&self, namespace: &Room, rest: Option<&[u8]>) -> bool {
        match rest {
            None | Some([]) => true,
            Some([room @ .., _]) => std::str::from_utf8(room).is_ok_and(|room| {
                let index = &self.context.rooms;
                index.has_room(namespace.as_str(), &Room::from(room))
            }),
        }
    }
}

fn malformed(channel: &[u8], error: BackendError) -> Delivery {
    Delivery::Malformed {
        source: String::from_utf8_lossy(channel).into(),
        error,
    }
}

impl Inlet for ClassicInlet {
    async fn follow(&mut self, change: &Follow) -> Result<(), BackendError> {
        match change {
            Follow::Namespace(namespace) => self.begin(namespace).await,
            Follow::LeaveNamespace(namespace) => self.end(namespace).await,
            // The pattern of the namespace has all its rooms.
            Follow::Room { .. } | Follow::LeaveRoom { .. } => Ok(()),
        }
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
        let all = self.followed.drain().map(|(name, meaning)| match meaning {
            Meaning::Broadcasts { .. } => Subscription::pattern(name),
            Meaning::Requests(_) | Meaning::Responses(_) => Subscription::channel(name),
        });
        let all: Vec<_> = all.collect();
        // If it fails, the connection is gone, and its subscriptions with it.
        let _ = self.subscriber.leave(&all).await;
    }
}
