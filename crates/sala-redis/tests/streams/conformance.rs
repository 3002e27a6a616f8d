//! What every backend has to do, in the option combinations that differ.

use std::sync::Mutex;

use sala_redis::{Streams, StreamsOptions};
use sala_testkit::cluster::suite::Factory;
use sala_testkit::redis::Redis;

/// How many servers a case starts at most.
const SERVERS: usize = 6;

/// Streams at a private Redis that remembers.
pub(crate) struct AtRedis {
    redis: tokio::sync::Mutex<Redis>,
    ready: Mutex<Vec<Streams>>,
}

impl AtRedis {
    pub(crate) async fn start(options: impl Fn() -> StreamsOptions) -> Self {
        let redis = Redis::with(&["--appendonly", "yes"]).await;
        let mut ready = Vec::new();
        for _ in 0..SERVERS {
            ready.push(
                options()
                    .connect(redis.url())
                    .await
                    .expect("Redis is there"),
            );
        }
        Self {
            redis: redis.into(),
            ready: ready.into(),
        }
    }
}

impl Factory for AtRedis {
    type Backend = Streams;

    fn backend(&self) -> Streams {
        let mut ready = self.ready.lock().expect("nobody panicked");
        ready.pop().expect("no case starts more servers")
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
