//! A connection that writes into streams.

use std::collections::VecDeque;
use std::sync::Mutex;

use redis::{RedisError, Value};
use sala_adapter::backend::BackendError;

use super::entry::Fields;
use super::id::StreamId;
use super::ledger::{Ledger, Writer, lock};
use super::reader::entries;
use crate::connect::{Connector, Idle, Node};

/// How many entries are read at once.
const PAGE: usize = 500;

/// A connection that writes into streams.
pub(super) struct Lane {
    pub(super) node: Node,
    idle: Idle,
}

impl Lane {
    /// Connects, and makes sure that the connection before writes nothing any more: what it sent may still lie
    /// unread at Redis, to be executed after we have looked whether it was.
    pub(super) async fn open(
        connector: &Connector,
        name: &str,
        ledger: Option<&Mutex<Ledger>>,
    ) -> Result<Self, BackendError> {
        let mut node = connector.waiting(name.as_bytes()).await?;
        let timeout = connector.limits().command_timeout;
        node.connection.set_response_timeout(timeout);
        if let Some(ledger) = ledger {
            let before = lock(ledger).writer(name).cloned();
            if let Some(before) = before {
                end(&node, &before).await?;
            }
            let now = identify(&node).await?;
            lock(ledger).set_writer(name, now);
        }
        Ok(Self {
            node,
            idle: Idle::new(),
        })
    }

    /// Whether the connection is still there, as far as is to be feared that it is not.
    pub(super) async fn is_there(&mut self) -> bool {
        !self.idle.is_over() || self.node.answers().await
    }
}

/// Ends another connection. Number and address must both fit: in a Redis that was started again, the
/// number may be somebody else's.
async fn end(node: &Node, writer: &Writer) -> Result<(), BackendError> {
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL")
        .arg("ID")
        .arg(&writer.id)
        .arg("ADDR")
        .arg(&writer.address);
    ask(node, &kill).await.map(drop)
}

async fn identify(node: &Node) -> Result<Option<Writer>, BackendError> {
    let answer = ask(node, redis::cmd("CLIENT").arg("INFO")).await?;
    Ok(match answer {
        Some(Value::VerbatimString { text, .. }) => Writer::parse(&text),
        Some(Value::BulkString(text)) => Writer::parse(&String::from_utf8_lossy(&text)),
        _ => None,
    })
}

/// Asks what Redis may refuse: users without the right to `CLIENT`, proxies, Redis before 6.2. We do without,
/// and a message may then be written twice in the rare case that Redis reads it after it was said to be lost.
async fn ask(node: &Node, command: &redis::Cmd) -> Result<Option<Value>, BackendError> {
    match node.try_run(command).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if crate::error::ends_connection(&error) => {
            Err(crate::error::failed("CLIENT", &node.address, error))
        }
        Err(error) => {
            tracing::debug!(%error, redis = %node.address, "Redis refuses CLIENT INFO or CLIENT KILL");
            Ok(None)
        }
    }
}

/// The entries of one server that are in a stream after `since`, oldest first.
pub(super) async fn executed(
    node: &Node,
    stream: &str,
    since: StreamId,
    own: &[u8],
) -> Result<VecDeque<(StreamId, Fields)>, RedisError> {
    let (mut found, mut from) = (VecDeque::new(), since);
    loop {
        let mut question = redis::cmd("XRANGE");
        question
            .arg(stream)
            .arg(from)
            .arg("+")
            .arg("COUNT")
            .arg(PAGE);
        let page = entries(node.try_run(&question).await?)?;
        let (length, last) = (page.len(), page.last().map(|entry| entry.id));
        // The first may be the last of the page before.
        for entry in page.into_iter().filter(|entry| entry.id > from) {
            if let Ok(fields) = Fields::from_pairs(entry.pairs)
                && fields.uid == own
            {
                found.push_back((entry.id, fields));
            }
        }
        match last {
            Some(last) if length == PAGE => from = last,
            _ => return Ok(found),
        }
    }
}
