//! Servers that cannot hear each other are told so at start-up.

#![cfg(all(feature = "classic", feature = "sharded", feature = "streams"))]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sala_adapter::BackendErrorKind::Misconfigured;
use sala_adapter::backend::Backend;
use sala_adapter::{BackendError, Target};
use sala_redis::{Classic, Sharded, Streams, SubscriptionMode};
use sala_testkit::redis::{Redis, RedisCluster};

use crate::support::{Node, event};

fn says<B>(connected: Result<B, BackendError>, parts: &[&str]) {
    let Err(error) = connected else {
        panic!("it was let in")
    };
    assert_eq!(error.kind(), Misconfigured, "{error}");
    let text = error.to_string();
    for part in parts.iter().chain(&["check_peers(false)"]) {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

async fn two<B: Backend>(connect: impl AsyncFn() -> B) -> [Node<B>; 2] {
    let node = async |id| Node::start(id, connect().await).await;
    [node("a").await, node("b").await]
}

#[tokio::test]
async fn who_comes_with_another_adapter_than_all_others_is_refused() {
    let redis = Redis::start().await;
    let url = redis.url();

    let cluster = two(async || Classic::connect(&url).await.unwrap()).await;
    let there = [
        "`socket.io`",
        "`Classic`",
        "(PUBSUB NUMSUB socket.io-request#/#: 2)",
    ];
    says(Sharded::connect(&url).await, &there);
    says(Streams::connect(&url).await, &there);
    Classic::connect(&url).await.unwrap();
    drop(cluster);
    until_gone(&redis, &["PUBSUB", "NUMSUB", "socket.io-request#/#"]).await;

    let cluster = two(async || Sharded::connect(&url).await.unwrap()).await;
    let there = ["`Sharded`", "(PUBSUB SHARDNUMSUB socket.io#/#: 2)"];
    says(Classic::connect(&url).await, &there);
    says(Streams::connect(&url).await, &there);
    Sharded::connect(&url).await.unwrap();
    drop(cluster);
    until_gone(&redis, &["PUBSUB", "SHARDNUMSUB", "socket.io#/#"]).await;

    let cluster = two(async || Streams::connect(&url).await.unwrap()).await;
    let there = ["`Streams`", "(PUBSUB NUMSUB socket.io#/#: 2)"];
    says(Classic::connect(&url).await, &there);
    says(Sharded::connect(&url).await, &there);
    let sharded = Streams::options().sharded_pubsub(true);
    says(sharded.connect(&url).await, &there);
    Streams::connect(&url).await.unwrap();
    drop(cluster);
}

async fn until_gone(redis: &Redis, question: &[&str]) {
    redis
        .until(question, |reply| reply.items()[1].number() == 0)
        .await;
}

#[tokio::test]
async fn another_prefix_the_option_and_company_let_it_in() {
    let redis = Redis::start().await;
    let url = redis.url();
    let _cluster = two(async || Classic::connect(&url).await.unwrap()).await;
    let other = Sharded::options().channel_prefix("other");
    other.connect(&url).await.unwrap();

    // The first of those that are to replace them.
    let unchecked = Sharded::options().check_peers(false);
    let first = unchecked.connect(&url).await.unwrap();
    let mut first = Node::start("first", first).await;
    // The next ones are not alone, and are told in the log.
    let log = Log::default();
    let second = log.of(Sharded::connect(&url)).await.unwrap();
    let mut second = Node::start("second", second).await;
    assert!(
        log.text().contains("is used by servers with `Classic`"),
        "{}",
        log.text()
    );
    first.send(vec![event("hello", Target::all())]).await;
    assert_eq!(second.event().await, "hello");
    // Those that are left are let in as well.
    Classic::connect(&url).await.unwrap();
}

#[tokio::test]
async fn in_a_cluster_the_servers_of_all_nodes_are_seen() {
    let cluster = RedisCluster::start().await;
    let there = two(async || Sharded::connect(cluster.urls()).await.unwrap()).await;
    says(
        Classic::connect(cluster.urls()).await,
        &["`Sharded`", ": 2)"],
    );
    drop(there);
    let cluster = RedisCluster::start().await;
    let _there = two(async || Classic::connect(cluster.urls()).await.unwrap()).await;
    says(
        Sharded::connect(cluster.urls()).await,
        &["`Classic`", ": 2)"],
    );
    says(
        Streams::connect(cluster.urls()).await,
        &["`Classic`", ": 2)"],
    );
}

#[tokio::test]
async fn a_static_server_among_dynamic_ones_is_warned() {
    let redis = Redis::start().await;
    let connect = async || Sharded::connect(redis.url()).await.unwrap();
    let [mut a, _b] = two(connect).await;
    let is_static = || Sharded::options().subscription_mode(SubscriptionMode::Static);
    let log = Log::default();
    log.of(is_static().connect(redis.url())).await.unwrap();
    assert_eq!(log.text(), "", "nobody follows a room");
    a.follow_room("news").await;
    log.of(is_static().connect(redis.url())).await.unwrap();
    assert!(log.text().contains("subscription_mode"), "{}", log.text());
}

#[tokio::test]
async fn another_number_of_streams_is_warned_of() {
    let redis = Redis::start().await;
    let four = || Streams::options().stream_count(4);
    let mut a = Node::start("a", four().connect(redis.url()).await.unwrap()).await;
    a.send(vec![event("hello", Target::all())]).await;
    let log = Log::default();
    log.of(four().connect(redis.url())).await.unwrap();
    assert_eq!(log.text(), "");
    log.of(Streams::connect(redis.url())).await.unwrap();
    let text = log.text();
    assert!(
        text.contains("stream_count") && text.contains("socket.io-3"),
        "{text}"
    );
}

/// Whoever may not ask is let in.
#[tokio::test]
async fn rights_to_look_are_not_needed() {
    let redis = Redis::start().await;
    let _cluster = two(async || Classic::connect(redis.url()).await.unwrap()).await;
    let rule = "ACL SETUSER poor on >p allchannels -@all +hello +ping";
    redis.run(&rule.split(' ').collect::<Vec<_>>()).await;
    let url = format!("redis://poor:p@{}", redis.addr());
    Sharded::connect(url).await.unwrap();
}

/// What is logged while something happens.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    async fn of<T>(&self, what: impl Future<Output = T>) -> T {
        self.0.lock().unwrap().clear();
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        tokio::time::timeout(Duration::from_secs(20), what)
            .await
            .unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
