use std::time::Duration;

use sala_adapter::backend::Delivery;
use sala_testkit::redis::Redis;
use tokio::time::Instant;

use crate::{named, numbered, server};

/// Redis is killed and started again while one server writes and two read.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_under_load_loses_nothing_and_doubles_nothing() {
    const MESSAGES: usize = 6000;
    let mut redis = Redis::with(&["--appendonly", "yes"]).await;
    let mut writer = server("writer", &redis).await;
    let readers = [server("b", &redis).await, server("c", &redis).await];
    let write = tokio::spawn(async move {
        let (mut offsets, mut failures) = (Vec::new(), 0);
        for from in (0..MESSAGES).step_by(20) {
            let (new, failed) = writer.send_whatever_happens(numbered(from, 20)).await;
            offsets.extend(new);
            failures += failed;
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        (offsets, failures)
    });
    let read = readers.map(|mut reader| {
        tokio::spawn(async move {
            let mut got = Vec::new();
            while got.len() < MESSAGES {
                got.push(reader.event_whatever_happens().await);
            }
            got
        })
    });
    let begin = Instant::now();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        redis.kill().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        redis.start_again().await;
    }
    let (offsets, failures) = write.await.expect("it ends");
    for reader in read {
        let got = reader.await.expect("it ends");
        for (i, (name, offset)) in got.iter().enumerate() {
            assert_eq!(*name, i.to_string());
            assert_eq!(*offset, offsets[i]);
        }
    }
    println!(
        "{MESSAGES} messages to 2 readers in {:?}, Redis killed 3 times, {failures} failed batches, 0 lost, 0 doubled",
        begin.elapsed()
    );
    assert!(failures >= 3, "{failures}");
}

#[tokio::test]
async fn what_was_written_while_a_server_was_away_is_read_when_it_returns() {
    let redis = Redis::start().await;
    let (mut a, mut b) = (server("a", &redis).await, server("b", &redis).await);
    a.send(numbered(0, 5)).await;
    assert_eq!(b.event().await, "0");
    assert_eq!(b.event().await, "1");
    // Cuts the connections of both; what b had read but not handed on comes again.
    redis.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    redis.run(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    a.send_whatever_happens(numbered(5, 300)).await;
    b.reopen().await;
    for i in 2..305 {
        assert_eq!(b.event().await, i.to_string());
    }
}

#[tokio::test]
async fn a_server_that_was_away_for_longer_than_the_stream_is_long_is_told_so() {
    let redis = Redis::start().await;
    let options = || sala_redis::Streams::options().max_len(200);
    let open = async |id| {
        let backend = options()
            .connect(redis.url())
            .await
            .expect("Redis is there");
        crate::support::Node::start(id, backend).await
    };
    let (mut a, mut b) = (open("a").await, open("b").await);
    a.send(numbered(0, 1)).await;
    assert_eq!(b.event().await, "0");
    redis.run(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    b.reopen().await;
    // Not lost: the place is still there.
    a.send(numbered(1, 50)).await;
    for i in 1..51 {
        assert_eq!(b.event().await, i.to_string());
    }
    drop(b.inlet);
    a.send(numbered(51, 2000)).await;
    let link = sala_adapter::backend::Backend::open(&mut b.backend, &b.context).await;
    b.inlet = link.expect("it opens").inlet;
    b.follow("/").await;
    let reason = match b.recv().await.expect("the link holds") {
        Delivery::Lost { reason } => reason,
        other => panic!("{other:?}"),
    };
    assert!(reason.contains("max_len"), "{reason}");
    let first: usize = b.event().await.parse().expect("a number");
    assert!((1751..=1851).contains(&first), "{first}");
    for i in first + 1..2051 {
        assert_eq!(b.event().await, i.to_string());
    }
}

/// The server does not read for a while, with its connection up.
#[tokio::test]
async fn a_server_that_is_too_slow_is_told_what_it_lost() {
    let redis = Redis::start().await;
    let options = || sala_redis::Streams::options().max_len(200).read_count(10);
    let open = async |id| {
        let backend = options()
            .connect(redis.url())
            .await
            .expect("Redis is there");
        crate::support::Node::start(id, backend).await
    };
    let (mut a, mut b) = (open("a").await, open("b").await);
    for from in (0..3000).step_by(50) {
        a.send(numbered(from, 50)).await;
    }
    let (mut losses, mut last) = (0, None);
    while last != Some(2999) {
        match b.recv().await.expect("the link holds") {
            Delivery::Lost { .. } => losses += 1,
            Delivery::Message { envelope, .. } => {
                let name = crate::support::event_of(&envelope);
                let number: usize = name.parse().expect("a number");
                let next = last.map_or(0, |last| last + 1);
                // Nothing is missing that was not reported.
                assert!(number == next || losses > 0, "{number} after {last:?}");
                last = Some(number);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(losses >= 1);
}

#[tokio::test]
async fn a_redis_that_forgot_everything_is_noticed_and_read_on() {
    let mut redis = Redis::start().await;
    let (mut a, mut b) = (server("a", &redis).await, server("b", &redis).await);
    a.send(numbered(0, 3)).await;
    for i in 0..3 {
        assert_eq!(b.event().await, i.to_string());
    }
    redis.kill().await;
    redis.start_again().await;
    b.reopen().await;
    assert!(matches!(b.recv().await, Ok(Delivery::Lost { .. })));
    a.send_whatever_happens(vec![named("after")]).await;
    assert_eq!(b.event().await, "after");
}

/// A replica that takes over may have a clock that is behind: the ids that it gives out are larger than those it has,
/// but not than those we have read.
#[tokio::test]
async fn ids_that_go_back_are_read_all_the_same() {
    let redis = Redis::start().await;
    let (mut a, mut b) = (server("a", &redis).await, server("b", &redis).await);
    a.send(numbered(0, 1)).await;
    assert_eq!(b.event().await, "0");
    let entry = ["uid", "x", "nsp", "/", "type", "3", "data"];
    let data = r#"{"packet":{"type":2,"data":["old"]},"opts":{"rooms":[],"except":[],"flags":{}}}"#;
    let add = async |key: &str, id: &str| {
        let mut command = vec!["XADD", key, id];
        command.extend(entry);
        command.push(data);
        redis.run(&command).await
    };
    redis.run(&["DEL", "socket.io"]).await;
    add("socket.io", "5-0").await;
    b.reopen().await;
    assert!(matches!(b.recv().await, Ok(Delivery::Lost { .. })));
    add("socket.io", "6-0").await;
    assert_eq!(b.event().await, "old");
}

/// As for pub/sub: a connection that Redis closed because it lay idle was never opened again. What waits for entries
/// is not idle.
#[tokio::test]
async fn a_counter_outlives_the_connection_that_redis_closed() {
    let redis = Redis::start().await;
    let a = server("a", &redis).await;
    let _b = server("b", &redis).await;
    crate::support::close_idle_connections(&redis).await;
    assert_eq!(a.count().await, 2);
}
