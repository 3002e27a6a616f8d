//! Redis dies, or hands over.

use std::collections::BTreeSet;

use sala_interop::Peer;
use sala_testkit::redis::Redis;
use serde_json::{Value, json};

use super::{
    OUTAGE, SENDERS, all_hear_after, arrivals, local_delivery_was_uninterrupted,
    nothing_came_twice, now, resumed, stop_load, under_load,
};
use crate::broker::Broker;
use crate::lab::{ALL, Lab, NAMES, peer_of};
use crate::modes::{Kind, Mode, Topology};

/// Kills Redis under load and starts it again.
async fn redis_dies_and_returns(lab: &mut Lab) {
    under_load(lab).await;
    let Broker::Alone(redis) = &mut lab.broker else {
        panic!("one Redis")
    };
    redis.kill().await;
    tokio::time::sleep(OUTAGE).await;
    redis.start_again().await;
    let returned = now();
    let found = all_hear_after(lab, returned).await;
    stop_load(lab).await;
    resumed(&found, returned, "the return of Redis");
    for sender in SENDERS {
        local_delivery_was_uninterrupted(lab, sender).await;
    }
}

#[tokio::test]
async fn a_classic_cluster_survives_the_restart_of_redis() {
    let mode = Mode::new(Kind::Classic, Topology::Alone, json!({}));
    let mut lab = Lab::empty(mode).await;
    redis_dies_and_returns(&mut lab).await;
    nothing_came_twice(&mut lab).await;
}

#[tokio::test]
async fn a_sharded_cluster_survives_the_restart_of_redis() {
    let mode = Mode::new(Kind::Sharded, Topology::Alone, json!({}));
    let mut lab = Lab::empty(mode).await;
    redis_dies_and_returns(&mut lab).await;
    nothing_came_twice(&mut lab).await;
}

#[tokio::test]
async fn a_cluster_on_streams_loses_nothing_in_the_restart_of_redis() {
    let mode = Mode::new(Kind::Streams, Topology::Alone, json!({}));
    let mut lab = Lab::behind(Broker::Alone(Redis::durable().await), mode).await;
    redis_dies_and_returns(&mut lab).await;
    for sender in SENDERS {
        let written = written(&mut lab, NAMES[sender]).await;
        let emitted: BTreeSet<u64> = arrivals(&mut lab, NAMES[sender], sender)
            .await
            .iter()
            .map(|arrival| arrival.number)
            .collect();
        eprintln!(
            "{} emitted {} events, {} are in the stream",
            NAMES[sender],
            emitted.len(),
            written.len()
        );
        for hearer in ALL.filter(|hearer| *hearer != sender) {
            let heard = arrivals(&mut lab, NAMES[hearer], sender).await;
            let heard: Vec<u64> = heard.iter().map(|arrival| arrival.number).collect();
            assert_eq!(
                heard, written,
                "{} hears all that is in the stream",
                NAMES[hearer]
            );
        }
        if peer_of(sender) == Peer::Sala {
            assert!(
                written.iter().copied().eq(0..emitted.len() as u64),
                "{} loses nothing",
                NAMES[sender]
            );
        }
    }
}

/// The numbers of a sender that are in the stream.
async fn written(lab: &mut Lab, sender: &str) -> Vec<u64> {
    let mut redis = lab.broker.client_for("socket.io").await;
    let entries = redis.run(["XRANGE", "socket.io", "-", "+"]).await;
    let entries = entries.items().iter().filter_map(|entry| {
        let fields = entry.items()[1].items();
        let data = fields
            .chunks_exact(2)
            .find(|field| field[0].text() == "data")?;
        let data: Value = serde_json::from_str(&data[1].text()).ok()?;
        let event = &data["packet"]["data"];
        let ours = event[0] == "tally" && event[1] == *sender;
        if ours { event[2].as_u64() } else { None }
    });
    entries.collect()
}

#[tokio::test]
async fn a_cluster_follows_a_failover() {
    let mode = Mode::new(Kind::Classic, Topology::Sentinel, json!({}));
    let mut lab = Lab::empty(mode).await;
    under_load(&mut lab).await;
    let Broker::Sentinel(group) = &mut lab.broker else {
        panic!("sentinels")
    };
    let killed = now();
    group.fail_over().await;
    let promoted = now();
    eprintln!(
        "the replica took over {} ms after the loss of the master",
        promoted - killed
    );
    let found = all_hear_after(&mut lab, promoted).await;
    stop_load(&mut lab).await;
    resumed(&found, promoted, "the failover");
    for sender in SENDERS {
        local_delivery_was_uninterrupted(&mut lab, sender).await;
    }
    nothing_came_twice(&mut lab).await;
}
