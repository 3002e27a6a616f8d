//! Receiving the messages of channels.

use std::sync::Arc;

use redis::{Cmd, PushInfo, PushKind, Value};
use sala_adapter::{BackendError, BackendErrorKind};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::commands::send;
use super::queue::{Incoming, Message, Queue};
use super::{Connector, Node};
use crate::error::failed;

#[cfg(feature = "cluster")]
mod cluster;

/// How a channel is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// `SUBSCRIBE`
    Channel,
    /// `PSUBSCRIBE`
    Pattern,
    /// `SSUBSCRIBE`
    Shard,
}

/// A channel, a pattern or a shard channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subscription {
    pub(crate) kind: Kind,
    pub(crate) name: Vec<u8>,
}

impl Subscription {
    pub(crate) fn channel(name: impl Into<Vec<u8>>) -> Self {
        Self::new(Kind::Channel, name)
    }

    pub(crate) fn pattern(name: impl Into<Vec<u8>>) -> Self {
        Self::new(Kind::Pattern, name)
    }

    pub(crate) fn shard(name: impl Into<Vec<u8>>) -> Self {
        Self::new(Kind::Shard, name)
    }

    fn new(kind: Kind, name: impl Into<Vec<u8>>) -> Self {
        let name = name.into();
        Self { kind, name }
    }

    fn begin(&self) -> Cmd {
        self.command(["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"])
    }

    fn end(&self) -> Cmd {
        self.command(["UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"])
    }

    fn command(&self, names: [&str; 3]) -> Cmd {
        let mut cmd = redis::cmd(names[self.kind as usize]);
        cmd.arg(&self.name);
        cmd
    }

    /// Whether a reply confirms that this is subscribed to.
    fn is_confirmed_by(&self, reply: &Value) -> bool {
        let kinds = [
            PushKind::Subscribe,
            PushKind::PSubscribe,
            PushKind::SSubscribe,
        ];
        self.is_named_by(reply, &kinds[self.kind as usize])
    }

    /// Whether a reply confirms that this is not subscribed to any more.
    fn is_ended_by(&self, reply: &Value) -> bool {
        let kinds = [
            PushKind::Unsubscribe,
            PushKind::PUnsubscribe,
            PushKind::SUnsubscribe,
        ];
        self.is_named_by(reply, &kinds[self.kind as usize])
    }

    fn is_named_by(&self, reply: &Value, expected: &PushKind) -> bool {
        match reply {
            Value::Push { kind, data } => {
                kind == expected
                    && matches!(data.first(), Some(Value::BulkString(name)) if *name == self.name)
            }
            _ => false,
        }
    }
}

/// Receives messages. Dropping it ends all subscriptions.
pub(crate) struct Subscriber {
    way: Way,
    queue: Arc<Queue>,
    keeper: JoinHandle<()>,
}

enum Way {
    One(Node),
    #[cfg(feature = "cluster")]
    Cluster(cluster::Requests),
}

impl Subscriber {
    /// Over one connection. If that breaks, all ends.
    pub(super) async fn one(connector: &Connector) -> Result<Self, BackendError> {
        let queue = Arc::new(Queue::new(connector.limits().max_waiting));
        let (events, happened) = mpsc::unbounded_channel();
        let pushes = Pushes {
            node: 0,
            largest: connector.limits().largest(),
            queue: queue.clone(),
            events,
        };
        let receive = move |info| pushes.take(info);
        let node = connector.any_node(Some(receive.clone())).await?;
        let keeper = keep(connector.clone(), node.clone(), queue.clone(), happened);
        Ok(Self {
            way: Way::One(node),
            queue,
            keeper: tokio::spawn(keeper),
        })
    }

    /// Over one connection to each node of a Cluster that owns a channel.
    #[cfg(feature = "cluster")]
    pub(super) fn cluster(connector: &Connector, nodes: super::nodes::Nodes) -> Self {
        let queue = Arc::new(Queue::new(connector.limits().max_waiting));
        let (requests, keeper) = cluster::keep(connector.clone(), nodes, queue.clone());
        Self {
            way: Way::Cluster(requests),
            queue,
            keeper: tokio::spawn(keeper),
        }
    }

