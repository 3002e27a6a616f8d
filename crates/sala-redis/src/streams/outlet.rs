//! Writes into the streams, and publishes what is not to be kept.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use redis::{Pipeline, Value};
use sala_adapter::backend::{BackendError, BackendErrorKind, Outlet, Parcel, State};
use sala_adapter::codec::{self, Form};
use sala_adapter::message::{Envelope, Message};
use sala_adapter::recovery::Offset;
use sala_adapter::target::ServerId;

use super::StreamsOptions;
use super::entry::{Fields, is_logged};
use super::id::StreamId;
use super::lane::{Lane, executed};
use super::ledger::{Ledger, lock};
use super::own::{Own, Waiting};
use super::reader::last_id;
use crate::connect::{Connector, Node, Post, Publisher, Way};
use crate::error::failed;

/// How much is written at once, in bytes. More gains nothing and only takes memory.
const CHUNK: usize = 1 << 20;

/// The half that sends. Connects again by itself when it is used after a failure.
pub struct StreamsOutlet {
    options: Arc<StreamsOptions>,
    connector: Connector,
    author: Author,
    publisher: Publisher,
    /// By name; see [`StreamsOutlet::lane_of`].
    lanes: HashMap<String, Lane>,
    /// By stream: what the connection before may have written.
    found: HashMap<String, Found>,
}

/// Whose messages these are.
enum Author {
    /// A server, which knows its own entries by its id.
    Server {
        id: ServerId,
        ledger: Arc<Mutex<Ledger>>,
        own: Arc<Own>,
    },
    /// An emitter, which shares its id with all others.
    Emitter,
}

/// Entries that the connection before has written, and how many of those that it was to write are still to
/// be looked up among them.
#[derive(Default)]
struct Found {
    entries: VecDeque<(StreamId, Fields)>,
    to_look_up: usize,
}

/// A message as an entry, and whose parcel it is.
struct Item {
    parcel: usize,
    stream: String,
    fields: Fields,
}

impl Outlet for StreamsOutlet {
    async fn send(&mut self, batch: &mut [Parcel]) -> Result<(), BackendError> {
        let mut rest = batch;
        while let Some(first) = rest.first() {
            let lane = self.lane_of(&first.envelope);
            let goes_elsewhere = |parcel: &Parcel| self.lane_of(&parcel.envelope) != lane;
            let end = rest.iter().position(goes_elsewhere).unwrap_or(rest.len());
            let (run, others) = rest.split_at_mut(end);
            match lane {
                Some(lane) => self.log(&lane, run).await?,
                None => self.publish(run).await?,
            }
            rest = others;
        }
        Ok(())
    }
}

impl StreamsOutlet {
    pub(super) fn of_server(
        options: Arc<StreamsOptions>,
        connector: Connector,
        id: ServerId,
        ledger: Arc<Mutex<Ledger>>,
        own: Arc<Own>,
    ) -> Self {
        Self::new(options, connector, Author::Server { id, ledger, own })
    }

    pub(super) fn of_emitter(options: Arc<StreamsOptions>, connector: Connector) -> Self {
        Self::new(options, connector, Author::Emitter)
    }

    fn new(options: Arc<StreamsOptions>, connector: Connector, author: Author) -> Self {
        let way = match options.sharded {
            true => Way::Sharded,
            false => Way::Everywhere,
        };
        Self {
            publisher: Publisher::new(connector.clone(), way),
            options,
            connector,
            author,
            lanes: HashMap::new(),
            found: HashMap::new(),
        }
    }

    /// Over which connection a message is written: one for all streams, in a Cluster one for each. `None`
    /// if it is published.
    fn lane_of(&self, envelope: &Envelope) -> Option<String> {
        if !self.is_logged(&envelope.message) {
            return None;
        }
        Some(match self.connector.is_cluster() {
            true => self.options.stream_of(envelope.namespace.as_str()),
            false => String::new(),
        })
    }

    /// Emitters put server-side events into the stream too, as the official one does.
    fn is_logged(&self, message: &Message) -> bool {
        let is_for_servers = matches!(message, Message::ServerSideEmit { request: None, .. });
        is_logged(message) || (is_for_servers && matches!(self.author, Author::Emitter))
    }

