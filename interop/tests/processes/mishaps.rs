//! Workers that hang, flood, or talk nonsense.

use std::time::{Duration, Instant};

use sala_testkit::{http, within, within_long};
use serde_json::{Value, json};

use crate::support::{
    Client, POLLING, clients_on_different_workers, cluster, fixture, logged, signal,
};

#[tokio::test]
async fn a_worker_that_hangs_is_replaced_and_holds_nobody_up() {
    let server = cluster(json!({ "workers": 3, "hang_ms": 1500 })).await;
    let mut clients = clients_on_different_workers(server.addr(), 3).await;
    let (mut hanging, ..) = clients.remove(0);
    hanging.emit(json!(["hang", 60_000])).await;
    // The others go on among themselves meanwhile.
    let (one, two) = clients.split_at_mut(1);
    let until = Instant::now() + Duration::from_millis(1200);
    let mut worst = Duration::ZERO;
    while Instant::now() < until {
        let start = Instant::now();
        one[0].0.emit(json!(["all", "tick", 1])).await;
        assert_eq!(
            within("an event", two[0].0.event()).await,
            json!(["tick", 1])
        );
        worst = worst.max(start.elapsed());
        assert_eq!(one[0].0.event().await, json!(["tick", 1]));
    }
    assert!(worst < Duration::from_millis(500), "{worst:?}");
    logged(&server, "worker hangs").await;
    within("the hanging worker's client to be cut off", hanging.gone()).await;
    // A new one takes its seat, and answers with the others.
    let numbers = async {
        loop {
            let numbers = one[0].0.ask(json!(["numbers"])).await;
            if numbers.as_array().is_some_and(|numbers| numbers.len() == 2) {
                return;
            }
        }
    };
    within_long(Duration::from_secs(20), "the successor", numbers).await;
}

