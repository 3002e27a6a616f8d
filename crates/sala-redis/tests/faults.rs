//! What a broker can do to a cluster that is at work: two servers under load, over the base.

#![cfg(all(feature = "classic", feature = "sharded"))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use sala_adapter::backend::Backend;
use sala_adapter::cluster::ClusterOptions;
use sala_redis::{Classic, Redis, Sharded};
use sala_testkit::cluster::{Heard, Node};
use sala_testkit::redis::Redis as Server;
use tokio::time::sleep;

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(20);

async fn node(backend: impl Backend) -> Node {
    Node::start(backend, ClusterOptions::default(), "/", Vec::new()).await
}

/// Sends a number every few milliseconds until the test ends.
async fn count(node: &Node) {
    for number in 0.. {
        node.count_to_all(number);
        sleep(Duration::from_millis(2)).await;
    }
}

fn last(heard: &[Heard]) -> i64 {
    heard.last().and_then(Heard::number).unwrap_or(-1)
}

/// Redis is killed under load and started again. Each message arrives at most once and in order, and those that were
/// sent after its return arrive, without anybody's help, within two seconds.
async fn killed_under_load<B: Backend>(backend: impl AsyncFn(Redis) -> B) {
    let mut server = Server::start().await;
    let a = node(backend(server.url().into()).await).await;
    let b = node(backend(server.url().into()).await).await;
    let story = async {
        b.local.wait(50, PATIENCE).await;
        server.kill().await;
        sleep(Duration::from_millis(300)).await;
        let before = last(&b.local.heard());
        server.start_again().await;
        let back = Instant::now();
        let more = |heard: &[Heard]| last(heard) > before;
        b.local
            .wait_for("more after the return", PATIENCE, more)
            .await;
        let took = back.elapsed();
        let count = b.local.heard().len();
        b.local.wait(count + 200, PATIENCE).await;
        took
    };
    let took = tokio::select! {
        took = story => took,
        () = count(&a) => unreachable!("it counts for ever"),
    };
    let numbers: Vec<_> = b.local.heard().iter().filter_map(Heard::number).collect();
    assert!(numbers.is_sorted_by(|x, y| x < y), "{numbers:?}");
    let lost = numbers.last().unwrap() + 1 - numbers.len() as i64;
    eprintln!(
        "delivered again {took:?} after the return; {lost} messages lost of {}",
        numbers.len()
    );
    assert!(took < Duration::from_secs(2));
    a.cluster.close().await;
    b.cluster.close().await;
}

#[tokio::test]
async fn classic_goes_on_within_two_seconds_when_redis_was_killed_under_load() {
    killed_under_load(async |redis: Redis| Classic::connect(redis).await.unwrap()).await;
}

#[tokio::test]
async fn sharded_goes_on_within_two_seconds_when_redis_was_killed_under_load() {
    killed_under_load(async |redis: Redis| Sharded::connect(redis).await.unwrap()).await;
}

/// A Redis that stands still, as behind a broken switch, with its connections open: nobody says that it is gone.
async fn frozen<B: Backend>(backend: impl AsyncFn(Redis) -> B) {
    let server = Server::start().await;
    let redis = || Redis::from(server.url()).command_timeout(Duration::from_millis(300));
    let a = node(backend(redis()).await).await;
    let b = node(backend(redis()).await).await;
    server.freeze().await;
    let frozen = Instant::now();
    while a.cluster.stats().connected || b.cluster.stats().connected {
        assert!(frozen.elapsed() < PATIENCE, "nobody notices");
        sleep(Duration::from_millis(10)).await;
    }
    eprintln!("noticed after {:?}", frozen.elapsed());
    a.count_to_all(1);
    server.thaw().await;
    let thawed = Instant::now();
    b.local.wait(1, PATIENCE).await;
    eprintln!("delivered {:?} after it went on", thawed.elapsed());
    assert!(thawed.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn classic_notices_a_redis_that_stands_still() {
    frozen(async |redis: Redis| Classic::connect(redis).await.unwrap()).await;
}

#[tokio::test]
async fn sharded_notices_a_redis_that_stands_still() {
    frozen(async |redis: Redis| Sharded::connect(redis).await.unwrap()).await;
}