    async fn publish(&mut self, batch: &mut [Parcel]) -> Result<(), BackendError> {
        let options = &self.options;
        let post = |envelope: &Envelope| {
            Ok(Post {
                channel: options.channel(envelope.namespace.as_str(), envelope.recipient.as_ref()),
                payload: codec::encode(envelope, Form::MsgPack)?,
            })
        };
        self.publisher.send(batch, post).await
    }

    /// Writes entries, all over one connection.
    async fn log(&mut self, lane: &str, batch: &mut [Parcel]) -> Result<(), BackendError> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        for parcel in 0..batch.len() {
            if !batch[parcel].is_waiting() {
                continue;
            }
            match self.item(parcel, &batch[parcel].envelope) {
                Ok(item) => {
                    bytes += item.fields.weight();
                    items.push(item);
                }
                Err(error) => batch[parcel].state = State::Failed(error),
            }
            if bytes >= CHUNK {
                self.log_chunk(lane, batch, std::mem::take(&mut items))
                    .await?;
                bytes = 0;
            }
        }
        self.log_chunk(lane, batch, items).await
    }

    fn item(&self, parcel: usize, envelope: &Envelope) -> Result<Item, BackendError> {
        let fields = Fields::encode(envelope, self.options.only_plaintext)?;
        let limits = self.connector.limits();
        limits.check(&envelope.message, fields.weight())?;
        Ok(Item {
            parcel,
            stream: self.options.stream_of(envelope.namespace.as_str()),
            fields,
        })
    }

    async fn log_chunk(
        &mut self,
        lane: &str,
        batch: &mut [Parcel],
        mut items: Vec<Item>,
    ) -> Result<(), BackendError> {
        let result = self.try_log_chunk(lane, batch, &mut items).await;
        if result.is_err() {
            // The next attempt opens connections of its own, and looks what this one has written.
            self.lanes.clear();
            self.found.clear();
            if let Author::Server { own, .. } = &self.author {
                own.give_up();
            }
        }
        result
    }

    async fn try_log_chunk(
        &mut self,
        lane: &str,
        batch: &mut [Parcel],
        items: &mut Vec<Item>,
    ) -> Result<(), BackendError> {
        if items.is_empty() {
            return Ok(());
        }
        let node = self.lane(lane).await?;
        for item in &*items {
            self.look_back(&node, &item.stream).await?;
        }
        items.retain(|item| match self.written_before(item) {
            Some(id) => {
                batch[item.parcel].state = State::Sent(Some(id.into()));
                false
            }
            None => true,
        });
        self.write(&node, batch, items).await
    }

    /// The connection of a lane, opened if there is none or if it is dead.
    async fn lane(&mut self, name: &str) -> Result<Node, BackendError> {
        if let Some(lane) = self.lanes.get_mut(name)
            && lane.is_there().await
        {
            return Ok(lane.node.clone());
        }
        let ledger = match &self.author {
            Author::Server { ledger, .. } => Some(&**ledger),
            Author::Emitter => None,
        };
        let lane = Lane::open(&self.connector, name, ledger).await?;
        let node = lane.node.clone();
        self.lanes.insert(name.to_owned(), lane);
        Ok(node)
    }

    /// Finds out, once for each stream, what the connection before has written of what was under way.
    async fn look_back(&mut self, node: &Node, stream: &str) -> Result<(), BackendError> {
        let Author::Server { id, ledger, .. } = &self.author else {
            return Ok(());
        };
        if self.found.contains_key(stream) {
            return Ok(());
        }
        let name = |error| failed("looking at the end of the stream", &node.address, error);
        let mut found = Found::default();
        let written = lock(ledger).of(stream);
        match written {
            None => {
                let end = last_id(node, stream).await.map_err(name)?;
                lock(ledger).begin(stream, end);
            }
            Some(written) if written.in_flight > 0 => {
                let own = id.as_bytes();
                found.entries = executed(node, stream, written.confirmed, own)
                    .await
                    .map_err(name)?;
                found.to_look_up = written.in_flight;
            }
            Some(_) => {}
        }
        self.found.insert(stream.to_owned(), found);
        Ok(())
    }

    /// Where the entry is, if the connection before has written it.
    fn written_before(&mut self, item: &Item) -> Option<StreamId> {
        let found = self.found.get_mut(&item.stream)?;
        found.to_look_up = found.to_look_up.checked_sub(1)?;
        // In the order of the stream; what was refused between others is not there.
        let at = found
            .entries
            .iter()
            .position(|(_, fields)| *fields == item.fields);
        let id = at
            .and_then(|at| found.entries.drain(..=at).next_back())
            .map(|(id, _)| id);
        self.note(item, |ledger, stream| ledger.arrive(stream, id));
        id
    }

    async fn write(
        &self,
        node: &Node,
        batch: &mut [Parcel],
        items: &[Item],
    ) -> Result<(), BackendError> {
        if items.is_empty() {
            return Ok(());
        }
        let pipeline = self.pipeline(items);
        let mut places = Vec::with_capacity(items.len());
        for item in items {
            self.note(item, Ledger::depart);
            places.push(self.place_of(item, &batch[item.parcel]));
        }
        let mut connection = node.connection.clone();
        let name = |error| failed("writing to the stream", &node.address, error);
        let sent = connection
            .send_packed_commands(&pipeline, 0, items.len())
            .await;
        let mut broken = None;
        let replies = sent.map_err(name)?.into_iter().zip(places);
        for (item, (reply, place)) in items.iter().zip(replies) {
            let reply = reply.extract_error().map_err(name);
            let id = reply.as_ref().ok().and_then(id_of);
            self.note(item, |ledger, stream| ledger.arrive(stream, id));
            let is_told_when_read = place.is_some_and(|place| place.arrive(&item.stream, id));
            match reply {
                Ok(_) if is_told_when_read => batch[item.parcel].state = State::Logged,
                Ok(_) => batch[item.parcel].state = State::Sent(id.map(Offset::from)),
                // This node does not write it, but another may.
                Err(error) if error.kind() == BackendErrorKind::Unreachable => broken = Some(error),
                Err(error) => batch[item.parcel].state = State::Failed(error),
            }
        }
        broken.map_or(Ok(()), Err)
    }

    /// Whether own sockets wait until the entry is read.
    fn place_of(&self, item: &Item, parcel: &Parcel) -> Option<PlaceOf> {
        let (Author::Server { own, .. }, Some(number)) = (&self.author, parcel.logged) else {
            return None;
        };
        own.depart(&item.stream).then(|| PlaceOf {
            own: own.clone(),
            waiting: (parcel.envelope.namespace.clone(), number),
        })
    }

    fn pipeline(&self, items: &[Item]) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(items.len());
        for Item { stream, fields, .. } in items {
            pipeline
                .cmd("XADD")
                .arg(stream)
                .arg("MAXLEN")
                .arg("~")
                .arg(self.options.max_len);
            pipeline
                .arg("*")
                .arg("uid")
                .arg(&fields.uid[..])
                .arg("nsp")
                .arg(&fields.nsp[..]);
            pipeline.arg("type").arg(fields.kind);
            if let Some(data) = &fields.data {
                pipeline.arg("data").arg(&data[..]);
            }
        }
        pipeline
    }

    fn note(&self, item: &Item, note: impl FnOnce(&mut Ledger, &str)) {
        if let Author::Server { ledger, .. } = &self.author {
            note(&mut lock(ledger), &item.stream);
        }
    }
}

/// The place of an entry for which own sockets wait.
struct PlaceOf {
    own: Arc<Own>,
    waiting: Waiting,
}

impl PlaceOf {
    fn arrive(self, stream: &str, id: Option<StreamId>) -> bool {
        self.own.arrive(stream, id, self.waiting)
    }
}

fn id_of(reply: &Value) -> Option<StreamId> {
    match reply {
        Value::BulkString(id) => StreamId::parse(id),
        _ => None,
    }
}
