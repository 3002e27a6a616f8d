use std::sync::Arc;

use sala_adapter::adapter::Adapter;
use sala_adapter::cluster::ClusterOptions;
use sala_adapter::{Local, Target};
use sala_testkit::cluster::{FakeBackend, FakeBroker, Heard, Node, event};
use tokio::time::{Instant, sleep};

use crate::{PATIENCE, cluster, millis, numbers, seconds};

async fn logged(servers: usize) -> (FakeBroker, Vec<Node>) {
    cluster(servers, |broker| FakeBackend::counted(broker).logged()).await
}

fn log(node: &Node, number: i64) {
    let packet = event("count", vec![number.into()]);
    let logged = node.adapter.broadcast_logged(packet, &Target::all());
    logged.expect("the queue has room");
}

/// The numbers that a server has heard, with their offsets.
fn heard(node: &Node) -> Vec<(i64, Option<String>)> {
    let heard = node.local.heard();
    let event = |it: &Heard| match it {
        Heard::Event { offset, .. } => {
            Some((it.number()?, offset.as_ref().map(|it| it.to_string())))
        }
        _ => None,
    };
    heard.iter().filter_map(event).collect()
}

#[tokio::test(start_paused = true)]
async fn own_sockets_wait_for_the_offset_and_what_follows_waits_with_them() {
    let (broker, nodes) = logged(2).await;
    broker.slow(millis(200));
    log(&nodes[0], 1);
    after(&nodes[0], 2);
    log(&nodes[0], 3);
    sleep(millis(100)).await;
    assert!(numbers(&nodes[0]).is_empty());
    nodes[0].local.wait(3, PATIENCE).await;
    let expected = [(1, Some("1-0".into())), (2, None), (3, Some("2-0".into()))];
    assert_eq!(heard(&nodes[0]), expected);
    after(&nodes[0], 4);
    assert_eq!(numbers(&nodes[0]), [1, 2, 3, 4], "at once if nothing waits");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_nothing_delays_own_sockets_by_a_second_at_most() {
    let (broker, nodes) = logged(2).await;
    broker.stall(true);
    let begun = Instant::now();
    log(&nodes[0], 1);
    after(&nodes[0], 2);
    nodes[0].local.wait(2, PATIENCE).await;
    let waited = begun.elapsed();
    assert!(waited >= seconds(1) && waited < millis(1500), "{waited:?}");
    assert_eq!(heard(&nodes[0]), [(1, None), (2, None)]);
    broker.stall(false);
    nodes[1].local.wait(1, PATIENCE).await;
    assert_eq!(heard(&nodes[1]), [(1, Some("1-0".into()))]);
    sleep(seconds(1)).await;
    assert_eq!(numbers(&nodes[0]), [1, 2], "not again");
}

#[tokio::test(start_paused = true)]
async fn own_sockets_are_served_at_once_during_an_outage_and_others_after_it() {
    let (broker, nodes) = logged(2).await;
    broker.slow(seconds(3));
    log(&nodes[0], 1);
    sleep(millis(100)).await;
    broker.stop();
    sleep(millis(100)).await;
    assert_eq!(
        numbers(&nodes[0]),
        [1],
        "nobody waits for a broker that is gone"
    );
    log(&nodes[0], 2);
    after(&nodes[0], 3);
    assert_eq!(heard(&nodes[0]), [(1, None), (2, None), (3, None)]);
    sleep(seconds(20)).await;
    broker.slow(millis(0));
    broker.start();
    let begun = Instant::now();
    nodes[1].local.wait(2, PATIENCE).await;
    assert!(begun.elapsed() < seconds(2));
    assert_eq!(numbers(&nodes[1]), [1, 2]);
    log(&nodes[0], 4);
    nodes[0].local.wait(4, PATIENCE).await;
    assert_eq!(heard(&nodes[0])[3], (4, Some("3-0".into())));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_away_reads_what_it_missed() {
    let (broker, nodes) = logged(2).await;
    log(&nodes[0], 1);
    nodes[1].local.wait(1, PATIENCE).await;
    broker.cut(nodes[1].cluster.id());
    (2..50).for_each(|number| log(&nodes[0], number));
    nodes[1].local.wait(49, PATIENCE).await;
    assert!(numbers(&nodes[1]).into_iter().eq(1..50));
}

#[tokio::test(start_paused = true)]
async fn own_sockets_get_what_the_cluster_refuses() {
    let broker = FakeBroker::new();
    let options = ClusterOptions::default().max_queued_bytes(1);
    let backend = FakeBackend::counted(&broker).logged();
    let node = crate::node(backend, options, 0).await;
    broker.refuse_larger_than(100);
    let large = event("count", vec![1.into(), "x".repeat(500).into()]);
    let queued = node.adapter.broadcast_logged(large, &Target::all());
    queued.expect("nothing else waits");
    let packet = || event("count", vec![2.into()]);
    let full = node.adapter.broadcast_logged(packet(), &Target::all());
    full.expect_err("one waits already");
    node.local.wait(2, PATIENCE).await;
    assert_eq!(heard(&node), [(1, None), (2, None)]);
    node.adapter.close().await;
    let closed = node.adapter.broadcast_logged(packet(), &Target::all());
    closed.expect_err("it is closed");
    assert_eq!(numbers(&node), [1, 2, 2]);
}

/// Runs after what was logged before.
fn after(node: &Node, number: i64) {
    let adapter: &Arc<dyn Adapter> = &node.adapter;
    let local = node.local.clone();
    adapter.after_logged(Box::new(move || {
        let packet = event("count", vec![number.into()]);
        local.broadcast(&packet, &Target::all(), None);
    }));
}
