//! Redis Cluster and Sentinel, and what can happen to them.

#![cfg(all(feature = "cluster", feature = "classic", feature = "sharded"))]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use sala_adapter::BackendErrorKind;
use sala_adapter::Target;
use sala_adapter::backend::{Backend, Context, Delivery, Follow, Inlet, Outlet, State};
use sala_emitter::Emitter;
use sala_redis::{Classic, Redis, Sharded};
use sala_testkit::redis::{Proxy, Redis as Server, RedisCluster, RedisSentinel, Way};
use support::{Node, event, within_seconds};

fn named(cluster: &RedisCluster) -> Redis {
    Redis::from(cluster.urls()).command_timeout(Duration::from_secs(1))
}

async fn sharded(id: &str, cluster: &RedisCluster) -> Node<Sharded> {
    Node::start(id, Sharded::connect(named(cluster)).await.unwrap()).await
}

async fn classic(id: &str, cluster: &RedisCluster) -> Node<Classic> {
    Node::start(id, Classic::connect(named(cluster)).await.unwrap()).await
}

/// A room whose channel is on this node of the cluster.
async fn room_on(cluster: &RedisCluster, node: usize) -> String {
    for i in 0.. {
        let room = format!("room {i}");
        if cluster.owner(&format!("socket.io#/#{room}#")).await == node {
            return room;
        }
    }
    unreachable!()
}

fn to_room(name: &str, room: &str) -> sala_adapter::Message {
    event(name, Target::all().to(room))
}

#[tokio::test]
async fn sharded_channels_live_on_all_nodes_and_servers_are_counted_once() {
    let cluster = RedisCluster::start().await;
    let mut a = sharded("a", &cluster).await;
    let mut b = sharded("b", &cluster).await;
    assert_eq!(a.count().await, 2);
    for node in 0..3 {
        let room = room_on(&cluster, node).await;
        b.follow_room(&room).await;
        a.send(vec![to_room(&format!("over node {node}"), &room)])
            .await;
        assert_eq!(b.event().await, format!("over node {node}"));
    }
    b.inlet.close().await;
    assert_eq!(a.count().await, 1);
}

#[tokio::test]
async fn classic_messages_cross_the_nodes_once_and_servers_are_summed_over_them() {
    let cluster = RedisCluster::start().await;
    let url = |node: usize| format!("redis+cluster://{}", cluster.nodes[node].addr());
    let mut a = Node::start("a", Classic::connect(url(0)).await.unwrap()).await;
    let mut b = Node::start("b", Classic::connect(url(1)).await.unwrap()).await;
    a.until_count(2).await;
    let events = (0..100).map(|i| event(&i.to_string(), Target::all()));
    a.send(events.collect()).await;
    for i in 0..100 {
        assert_eq!(b.event().await, i.to_string());
    }
    b.inlet.close().await;
    a.until_count(1).await;
}

/// A node had closed the connection over which it is asked for its subscribers. It was taken for lost and left out, the
/// servers that it knows were not counted, and a question ended as if all had answered.
#[tokio::test]
async fn a_node_that_closed_an_idle_connection_is_counted() {
    let cluster = RedisCluster::start().await;
    let (a, _b) = (sharded("a", &cluster).await, sharded("b", &cluster).await);
    is_counted_after_a_cut(&cluster, &a).await;
    let cluster = RedisCluster::start().await;
    let (a, _b) = (classic("a", &cluster).await, classic("b", &cluster).await);
    is_counted_after_a_cut(&cluster, &a).await;
}

async fn is_counted_after_a_cut<B: Backend>(cluster: &RedisCluster, node: &Node<B>) {
    // It has a connection to each node now.
    node.until_count(2).await;
    for node in &cluster.nodes {
        node.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    }
    assert_eq!(node.count().await, 2);
}

