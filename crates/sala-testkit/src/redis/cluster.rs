use std::ffi::OsString;

use super::{Redis, plain, program};
use crate::resp::{Reply, Resp};
use crate::{Daemon, Folder};

/// How many hash slots a cluster has.
const SLOTS: u32 = 16_384;

/// A Redis Cluster of three masters without replicas, each with a third of the slots.
///
/// A slot whose master is gone is unavailable; the others go on.
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters, in the order of their slots.
    pub nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three servers and joins them by hand, which is faster than `redis-cli --cluster create`.
    pub async fn start() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Redis::ready(Daemon::start(program(), options).await).await);
        }
        let cluster = Self { nodes };
        cluster.share_slots().await;
        cluster.introduce().await;
        for node in &cluster.nodes {
            node.until(&["CLUSTER", "INFO"], |info| {
                let info = info.text();
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            })
            .await;
        }
        cluster
    }

    async fn share_slots(&self) {
        let count = self.nodes.len() as u32;
        for (i, node) in (0..).zip(&self.nodes) {
            let first = (SLOTS * i / count).to_string();
            let last = (SLOTS * (i + 1) / count - 1).to_string();
            node.run(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await;
            // Two nodes with the same epoch would have to agree on one first.
            let epoch = (i + 1).to_string();
            node.run(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
        }
    }

    async fn introduce(&self) {
        for node in &self.nodes[1..] {
            let port = node.port().to_string();
            self.nodes[0]
                .run(&["CLUSTER", "MEET", "127.0.0.1", &port])
                .await;
        }
    }

    /// The addresses of all masters, as clients write them.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// Which of the masters owns the slot of a key or channel.
    pub async fn owner(&self, key: &str) -> usize {
        let reply = self.nodes[0].run(&["CLUSTER", "KEYSLOT", key]).await;
        let slot = reply.number() as u32;
        let count = self.nodes.len() as u32;
        (0..count)
            .position(|i| slot < SLOTS * (i + 1) / count)
            .expect("every slot has an owner")
    }

    /// A connection to the master that owns a key or channel.
    pub async fn client_for(&self, key: &str) -> Resp {
        self.nodes[self.owner(key).await].client().await
    }

    /// Moves the slot of a key or channel, with all keys in it, to another master, as a rebalancing does.
    pub async fn move_slot(&self, key: &str, from: usize, to: usize) {
        let slot = self.nodes[0].run(&["CLUSTER", "KEYSLOT", key]).await;
        let slot = slot.number().to_string();
        let (old, new) = (self.id(from).await, self.id(to).await);
        self.nodes[to]
            .run(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &old])
            .await;
        self.nodes[from]
            .run(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &new])
            .await;
        self.move_keys(&slot, from, to).await;
        for node in [to, from] {
            self.nodes[node]
                .run(&["CLUSTER", "SETSLOT", &slot, "NODE", &new])
                .await;
        }
    }

    async fn move_keys(&self, slot: &str, from: usize, to: usize) {
        let from = &self.nodes[from];
        let keys = from.run(&["CLUSTER", "GETKEYSINSLOT", slot, "100"]).await;
        let port = self.nodes[to].port().to_string();
        for key in keys.items() {
            from.run(&["MIGRATE", "127.0.0.1", &port, &key.text(), "0", "5000"])
                .await;
        }
    }

    async fn id(&self, node: usize) -> String {
        self.nodes[node].run(&["CLUSTER", "MYID"]).await.text()
    }

    /// The sum of a number over all masters, such as that of the subscribers of a channel.
    pub async fn sum(&self, command: &[&str], number: impl Fn(&Reply) -> i64) -> i64 {
        let mut sum = 0;
        for node in &self.nodes {
            sum += number(&node.run(command).await);
        }
        sum
    }
}

fn options(port: u16, folder: &Folder) -> Vec<OsString> {
    let mut options = plain(port, folder);
    let cluster = [
        ["--cluster-enabled", "yes"],
        ["--cluster-config-file", "nodes.conf"],
        ["--cluster-node-timeout", "2000"],
        ["--cluster-require-full-coverage", "no"],
    ];
    options.extend(cluster.as_flattened().iter().map(OsString::from));
    options
}
