//! A node of a Redis Cluster is lost, or its slots move.

use std::collections::BTreeSet;
use std::time::Duration;

use sala_interop::Peer;
use sala_testkit::redis::RedisCluster;
use sala_testkit::{PATIENCE, within_long};
use serde_json::json;

use super::{
    OUTAGE, RESUMES_WITHIN, SENDERS, all_hear_after, arrivals, hears_after,
    local_delivery_was_uninterrupted, nothing_came_twice, now, resumed, stop_load, under_load,
};
use crate::broker::Broker;
use crate::lab::{ALL, Lab, NAMES, peer_of};
use crate::modes::{Kind, Mode, Topology};

/// The Redis Cluster of a lab.
fn redis(lab: &mut Lab) -> &mut RedisCluster {
    match &mut lab.broker {
        Broker::Cluster(cluster) => cluster,
        _ => panic!("a Redis Cluster"),
    }
}

async fn under_load_in(kind: Kind) -> Lab {
    let mut lab = Lab::empty(Mode::new(kind, Topology::Cluster, json!({}))).await;
    under_load(&mut lab).await;
    lab
}

/// Starts a node again; when the cluster was whole.
async fn return_of(lab: &mut Lab, node: usize) -> u64 {
    let cluster = redis(lab);
    cluster.nodes[node].start_again().await;
    cluster.nodes[node]
        .until(&["CLUSTER", "INFO"], |info| {
            info.text().contains("cluster_state:ok")
        })
        .await;
    now()
}

/// Prints how long each client did not hear each sender.
async fn print_pauses(lab: &mut Lab) {
    for sender in SENDERS {
        for hearer in ALL {
            let heard = arrivals(lab, NAMES[hearer], sender).await;
            let pauses = heard.windows(2).map(|pair| pair[1].at - pair[0].at);
            eprintln!(
                "{} hears {} with pauses of {} ms at most",
                NAMES[hearer],
                NAMES[sender],
                pauses.max().unwrap()
            );
        }
    }
}

/// A room whose channel lies on this node.
async fn room_on(lab: &mut Lab, node: usize) -> String {
    for number in 0.. {
        let room = format!("room{number}");
        if redis(lab).owner(&format!("socket.io#/#{room}#")).await == node {
            return room;
        }
    }
    unreachable!()
}

#[tokio::test]
async fn a_sharded_cluster_survives_the_loss_of_a_node() {
    let mut lab = under_load_in(Kind::Sharded).await;
    let main = redis(&mut lab).owner("socket.io#/#").await;
    let (lost, spared) = ((main + 1) % 3, (main + 2) % 3);
    let lost_room = room_on(&mut lab, lost).await;
    let spared_room = room_on(&mut lab, spared).await;
    for client in lab.clients.clone() {
        let rooms = json!([lost_room, spared_room]);
        let join = json!({"do": "join", "socket": client.id, "rooms": rooms});
        lab.run(client.server, join).await;
    }
    lab.wait_until_joined().await;

    redis(&mut lab).nodes[lost].kill().await;
    let gone = now();
    all_hear_after(&mut lab, gone + OUTAGE.as_millis() as u64).await;
    let wanted = lab.number();
    let emit = json!({"do": "emit", "to": spared_room, "args": ["spared", wanted]});
    lab.run(2, emit).await;
    for name in NAMES {
        let heard = lab.driver.event_where("got", |got| {
            got["client"] == *name && got["args"][1] == wanted
        });
        heard.await;
    }
    let returned = return_of(&mut lab, lost).await;
    for sender in SENDERS {
        room_is_heard_again(&mut lab, sender, &lost_room, returned).await;
    }
    stop_load(&mut lab).await;
    print_pauses(&mut lab).await;
    nothing_came_twice(&mut lab).await;
}

#[tokio::test]
async fn a_classic_cluster_survives_the_loss_of_each_node() {
    let mut lab = under_load_in(Kind::Classic).await;
    for lost in 0..3 {
        lab.doing(format!("the loss of the node {lost}"));
        redis(&mut lab).nodes[lost].kill().await;
        let gone = now();
        ours_hear_each_other_after(&mut lab, gone).await;
        let returned = return_of(&mut lab, lost).await;
        let found = all_hear_after(&mut lab, returned).await;
        resumed(&found, returned, "the return of the node");
    }
    stop_load(&mut lab).await;
    print_pauses(&mut lab).await;
    for sender in SENDERS {
        local_delivery_was_uninterrupted(&mut lab, sender).await;
    }
    never_twice(&mut lab).await;
}

