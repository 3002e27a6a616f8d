//! A server dies, or is slow.

use sala_interop::{Peer, Probe};
use sala_testkit::{PATIENCE, within_long};
use serde_json::{Value, json};

use crate::lab::{ALL, Lab, NAMES, assert_fails, peer_of};
use crate::modes::{Kind, Mode, Topology};

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

/// How much is sent to a server that does not read: several times what it may hold.
const FLOOD: usize = 1_200; // messages
const LENGTH: usize = 100_000; // bytes of each

/// By how much the memory of a server that was flooded may grow: what waits to be applied, and some of it twice.
const BOUND: u64 = 160; // MiB

/// Freezes a server while others flood the cluster, and lets it go on.
async fn a_slow_server_holds_little(kind: Kind) {
    let mut lab = Lab::empty(Mode::new(kind, Topology::Alone, json!({}))).await;
    for server in ALL {
        lab.connect(server, NAMES[server], "/", &["fence"]).await;
    }
    lab.wait_until_joined().await;
    lab.warm_up().await;
    let slow = 3;
    let before = peak_memory(&lab.servers[slow]);
    lab.servers[slow].process().signal("STOP").await;
    // Nobody is in this namespace, so that clients have nothing to do with it.
    let text = "x".repeat(LENGTH);
    let rounds = 10;
    for _ in 0..rounds {
        for from in [0, 2] {
            let repeat = FLOOD / 2 / rounds;
            let flood =
                json!({"do": "emit", "nsp": "/chat", "args": ["flood", text], "repeat": repeat});
            lab.run(from, flood).await;
            is_through(&mut lab, from, &NAMES[..slow]).await;
        }
    }
    lab.servers[slow].process().signal("CONT").await;
    // It may have to come back first.
    within_long(PATIENCE * 4, "the slow server to hear again", async {
        while !try_to_reach(&mut lab, NAMES[slow]).await {}
    })
    .await;
    if peer_of(slow) == Peer::Sala {
        let stats = lab.run(slow, json!({"do": "stats"})).await;
        eprintln!("the slow server says: {stats}");
        let told = lab.servers[slow].taken("trouble").await;
        match kind {
            Kind::Streams => assert!(
                stats["received"].as_u64().unwrap() >= FLOOD as u64 && stats["lost"] == 0,
                "nothing is lost"
            ),
            _ => assert!(!told.is_empty(), "its operator hears of it"),
        }
        eprintln!("its operator was told: {told:?}");
    }
    let grown = peak_memory(&lab.servers[slow]) - before;
    let sent = FLOOD * LENGTH / 1_000_000;
    eprintln!("{sent} MB made the memory of the slow server grow by {grown} MiB at most");
    assert!(grown <= BOUND, "{grown} MiB are too many");
}

/// Waits until these clients have heard all that a server has sent.
async fn is_through(lab: &mut Lab, from: usize, clients: &[&str]) {
    let number = lab.number();
    let fence = json!({"do": "emit", "to": ["fence", "nobody"], "args": ["fence", number]});
    lab.run(from, fence).await;
    for client in clients {
        let heard = lab.driver.event_where("got", |got| {
            got["client"] == **client && got["args"][1] == number
        });
        heard.await;
    }
}

/// Emits to a client of another server, and looks whether it hears.
async fn try_to_reach(lab: &mut Lab, client: &str) -> bool {
    let number = lab.number();
    lab.run(0, json!({"do": "emit", "args": ["again", number]}))
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let got = lab.driver.taken("got").await;
    got.iter()
        .any(|got| got["client"] == *client && got["args"][0] == "again")
}

/// The most memory that a server ever had, in MiB.
fn peak_memory(server: &Probe) -> u64 {
    let status = format!("/proc/{}/status", server.id());
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn a_slow_classic_server_holds_little() {
    a_slow_server_holds_little(Kind::Classic).await;
}

#[tokio::test]
async fn a_slow_sharded_server_holds_little() {
    a_slow_server_holds_little(Kind::Sharded).await;
}

#[tokio::test]
async fn a_slow_server_on_streams_holds_little_and_loses_nothing() {
    a_slow_server_holds_little(Kind::Streams).await;
}
