//! Messages that no server wrote, on every channel of every adapter: malformed, truncated, oversized, foreign.
//!
//! Where such a message ends an official server or reaches its clients, it is given to a cluster of Sala's servers alone.

mod answers;
mod poison;

use sala_interop::{Peer, differs, peer};
use sala_testkit::resp::Resp;
use serde_json::{Value, json};

use crate::lab::{ALL, Lab, NAMES, each};
use crate::modes::{Kind, Mode, Topology};
use poison::{Poison, Target};

/// Gives a cluster everything that it should survive, and asks whether it is well.
async fn survives(mode: Mode, peers: [Peer; 4], poisons: Vec<Poison>) {
    let mut lab = Lab::of_peers(mode.broker().await, mode, peers).await;
    for server in ALL {
        lab.connect(server, NAMES[server], "/", &["one"]).await;
        let listen =
            json!({"do": "on", "nsp": "/", "event": "roll call", "answer": [NAMES[server]]});
        lab.run(server, listen).await;
    }
    lab.wait_until_joined().await;
    lab.warm_up().await;
    let ours: Vec<usize> = ALL.filter(|server| peers[*server] == Peer::Sala).collect();
    let before = counted(&mut lab, &ours).await;
    let mut redis = lab.broker.client_for("").await;
    let own = own_channels(&mut redis).await;
    let mut given = 0;
    for poison in &poisons {
        lab.doing(format!("{poison:?}"));
        for target in poison.targets(&own) {
            let receivers = target.give(&mut redis, &poison.bytes).await;
            given += if poison.is_read() { receivers } else { 0 };
        }
        for server in ALL {
            lab.run(server, json!({"do": "sync"})).await;
        }
    }
    lab.doing("the examination afterwards".into());
    is_well(&mut lab).await;
    if ours.len() == ALL.len() {
        let counted = counted(&mut lab, &ours).await - before;
        assert!(
            counted >= given,
            "{counted} of {given} messages were counted"
        );
    }
    for server in ours {
        was_told_once(&mut lab, server).await;
    }
    eprintln!("{} bad messages were survived", poisons.len());
}

/// How many messages of others these servers have counted as one thing or another.
async fn counted(lab: &mut Lab, servers: &[usize]) -> i64 {
    let mut sum = 0;
    for server in servers {
        let stats = lab.run(*server, json!({"do": "stats"})).await;
        for counter in ["received", "own", "ignored", "malformed"] {
            sum += stats[counter].as_i64().unwrap();
        }
    }
    sum
}

/// Asserts that a server of Sala counted malformed messages and told its operator of the first of them, once.
async fn was_told_once(lab: &mut Lab, server: usize) {
    let stats = lab.run(server, json!({"do": "stats"})).await;
    assert!(stats["malformed"].as_i64().unwrap() > 10, "{stats}");
    assert_eq!(
        (&stats["panics"], &stats["outages"]),
        (&json!(0), &json!(0)),
        "{stats}"
    );
    let told = lab.servers[server].taken("trouble").await;
    assert_eq!(told.len(), 1, "{told:?}");
    let text = told[0]["error"].as_str().unwrap();
    assert!(text.starts_with("malformed message from "), "{text}");
}

/// The channels on which single servers hear answers.
async fn own_channels(redis: &mut Resp) -> Vec<Target> {
    let mut own = Vec::new();
    for (command, sharded) in [("CHANNELS", false), ("SHARDCHANNELS", true)] {
        let channels = redis.run(["PUBSUB", command]).await;
        for channel in channels.items() {
            let (name, parts) = (channel.text(), channel.text().matches('#').count());
            if parts == 3 && !name.ends_with("#one#") {
                own.push(if sharded {
                    Target::Sharded(name)
                } else {
                    Target::Channel(name)
                });
            }
        }
    }
    assert!(own.len() >= 4, "each server has a channel of its own");
    own
}

/// Everybody is there, heard nothing, and everything works.
async fn is_well(lab: &mut Lab) {
    let names = lab.names("/", |_| true);
    lab.heard(0, each(&[], &[])).await;
    for from in ALL {
        let args = json!(["well", lab.number(), {"$bin": "AQ=="}]);
        lab.run(from, json!({"do": "emit", "to": "one", "args": args}))
            .await;
        lab.heard(from, each(&names, &[args])).await;
        let (error, answers) = lab
            .ask(
                from,
                json!({"do": "emit", "timeout": 4_000, "args": ["question"]}),
            )
            .await;
        assert_eq!((error, answers.len()), (Value::Null, 4));
        lab.heard(from, each(&names, &[json!(["question"])])).await;
        let asked = lab
            .ask(from, json!({"do": "serverSideEmit", "args": ["roll call"]}))
            .await;
        assert_eq!((&asked.0, asked.1.len()), (&Value::Null, 3));
        let fetched = lab
            .run(from, json!({"do": "fetch", "timeout": 4_000}))
            .await;
        assert_eq!(fetched.as_array().unwrap().len(), 4);
    }
    assert!(
        lab.driver.taken("left").await.is_empty(),
        "nobody was disconnected"
    );
}

macro_rules! hostile {
    ($($mixed:ident, $alone:ident: $kind:ident, $options:tt, $poisons:ident;)+) => {$(
        #[tokio::test]
        async fn $mixed() {
            let peers = [Peer::Reference, Peer::Reference, peer(), peer()];
            let mode = Mode::new(Kind::$kind, Topology::Alone, json!($options));
            let harmless = poison::$poisons().into_iter().filter(|poison| !poison.harms_reference);
            survives(mode, peers, harmless.collect()).await;
        }

        #[tokio::test]
        async fn $alone() {
            if differs("cluster", "such messages end it or reach its clients") {
                return;
            }
            let mode = Mode::new(Kind::$kind, Topology::Alone, json!($options));
            survives(mode, [Peer::Sala; 4], poison::$poisons()).await;
        }
    )+};
}

hostile! {
    a_classic_cluster_survives_strange_messages, a_classic_cluster_of_sala_survives_all_messages:
        Classic, {}, classic;
    a_sharded_cluster_survives_strange_messages, a_sharded_cluster_of_sala_survives_all_messages:
        Sharded, {}, sharded;
    a_cluster_on_streams_survives_strange_messages, a_cluster_on_streams_of_sala_survives_all_messages:
        Streams, {}, streams;
}
