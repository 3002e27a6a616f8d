//! Both pub/sub backends, in all modes and topologies, under the base: the suite that every backend passes.

#![allow(clippy::unwrap_used, missing_docs)]

use sala_adapter::backend::Backend;
use sala_redis::{Classic, Sharded, SubscriptionMode};
use sala_testkit::cluster::suite::Factory;
use sala_testkit::redis::Redis as Server;
use tokio::sync::Mutex;

/// One private Redis, and backends that were connected to it.
struct One<B> {
    server: Mutex<Server>,
    backend: B,
}

impl<B: Backend + Clone + Sync> Factory for One<B> {
    type Backend = B;

    fn backend(&self) -> B {
        self.backend.clone()
    }

    async fn stop(&self) -> bool {
        self.server.lock().await.kill().await;
        true
    }

    async fn start(&self) {
        self.server.lock().await.start_again().await;
    }
}

async fn classic(specific: bool) -> One<Classic> {
    let server = Server::start().await;
    let options = Classic::options().publish_on_specific_response_channel(specific);
    let backend = options.connect(server.url()).await.unwrap();
    One {
        backend,
        server: Mutex::new(server),
    }
}

async fn sharded(mode: SubscriptionMode) -> One<Sharded> {
    let server = Server::start().await;
    let options = Sharded::options().subscription_mode(mode);
    let backend = options.connect(server.url()).await.unwrap();
    One {
        backend,
        server: Mutex::new(server),
    }
}

mod classic_on_one_redis {
    sala_testkit::backend_suite!(super::classic(false).await);
}

mod classic_with_specific_response_channels {
    sala_testkit::backend_suite!(super::classic(true).await);
}

mod sharded_static {
    sala_testkit::backend_suite!(super::sharded(super::SubscriptionMode::Static).await);
}

mod sharded_dynamic {
    sala_testkit::backend_suite!(super::sharded(super::SubscriptionMode::Dynamic).await);
}

mod sharded_dynamic_private {
    sala_testkit::backend_suite!(super::sharded(super::SubscriptionMode::DynamicPrivate).await);
}

#[cfg(feature = "cluster")]
mod topologies {
    use sala_testkit::redis::{RedisCluster, RedisSentinel};

    use super::*;

    /// A whole Cluster is stopped and started.
    struct Three<B> {
        cluster: Mutex<RedisCluster>,
        backend: B,
    }

    impl<B: Backend + Clone + Sync> Factory for Three<B> {
        type Backend = B;

        fn backend(&self) -> B {
            self.backend.clone()
        }

        async fn stop(&self) -> bool {
            for node in &mut self.cluster.lock().await.nodes {
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
    struct Watched<B> {
        group: Mutex<RedisSentinel>,
        backend: B,
    }

    impl<B: Backend + Clone + Sync> Factory for Watched<B> {
        type Backend = B;

        fn backend(&self) -> B {
            self.backend.clone()
        }

        async fn stop(&self) -> bool {
            self.group.lock().await.master.kill().await;
            true
        }
    }

    async fn classic_on_three() -> Three<Classic> {
        let cluster = RedisCluster::start().await;
        let backend = Classic::connect(cluster.urls()).await.unwrap();
        Three {
            backend,
            cluster: Mutex::new(cluster),
        }
    }

    async fn sharded_on_three(mode: SubscriptionMode) -> Three<Sharded> {
        let cluster = RedisCluster::start().await;
        let options = Sharded::options().subscription_mode(mode);
        let backend = options.connect(cluster.urls()).await.unwrap();
        Three {
            backend,
            cluster: Mutex::new(cluster),
        }
    }

    fn url(group: &RedisSentinel) -> String {
        let addresses: Vec<_> = group.addresses().iter().map(ToString::to_string).collect();
        format!("redis+sentinel://{}/{}", addresses.join(","), group.name())
    }

    async fn classic_behind_sentinel() -> Watched<Classic> {
        let group = RedisSentinel::start().await;
        let backend = Classic::connect(url(&group)).await.unwrap();
        Watched {
            backend,
            group: Mutex::new(group),
        }
    }

    async fn sharded_behind_sentinel() -> Watched<Sharded> {
        let group = RedisSentinel::start().await;
        let backend = Sharded::connect(url(&group)).await.unwrap();
        Watched {
            backend,
            group: Mutex::new(group),
        }
    }

    mod classic_on_a_cluster {
        sala_testkit::backend_suite!(super::classic_on_three().await);
    }

    mod sharded_static_on_a_cluster {
        use super::SubscriptionMode::Static;
        sala_testkit::backend_suite!(super::sharded_on_three(Static).await);
    }

    mod sharded_dynamic_on_a_cluster {
        use super::SubscriptionMode::Dynamic;
        sala_testkit::backend_suite!(super::sharded_on_three(Dynamic).await);
    }

    mod sharded_dynamic_private_on_a_cluster {
        use super::SubscriptionMode::DynamicPrivate;
        sala_testkit::backend_suite!(super::sharded_on_three(DynamicPrivate).await);
    }

    mod classic_under_sentinels {
        sala_testkit::backend_suite!(super::classic_behind_sentinel().await);
    }

    mod sharded_under_sentinels {
        sala_testkit::backend_suite!(super::sharded_behind_sentinel().await);
    }
}