/// In a Cluster an emitter sent a message again whose connection broke before the answer came, and clients got it twice:
/// it promises to tell instead, so that whoever emits decides.
#[tokio::test]
async fn an_emitter_sends_nothing_twice() {
    let redis = Server::with(&["--cluster-enabled", "yes"]).await;
    let proxy = Proxy::to(redis.addr()).await;
    let port = proxy.url().rsplit(':').next().unwrap().to_owned();
    redis
        .run(&["CONFIG", "SET", "cluster-announce-ip", "127.0.0.1"])
        .await;
    redis
        .run(&["CONFIG", "SET", "cluster-announce-port", &port])
        .await;
    redis.run(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    redis
        .until(&["CLUSTER", "INFO"], |info| {
            info.text().contains("cluster_state:ok")
        })
        .await;
    let published = async || {
        let stats = redis.run(&["INFO", "commandstats"]).await.text();
        let calls = stats.split("cmdstat_spublish:calls=").nth(1).unwrap_or("0");
        calls.split(',').next().unwrap().parse::<u32>().unwrap()
    };
    let url = proxy.url().replace("redis://", "redis+cluster://");
    let emitter = Emitter::new(Sharded::options().outlet(url).await.unwrap());
    emitter.emit("x", &()).await.unwrap();
    proxy.cut_after(Way::FromRedis, 1);
    let error = emitter.emit("x", &()).await.expect_err("no answer came");
    assert!(error.is_unreachable(), "{error}");
    assert_eq!((proxy.cuts(), published().await), (1, 2));

    // A connection that is found dead before anything is sent over it is another matter.
    emitter.emit("x", &()).await.unwrap();
    redis.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    emitter.emit("x", &()).await.unwrap();
    assert_eq!(published().await, 4);
}

#[tokio::test]
async fn a_batch_for_many_nodes_keeps_the_order_of_each_channel() {
    let cluster = RedisCluster::start().await;
    let mut a = sharded("a", &cluster).await;
    let mut b = sharded("b", &cluster).await;
    let mut rooms = Vec::new();
    for node in 0..3 {
        let room = room_on(&cluster, node).await;
        b.follow_room(&room).await;
        rooms.push(room);
    }
    let batch = (0..300).map(|i| to_room(&i.to_string(), &rooms[i % 3]));
    a.send(batch.collect()).await;
    let mut last = [None; 3];
    for _ in 0..300 {
        let i: usize = b.event().await.parse().unwrap();
        assert!(last[i % 3] < Some(i));
        last[i % 3] = Some(i);
    }
}

/// Redis ends the subscriptions of a slot that moves to another node. A client that does not
/// subscribe again hears nothing any more, and nobody tells it.
#[tokio::test]
async fn a_channel_is_followed_where_its_slot_moves() {
    let cluster = RedisCluster::start().await;
    let mut a = sharded("a", &cluster).await;
    let mut b = sharded("b", &cluster).await;
    let room = room_on(&cluster, 1).await;
    let channel = format!("socket.io#/#{room}#");
    b.follow_room(&room).await;
    a.send(vec![to_room("before", &room)]).await;
    assert_eq!(b.event().await, "before");

    cluster.move_slot(&channel, 1, 2).await;
    let moved = Instant::now();
    cluster.nodes[2]
        .until(&["PUBSUB", "SHARDNUMSUB", &channel], |reply| {
            reply.items()[1].number() == 1
        })
        .await;
    eprintln!("followed again {:?} after the move", moved.elapsed());
    a.send(vec![to_room("after", &room)]).await;
    assert_eq!(b.event().await, "after");

    // The channel of the namespace moves as well, and both can still be left.
    let owner = cluster.owner("socket.io#/#").await;
    cluster
        .move_slot("socket.io#/#", owner, (owner + 1) % 3)
        .await;
    a.until_count(2).await;
    b.inlet.close().await;
    a.until_count(1).await;
}

#[tokio::test]
async fn when_a_node_is_lost_the_others_go_on_and_its_channels_come_back_with_it() {
    let mut cluster = RedisCluster::start().await;
    let home = cluster.owner("socket.io#/#").await;
    let (lost, other) = ((home + 1) % 3, (home + 2) % 3);
    let mut a = sharded("a", &cluster).await;
    let mut b = sharded("b", &cluster).await;
    let (there, elsewhere) = (
        room_on(&cluster, lost).await,
        room_on(&cluster, other).await,
    );
    b.follow_room(&there).await;
    b.follow_room(&elsewhere).await;

    cluster.nodes[lost].kill().await;
    match b.recv().await.unwrap() {
        Delivery::Lost { reason } => assert!(reason.contains("was lost"), "{reason}"),
        other => panic!("{other:?}"),
    }
    // What goes over the other nodes arrives, in a batch with what cannot be sent.
    let mut batch = [
        a.parcel(to_room("unreachable", &there)),
        a.parcel(to_room("reachable", &elsewhere)),
        a.parcel(event("to all", Target::all())),
    ];
    let begun = Instant::now();
    a.outlet.send(&mut batch).await.unwrap();
    eprintln!("a batch with a lost node took {:?}", begun.elapsed());
    assert!(
        matches!(batch[0].state, State::Failed(_)),
        "{:?}",
        batch[0].state
    );
    let mut heard = [b.event().await, b.event().await];
    heard.sort();
    assert_eq!(heard, ["reachable", "to all"]);
    assert_eq!(a.count().await, 2);

    cluster.nodes[lost].start_again().await;
    let back = Instant::now();
    within_seconds("the node to deliver again", async {
        loop {
            let mut batch = [a.parcel(to_room("back", &there))];
            a.outlet.send(&mut batch).await.unwrap();
            if matches!(batch[0].state, State::Sent(_)) && hears(&mut b, "back").await {
                break;
            }
        }
    })
    .await;
    let took = back.elapsed();
    eprintln!("its channels delivered again {took:?} after its return");
    assert!(took < Duration::from_secs(2));
}

/// A node hung: it took connections and answered nothing. Every batch with a message for it waited until the time for an
/// answer and then that for a connection was over, the link was given up, and what the other nodes had taken was sent again.
#[tokio::test]
async fn when_a_node_hangs_the_others_are_held_up_once() {
    let cluster = RedisCluster::start().await;
    for node in &cluster.nodes {
        // The others must not find out during the test.
        node.run(&["CONFIG", "SET", "cluster-node-timeout", "60000"])
            .await;
    }
    let home = cluster.owner("socket.io#/#").await;
    let (hanging, other) = ((home + 1) % 3, (home + 2) % 3);
    let mut a = sharded("a", &cluster).await;
    let mut b = sharded("b", &cluster).await;
    let (there, elsewhere) = (
        room_on(&cluster, hanging).await,
        room_on(&cluster, other).await,
    );
    b.follow_room(&there).await;
    b.follow_room(&elsewhere).await;
    a.send(vec![
        to_room("before", &there),
        to_room("before", &elsewhere),
    ])
    .await;
    assert_eq!([b.event().await, b.event().await], ["before", "before"]);

    cluster.nodes[hanging].freeze().await;
    for turn in 0..10 {
        let mut batch = [
            a.parcel(to_room("lost", &there)),
            a.parcel(to_room(&turn.to_string(), &elsewhere)),
        ];
        let begun = Instant::now();
        a.outlet.send(&mut batch).await.unwrap();
        let took = begun.elapsed();
        // Once the command's timeout of a second.
        assert!(
            took < Duration::from_millis(if turn == 0 { 2000 } else { 300 }),
            "{took:?}"
        );
        assert!(
            matches!(batch[0].state, State::Failed(_)),
            "{:?}",
            batch[0].state
        );
        assert!(
            matches!(batch[1].state, State::Sent(_)),
            "{:?}",
            batch[1].state
        );
    }
    let mut heard = Vec::new();
    while heard.len() < 10 {
        match b.recv().await.unwrap() {
            Delivery::Message { envelope, .. } => heard.push(support::event_of(&envelope)),
            Delivery::Lost { reason } => assert!(reason.contains("was lost"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        heard,
        (0..10).map(|turn| turn.to_string()).collect::<Vec<_>>()
    );
    // Subscriptions at other nodes go on, and nobody claims to have counted everybody.
    let begun = Instant::now();
    for n in 0..5 {
        b.follow_room(&format!("{elsewhere}{n}")).await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    a.counter.count("/").await.expect_err("one node hangs");

    cluster.nodes[hanging].thaw().await;
    within_seconds("the node to deliver again", async {
        loop {
            let mut batch = [a.parcel(to_room("back", &there))];
            a.outlet.send(&mut batch).await.unwrap();
            if matches!(batch[0].state, State::Sent(_)) && hears(&mut b, "back").await {
                break;
            }
        }
    })
    .await;
    a.until_count(2).await;
}

/// Whether the event comes within a tenth of a second.
async fn hears<B: Backend>(node: &mut Node<B>, name: &str) -> bool {
    let next = tokio::time::timeout(Duration::from_millis(100), node.recv());
    match next.await {
        Ok(Ok(Delivery::Message { envelope, .. })) => support::event_of(&envelope) == name,
        _ => false,
    }
}

#[tokio::test]
async fn when_all_nodes_are_lost_the_link_ends() {
    let mut cluster = RedisCluster::start().await;
    let mut a = sharded("a", &cluster).await;
    for node in &mut cluster.nodes {
        node.kill().await;
    }
    within_seconds("the link to end", async {
        while a.inlet.recv().await.is_ok() {}
    })
    .await;
}

#[tokio::test]
async fn when_its_node_is_lost_classic_pub_sub_goes_on_over_another() {
    let mut cluster = RedisCluster::start().await;
    let mut a = classic("a", &cluster).await;
    let mut b = classic("b", &cluster).await;
    // All are connected to the same node, the first that answers.
    let mut at = None;
    for (i, node) in cluster.nodes.iter().enumerate() {
        let reply = node
            .run(&["PUBSUB", "NUMSUB", "socket.io-request#/#"])
            .await;
        if reply.items()[1].number() > 0 {
            at = Some(i);
        }
    }
    cluster.nodes[at.unwrap()].kill().await;
    assert!(b.recv().await.is_err());
    let lost = Instant::now();
    b.reopen().await;
    a.reopen().await;
    a.send(vec![event("over another", Target::all())]).await;
    assert_eq!(b.event().await, "over another");
    eprintln!("went on over another node after {:?}", lost.elapsed());
    a.until_count(2).await;
}

async fn failover<B: Backend>(backend: impl AsyncFn(Redis) -> B) {
    let mut group = RedisSentinel::start().await;
    let addresses: Vec<_> = group.addresses().iter().map(ToString::to_string).collect();
    let url = format!("redis+sentinel://{}/{}", addresses.join(","), group.name());
    let mut a = Node::start("a", backend(url.as_str().into()).await).await;
    let mut b = Node::start("b", backend(url.as_str().into()).await).await;
    a.send(vec![event("before", Target::all())]).await;
    assert_eq!(b.event().await, "before");
    let killed = Instant::now();
    group.fail_over().await;
    assert!(b.recv().await.is_err());
    b.reopen().await;
    a.reopen().await;
    a.send(vec![event("after", Target::all())]).await;
    assert_eq!(b.event().await, "after");
    eprintln!(
        "heard again {:?} after the master was killed",
        killed.elapsed()
    );
}

#[tokio::test]
async fn classic_follows_the_sentinels_to_the_next_master() {
    failover(async |redis: Redis| Classic::connect(redis).await.unwrap()).await;
}

#[tokio::test]
async fn sharded_follows_the_sentinels_to_the_next_master() {
    failover(async |redis: Redis| Sharded::connect(redis).await.unwrap()).await;
}

#[tokio::test]
async fn a_user_who_may_not_subscribe_is_told_so_and_not_tried_for_ever() {
    let cluster = RedisCluster::start().await;
    let rule = "ACL SETUSER poor on >p allchannels -@all +hello +ping +cluster|slots";
    for node in &cluster.nodes {
        node.run(&rule.split(' ').collect::<Vec<_>>()).await;
    }
    let url = format!("redis+cluster://poor:p@{}", cluster.nodes[0].addr());
    let mut backend = Sharded::connect(url).await.unwrap();
    let context = Context {
        server: "a".into(),
        rooms: std::sync::Arc::new(support::Rooms::default()),
    };
    let mut link = backend.open(&context).await.unwrap();
    let follow = Follow::Namespace("/".into());
    let error = link.inlet.follow(&follow).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Refused, "{error}");
}
