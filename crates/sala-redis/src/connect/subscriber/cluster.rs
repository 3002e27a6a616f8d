//! Following shard channels on the nodes of a Cluster that own them.
//!
//! One task holds a connection to each of these nodes. When a node is lost, its channels are
//! followed at the next owner, and the loss is reported; when a slot moves, Redis ends the subscription, and
//! it begins again at the new owner. Only when no node can be reached does all end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_util::future::join_all;
use sala_adapter::{BackendError, BackendErrorKind};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Event, Pushes, Queue, Subscription, change};
use crate::connect::nodes::Nodes;
use crate::connect::slots::Address;
use crate::connect::{Connector, Node};
use crate::error::ends_connection;

/// How often it is tried to follow a channel whose node is lost.
const RETRY: Duration = Duration::from_millis(100);

/// The other end of the task.
pub(super) struct Requests(mpsc::Sender<Request>);

struct Request {
    what: Vec<Subscription>,
    begin: bool,
    done: oneshot::Sender<Result<(), BackendError>>,
}

impl Requests {
    pub(super) async fn change(
        &self,
        what: &[Subscription],
        begin: bool,
    ) -> Result<(), BackendError> {
        let (done, answer) = oneshot::channel();
        let what = what.to_vec();
        let request = Request { what, begin, done };
        let ended =
            || BackendError::new(BackendErrorKind::Unreachable, "the connection was closed");
        self.0.send(request).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

/// The task that follows, and the way to tell it what.
pub(super) fn keep(
    connector: Connector,
    nodes: Nodes,
    queue: Arc<Queue>,
) -> (Requests, impl Future<Output = ()> + Send) {
    let (requests, asked) = mpsc::channel(16);
    let (events, happened) = mpsc::unbounded_channel();
    let keeper = Keeper {
        connector,
        nodes,
        queue,
        events,
        connections: BTreeMap::new(),
        channels: HashMap::default(),
        homeless: HashSet::default(),
        next: 0,
        alone_since: None,
    };
    (Requests(requests), keeper.run(asked, happened))
}

struct Keeper {
    connector: Connector,
    nodes: Nodes,
    queue: Arc<Queue>,
    events: mpsc::UnboundedSender<Event>,
    /// By the number under which their events come.
    connections: BTreeMap<u64, (Address, Node)>,
    /// What is followed, and over which connection.
    channels: HashMap<Subscription, u64, RandomState>,
    /// What is to be followed and is not yet, or not any more.
    homeless: HashSet<Subscription, RandomState>,
    next: u64,
    /// Since when no node could be reached.
    alone_since: Option<Instant>,
}

impl Keeper {
    async fn run(
        mut self,
        mut asked: mpsc::Receiver<Request>,
        mut events: mpsc::UnboundedReceiver<Event>,
    ) {
        let mut ping = interval(self.connector.limits().command_timeout);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut retry = interval(RETRY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.queue.has_ended() {
            tokio::select! {
                request = asked.recv() => match request {
                    Some(request) => self.answer(request).await,
                    None => return,
                },
                Some(event) = events.recv() => self.handle(event, &mut events).await,
                _ = ping.tick() => self.ping().await,
                _ = retry.tick(), if !self.homeless.is_empty() => self.settle_or_end().await,
            }
        }
    }

    async fn answer(&mut self, Request { what, begin, done }: Request) {
        let result = if begin {
            self.begin(what).await
        } else {
            self.end(what).await
        };
        // Whoever asked may have given up.
        let _ = done.send(result);
    }

    async fn begin(&mut self, what: Vec<Subscription>) -> Result<(), BackendError> {
        let new = what.iter().filter(|one| !self.channels.contains_key(one));
        self.homeless.extend(new.cloned());
        // Twice: the first attempt may learn that a slot has moved or a node is gone.
        for _ in 0..2 {
            self.settle().await?;
            if !what.iter().any(|one| self.homeless.contains(one)) {
                return Ok(());
            }
        }
        self.nodes.refresh().await?;
        let names = what.iter().filter(|one| self.homeless.contains(one));
        let names = names.map(|one| String::from_utf8_lossy(&one.name).into_owned());
        let names = names.collect::<Vec<_>>().join(", ");
        self.queue.lost(format!(
            "no node of the Redis Cluster serves {names}: followed as soon as one does"
        ));
        Ok(())
    }

    async fn end(&mut self, what: Vec<Subscription>) -> Result<(), BackendError> {
        let mut by_node: BTreeMap<u64, Vec<Subscription>> = BTreeMap::new();
        for one in what {
            self.homeless.remove(&one);
            if let Some(id) = self.channels.remove(&one) {
                by_node.entry(id).or_default().push(one);
            }
        }
        for (id, what) in by_node {
            let Some((_, node)) = self.connections.get(&id) else {
                continue;
            };
            if let Err(error) = change(node, &what, false).await {
                self.lose(id, &error);
            }
        }
        Ok(())
    }

    /// Handles this event and those behind it: a slot that moves ends many subscriptions at once.
    async fn handle(&mut self, first: Event, more: &mut mpsc::UnboundedReceiver<Event>) {
        self.note(first);
        while let Ok(event) = more.try_recv() {
            self.note(event);
        }
        if !self.homeless.is_empty() {
            // If this fails, the next attempt to settle will see to it.
            let _ = self.nodes.refresh().await;
            self.settle_or_end().await;
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Disconnected(id) => self.lose(id, &broke()),
            Event::Ended(id, name) => {
                let one = Subscription::shard(name);
                // What we have ended ourselves is no longer in the table when Redis confirms it.
                if self.channels.get(&one) == Some(&id) {
                    self.channels.remove(&one);
                    self.homeless.insert(one);
                }
            }
        }
    }

    /// Gives up a connection; its channels have to be followed elsewhere.
    fn lose(&mut self, id: u64, why: &BackendError) {
        let Some((address, _)) = self.connections.remove(&id) else {
            return;
        };
        self.nodes.lose(&address, why);
        let (host, port) = address;
        let lost = self.channels.extract_if(|_, home| *home == id);
        let lost: Vec<_> = lost.map(|(one, _)| one).collect();
        let count = lost.len();
        self.homeless.extend(lost);
        if count > 0 {
            self.queue.lost(format!(
                "node {host}:{port} of the Redis Cluster was lost ({why}) with {count} channels"
            ));
        }
    }

    /// Asks all nodes whether they are there.
    async fn ping(&mut self) {
        let asked = self.connections.iter().map(async |(&id, (_, node))| {
            let reply = node
                .run("asking whether it is there", &redis::cmd("PING"))
                .await;
            (id, reply)
        });
        for (id, reply) in join_all(asked).await {
            if let Err(error) = reply {
                self.lose(id, &error);
            }
        }
    }

    async fn settle_or_end(&mut self) {
        if let Err(error) = self.settle().await {
            self.queue.end(error);
        }
    }

    /// Follows what is not followed yet, where it can be.
    ///
    /// # Errors
    ///
    /// If it is refused, which no other attempt would change.
    async fn settle(&mut self) -> Result<(), BackendError> {
        let mut groups: BTreeMap<Address, Vec<Subscription>> = BTreeMap::new();
        for one in &self.homeless {
            if let Ok(owner) = self.nodes.owner_of(&one.name) {
                groups.entry(owner).or_default().push(one.clone());
            }
        }
        for (address, what) in groups {
            self.settle_at(&address, what).await?;
        }
        if self.homeless.is_empty() {
            self.alone_since = None;
        } else {
            self.look_around().await;
        }
        Ok(())
    }

    async fn settle_at(
        &mut self,
        address: &Address,
        what: Vec<Subscription>,
    ) -> Result<(), BackendError> {
        let (id, node) = match self.connection(address).await {
            Ok(connection) => connection,
            Err(error) => return unless_unreachable(error),
        };
        match change(&node, &what, true).await {
            Ok(()) => {
                for one in what {
                    self.homeless.remove(&one);
                    self.channels.insert(one, id);
                }
                Ok(())
            }
            // Some may have been accepted; to follow twice does no harm.
            Err(error) if is_elsewhere(&error) => Ok(()),
            Err(error) => {
                self.lose(id, &error);
                unless_unreachable(error)
            }
        }
    }

    /// Learns what the Cluster looks like now. Ends all if no node has answered for too long.
    async fn look_around(&mut self) {
        match self.nodes.refresh().await {
            Ok(()) => self.alone_since = None,
            Err(error) => {
                let since = *self.alone_since.get_or_insert_with(Instant::now);
                if self.connections.is_empty()
                    || since.elapsed() > self.connector.limits().command_timeout
                {
                    self.queue.end(error);
                }
            }
        }
    }

    async fn connection(&mut self, address: &Address) -> Result<(u64, Node), BackendError> {
        self.nodes.unless_hanging(address)?;
        let known = self
            .connections
            .iter()
            .find(|(_, (other, _))| other == address);
        if let Some((&id, (_, node))) = known {
            return Ok((id, node.clone()));
        }
        self.next += 1;
        let id = self.next;
        let pushes = Pushes {
            node: id,
            largest: self.connector.limits().largest(),
            queue: self.queue.clone(),
            events: self.events.clone(),
        };
        let info = self.nodes.info(address);
        let timeout = Some(self.connector.limits().command_timeout);
        let receive = move |info| pushes.take(info);
        let node = self.connector.connect(info, Some(receive), timeout).await;
        let node = node.inspect_err(|error| self.nodes.lose(address, error))?;
        self.connections.insert(id, (address.clone(), node.clone()));
        Ok((id, node))
    }
}

fn broke() -> BackendError {
    BackendError::new(BackendErrorKind::Unreachable, "the connection broke")
}

fn unless_unreachable(error: BackendError) -> Result<(), BackendError> {
    match error.kind() {
        BackendErrorKind::Unreachable => Ok(()),
        _ => Err(error),
    }
}

/// Whether another node serves the slot, or none just now: nothing is wrong with the connection.
fn is_elsewhere(error: &BackendError) -> bool {
    let cause = std::error::Error::source(error);
    let cause = cause.and_then(|cause| cause.downcast_ref::<redis::RedisError>());
    error.kind() == BackendErrorKind::Unreachable
        && cause.is_some_and(|error| !ends_connection(error))
}