/// Asserts that Sala's servers find another node at once.
async fn ours_hear_each_other_after(lab: &mut Lab, moment: u64) {
    if peer_of(2) == Peer::Reference {
        return;
    }
    let at = hears_after(lab, 3, 2, moment).await;
    let after = at - moment;
    eprintln!("d hears c again {after} ms after the loss of a node");
    assert!(after <= RESUMES_WITHIN, "{after} ms are too long");
}

/// Asserts that each client heard each number once. (The JavaScript client of a Redis Cluster publishes each message
/// through another node, so that they overtake each other.)
async fn never_twice(lab: &mut Lab) {
    for sender in SENDERS {
        for hearer in ALL {
            let heard = arrivals(lab, NAMES[hearer], sender).await;
            let numbers: BTreeSet<u64> = heard.iter().map(|arrival| arrival.number).collect();
            assert_eq!(
                numbers.len(),
                heard.len(),
                "{} heard {} twice",
                NAMES[hearer],
                NAMES[sender]
            );
            if peer_of(sender) == Peer::Sala {
                assert!(heard.is_sorted_by_key(|arrival| arrival.number), "in order");
            }
            let all = arrivals(lab, NAMES[sender], sender).await.len();
            let missed = all - heard.len();
            eprintln!(
                "{} missed {missed} of {all} events of {}",
                NAMES[hearer], NAMES[sender]
            );
        }
    }
}

#[tokio::test]
async fn a_cluster_on_streams_survives_the_loss_of_its_node() {
    let mut lab = under_load_in(Kind::Streams).await;
    let lost = redis(&mut lab).owner("socket.io").await;
    redis(&mut lab).nodes[lost].kill().await;
    tokio::time::sleep(OUTAGE).await;
    let returned = return_of(&mut lab, lost).await;
    let found = all_hear_after(&mut lab, returned).await;
    stop_load(&mut lab).await;
    resumed(&found, returned, "the return of the node");
    for sender in SENDERS {
        local_delivery_was_uninterrupted(&mut lab, sender).await;
    }
    nothing_came_twice(&mut lab).await;
}

/// Moves the slot of a name to another node, under load.
async fn a_slot_moves(kind: Kind, name: &str) {
    let mut lab = under_load_in(kind).await;
    let from = redis(&mut lab).owner(name).await;
    redis(&mut lab).move_slot(name, from, (from + 1) % 3).await;
    let moved = now();
    let found = all_hear_after(&mut lab, moved).await;
    stop_load(&mut lab).await;
    resumed(&found, moved, "the slot had moved");
    print_pauses(&mut lab).await;
    for sender in SENDERS {
        local_delivery_was_uninterrupted(&mut lab, sender).await;
    }
    nothing_came_twice(&mut lab).await;
}

#[tokio::test]
async fn a_sharded_cluster_follows_a_slot_that_moves() {
    a_slot_moves(Kind::Sharded, "socket.io#/#").await;
}

#[tokio::test]
async fn a_cluster_on_streams_follows_a_slot_that_moves() {
    a_slot_moves(Kind::Streams, "socket.io").await;
}

/// Emits to a room until all hear it.
async fn room_is_heard_again(lab: &mut Lab, sender: usize, room: &str, since: u64) {
    let mut waiting: BTreeSet<&str> = NAMES.into_iter().collect();
    within_long(PATIENCE * 3, "the room to be heard again", async {
        while !waiting.is_empty() {
            let emit = json!({"do": "emit", "to": room, "args": ["again", NAMES[sender]]});
            lab.run(sender, emit).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            for got in lab.driver.taken("got").await {
                if got["args"] == json!(["again", NAMES[sender]]) {
                    waiting.remove(got["client"].as_str().unwrap());
                }
            }
        }
    })
    .await;
    let after = now() - since;
    eprintln!(
        "all hear {} in the room again {after} ms after the return of the node",
        NAMES[sender]
    );
    assert!(after <= RESUMES_WITHIN, "{after} ms are too long");
}