/// `heartbeatTimeout`: long before the primary gives a worker up, nobody asks it any more.
#[tokio::test]
async fn requests_do_not_wait_for_a_worker_that_hangs_once_its_heartbeats_are_missed() {
    let server = cluster(json!({ "workers": 3, "heartbeat_ms": 300 })).await;
    let mut clients = clients_on_different_workers(server.addr(), 3).await;
    let (mut hanging, ..) = clients.remove(0);
    assert_eq!(count(&clients[0].0.ask(json!(["numbers"])).await), Some(2));
    hanging.emit(json!(["hang", 30_000])).await;
    let start = Instant::now();
    let numbers = async { while count(&clients[0].0.ask(json!(["numbers"])).await) != Some(1) {} };
    within_long(Duration::from_secs(20), "an answer without it", numbers).await;
    // A request that was on its way fails after its 5 s; from then on none waits.
    println!("requests go on after {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(count(&clients[0].0.ask(json!(["numbers"])).await), Some(1));
    assert!(
        start.elapsed() < Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
    assert!(
        !server.log().contains("worker hangs"),
        "the primary is patient"
    );
}

#[tokio::test]
async fn lines_of_a_node_worker_that_make_no_sense_are_counted_and_nothing_else_happens() {
    let options = json!({ "workers": 1, "node": 1, "json": true, "mishap": "garble-node" });
    let server = cluster(options).await;
    logged(&server, "makes no sense").await;
    let mut clients = clients_on_different_workers(server.addr(), 2).await;
    let numbers = clients[0].0.ask(json!(["numbers"])).await;
    assert_eq!(numbers, json!([2]));
}

#[tokio::test]
async fn a_worker_that_floods_is_slowed_down_and_the_others_are_served() {
    let server = cluster(json!({ "workers": 3, "recovery": false })).await;
    let mut clients = clients_on_different_workers(server.addr(), 3).await;
    let (mut flooding, ..) = clients.remove(0);
    let (one, two) = clients.split_at_mut(1);
    flooding.emit(json!(["flood", 20_000, 10_000])).await;
    let mut worst = Duration::ZERO;
    for i in 0..30 {
        let start = Instant::now();
        one[0].0.emit(json!(["all", "tick", i])).await;
        assert_eq!(
            within("an event", two[0].0.event()).await,
            json!(["tick", i])
        );
        worst = worst.max(start.elapsed());
    }
    println!("slowest event during the flood: {worst:?}");
    assert!(worst < Duration::from_secs(2), "{worst:?}");
    let refused = flooding.ask(json!(["whoami"])).await;
    assert!(refused["worker"].is_u64());
    assert!(
        !server.log().contains("are dropped"),
        "nobody hangs: {}",
        server.log()
    );
}

#[tokio::test]
async fn frames_that_make_no_sense_are_counted_and_nothing_else_happens() {
    let server = cluster(json!({ "workers": 2, "mishap": "garble" })).await;
    logged(&server, "makes no sense").await;
    let mut clients = clients_on_different_workers(server.addr(), 2).await;
    let numbers = clients[0].0.ask(json!(["numbers"])).await;
    assert_eq!(numbers, json!([clients[1].1]));
}

#[tokio::test]
async fn a_worker_that_breaks_its_channel_is_replaced() {
    let server = fixture(&json!({ "workers": 2, "mishap": "break" }))
        .start()
        .await;
    logged(&server, "worker broke its channel").await;
    let mut client = Client::open(server.addr()).await;
    assert_eq!(client.ask(json!(["whoami"])).await["worker"], 2);
}

#[tokio::test]
async fn requests_do_not_wait_for_a_worker_that_was_killed() {
    let server = cluster(json!({ "workers": 3 })).await;
    let mut clients = clients_on_different_workers(server.addr(), 3).await;
    assert_eq!(count(&clients[1].0.ask(json!(["numbers"])).await), Some(2));
    clients[0].0.emit(json!(["abort"])).await;
    clients[0].0.gone().await;
    logged(&server, "worker died").await;
    // Without the goodbye that the primary says for it, this would take until a timeout of seconds.
    let start = Instant::now();
    let numbers = clients[1].0.ask(json!(["numbers"])).await;
    assert!(count(&numbers).is_some(), "{numbers}");
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

/// A worker at its limit of open files took the connection that it had no room for as the end of its
/// channel, and so let go of all its clients.
#[tokio::test]
async fn a_worker_that_has_no_room_for_a_connection_keeps_the_others() {
    let program = format!(
        "ulimit -n 60; exec {}",
        env!("CARGO_BIN_EXE_cluster-fixture")
    );
    let server = cluster(json!({ "workers": 1, "program": ["sh", "-c", program] })).await;
    let mut client = Client::open(server.addr()).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut connection = http::Connection::open(server.addr()).await;
        connection
            .send(http::request("GET", POLLING, &[], b""))
            .await;
        silent.push(connection);
    }
    logged(&server, "this worker has as many open files as it may have").await;
    assert!(client.ask(json!(["whoami"])).await["worker"].is_u64());
    drop(silent);
    // There is room again.
    let opened = async {
        loop {
            let mut connection = http::Connection::open(server.addr()).await;
            connection
                .send(http::request("GET", POLLING, &[], b""))
                .await;
            if connection.try_response(false).await.is_ok() {
                return;
            }
        }
    };
    within("a connection to be served", opened).await;
    assert!(!server.log().contains("worker died"), "{}", server.log());
}

/// What waited for a worker that was then killed for hanging was dropped with its queue, although
/// another could have served it.
#[tokio::test]
async fn connections_that_wait_for_a_worker_that_dies_go_to_the_next() {
    let server = cluster(json!({ "workers": 1, "hang_ms": 60_000 })).await;
    let clients = clients_on_different_workers(server.addr(), 1).await;
    let (_, _, pid) = clients[0];
    signal("STOP", pid).await;
    let mut waiting = Vec::new();
    for _ in 0..800 {
        let mut connection = http::Connection::open(server.addr()).await;
        connection
            .send(http::request("GET", POLLING, &[], b""))
            .await;
        waiting.push(connection);
    }
    signal("KILL", pid).await;
    let mut served = 0;
    for mut connection in waiting {
        let reply = within("an answer or an end", connection.try_response(false)).await;
        served += usize::from(reply.is_ok_and(|reply| reply.status == 200));
    }
    // Those that the kernel had for the dead worker (some hundred) are lost.
    println!("{served} of 800 connections were served by the next worker");
    assert!(served > 300, "{served}");
}

fn count(numbers: &Value) -> Option<usize> {
    numbers.as_array().map(Vec::len)
}
