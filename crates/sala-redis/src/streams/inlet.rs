//! Reads the streams, and receives what is published.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sala_adapter::backend::{BackendError, Delivery, Follow, Inlet};
use sala_adapter::codec::{self, CodecError, CodecErrorKind};
use sala_adapter::message::Envelope;
use sala_adapter::recovery::Offset;
use sala_adapter::target::{Room, ServerId};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::StreamsOptions;
use super::entry::Fields;
use super::id::StreamId;
use super::own::{Own, Place};
use super::places::Places;
use super::reader::{Entry, Gap, Handed, Pace, Read, Reader, first_id, newest};
use crate::connect::{Connector, Incoming, Node, Renewed, Subscriber, Subscription};
use crate::error::failed;

/// The half of [`Streams`](super::Streams) that receives.
pub struct StreamsInlet {
    options: Arc<StreamsOptions>,
    server: ServerId,
    connector: Connector,
    places: Arc<Mutex<Places>>,
    own: Arc<Own>,
    subscriber: Subscriber,
    commands: Arc<Renewed>,
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
    /// Before them.
    own: Option<OwnEntry>,
}

/// An entry of ours.
#[derive(Clone, Copy)]
struct OwnEntry {
    id: StreamId,
    /// How long to wait until it is known whose it is.
    until: Instant,
}

/// How long the entries of others wait behind one of ours when Redis does not say whose it is. Own sockets
/// wait no longer either.
const PATIENCE: Duration = Duration::from_secs(1);

impl StreamsInlet {
    pub(super) fn new(
        options: Arc<StreamsOptions>,
        server: ServerId,
        connector: Connector,
        places: Arc<Mutex<Places>>,
        own: Arc<Own>,
        subscriber: Subscriber,
        commands: Arc<Renewed>,
    ) -> Self {
        lock(&places).reopen();
        own.reopen();
        // Each reader holds one reading more, which it has at hand.
        let (readings_sender, readings) = mpsc::channel(1);
        Self {
            options,
            server,
            connector,
            places,
            own,
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
            self.own.begin(&stream);
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
        let answer = self.commands.run(doing, key, &newest(stream)).await?;
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
            self.own.end(&stream);
        }
        self.subscriber.leave(&self.subscriptions(namespace)).await
    }

    /// The next of what was read that matters to us.
    fn pop(&mut self) -> Option<Delivery> {
        if let Some(gap) = self.current.gap.take() {
            return Some(self.report(gap));
        }
        loop {
            if let Some(own) = self.current.own {
                let place = self.own.place(&self.current.stream, own.id);
                if place == Place::Unknown && Instant::now() < own.until {
                    return None;
                }
                self.current.own = None;
                lock(&self.places).pass(&self.current.stream, own.id, None);
                if let Place::Of((namespace, number)) = place {
                    return Some(Delivery::Logged {
                        namespace,
                        number,
                        offset: Some(own.id.into()),
                    });
                }
            }
            let entry = self.current.entries.next()?;
            if let Some(delivery) = self.entry(entry) {
                return Some(delivery);
            }
        }
    }

    fn entry(&mut self, Entry { id, pairs }: Entry) -> Option<Delivery> {
        let fields = Fields::from_pairs(pairs);
        if fields
            .as_ref()
            .is_ok_and(|it| it.uid == self.server.as_bytes())
        {
            let until = Instant::now() + PATIENCE;
            self.current.own = Some(OwnEntry { id, until });
            return None;
        }
        let stream = &self.current.stream;
        let source = || format!("{stream} {id}");
        let namespace = fields.as_ref().ok().and_then(Fields::namespace);
        let is_followed = lock(&self.places).pass(stream, id, namespace.as_ref());
        match fields {
            Err(error) => Some(malformed(&source(), error.into())),
            Ok(_) if !is_followed => None,
            Ok(fields) => {
                let bytes = fields.weight();
                self.told(&source(), bytes, fields.decode(), Some(id.into()))
            }
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
                own: None,
            };
        }
        Ok(())
    }

    /// What is to be told of something that was published; `None` if nothing.
    fn published(&self, incoming: Incoming) -> Option<Delivery> {
        match incoming {
            Incoming::Message(message) => {
                let bytes = message.payload.len();
                let envelope = codec::decode(&message.payload.into(), None);
                let channel = String::from_utf8_lossy(&message.channel);
                self.told(&channel, bytes, envelope, None)
            }
            Incoming::TooLarge { channel, bytes } => {
                let error = self.connector.limits().exceeded_by(bytes);
                Some(malformed(&String::from_utf8_lossy(&channel), error))
            }
            Incoming::Lost(reason) => Some(Delivery::Lost {
                reason: reason.into(),
            }),
        }
    }

    /// A message, if it is for a namespace that is followed and of a type that we know.
    fn told(
        &self,
        source: &str,
        bytes: usize,
        envelope: Result<Envelope, CodecError>,
        offset: Option<Offset>,
    ) -> Option<Delivery> {
        match envelope {
            Ok(envelope) => {
                if !lock(&self.places).knows(&envelope.namespace) {
                    return None;
                }
                Some(
                    match self.connector.limits().check(&envelope.message, bytes) {
                        Ok(()) => Delivery::Message { envelope, offset },
                        Err(error) => malformed(source, error),
                    },
                )
            }
            Err(error) => match error.kind() {
                CodecErrorKind::UnknownType(_) => Some(Delivery::Foreign),
                _ => Some(malformed(source, error.into())),
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
            let waits_until = self.current.own.map(|own| own.until);
            tokio::select! {
                () = self.own.changed(), if waits_until.is_some() => {}
                () = sleep_until(waits_until.unwrap_or_else(Instant::now)), if waits_until.is_some() => {}
                Some(handed) = self.readings.recv(), if waits_until.is_none() => self.take(handed)?,
                incoming = self.subscriber.recv() => {
                    if let Some(delivery) = self.published(incoming?) {
                        return Ok(delivery);
                    }
                }
            }
        }
    }

    async fn close(&mut self) {
        self.readers.clear();
        self.own.reopen();
        let namespaces = lock(&self.places).leave_all();
        for namespace in namespaces {
            // If it fails, the connection is gone, and its subscriptions with it.
            let _ = self.subscriber.leave(&self.subscriptions(&namespace)).await;
        }
    }
}

fn malformed(source: &str, error: BackendError) -> Delivery {
    Delivery::Malformed {
        source: source.into(),
        error,
    }
}

fn lock(places: &Mutex<Places>) -> std::sync::MutexGuard<'_, Places> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}
