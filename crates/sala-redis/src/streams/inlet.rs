//! Reads the streams, and receives what is published.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sala_adapter::backend::{BackendError, Delivery, Follow, Inlet};
use sala_adapter::codec;
use sala_adapter::target::{Room, ServerId};
use tokio::sync::mpsc;

use super::StreamsOptions;
use super::entry::Fields;
use super::id::StreamId;
use super::places::Places;
use super::reader::{Entry, Gap, Handed, Pace, Read, Reader, first_id, newest};
use crate::connect::{Commands, Connector, Incoming, Node, Subscriber, Subscription, too_large};
use crate::error::failed;

/// The half of [`Streams`](super::Streams) that receives.
pub struct StreamsInlet {
    options: Arc<StreamsOptions>,
    server: ServerId,
    connector: Connector,
    places: Arc<Mutex<Places>>,
    subscriber: Subscriber,
    commands: Commands,
    readers: HashMap<String, Reader>,
    readings: mpsc::Receiver<Handed>,
    readings_sender: mpsc::Sender<Handed>,
    /// Read, and not yet handed on.
    current: Current,
    is_settled: bool,
}

#[derive(Default)]
struct Current {
    stream: Arc<str>,
    gap: Option<Gap>,
    entries: std::vec::IntoIter<Entry>,
}

impl StreamsInlet {
    pub(super) fn new(
        options: Arc<StreamsOptions>,
        server: ServerId,
        connector: Connector,
        places: Arc<Mutex<Places>>,
        subscriber: Subscriber,
        commands: Commands,
    ) -> Self {
        lock(&places).reopen();
        // Each reader holds one reading more, which it has at hand.
        let (readings_sender, readings) = mpsc::channel(1);
        Self {
            options,
            server,
            connector,
            places,
            subscriber,
            commands,
            readers: HashMap::new(),
            readings,
            readings_sender,
            current: Current::default(),
            is_settled: false,
        }
    }

    fn subscriptions(&self, namespace: &Room) -> [Subscription; 2] {
        let namespace = namespace.as_str();
        let subscription = |name: String| match self.options.sharded {
            true => Subscription::shard(name),
            false => Subscription::channel(name),
        };
        [None, Some(&self.server)]
            .map(|server| subscription(self.options.channel(namespace, server)))
    }

    async fn enter(&mut self, namespace: &Room) -> Result<(), BackendError> {
        let stream = self.options.stream_of(namespace.as_str());
        let end = self.end_of(&stream).await?;
        self.warn_if_unheard(namespace, &stream);
        let place = lock(&self.places).follow(namespace, &stream, end);
        if !self.readers.contains_key(&stream) {
            let node = self.connector.waiting(stream.as_bytes()).await?;
            let reader = self.read(node, &stream, place);
            self.readers.insert(stream, reader);
        }
        self.subscriber.follow(&self.subscriptions(namespace)).await
    }

    /// Once for each namespace.
    fn warn_if_unheard(&self, namespace: &Room, stream: &str) {
        let is_heard = self.options.is_read_by_the_reference(namespace.as_str());
        if !is_heard && !lock(&self.places).knows(namespace) {
            tracing::warn!(
                %namespace,
                stream,
                "Node.js servers do not read the stream of this namespace (its hash is negative) and will not hear what others send in it: rename the namespace, or use one stream"
            );
        }
    }

    /// What the reference asks for with `$`, once: to ask again before each reading would skip what is
    /// written between two.
    async fn end_of(&self, stream: &str) -> Result<StreamId, BackendError> {
        let doing = "looking at the stream's end";
        let key = stream.as_bytes();
        let answer = self.commands.run(doing, key, newest(stream)).await?;
        first_id(answer).map_err(|error| failed(doing, stream, error))
    }

    fn read(&self, node: Node, stream: &str, place: StreamId) -> Reader {
        let pace = Pace {
            count: self.options.read_count,
            block: self.options.block,
            patience: self.connector.limits().command_timeout,
        };
        Reader::start(
            node,
            stream.into(),
            place,
            pace,
            self.readings_sender.clone(),
        )
    }

    async fn leave(&mut self, namespace: &Room) -> Result<(), BackendError> {
        let unused = lock(&self.places).leave(namespace);
        if let Some(stream) = unused {
            self.readers.remove(&stream);
        }
        self.subscriber.leave(&self.subscriptions(namespace)).await
    }

