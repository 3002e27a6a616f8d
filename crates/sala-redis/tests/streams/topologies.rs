use std::time::Duration;

use sala_adapter::Target;
use sala_adapter::backend::{Backend, Delivery, Inlet, Outlet};
use sala_adapter::recovery::SavedSession;
use sala_redis::{Redis as Named, Streams};
use sala_testkit::redis::{RedisCluster, RedisSentinel};

use crate::support::{Node, event, event_of};
use crate::{Server, named, numbered};

async fn in_cluster(id: &str, cluster: &RedisCluster, sharded: bool) -> Server {
    let named = Named::from(cluster.urls()).command_timeout(Duration::from_secs(1));
    let options = Streams::options()
        .stream_name("st")
        .stream_count(4)
        .sharded_pubsub(sharded);
    Node::start(
        id,
        options.connect(named).await.expect("the Cluster is there"),
    )
    .await
}

/// With four streams: `/` and `/chat` go to st-3, `/a` to st-2, `/admin` to st-0.
const NAMESPACES: [&str; 4] = ["/", "/chat", "/a", "/admin"];

#[tokio::test]
async fn in_a_cluster_namespaces_go_to_streams_on_several_nodes() {
    let cluster = RedisCluster::start().await;
    for sharded in [false, true] {
        let mut a = in_cluster("a", &cluster, sharded).await;
        let mut b = in_cluster("b", &cluster, sharded).await;
        for namespace in &NAMESPACES[1..] {
            b.follow(namespace).await;
        }
        let mut batch: Vec<_> = (0..200)
            .map(|i: usize| {
                let mut parcel = a.parcel(named(i.to_string()));
                parcel.envelope.namespace = NAMESPACES[i % 4].into();
                parcel
            })
            .collect();
        a.outlet.send(&mut batch).await.expect("sent");
        // In order within each namespace.
        let mut next = [0, 1, 2, 3];
        for _ in 0..200 {
            let envelope = b.message().await;
            let of = NAMESPACES
                .iter()
                .position(|name| envelope.namespace == *name)
                .expect("ours");
            assert_eq!(event_of(&envelope), next[of].to_string());
            next[of] += 4;
        }
        a.until_count(2).await;
        let ask = sala_adapter::Message::FetchSockets {
            request: "r".into(),
            target: Target::all(),
        };
        a.send(vec![ask]).await;
        assert_eq!(b.message().await.message.number(), Some(7));
    }
}

#[tokio::test]
async fn in_a_cluster_sessions_are_kept_on_all_nodes() {
    let cluster = RedisCluster::start().await;
    let mut a = in_cluster("a", &cluster, true).await;
    let store = a.backend.profile().recovery.expect("streams can");
    let offset = a
        .send_whatever_happens(vec![named("first")])
        .await
        .0
        .remove(0);
    for i in 0..20 {
        let session = SavedSession {
            sid: "sid".into(),
            pid: format!("p{i}").into(),
            rooms: ["sid"].into_iter().collect(),
            data: sala_proto::Value::Null,
        };
        store
            .save("/", session.clone(), Duration::from_secs(60))
            .await
            .expect("saved");
        a.send(vec![event("missed", Target::all().to("sid"))]).await;
        let taken = store.take("/", &session.pid, &offset).await.expect("there");
        assert_eq!(taken.expect("known").missed.len(), i + 1);
    }
}

/// The node with the stream is lost and returns; meanwhile nothing can be written, afterwards all is there.
#[tokio::test]
async fn a_node_that_is_lost_and_returns_loses_nothing() {
    let mut cluster = RedisCluster::start().await;
    for node in &cluster.nodes {
        node.run(&["CONFIG", "SET", "appendonly", "yes"]).await;
        node.until(&["INFO", "persistence"], |info| {
            info.text().contains("aof_rewrite_in_progress:0")
                && info.text().contains("aof_enabled:1")
        })
        .await;
    }
    let mut a = in_cluster("a", &cluster, true).await;
    let mut b = in_cluster("b", &cluster, true).await;
    a.send(numbered(0, 10)).await;
    let owner = cluster.owner("st-3").await;
    let lost = &mut cluster.nodes[owner];
    let outage = async {
        lost.kill().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        lost.start_again().await;
    };
    let write = a.send_whatever_happens(numbered(10, 200));
    let read = async {
        let mut got = Vec::new();
        while got.len() < 210 {
            match b.inlet.recv().await {
                Ok(Delivery::Message { envelope, .. }) => got.push(event_of(&envelope)),
                Ok(Delivery::Lost { .. }) => {} // of pub/sub
                Ok(other) => panic!("{other:?}"),
                Err(_) => b.follow_again().await,
            }
        }
        got
    };
    let (_, _, got) = tokio::join!(outage, write, read);
    let expected: Vec<_> = (0..210).map(|i| i.to_string()).collect();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_slot_that_moves_takes_the_stream_along() {
    let cluster = RedisCluster::start().await;
    let mut a = in_cluster("a", &cluster, true).await;
    let mut b = in_cluster("b", &cluster, true).await;
    a.send(numbered(0, 10)).await;
    for i in 0..10 {
        assert_eq!(b.event_whatever_happens().await.0, i.to_string());
    }
    let owner = cluster.owner("st-3").await;
    cluster.move_slot("st-3", owner, (owner + 1) % 3).await;
    a.send_whatever_happens(numbered(10, 50)).await;
    for i in 10..60 {
        assert_eq!(b.event_whatever_happens().await.0, i.to_string());
    }
}

#[tokio::test]
async fn behind_sentinel_the_new_master_is_written_to_and_read() {
    let mut sentinel = RedisSentinel::start().await;
    let addresses: Vec<_> = sentinel
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    let url = format!(
        "redis+sentinel://{}/{}",
        addresses.join(","),
        sentinel.name()
    );
    let open = async |id| {
        let named = Named::from(&url).command_timeout(Duration::from_secs(1));
        Node::start(
            id,
            Streams::connect(named).await.expect("there is a master"),
        )
        .await
    };
    let (mut a, mut b) = (open("a").await, open("b").await);
    a.send(numbered(0, 10)).await;
    // Replicated before the master dies.
    sentinel
        .replica
        .until(&["XLEN", "socket.io"], |length| length.number() == 10)
        .await;
    sentinel.fail_over().await;
    a.send_whatever_happens(numbered(10, 50)).await;
    for i in 0..60 {
        assert_eq!(b.event_whatever_happens().await.0, i.to_string());
    }
}
