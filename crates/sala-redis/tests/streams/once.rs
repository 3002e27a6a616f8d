use std::time::Duration;

use sala_adapter::backend::Outlet;
use sala_redis::{Redis as Named, Streams};
use sala_testkit::redis::Redis;

use crate::support::Node;
use crate::{Server, are_in_order, numbered, server};
use sala_testkit::redis::{Proxy, Way};

/// The names of the events in the stream, in its order.
async fn written(redis: &Redis) -> Vec<String> {
    let entries = redis.run(&["XRANGE", "socket.io", "-", "+"]).await;
    let name = |data: String| data.split('"').nth(7).unwrap_or_default().to_owned();
    let data = entries
        .items()
        .iter()
        .map(|entry| entry.items()[1].items()[7].text());
    data.map(name).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| i.to_string()).collect()
}

async fn through(proxy: &Proxy) -> Server {
    let named = Named::from(proxy.url()).command_timeout(Duration::from_millis(500));
    Node::start("a", Streams::connect(named).await.expect("Redis is there")).await
}

/// A connection may break anywhere: within a command, so that Redis has some of a batch; or within the answers, so that
/// it has all of it and we do not know. Either way every message is to be in the stream once, in order.
#[tokio::test]
async fn a_batch_is_written_once_wherever_the_connection_breaks() {
    let redis = Redis::start().await;
    let mut broken = 0;
    for way in [Way::ToRedis, Way::FromRedis] {
        let step = if way == Way::ToRedis { 251 } else { 17 };
        for cut in (1..40).map(|i| i * step) {
            redis.run(&["DEL", "socket.io"]).await;
            let proxy = Proxy::to(redis.addr()).await;
            let mut a = through(&proxy).await;
            a.send(numbered(0, 1)).await;
            proxy.cut_after(way, cut);
            let (offsets, failures) = a.send_whatever_happens(numbered(1, 40)).await;
            assert_eq!(
                written(&redis).await,
                names(41),
                "cut after {cut} bytes {way:?}"
            );
            assert!(are_in_order(&offsets), "{offsets:?}");
            broken += failures.min(proxy.cuts());
        }
    }
    println!("{broken} batches broke in 78 rounds");
    assert!(broken >= 40, "only {broken} batches broke");
}

#[tokio::test]
async fn a_batch_is_written_once_when_the_connection_breaks_again_and_again() {
    let redis = Redis::start().await;
    let proxy = Proxy::to(redis.addr()).await;
    let mut a = through(&proxy).await;
    let mut failures = 0;
    for round in 0..60 {
        let way = if round % 2 == 0 {
            Way::FromRedis
        } else {
            Way::ToRedis
        };
        proxy.cut_after(way, 100 + round * 37);
        failures += a.send_whatever_happens(numbered(round * 20, 20)).await.1;
    }
    assert_eq!(written(&redis).await, names(1200));
    println!("{failures} failures in 60 batches, {} cuts", proxy.cuts());
    assert!(failures >= 20, "{failures}");
}

/// What was sent over a connection that was given up may still lie unread at Redis, to be executed after we looked
/// whether it was.
#[tokio::test]
async fn what_redis_reads_late_is_not_written_twice() {
    let redis = Redis::start().await;
    let mut a = server("a", &redis).await;
    a.send(numbered(0, 1)).await;
    for round in 0..10 {
        redis.freeze().await;
        let mut batch: Vec<_> = numbered(1 + round * 20, 20)
            .into_iter()
            .map(|m| a.parcel(m))
            .collect();
        a.outlet
            .send(&mut batch)
            .await
            .expect_err("no answer in time");
        let thaw = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            redis.thaw().await;
        };
        let send = async {
            while a.outlet.send(&mut batch).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::join!(thaw, send);
    }
    assert_eq!(written(&redis).await, names(201));
}

/// Redis answers after the command is in its append-only file; what it had not answered is there or is not. (It writes
/// later while the disk is slow to synchronise, which therefore must not happen: it lost what it had answered.)
#[tokio::test]
async fn a_batch_is_written_once_when_redis_is_killed() {
    let mut redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "no"]).await;
    let mut a = server("a", &redis).await;
    let (mut sent, mut failures) = (0, 0);
    for round in 0..8 {
        let kill = async {
            tokio::time::sleep(Duration::from_millis(5 + 3 * round)).await;
            redis.kill().await;
            redis.start_again().await;
        };
        let send = async {
            let until = tokio::time::Instant::now() + Duration::from_millis(150);
            let mut failures = 0;
            while tokio::time::Instant::now() < until {
                failures += a.send_whatever_happens(numbered(sent, 50)).await.1;
                sent += 50;
            }
            failures
        };
        failures += tokio::join!(kill, send).1;
    }
    let written = written(&redis).await;
    println!("{sent} messages, {failures} failed batches, Redis killed 8 times");
    assert!(failures >= 4, "{failures}");
    // The stream keeps the newest 10,000 or so.
    let expected: Vec<_> = names(sent).split_off(sent - written.len());
    assert_eq!(written, expected);
}
