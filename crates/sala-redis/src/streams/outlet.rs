//! Writes into the streams, and publishes what is not to be kept.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use redis::{Pipeline, Value};
use sala_adapter::backend::{BackendError, BackendErrorKind, Outlet, Parcel, State};
use sala_adapter::codec::{self, Form};
use sala_adapter::message::Envelope;
use sala_adapter::recovery::Offset;
use sala_adapter::target::ServerId;

use super::entry::{Fields, is_logged};
use super::id::StreamId;
use super::lane::{Lane, executed};
use super::ledger::{Ledger, lock};
use super::options::Options;
use super::reader;
use crate::connect::{Commands, Connector, Keyed};
use crate::error::failed;

/// The half of [`Streams`](super::Streams) that sends.
pub struct StreamsOutlet {
    options: Arc<Options>,
    server: ServerId,
    connector: Connector,
    ledger: Arc<Mutex<Ledger>>,
    /// In a Cluster, what is published goes over these; elsewhere over the only lane.
    published: Option<Commands>,
    lanes: HashMap<String, Lane>,
    /// By stream: entries of ours that the connection before may have written, and how many of those
    /// that it was to write are still to be looked up among them.
    found: HashMap<String, Found>,
}

#[derive(Default)]
struct Found {
    entries: VecDeque<(StreamId, Fields)>,
    to_look_up: usize,
}

/// A message on its way: what to do, and for which parcel.
struct Item {
    parcel: usize,
    what: What,
}

enum What {
    Log { stream: String, fields: Fields },
    Publish { channel: String, payload: Vec<u8> },
}

impl StreamsOutlet {
    pub(super) fn new(
        options: Arc<Options>,
        server: ServerId,
        connector: Connector,
        ledger: Arc<Mutex<Ledger>>,
        published: Option<Commands>,
    ) -> Self {
        Self {
            options,
            server,
            connector,
            ledger,
            published,
            lanes: HashMap::new(),
            found: HashMap::new(),
        }
    }

    fn prepare(&self, envelope: &Envelope) -> Result<What, BackendError> {
        let limit = self.connector.limits().max_message;
        let namespace = envelope.namespace.as_str();
        if self.options.logs_all || is_logged(&envelope.message) {
            let fields = Fields::encode(envelope, self.options.only_plaintext)?;
            let bytes = fields.data.as_ref().map_or(0, |data| data.len());
            if bytes > limit {
                return Err(too_large(bytes, limit));
            }
            let stream = self.options.stream_of(namespace);
            return Ok(What::Log { stream, fields });
        }
        let payload = codec::encode(envelope, Form::MsgPack)?;
        if payload.len() > limit {
            return Err(too_large(payload.len(), limit));
        }
        let recipient = envelope.recipient.as_ref();
        let channel = self.options.channel(namespace, recipient);
        Ok(What::Publish { channel, payload })
    }

