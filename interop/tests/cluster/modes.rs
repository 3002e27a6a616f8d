//! Every adapter in every mode: one line each.

use sala_testkit::find_program;
use sala_testkit::redis::{Redis, RedisCluster, RedisSentinel};
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::lab::Lab;
use crate::operations;

/// It is optional: Debian 12 has it among the backports only.
const VALKEY: &str = "valkey-server";

/// An adapter of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Classic,
    Sharded,
    Streams,
}

/// How Redis is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topology {
    Alone,
    Cluster,
    Sentinel,
    /// One Valkey server, which claims to be Redis.
    Valkey,
}

/// An adapter with its options.
#[derive(Debug, Clone)]
pub(crate) struct Mode {
    pub(crate) kind: Kind,
    pub(crate) topology: Topology,
    pub(crate) options: Value,
    /// Whether the servers offer connection state recovery.
    pub(crate) recovery: bool,
}

impl Mode {
    pub(crate) fn new(kind: Kind, topology: Topology, options: Value) -> Self {
        Self {
            kind,
            topology,
            options,
            recovery: false,
        }
    }

    pub(crate) fn recovering(self) -> Self {
        Self {
            recovery: true,
            ..self
        }
    }

    /// Starts the Redis that it needs.
    pub(crate) async fn broker(&self) -> Broker {
        match self.topology {
            Topology::Alone => Broker::Alone(Redis::start().await),
            Topology::Valkey => Broker::Alone(Redis::of(VALKEY, &[]).await),
            Topology::Cluster => Broker::Cluster(RedisCluster::start().await),
            Topology::Sentinel => Broker::Sentinel(RedisSentinel::start().await),
        }
    }

    /// The options of a server in this mode.
    pub(crate) fn server(&self, broker: &Broker) -> Value {
        let kind = match self.kind {
            Kind::Classic => "classic",
            Kind::Sharded => "sharded",
            Kind::Streams => "streams",
        };
        let mut options = json!({
            "adapter": {"kind": kind, "redis": broker.option(), "options": self.options},
            // Some tests keep a server from answering for a while.
            "pingInterval": 60_000,
        });
        if self.recovery {
            options["connectionStateRecovery"] = json!({});
        }
        options
    }

    /// Whether bytes stay bytes in requests between servers and in their answers; the classic adapter writes
    /// those as JSON.
    pub(crate) fn binary_requests(&self) -> bool {
        self.kind != Kind::Classic
    }

    /// Whether broadcasts are written as JSON even when there are bytes in them.
    pub(crate) fn plaintext(&self) -> bool {
        self.options["onlyPlaintext"] == true
    }

    /// Whether a room has a channel of its own, so that its messages and others may overtake each other.
    pub(crate) fn room_channels(&self) -> bool {
        self.kind == Kind::Sharded && self.options["subscriptionMode"] != "static"
    }

    /// Whether the room of every client has one as well.
    pub(crate) fn private_channels(&self) -> bool {
        self.kind == Kind::Sharded && self.options["subscriptionMode"] == "dynamic-private"
    }
}

macro_rules! modes {
    ($($name:ident: $kind:ident, $topology:ident, $options:tt $(, $more:ident)?;)+) => {
        $(#[tokio::test]
        async fn $name() {
            let mode = Mode::new(Kind::$kind, Topology::$topology, json!($options))$(.$more())?;
            if mode.topology == Topology::Valkey && find_program(VALKEY).is_none() {
                eprintln!("{VALKEY} is not installed, so nothing is asserted of it");
                return;
            }
            operations::run(Lab::start(mode).await).await;
        })+
    };
}

modes! {
    classic: Classic, Alone, {};
    classic_with_response_channels: Classic, Alone, {"publishOnSpecificResponseChannel": true, "key": "other"};
    classic_on_a_cluster: Classic, Cluster, {};
    classic_behind_sentinels: Classic, Sentinel, {};
    sharded_static: Sharded, Alone, {"subscriptionMode": "static", "channelPrefix": "other"};
    sharded_dynamic: Sharded, Alone, {};
    sharded_dynamic_private: Sharded, Alone, {"subscriptionMode": "dynamic-private"};
    sharded_on_a_cluster: Sharded, Cluster, {};
    streams: Streams, Alone, {};
    streams_with_recovery: Streams, Alone, {"streamName": "other", "blockTimeInMs": 500}, recovering;
    several_streams_and_sharded_channels: Streams, Alone,
        {"streamCount": 4, "useShardedPubSub": true, "onlyPlaintext": true, "channelPrefix": "other"};
    classic_on_valkey: Classic, Valkey, {};
    sharded_on_valkey: Sharded, Valkey, {};
    streams_on_valkey: Streams, Valkey, {}, recovering;
    streams_on_a_cluster: Streams, Cluster, {"streamCount": 3, "useShardedPubSub": true};
}
