//! What happens when parts of a cluster die. Each test prints what it measured.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sala_interop::Peer;
use sala_testkit::redis::Redis;
use sala_testkit::{PATIENCE, within_long};
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::lab::{ALL, Lab, NAMES, assert_fails, peer_of};
use crate::modes::{Kind, Mode, Topology};

/// How often the senders emit.
const PACE: u64 = 5; // milliseconds

/// How soon after the return of Redis the servers must hear each other.
const RESUMES_WITHIN: u64 = 2_000; // milliseconds

/// The longest pause that clients of the sender's own server may see: far more than [`PACE`] because all of this
/// shares a machine, far less than the time that Redis is away.
const UNINTERRUPTED: u64 = 600; // milliseconds

/// How long Redis stays away.
const OUTAGE: Duration = Duration::from_millis(1_500);

/// The servers that emit: one of each kind.
const SENDERS: [usize; 2] = [0, 2];

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// A number that a client heard, and when.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    number: u64,
    at: u64,
}

/// A cluster with one client on each server, and a server of each kind that emits without pause.
async fn under_load(lab: &mut Lab) {
    for server in ALL {
        lab.connect(server, NAMES[server], "/", &[]).await;
    }
    lab.warm_up().await;
    for sender in SENDERS {
        let load = json!({"do": "load", "args": ["tally", NAMES[sender]], "every": PACE});
        lab.run(sender, load).await;
    }
    all_hear_after(lab, now()).await;
}

async fn arrivals(lab: &mut Lab, client: &str, sender: usize) -> Vec<Arrival> {
    let tallies = lab
        .driver
        .run(json!({"do": "tallies", "client": client}))
        .await;
    let entries = tallies[NAMES[sender]].as_array().into_iter().flatten();
    let arrival = |entry: &Value| Arrival {
        number: entry[0].as_u64().unwrap(),
        at: entry[1].as_u64().unwrap(),
    };
    entries.map(arrival).collect()
}

