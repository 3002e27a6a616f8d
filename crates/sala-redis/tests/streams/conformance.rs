//! What every backend has to do, in the option combinations that differ.

use std::sync::Mutex;

use sala_redis::{Redis as Named, Streams, StreamsOptions};
use sala_testkit::cluster::suite::Factory;
use sala_testkit::redis::Redis;

/// How many servers a case starts at most.
const SERVERS: usize = 6;

/// Streams that are connected before a case begins, which cannot wait.
pub(crate) struct Ready(Mutex<Vec<Streams>>);

impl Ready {
    async fn connect(options: impl Fn() -> StreamsOptions, redis: impl Into<Named>) -> Self {
        let (mut ready, redis) = (Vec::new(), redis.into());
        for _ in 0..SERVERS {
            let streams = options().connect(redis.clone()).await;
            ready.push(streams.expect("Redis is there"));
        }
        Self(ready.into())
    }

    fn next(&self) -> Streams {
        let mut ready = self.0.lock().expect("nobody panicked");
        ready.pop().expect("no case starts more servers")
    }
}

/// Streams at a private Redis that remembers.
pub(crate) struct AtRedis {
    redis: tokio::sync::Mutex<Redis>,
    ready: Ready,
}

impl AtRedis {
    pub(crate) async fn start(options: impl Fn() -> StreamsOptions) -> Self {
        let redis = Redis::with(&["--appendonly", "yes"]).await;
        let ready = Ready::connect(options, redis.url()).await;
        Self {
            redis: redis.into(),
            ready,
        }
    }
}

impl Factory for AtRedis {
    type Backend = Streams;

    fn backend(&self) -> Streams {
        self.ready.next()
    }

    async fn stop(&self) -> bool {
        self.redis.lock().await.kill().await;
        true
    }

    async fn start(&self) {
        self.redis.lock().await.start_again().await;
    }
}

mod by_default {
    use sala_redis::Streams;

    sala_testkit::backend_suite!(super::AtRedis::start(Streams::options).await);
}

mod with_sharded_pubsub_and_several_streams {
    use std::time::Duration;

    use sala_redis::{Streams, StreamsOptions};

    fn options() -> StreamsOptions {
        Streams::options()
            .sharded_pubsub(true)
            .stream_count(4)
            .stream_name("other")
            .channel_prefix("prefix")
            .session_key_prefix("session:")
            .read_count(3)
            .block_time(Duration::from_millis(100))
    }

    sala_testkit::backend_suite!(super::AtRedis::start(options).await);
}

#[cfg(feature = "cluster")]
mod topologies {
    use sala_testkit::redis::{RedisCluster, RedisSentinel};

    use super::*;

    /// A whole Cluster is stopped and started; its nodes remember.
    struct InCluster {
        cluster: tokio::sync::Mutex<RedisCluster>,
        ready: Ready,
    }

    impl InCluster {
        async fn start(options: impl Fn() -> StreamsOptions) -> Self {
            let cluster = RedisCluster::start().await;
            let ready = Ready::connect(options, cluster.urls()).await;
            Self {
                cluster: cluster.into(),
                ready,
            }
        }
    }

    impl Factory for InCluster {
        type Backend = Streams;

        fn backend(&self) -> Streams {
            self.ready.next()
        }

        async fn stop(&self) -> bool {
            for node in &mut self.cluster.lock().await.nodes {
                node.run(&["SAVE"]).await;
                node.kill().await;
            }
            true
        }

        async fn start(&self) {
            for node in &mut self.cluster.lock().await.nodes {
                node.start_again().await;
            }
        }
    }

    /// The master is stopped; the replica becomes the master.
    struct Watched {
        group: tokio::sync::Mutex<RedisSentinel>,
        ready: Ready,
    }

    impl Watched {
        async fn start() -> Self {
            let group = RedisSentinel::start().await;
            let addresses: Vec<_> = group.addresses().iter().map(ToString::to_string).collect();
            let url = format!("redis+sentinel://{}/{}", addresses.join(","), group.name());
            let ready = Ready::connect(Streams::options, url).await;
            Self {
                group: group.into(),
                ready,
            }
        }
    }

    impl Factory for Watched {
        type Backend = Streams;

        fn backend(&self) -> Streams {
            self.ready.next()
        }

        async fn stop(&self) -> bool {
            self.group.lock().await.master.kill().await;
            true
        }
    }

    mod in_a_cluster {
        use sala_redis::Streams;

        sala_testkit::backend_suite!(super::InCluster::start(Streams::options).await);
    }

    mod in_a_cluster_with_sharded_pubsub_and_several_streams {
        use sala_redis::{Streams, StreamsOptions};

        fn options() -> StreamsOptions {
            Streams::options().sharded_pubsub(true).stream_count(4)
        }

        sala_testkit::backend_suite!(super::InCluster::start(options).await);
    }

    mod under_sentinels {
        sala_testkit::backend_suite!(super::Watched::start().await);
    }
}
