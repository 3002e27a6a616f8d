//! The private Redis servers do what the tests that use them rely on.

use std::time::{Duration, Instant};

use sala_testkit::quiet_for;
use sala_testkit::redis::{Redis, RedisCluster, RedisSentinel};
use sala_testkit::resp::Reply;

#[tokio::test]
async fn a_durable_server_has_its_data_after_a_crash() {
    let mut redis = Redis::durable().await;
    redis.run(&["SET", "key", "value"]).await;
    let port = redis.port();
    redis.kill().await;
    assert!(
        sala_testkit::resp::Resp::try_open(redis.addr())
            .await
            .is_err()
    );
    redis.start_again().await;
    assert_eq!(redis.port(), port);
    assert_eq!(redis.run(&["GET", "key"]).await.text(), "value");
}

#[tokio::test]
async fn a_plain_server_forgets_in_a_crash() {
    let mut redis = Redis::start().await;
    redis.run(&["SET", "key", "value"]).await;
    redis.kill().await;
    redis.start_again().await;
    assert_eq!(redis.run(&["GET", "key"]).await, Reply::Nil);
}

#[tokio::test]
async fn a_message_reaches_its_subscriber() {
    let redis = Redis::start().await;
    let mut subscriber = redis.client().await;
    subscriber.run(["SUBSCRIBE", "channel"]).await;
    redis
        .client()
        .await
        .run([&b"PUBLISH"[..], b"channel", b"\x00\r\n\xff"])
        .await;
    let message = subscriber.message().await;
    assert_eq!(message.items()[2], Reply::Bytes(b"\x00\r\n\xff".to_vec()));
}

#[tokio::test]
async fn a_frozen_server_answers_when_it_goes_on() {
    let redis = Redis::start().await;
    let mut client = redis.client().await;
    redis.freeze().await;
    let mut asked = tokio::spawn(async move { client.run(["PING"]).await });
    quiet_for(Duration::from_millis(100), "an answer", &mut asked).await;
    redis.thaw().await;
    assert_eq!(asked.await.expect("the command is answered").text(), "PONG");
}

#[tokio::test]
async fn a_cluster_shares_its_slots_and_can_move_them() {
    let cluster = RedisCluster::start().await;
    let channel = "some channel";
    let owner = cluster.owner(channel).await;
    let stranger = (owner + 1) % 3;
    let mut wrong = cluster.nodes[stranger].client().await;
    let moved = wrong
        .attempt(["SPUBLISH", channel, "x"])
        .await
        .expect("an answer");
    assert!(matches!(moved, Reply::Error(error) if error.starts_with("MOVED")));

    let mut subscriber = cluster.client_for(channel).await;
    subscriber.run(["SSUBSCRIBE", channel]).await;
    cluster
        .client_for(channel)
        .await
        .run(["SPUBLISH", channel, "x"])
        .await;
    assert_eq!(subscriber.message().await.items()[2].text(), "x");

    cluster.move_slot(channel, owner, stranger).await;
    assert_eq!(subscriber.message().await.items()[0].text(), "sunsubscribe");
    wrong.run(["SPUBLISH", channel, "x"]).await;
}

#[tokio::test]
async fn a_node_of_a_cluster_comes_back_to_its_slots() {
    let mut cluster = RedisCluster::start().await;
    let owner = cluster.owner("key").await;
    cluster.nodes[owner].kill().await;
    cluster.nodes[owner].start_again().await;
    cluster.nodes[owner]
        .until(&["SET", "key", "value"], |reply| reply.text() == "OK")
        .await;
}

#[tokio::test]
async fn the_sentinels_replace_a_lost_master() {
    let mut group = RedisSentinel::start().await;
    let lost = Instant::now();
    group.fail_over().await;
    eprintln!("the replica took over after {:?}", lost.elapsed());
    group
        .replica
        .until(&["SET", "key", "value"], |reply| reply.text() == "OK")
        .await;
}
