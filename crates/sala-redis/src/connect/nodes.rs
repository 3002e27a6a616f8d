//! The nodes of a Redis Cluster: who owns what, and a connection to each.
//!
//! The client library has a cluster client too. We need to know more than it tells: which node's
//! connection broke, so that exactly its channels are followed again and the loss is reported; and we
//! need commands for one slot to leave in their order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::ConnectionInfo;
use sala_adapter::{BackendError, BackendErrorKind};
use tokio::time::sleep;

use super::sentinel::at;
use super::slots::{Address, SlotMap, slot};
use super::{Connector, Idle, NoPushes, Node, misconfigured};
use crate::place::Place;

use crate::error::is_timeout;

/// How often a node that hangs is looked after.
const PROBE: Duration = Duration::from_millis(500);

/// Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub(crate) struct Nodes {
    connector: Connector,
    template: ConnectionInfo,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    map: Arc<SlotMap>,
    connections: HashMap<Address, (Node, Idle)>,
}

impl Nodes {
    /// Learns from any node what the Cluster looks like.
    pub(super) async fn open(connector: Connector) -> Result<Self, BackendError> {
        let Place::Cluster(named) = &connector.shared.place else {
            return Err(misconfigured("this is no Redis Cluster".to_owned()));
        };
        let Some(template) = named.first().cloned() else {
            return Err(misconfigured(
                "no node of the Redis Cluster was named".to_owned(),
            ));
        };
        let nodes = Self {
            connector,
            template,
            shared: Arc::default(),
        };
        nodes.refresh().await?;
        Ok(nodes)
    }

    /// Asks the nodes, one after the other until one answers, who owns what now.
    pub(crate) async fn refresh(&self) -> Result<(), BackendError> {
        let Place::Cluster(named) = &self.connector.shared.place else {
            return Ok(());
        };
        let mut last = misconfigured("no node of the Redis Cluster was named".to_owned());
        for info in self.connector.candidates(named) {
            match self.ask(&info).await {
                Ok(map) => {
                    self.learn(map);
                    return Ok(());
                }
                Err(error) => {
                    self.connector.distrust(&info.addr().to_string());
                    last = error;
                }
            }
        }
        Err(last)
    }

    async fn ask(&self, info: &ConnectionInfo) -> Result<SlotMap, BackendError> {
        let address = address_of(info);
        let node = self.node(&address).await?;
        let reply = node
            .run("asking for the slots", redis::cmd("CLUSTER").arg("SLOTS"))
            .await;
        let reply = reply.inspect_err(|error| self.lose(&address, error))?;
        Ok(SlotMap::of(&reply, &address.0))
    }

    fn learn(&self, map: SlotMap) {
        let infos = map
            .nodes
            .iter()
            .map(|address| at(&self.template, address.clone()));
        self.connector.remember(infos.collect());
        let mut shared = self.shared();
        shared
            .connections
            .retain(|address, _| map.nodes.contains(address));
        shared.map = Arc::new(map);
    }

    /// The owner of the slot of a key or shard channel.
    pub(super) fn owner(&self, key: &[u8]) -> Result<ConnectionInfo, BackendError> {
        let owner = self.owner_of(key)?;
        Ok(at(&self.template, owner))
    }

    /// The same, as the Cluster names it.
    pub(crate) fn owner_of(&self, key: &[u8]) -> Result<Address, BackendError> {
        let slot = slot(key);
        let owner = self.shared().map.owner(slot).cloned();
        owner.ok_or_else(|| {
            let text = format!("no node of the Redis Cluster owns slot {slot}");
            BackendError::new(BackendErrorKind::Unreachable, text)
        })
    }

    /// All nodes, replicas included.
    pub(crate) fn all(&self) -> Vec<Address> {
        self.shared().map.nodes.clone()
    }

    /// The connection to a node, opened if there is none or if it is dead.
    pub(crate) async fn node(&self, address: &Address) -> Result<Node, BackendError> {
        self.unless_hanging(address)?;
        if let Some((node, was_idle)) = self.take_up(address) {
            if !was_idle {
                return Ok(node);
            }
            match node
                .run("asking whether it is there", &redis::cmd("PING"))
                .await
            {
                Ok(_) => return Ok(node),
                Err(error) => self.lose(address, &error),
            }
            self.unless_hanging(address)?;
        }
        let connected = self.connect(address).await;
        connected.inspect_err(|error| self.lose(address, error))
    }

    /// Fails for a node that hangs: to wait for it would hold up what goes to others.
    pub(crate) fn unless_hanging(&self, address: &Address) -> Result<(), BackendError> {
        if !self.connector.hanging().contains(address) {
            return Ok(());
        }
        let (host, port) = address;
        let text =
            format!("node {host}:{port} of the Redis Cluster hangs: it has not answered in time");
        Err(BackendError::new(BackendErrorKind::Unreachable, text))
    }

    /// The connection to a node, if there is one.
    pub(crate) fn opened(&self, address: &Address) -> Option<Node> {
        self.take_up(address).map(|(node, _)| node)
    }

    /// A connection that is about to be used, and whether it was not for long.
    fn take_up(&self, address: &Address) -> Option<(Node, bool)> {
        let mut shared = self.shared();
        let (node, idle) = shared.connections.get_mut(address)?;
        Some((node.clone(), idle.is_over()))
    }

    async fn connect(&self, address: &Address) -> Result<Node, BackendError> {
        let timeout = Some(self.connector.limits().command_timeout);
        let info = at(&self.template, address.clone());
        let node = self
            .connector
            .connect(info, None::<NoPushes>, timeout)
            .await?;
        let mut shared = self.shared();
        let opened = (node.clone(), Idle::new());
        shared.connections.insert(address.clone(), opened);
        Ok(node)
    }

    /// How to reach a node over a connection of one's own.
    pub(crate) fn info(&self, address: &Address) -> ConnectionInfo {
        at(&self.template, address.clone())
    }

    /// Drops the connection to a node, which has failed.
    fn forget(&self, address: &Address) {
        self.shared().connections.remove(address);
    }

    /// The same, and asks this node last from now on; not at all for a while if it did not answer.
    pub(crate) fn lose(&self, address: &Address, error: &BackendError) {
        let (host, port) = address;
        self.connector.distrust(&format!("{host}:{port}"));
        self.forget(address);
        if is_timeout(error) && self.connector.hanging().insert(address.clone()) {
            let hanging = Hanging {
                connector: self.connector.clone(),
                address: address.clone(),
            };
            let (template, shared) = (self.template.clone(), Arc::downgrade(&self.shared));
            tokio::spawn(hanging.look_after(template, shared));
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node that did not answer, and that nobody waits for as long as this lives.
struct Hanging {
    connector: Connector,
    address: Address,
}

impl Hanging {
    /// Waits until it answers again, is none of the Cluster's any more, or the last clone of [`Nodes`] is gone.
    async fn look_after(self, template: ConnectionInfo, shared: Weak<Mutex<Shared>>) {
        loop {
            sleep(PROBE).await;
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let nodes = Nodes {
                connector: self.connector.clone(),
                template: template.clone(),
                shared,
            };
            // Others may have taken over its slots. If nobody can be asked, the next attempt is soon.
            let _ = nodes.refresh().await;
            let is_known = nodes.all().contains(&self.address);
            if !is_known || nodes.connect(&self.address).await.is_ok() {
                return;
            }
        }
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.connector.hanging().remove(&self.address);
    }
}

fn address_of(info: &ConnectionInfo) -> Address {
    match info.addr() {
        redis::ConnectionAddr::Tcp(host, port)
        | redis::ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port),
        other => (other.to_string(), 0),
    }
}