/// Waits until each client has heard each sender after a moment, and returns when the first of these arrived, for
/// each pair of sender and hearer.
async fn all_hear_after(lab: &mut Lab, moment: u64) -> Vec<(usize, usize, u64)> {
    let mut found = Vec::new();
    for sender in SENDERS {
        for hearer in ALL {
            let what = format!("{} to hear {}", NAMES[hearer], NAMES[sender]);
            let at = within_long(PATIENCE * 3, &what, async {
                loop {
                    let heard = arrivals(lab, NAMES[hearer], sender).await;
                    if let Some(first) = heard.iter().find(|arrival| arrival.at > moment) {
                        return first.at;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
            found.push((sender, hearer, at.await));
        }
    }
    found
}

async fn stop_load(lab: &mut Lab) {
    for sender in SENDERS {
        lab.run(sender, json!({"do": "unload", "name": NAMES[sender]}))
            .await;
    }
    lab.settle(SENDERS[0]).await;
    lab.settle(SENDERS[1]).await;
}

/// Asserts that the client of the sender's own server heard everything without a pause.
async fn local_delivery_was_uninterrupted(lab: &mut Lab, sender: usize) {
    let heard = arrivals(lab, NAMES[sender], sender).await;
    let pause = heard.windows(2).map(|pair| pair[1].at - pair[0].at).max();
    let pause = pause.unwrap();
    let count = heard.len();
    eprintln!(
        "{}: {count} events heard locally, longest pause {pause} ms",
        NAMES[sender]
    );
    if peer_of(sender) == Peer::Reference && lab.mode.kind != Kind::Classic {
        // Its local delivery waits for Redis.
        return;
    }
    assert!(
        heard
            .iter()
            .map(|arrival| arrival.number)
            .eq(0..count as u64)
    );
    assert!(
        pause < UNINTERRUPTED,
        "a pause of {pause} ms at {}",
        NAMES[sender]
    );
}

/// Prints and asserts how soon the servers heard each other.
fn resumed(found: &[(usize, usize, u64)], since: u64, what: &str) {
    for (sender, hearer, at) in found.iter().filter(|(sender, hearer, _)| sender != hearer) {
        let after = at - since;
        eprintln!(
            "{} hears {} again {after} ms after {what}",
            NAMES[*hearer], NAMES[*sender]
        );
        assert!(after <= RESUMES_WITHIN, "{after} ms are too long");
    }
}

/// Asserts that each client heard the numbers of each sender in order and none twice; prints how many are missing.
async fn nothing_came_twice(lab: &mut Lab) {
    for sender in SENDERS {
        let all = arrivals(lab, NAMES[sender], sender).await.len();
        for hearer in ALL {
            let heard = arrivals(lab, NAMES[hearer], sender).await;
            let ascending = heard.windows(2).all(|pair| pair[0].number < pair[1].number);
            assert!(
                ascending,
                "{} heard {} twice or out of order",
                NAMES[hearer], NAMES[sender]
            );
            eprintln!(
                "{} missed {} of {all} events of {}",
                NAMES[hearer],
                all - heard.len(),
                NAMES[sender]
            );
        }
    }
}

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

/// A room whose channel lies on this node of the Redis Cluster.
async fn room_on(lab: &Lab, node: usize) -> String {
    let Broker::Cluster(cluster) = &lab.broker else {
        panic!("a cluster")
    };
    for number in 0.. {
        let room = format!("room{number}");
        if cluster.owner(&format!("socket.io#/#{room}#")).await == node {
            return room;
        }
    }
    unreachable!()
}

#[tokio::test]
async fn a_sharded_cluster_survives_the_loss_of_a_node() {
    let mode = Mode::new(Kind::Sharded, Topology::Cluster, json!({}));
    let mut lab = Lab::empty(mode).await;
    under_load(&mut lab).await;
    let Broker::Cluster(cluster) = &lab.broker else {
        panic!("a cluster")
    };
    let main = cluster.owner("socket.io#/#").await;
    let (lost, spared) = ((main + 1) % 3, (main + 2) % 3);
    let (lost_room, spared_room) = (room_on(&lab, lost).await, room_on(&lab, spared).await);
    for client in lab.clients.clone() {
        let rooms = json!([lost_room, spared_room]);
        lab.run(
            client.server,
            json!({"do": "join", "socket": client.id, "rooms": rooms}),
        )
        .await;
    }
    lab.wait_until_joined().await;

    let Broker::Cluster(cluster) = &mut lab.broker else {
        panic!("a cluster")
    };
    cluster.nodes[lost].kill().await;
    let gone = now();
    all_hear_after(&mut lab, gone + OUTAGE.as_millis() as u64).await;
    let wanted = lab.number();
    lab.run(
        2,
        json!({"do": "emit", "to": spared_room, "args": ["spared", wanted]}),
    )
    .await;
    for name in NAMES {
        let heard = lab.driver.event_where("got", |got| {
            got["client"] == *name && got["args"][1] == wanted
        });
        heard.await;
    }
    let Broker::Cluster(cluster) = &mut lab.broker else {
        panic!("a cluster")
    };
    cluster.nodes[lost].start_again().await;
    cluster.nodes[lost]
        .until(&["CLUSTER", "INFO"], |info| {
            info.text().contains("cluster_state:ok")
        })
        .await;
    let returned = now();
    for sender in SENDERS {
        room_is_heard_again(&mut lab, sender, &lost_room, returned).await;
    }
    stop_load(&mut lab).await;
    for sender in SENDERS {
        for hearer in ALL {
            let heard = arrivals(&mut lab, NAMES[hearer], sender).await;
            let pause = heard
                .windows(2)
                .map(|pair| pair[1].at - pair[0].at)
                .max()
                .unwrap();
            eprintln!(
                "{} hears {} with pauses of {pause} ms at most",
                NAMES[hearer], NAMES[sender]
            );
        }
    }
    nothing_came_twice(&mut lab).await;
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

/// Freezes a server, asks everybody everything, and kills the server.
async fn a_server_dies_before_it_answers(kind: Kind, options: Value) {
    let mut lab = Lab::empty(Mode::new(kind, Topology::Alone, options)).await;
    for server in ALL {
        lab.connect(server, NAMES[server], "/", &[]).await;
        lab.run(
            server,
            json!({"do": "on", "nsp": "/", "event": "roll call", "answer": [NAMES[server]]}),
        )
        .await;
    }
    lab.warm_up().await;
    let victim = 3;
    lab.servers[victim].process().signal("STOP").await;
    let askers = [0, 2];
    for asker in askers {
        lab.run(
            asker,
            json!({"do": "serverSideEmit", "args": ["roll call"], "ack": 1}),
        )
        .await;
        lab.run(
            asker,
            json!({"do": "emit", "timeout": 1_000, "args": ["question"], "ack": 2}),
        )
        .await;
    }
    for name in &NAMES[..victim] {
        for _ in askers {
            let asked = lab.driver.event_where("got", |got| {
                got["client"] == **name && got["args"][0] == "question"
            });
            asked.await;
        }
    }
    lab.servers[victim].process().kill().await;
    for asker in askers {
        let (error, answers) = lab.answer(asker, 2, PATIENCE).await;
        assert_fails(asker, &error, "operation has timed out");
        assert_eq!(answers, [r#""a""#, r#""b""#, r#""c""#]);
        let (error, answers) = lab.answer(asker, 1, PATIENCE * 2).await;
        assert_fails(
            asker,
            &error,
            "timeout reached: only 2 responses received out of 3",
        );
        let others = (0..victim).filter(|server| *server != asker);
        let others: Vec<String> = others
            .map(|server| json!(NAMES[server]).to_string())
            .collect();
        assert_eq!(answers, others);
    }
    for server in 0..victim {
        lab.wait_for_servers_at(server, "/", 3).await;
        let fetched = lab
            .run(server, json!({"do": "fetch", "timeout": 1_000}))
            .await;
        assert_eq!(fetched.as_array().unwrap().len(), 3, "{fetched}");
    }
}

#[tokio::test]
async fn a_classic_server_dies_between_request_and_answer() {
    a_server_dies_before_it_answers(Kind::Classic, json!({"requestsTimeout": 1_000})).await;
}

#[tokio::test]
async fn a_sharded_server_dies_between_request_and_answer() {
    a_server_dies_before_it_answers(Kind::Sharded, json!({})).await;
}

#[tokio::test]
async fn a_server_on_streams_dies_between_request_and_answer() {
    a_server_dies_before_it_answers(Kind::Streams, json!({})).await;
}
