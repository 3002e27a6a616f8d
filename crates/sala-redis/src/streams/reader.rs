//! Reads one stream, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{FromRedisValue, Pipeline, RedisError, Value};
use sala_adapter::backend::{BackendError, BackendErrorKind};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::id::StreamId;
use crate::connect::Node;
use crate::error::failed;

/// How a stream is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How many entries at most come at once.
    pub(super) count: usize,
    /// How long Redis keeps us waiting at most when there is nothing.
    pub(super) block: Duration,
    /// How much longer than that the answer may take.
    pub(super) patience: Duration,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// What is missing before the entries, if anything may be.
    pub(super) gap: Option<Gap>,
    /// Oldest first.
    pub(super) entries: Vec<Entry>,
}

/// Why entries may be missing: the one that was read last is no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// So much has been written since that it was trimmed, with others that were not read.
    Trimmed,
    /// The stream ends here, before it: Redis has lost its newest entries, or all.
    Shorter(StreamId),
}

/// One entry of a stream.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: StreamId,
    /// Names and values by turns.
    pub(super) pairs: Vec<Bytes>,
}

/// A running reader. Ends when dropped.
pub(super) struct Reader {
    task: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What readers hand over: the stream, and what was read of it.
pub(super) type Handed = (Arc<str>, Result<Read, BackendError>);

impl Reader {
    /// Reads `stream` from behind `place` on. Nothing more is read while the channel is full: the
    /// stream itself is the queue.
    pub(super) fn start(
        node: Node,
        stream: Arc<str>,
        place: StreamId,
        pace: Pace,
        readings: mpsc::Sender<Handed>,
    ) -> Self {
        let reading = Reading {
            node,
            stream,
            place,
            pace,
            is_behind: true,
        };
        Self {
            task: tokio::spawn(reading.run(readings)),
        }
    }
}

struct Reading {
    node: Node,
    stream: Arc<str>,
    place: StreamId,
    pace: Pace,
    /// Whether more may be there than was read at once. Then entries may have been trimmed before we
    /// came to read them, and each reading looks whether the one before it is still there.
    is_behind: bool,
}

impl Reading {
    async fn run(mut self, readings: mpsc::Sender<Handed>) {
        loop {
            let read = self.next().await.map_err(|error| self.failed(error));
            let has_failed = read.is_err();
            let handed = readings.send((self.stream.clone(), read)).await;
            if has_failed || handed.is_err() {
                return;
            }
        }
    }

    async fn next(&mut self) -> Result<Read, RedisError> {
        loop {
            let read = match self.is_behind {
                true => self.catch_up().await?,
                false => self.wait().await?,
            };
            if let Some(read) = read {
                return Ok(read);
            }
        }
    }

    /// Reads what is there, in one transaction with a look at the entry before it.
    async fn catch_up(&mut self) -> Result<Option<Read>, RedisError> {
        let mut both = redis::pipe();
        both.atomic();
        both.cmd("XRANGE")
            .arg(&*self.stream)
            .arg(self.place)
            .arg(self.place);
        self.read_into(&mut both, None);
        let (before, new): (Value, Value) = self.run_pipeline(&both).await?;
        let new = entries_of_streams(new)?;
        self.is_behind = new.len() >= self.pace.count;
        if self.place == StreamId::START || !entries(before)?.is_empty() {
            return Ok(self.pass(new, None));
        }
        match new.is_empty() {
            true => self.step_back().await,
            false => Ok(self.pass(new, Some(Gap::Trimmed))),
        }
    }

    /// Waits for new entries. So many that there may be more are left, to be read with a look at what
    /// was before them.
    async fn wait(&mut self) -> Result<Option<Read>, RedisError> {
        let mut one = redis::pipe();
        self.read_into(&mut one, Some(self.pace.block));
        let (new,): (Value,) = self.run_pipeline(&one).await?;
        let new = entries_of_streams(new)?;
        self.is_behind = new.len() >= self.pace.count;
        Ok(if self.is_behind {
            None
        } else {
            self.pass(new, None)
        })
    }