    /// The next of what was read that matters to us.
    fn pop(&mut self) -> Option<Delivery> {
        if let Some(gap) = self.current.gap.take() {
            return Some(self.report(gap));
        }
        let mut places = lock(&self.places);
        for entry in self.current.entries.by_ref() {
            let stream = &self.current.stream;
            let fields = match Fields::from_pairs(entry.pairs) {
                Ok(fields) => fields,
                Err(error) => {
                    places.pass(stream, entry.id, None);
                    return Some(malformed(stream, entry.id, error));
                }
            };
            let namespace = std::str::from_utf8(&fields.nsp).ok().map(Room::from);
            let is_followed = places.pass(stream, entry.id, namespace.as_ref());
            if is_followed && fields.uid != self.server.as_bytes() {
                return Some(self.deliver(entry.id, &fields));
            }
        }
        None
    }

    fn deliver(&self, id: StreamId, fields: &Fields) -> Delivery {
        let stream = &self.current.stream;
        let bytes = fields.weight();
        let limit = self.connector.limits().max_message;
        if bytes > limit {
            return malformed(stream, id, too_large(bytes, limit));
        }
        match fields.decode() {
            Ok(envelope) => Delivery::Message {
                envelope,
                offset: Some(id.into()),
            },
            Err(error) => malformed(stream, id, error),
        }
    }

    fn report(&self, gap: Gap) -> Delivery {
        let stream = &self.current.stream;
        let reason = match gap {
            Gap::Trimmed => format!(
                "the stream {stream} was trimmed beyond what this server had read: it was away, or too slow, for longer than {} entries (max_len)",
                self.options.max_len
            ),
            Gap::Shorter(end) => {
                lock(&self.places).step_back(stream, end);
                format!(
                    "the stream {stream} is shorter than before: Redis was emptied, was started again without its newest entries, or another server took over"
                )
            }
        };
        Delivery::Lost {
            reason: reason.into(),
        }
    }

    fn take(&mut self, (stream, read): Handed) -> Result<(), BackendError> {
        let Read { gap, entries } = read?;
        // A reader that was ended may have handed over before.
        if self.readers.contains_key(&*stream) {
            let entries = entries.into_iter();
            self.current = Current {
                stream,
                gap,
                entries,
            };
        }
        Ok(())
    }

    fn published(&self, incoming: Incoming) -> Delivery {
        match incoming {
            Incoming::Message { channel, payload } => {
                match codec::decode(&Bytes::from(payload), None) {
                    Ok(envelope) => Delivery::Message {
                        envelope,
                        offset: None,
                    },
                    Err(error) => Delivery::Malformed {
                        source: String::from_utf8_lossy(&channel).into(),
                        error: error.into(),
                    },
                }
            }
            Incoming::TooLarge { channel, bytes } => Delivery::Malformed {
                source: String::from_utf8_lossy(&channel).into(),
                error: too_large(bytes, self.connector.limits().max_message),
            },
            Incoming::Lost(reason) => Delivery::Lost {
                reason: reason.into(),
            },
        }
    }
}

impl Inlet for StreamsInlet {
    async fn follow(&mut self, change: &Follow) -> Result<(), BackendError> {
        match change {
            Follow::Namespace(namespace) => self.enter(namespace).await,
            Follow::LeaveNamespace(namespace) => self.leave(namespace).await,
            // A stream has all rooms.
            Follow::Room { .. } | Follow::LeaveRoom { .. } => Ok(()),
        }
    }

    async fn recv(&mut self) -> Result<Delivery, BackendError> {
        if !self.is_settled {
            self.is_settled = true;
            lock(&self.places).settle();
        }
        loop {
            if let Some(delivery) = self.pop() {
                return Ok(delivery);
            }
            tokio::select! {
                Some(handed) = self.readings.recv() => self.take(handed)?,
                incoming = self.subscriber.recv() => return incoming.map(|incoming| self.published(incoming)),
            }
        }
    }
}

fn malformed(stream: &str, id: StreamId, error: BackendError) -> Delivery {
    Delivery::Malformed {
        source: format!("{stream} {id}").into(),
        error,
    }
}

fn lock(places: &Mutex<Places>) -> std::sync::MutexGuard<'_, Places> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}