    /// What is sent over one connection, and so at once: everything, or in a Cluster what is for one
    /// stream.
    fn lane_of<'a>(&self, what: &'a What) -> &'a str {
        match what {
            What::Log { stream, .. } if self.connector.is_cluster() => stream,
            _ => "",
        }
    }

    async fn send_run(&mut self, batch: &mut [Parcel], run: &[Item]) -> Result<(), BackendError> {
        if let (Some(published), What::Publish { .. }) = (self.published.clone(), &run[0].what) {
            return self.publish_in_cluster(&published, batch, run).await;
        }
        let lane = self.lane(&run[0].what).await?;
        for item in run {
            if let What::Log { stream, .. } = &item.what {
                self.look_back(&lane, stream).await?;
            }
        }
        let open = self.take_those_written(batch, run);
        if open.is_empty() {
            return Ok(());
        }
        self.write(&lane, batch, &open).await
    }

    /// The connection to write over, opened if there is none.
    async fn lane(&mut self, what: &What) -> Result<Lane, BackendError> {
        let name = self.lane_of(what).to_owned();
        if let Some(lane) = self.lanes.get(&name) {
            return Ok(lane.clone());
        }
        let lane = Lane::open(&self.connector, &name, &self.ledger).await?;
        self.lanes.insert(name, lane.clone());
        Ok(lane)
    }

    /// Finds out, once for each stream, what the connection before has written of what was under way.
    async fn look_back(&mut self, lane: &Lane, stream: &str) -> Result<(), BackendError> {
        if self.found.contains_key(stream) {
            return Ok(());
        }
        let node = &lane.node;
        let name = |error| failed("looking at the stream's end", &node.address, error);
        let written = lock(&self.ledger).of(stream);
        let found = match written {
            None => {
                let end = reader::last_id(node, stream).await.map_err(name)?;
                lock(&self.ledger).begin(stream, end);
                Found::default()
            }
            Some(written) if written.in_flight > 0 => {
                let own = self.server.as_bytes();
                let since = written.confirmed;
                Found {
                    entries: executed(node, stream, since, own).await.map_err(name)?,
                    to_look_up: written.in_flight,
                }
            }
            Some(_) => Found::default(),
        };
        self.found.insert(stream.to_owned(), found);
        Ok(())
    }

    /// Marks those parcels as sent that are in the stream already. Returns the others.
    fn take_those_written<'a>(&mut self, batch: &mut [Parcel], run: &'a [Item]) -> Vec<&'a Item> {
        let mut open = Vec::with_capacity(run.len());
        for item in run {
            let id = match &item.what {
                What::Log { stream, fields } => self.take_if_written(stream, fields),
                What::Publish { .. } => None,
            };
            match id {
                Some(id) => batch[item.parcel].state = State::Sent(Some(id.into())),
                None => open.push(item),
            }
        }
        open
    }

    fn take_if_written(&mut self, stream: &str, fields: &Fields) -> Option<StreamId> {
        let found = self.found.get_mut(stream)?;
        if found.to_look_up == 0 {
            return None;
        }
        found.to_look_up -= 1;
        let mut ledger = lock(&self.ledger);
        ledger.arrive(stream, 1);
        // In the order of the stream; one that was refused between others is not among them.
        let at = found.entries.iter().position(|(_, other)| other == fields)?;
        let (id, _) = found.entries.drain(..=at).next_back()?;
        ledger.confirm(stream, id);
        Some(id)
    }

    async fn write(
        &mut self,
        lane: &Lane,
        batch: &mut [Parcel],
        open: &[&Item],
    ) -> Result<(), BackendError> {
        let mut pipeline = Pipeline::with_capacity(open.len());
        for item in open {
            self.add(&mut pipeline, &item.what);
        }
        for item in open {
            self.note(item, |ledger, stream| ledger.depart(stream, 1));
        }
        let mut connection = lane.node.connection.clone();
        let replies = connection.send_packed_commands(&pipeline, 0, open.len()).await;
        let name = |error| failed("writing", &lane.node.address, error);
        let mut broken = None;
        for (item, reply) in open.iter().zip(replies.map_err(name)?) {
            self.note(item, |ledger, stream| ledger.arrive(stream, 1));
            match reply.extract_error().map_err(name) {
                Ok(reply) => batch[item.parcel].state = State::Sent(self.confirm(item, &reply)),
                // Written by nobody, but somebody else may take it.
                Err(error) if error.kind() == BackendErrorKind::Unreachable => broken = Some(error),
                Err(error) => batch[item.parcel].state = State::Failed(error),
            }
        }
        broken.map_or(Ok(()), Err)
    }

    fn add(&self, pipeline: &mut Pipeline, what: &What) {
        match what {
            What::Log { stream, fields } => {
                pipeline.cmd("XADD").arg(stream).arg("MAXLEN").arg("~").arg(self.options.max_len);
                pipeline.arg("*").arg("uid").arg(&fields.uid[..]).arg("nsp").arg(&fields.nsp[..]);
                pipeline.arg("type").arg(fields.kind);
                if let Some(data) = &fields.data {
                    pipeline.arg("data").arg(&data[..]);
                }
            }
            What::Publish { channel, payload } => {
                pipeline.cmd(self.options.publish()).arg(channel).arg(&payload[..]);
            }
        }
    }

    /// The place of an entry that was written.
    fn confirm(&self, item: &Item, reply: &Value) -> Option<Offset> {
        let id = match reply {
            Value::BulkString(id) => StreamId::parse(id)?,
            _ => return None,
        };
        self.note(item, |ledger, stream| ledger.confirm(stream, id));
        Some(id.into())
    }

    fn note(&self, item: &Item, note: impl FnOnce(&mut Ledger, &str)) {
        if let What::Log { stream, .. } = &item.what {
            note(&mut lock(&self.ledger), stream);
        }
    }

    async fn publish_in_cluster(
        &self,
        commands: &Commands,
        batch: &mut [Parcel],
        run: &[Item],
    ) -> Result<(), BackendError> {
        let keyed = run.iter().filter_map(|item| match &item.what {
            What::Publish { channel, payload } => {
                let mut cmd = redis::cmd(self.options.publish());
                cmd.arg(channel).arg(&payload[..]);
                let key = channel.clone().into_bytes();
                Some(Keyed { key, cmd })
            }
            What::Log { .. } => None,
        });
        let replies = commands.pipeline("publishing", keyed.collect()).await?;
        let mut broken = None;
        for (item, reply) in run.iter().zip(replies) {
            match reply {
                Ok(_) => batch[item.parcel].state = State::Sent(None),
                Err(error) if error.kind() == BackendErrorKind::Unreachable => broken = Some(error),
                Err(error) => batch[item.parcel].state = State::Failed(error),
            }
        }
        broken.map_or(Ok(()), Err)
    }
}

impl Outlet for StreamsOutlet {
    async fn send(&mut self, batch: &mut [Parcel]) -> Result<(), BackendError> {
        let mut items = Vec::with_capacity(batch.len());
        for (parcel, waiting) in batch.iter_mut().enumerate() {
            if !waiting.is_waiting() {
                continue;
            }
            match self.prepare(&waiting.envelope) {
                Ok(what) => items.push(Item { parcel, what }),
                Err(error) => waiting.state = State::Failed(error),
            }
        }
        let mut rest = &items[..];
        while let Some(first) = rest.first() {
            let same = |item: &Item| self.goes_with(&item.what, &first.what);
            let end = rest.iter().position(|item| !same(item)).unwrap_or(rest.len());
            let (run, others) = rest.split_at(end);
            self.send_run(batch, run).await?;
            rest = others;
        }
        Ok(())
    }
}

impl StreamsOutlet {
    fn goes_with(&self, one: &What, other: &What) -> bool {
        let is_published = |what: &What| matches!(what, What::Publish { .. });
        let same_way = self.published.is_none() || is_published(one) == is_published(other);
        same_way && self.lane_of(one) == self.lane_of(other)
    }
}

/// Why a message is not sent, or not taken.
pub(super) fn too_large(bytes: usize, limit: usize) -> BackendError {
    let text = format!("a message of {bytes} bytes is larger than max_message_bytes ({limit})");
    BackendError::new(BackendErrorKind::TooLarge, text)
}