    /// Subscribes. Once it has returned, messages arrive.
    pub(crate) async fn follow(&self, what: &[Subscription]) -> Result<(), BackendError> {
        match &self.way {
            Way::One(node) => change(node, what, true).await,
            #[cfg(feature = "cluster")]
            Way::Cluster(requests) => requests.change(what, true).await,
        }
    }

    /// Unsubscribes.
    pub(crate) async fn leave(&self, what: &[Subscription]) -> Result<(), BackendError> {
        match &self.way {
            Way::One(node) => change(node, what, false).await,
            #[cfg(feature = "cluster")]
            Way::Cluster(requests) => requests.change(what, false).await,
        }
    }

    /// The next message.
    ///
    /// *Cancel safety:* loses nothing.
    pub(crate) async fn recv(&self) -> Result<Incoming, BackendError> {
        self.queue.next().await
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Subscribes or unsubscribes over one connection.
async fn change(node: &Node, what: &[Subscription], begin: bool) -> Result<(), BackendError> {
    let doing = if begin {
        "subscribing"
    } else {
        "unsubscribing"
    };
    let commands = what
        .iter()
        .map(|one| if begin { one.begin() } else { one.end() })
        .collect();
    let name = |error| failed(doing, &node.address, error);
    let replies = send(node, commands).await.map_err(name)?;
    for (one, reply) in what.iter().zip(replies) {
        let reply = reply.map_err(name)?;
        let confirmed = if begin {
            one.is_confirmed_by(&reply)
        } else {
            one.is_ended_by(&reply)
        };
        if !confirmed {
            let text = format!(
                "{doing} at {}: the reply belongs to something else",
                node.address
            );
            return Err(BackendError::new(BackendErrorKind::Unreachable, text));
        }
    }
    Ok(())
}

/// What happened to a connection.
enum Event {
    /// It broke.
    Disconnected(u64),
    /// The server ended a subscription, or we did.
    #[cfg_attr(
        not(feature = "cluster"),
        allow(dead_code, reason = "only a Cluster ends subscriptions")
    )]
    Ended(u64, Vec<u8>),
}

/// What the reader of one connection does with what it is not asked for.
#[derive(Clone)]
struct Pushes {
    node: u64,
    largest: usize,
    queue: Arc<Queue>,
    events: mpsc::UnboundedSender<Event>,
}

impl Pushes {
    fn take(&self, info: PushInfo) -> Result<(), redis::aio::SendError> {
        let mut data = info.data.into_iter();
        match info.kind {
            PushKind::Message | PushKind::SMessage => self.message(None, data),
            PushKind::PMessage => self.message(data.next(), data),
            PushKind::SUnsubscribe => {
                if let Some(Value::BulkString(channel)) = data.next() {
                    let _ = self.events.send(Event::Ended(self.node, channel));
                }
            }
            PushKind::Disconnection => {
                let _ = self.events.send(Event::Disconnected(self.node));
            }
            _ => {}
        }
        Ok(())
    }

    fn message(&self, pattern: Option<Value>, mut rest: impl Iterator<Item = Value>) {
        let (Some(channel), Some(payload)) = (bytes(rest.next()), bytes(rest.next())) else {
            return;
        };
        if payload.len() > self.largest {
            self.queue.too_large(channel, payload.len());
        } else {
            self.queue.message(Message {
                channel,
                pattern: bytes(pattern),
                payload,
            });
        }
    }
}

fn bytes(value: Option<Value>) -> Option<Vec<u8>> {
    match value {
        Some(Value::BulkString(bytes)) => Some(bytes),
        _ => None,
    }
}

/// Ends the queue when the connection breaks or answers no more.
async fn keep(
    connector: Connector,
    node: Node,
    queue: Arc<Queue>,
    mut events: mpsc::UnboundedReceiver<Event>,
) {
    let mut tick = interval(connector.limits().command_timeout);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => {
                if !matches!(event, Some(Event::Ended(..))) {
                    queue.end(gone(&node.address));
                    break;
                }
            }
            _ = tick.tick() => {
                if let Err(error) = node.run("asking whether it is there", &redis::cmd("PING")).await {
                    queue.end(error);
                    break;
                }
            }
        }
    }
    #[cfg(feature = "cluster")]
    connector.distrust(&node.address);
}

fn gone(address: &str) -> BackendError {
    let text = format!("the connection to Redis at {address} was lost");
    BackendError::new(BackendErrorKind::Unreachable, text)
}
