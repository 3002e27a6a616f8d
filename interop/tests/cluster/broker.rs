//! The Redis of one cluster, and what the tests ask it.

use std::collections::HashMap;

use sala_testkit::redis::{Redis, RedisCluster, RedisSentinel};
use sala_testkit::resp::{Reply, Resp};
use serde_json::{Value, json};

/// What the servers of one cluster meet at.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of them in each test"
)]
pub(crate) enum Broker {
    Alone(Redis),
    Cluster(RedisCluster),
    Sentinel(RedisSentinel),
}

impl Broker {
    /// The option `redis` of an adapter.
    pub(crate) fn option(&self) -> Value {
        match self {
            Self::Alone(redis) => json!({"url": redis.url()}),
            Self::Cluster(cluster) => json!({"cluster": cluster.urls()}),
            Self::Sentinel(group) => {
                let addresses = group.addresses();
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                json!({"sentinels": addresses, "name": group.name()})
            }
        }
    }

    fn servers(&self) -> Vec<&Redis> {
        match self {
            Self::Alone(redis) => vec![redis],
            Self::Cluster(cluster) => cluster.nodes.iter().collect(),
            Self::Sentinel(group) => vec![&group.master],
        }
    }

    /// How many connections listen to each sharded channel.
    pub(crate) async fn sharded_subscribers(&self) -> HashMap<String, i64> {
        let mut found = HashMap::new();
        for server in self.servers() {
            let mut client = server.client().await;
            let channels = client.run(["PUBSUB", "SHARDCHANNELS"]).await;
            let names: Vec<String> = channels.items().iter().map(Reply::text).collect();
            let command = ["PUBSUB", "SHARDNUMSUB"].map(str::to_owned);
            let counts = client.run(command.iter().chain(&names)).await;
            for pair in counts.items().chunks_exact(2) {
                *found.entry(pair[0].text()).or_default() += pair[1].number();
            }
        }
        found
    }

    /// A connection to the server that has a key or a sharded channel.
    pub(crate) async fn client_for(&self, key: &str) -> Resp {
        match self {
            Self::Alone(redis) => redis.client().await,
            Self::Cluster(cluster) => cluster.client_for(key).await,
            Self::Sentinel(group) => group.master.client().await,
        }
    }
}
