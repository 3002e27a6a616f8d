//! A server whose Redis is not what it was said to be ends with a sentence that says what to do.

use sala_interop::{Peer, Probe, fixture_of};
use sala_testkit::redis::Redis;
use sala_testkit::within;
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::modes::{Kind, Mode, Topology};

/// Starts a server of Sala and asserts that it ends with an error in which these words are.
async fn is_refused(kind: &str, redis: Value, words: &[&str]) {
    let options = json!({"adapter": {"kind": kind, "redis": redis, "options": {}}});
    let program = fixture_of(Peer::Sala, "probe").env("PROBE_OPTIONS", options.to_string());
    let mut server = program.listeners(0).start().await;
    let status = within("the server to end", server.exit()).await;
    assert_eq!(status.code(), Some(1));
    // The output is read by another task.
    within("the error to be read", async {
        while server.log().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let log = server.log();
    for word in words {
        assert!(log.contains(word), "{word:?} is not in {log:?}");
    }
}

#[tokio::test]
async fn a_server_with_a_wrong_configuration_ends_with_advice() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    let redis = Redis::start().await;
    redis.run(&["CONFIG", "SET", "requirepass", "secret"]).await;
    let addr = redis.addr();
    let open = Redis::start().await;
    for kind in ["classic", "sharded", "streams"] {
        let url = |text: String| json!({"url": text});
        let is_running = ["is Redis running?", &nobody.to_string()];
        is_refused(kind, url(format!("redis://{nobody}")), &is_running).await;
        is_refused(kind, url("localhost".into()), &["redis://host:6379"]).await;
        let check = ["check the user and the password"];
        is_refused(kind, url(format!("redis://:wrong@{addr}")), &check).await;
        let cluster = json!({"cluster": [open.url(), open.url()]});
        let none = ["is no Redis Cluster", &format!("write {}", open.url())];
        is_refused(kind, cluster, &none).await;
    }
}

/// Whoever moves a cluster of Node.js servers, and mistakes the adapter, has a server that looks fine and hears nobody.
#[tokio::test]
async fn a_server_with_another_adapter_than_the_official_ones_ends_with_advice() {
    let classic = ["PUBSUB", "NUMSUB", "socket.io-request#/#"];
    let sharded = ["PUBSUB", "SHARDNUMSUB", "socket.io#/#"];
    let streams = ["PUBSUB", "NUMSUB", "socket.io#/#"];
    for (kind, count, others, name) in [
        (Kind::Classic, classic, ["sharded", "streams"], "`Classic`"),
        (Kind::Sharded, sharded, ["classic", "streams"], "`Sharded`"),
        (Kind::Streams, streams, ["classic", "sharded"], "`Streams`"),
    ] {
        let mode = Mode::new(kind, Topology::Alone, json!({}));
        let broker = mode.broker().await;
        let _official = Probe::of_peer(Peer::Reference, mode.server(&broker)).await;
        let Broker::Alone(redis) = &broker else {
            unreachable!("it is alone")
        };
        redis
            .until(&count, |reply| reply.items()[1].number() == 1)
            .await;
        for other in others {
            is_refused(
                other,
                broker.option(),
                &[name, ": 1)", "check_peers(false)"],
            )
            .await;
        }
    }
}