    fn read_into(&self, pipeline: &mut Pipeline, block: Option<Duration>) {
        pipeline.cmd("XREAD").arg("COUNT").arg(self.pace.count);
        if let Some(block) = block {
            pipeline.arg("BLOCK").arg(block.as_millis() as u64);
        }
        pipeline.arg("STREAMS").arg(&*self.stream).arg(self.place);
    }

    fn pass(&mut self, entries: Vec<Entry>, gap: Option<Gap>) -> Option<Read> {
        self.place = entries.last()?.id;
        Some(Read { gap, entries })
    }

    /// The stream ends before our place: goes on from its end, since all before that was read.
    async fn step_back(&mut self) -> Result<Option<Read>, RedisError> {
        let newest = last_id(&self.node, &self.stream).await?;
        if newest >= self.place {
            // Written since the transaction.
            self.is_behind = true;
            return Ok(None);
        }
        self.place = newest;
        Ok(Some(Read {
            gap: Some(Gap::Shorter(newest)),
            entries: Vec::new(),
        }))
    }

    async fn run_pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, RedisError> {
        let mut connection = self.node.connection.clone();
        let answer = pipeline.query_async(&mut connection);
        let limit = self.pace.block + self.pace.patience;
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }

    fn failed(&self, error: RedisError) -> BackendError {
        let doing = format!("reading the stream {}", self.stream);
        if error.kind() == redis::ErrorKind::Parse
            || error.kind() == redis::ErrorKind::UnexpectedReturnType
        {
            let text = format!("{doing}: an answer that is none");
            return BackendError::new(BackendErrorKind::Unreachable, text).caused_by(error);
        }
        failed(&doing, &self.node.address, error)
    }
}

/// The id of the newest entry of a stream; before every entry if there is none.
pub(super) async fn last_id(node: &Node, stream: &str) -> Result<StreamId, RedisError> {
    first_id(node.try_run(&newest(stream)).await?)
}

/// Asks for the newest entry of a stream.
pub(super) fn newest(stream: &str) -> redis::Cmd {
    let mut question = redis::cmd("XREVRANGE");
    question.arg(stream).arg("+").arg("-").arg("COUNT").arg(1);
    question
}

/// The id of the only entry in an answer; before every entry if there is none.
pub(super) fn first_id(answer: Value) -> Result<StreamId, RedisError> {
    let newest = entries(answer)?;
    Ok(newest.first().map_or(StreamId::START, |entry| entry.id))
}

/// The entries in the answer to `XREAD` of one stream, which is a map in version 3 of the protocol and
/// a list of pairs in version 2.
fn entries_of_streams(answer: Value) -> Result<Vec<Entry>, RedisError> {
    let of_one = match answer {
        Value::Nil => None,
        Value::Map(mut streams) => streams.pop().map(|(_, of_one)| of_one),
        Value::Array(mut streams) => match streams.pop() {
            Some(Value::Array(mut pair)) => pair.pop(),
            _ => None,
        },
        _ => return Err(no_entry()),
    };
    of_one.map_or(Ok(Vec::new()), entries)
}

/// The entries in the answer to `XRANGE`.
pub(super) fn entries(answer: Value) -> Result<Vec<Entry>, RedisError> {
    match answer {
        Value::Array(items) => items.into_iter().map(entry).collect(),
        Value::Nil => Ok(Vec::new()),
        _ => Err(no_entry()),
    }
}

fn entry(item: Value) -> Result<Entry, RedisError> {
    let Value::Array(item) = item else {
        return Err(no_entry());
    };
    let mut item = item.into_iter();
    let id = match item.next() {
        Some(Value::BulkString(id)) => StreamId::parse(&id),
        _ => None,
    };
    let pairs = match item.next() {
        Some(Value::Array(pairs)) => pairs.into_iter().map(bytes).collect(),
        // Deleted while it was read.
        _ => Vec::new(),
    };
    let id = id.ok_or_else(no_entry)?;
    Ok(Entry { id, pairs })
}

fn bytes(value: Value) -> Bytes {
    match value {
        Value::BulkString(bytes) => bytes.into(),
        _ => Bytes::new(),
    }
}

fn no_entry() -> RedisError {
    (
        redis::ErrorKind::UnexpectedReturnType,
        "not the entries of a stream",
    )
        .into()
}
