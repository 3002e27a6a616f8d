use sala_adapter::adapter::{AdapterError, Request};
use sala_adapter::message::Message;
use sala_testkit::cluster::{FakeBackend, FakeBroker, event};
use tokio::time::{Instant, sleep};

use crate::{Log, NSP, PATIENCE, all, counted, heartbeats, knows, node, numbers, seconds};

#[tokio::test(start_paused = true)]
async fn what_is_queued_is_sent_before_the_cluster_is_left() {
    let (_broker, mut nodes) = counted(2).await;
    let receiver = nodes.pop().unwrap();
    (0..1000).for_each(|number| nodes[0].count_to_all(number));
    nodes[0].cluster.close().await;
    receiver.local.wait(1000, PATIENCE).await;
    assert!(numbers(&receiver).into_iter().eq(0..1000));
    knows(&receiver, 1).await;
    let stats = nodes[0].cluster.stats();
    assert_eq!(
        (stats.failed, stats.queued_bytes, stats.connected),
        (0, 0, false)
    );
}

#[tokio::test(start_paused = true)]
async fn leaving_says_goodbye_last() {
    let (broker, nodes) = heartbeats(2).await;
    nodes[0].count_to_all(1);
    nodes[0].cluster.close().await;
    let sent = broker.sent();
    assert!(matches!(
        sent.last().unwrap().message,
        Message::AdapterClose
    ));
    knows(&nodes[1], 1).await;
    assert_eq!(numbers(&nodes[1]), [1]);
}

#[tokio::test(start_paused = true)]
async fn after_the_close_everything_fails_as_closed() {
    let (_broker, nodes) = counted(2).await;
    nodes[1].local.mute();
    let target = all();
    let request = || Request::ServerSide(event("question", vec![]));
    let open = nodes[0].adapter.request(request(), &target, None);
    nodes[0].cluster.close().await;
    let closed = |error| matches!(error, AdapterError::Closed);
    assert!(closed(open.await.unwrap_err()), "who waits is told");
    let adapter = &nodes[0].adapter;
    let packet = || event("count", vec![1.into()]);
    assert!(closed(adapter.broadcast(packet(), &target).unwrap_err()));
    assert!(closed(adapter.server_side_emit(packet()).unwrap_err()));
    assert!(closed(
        adapter.broadcast_logged(packet(), &target).unwrap_err()
    ));
    assert!(closed(
        adapter.request(request(), &target, None).await.unwrap_err()
    ));
    assert!(closed(adapter.server_count().await.unwrap_err()));
    adapter.ready().await;
    adapter.close().await;
    nodes[0].cluster.close().await;
    let late = nodes[0].cluster.join("/late", nodes[0].local.clone());
    assert!(closed(late.broadcast(packet(), &target).unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn closing_takes_a_bounded_time_whatever_the_broker_does() {
    for fault in [FakeBroker::stop, |broker: &FakeBroker| broker.stall(true)] {
        let (broker, nodes) = counted(2).await;
        fault(&broker);
        nodes[0].count_to_all(1);
        sleep(seconds(1)).await;
        let begun = Instant::now();
        nodes[0].cluster.close().await;
        assert!(begun.elapsed() <= seconds(6), "{:?}", begun.elapsed());
        sleep(seconds(1)).await;
        let stats = nodes[0].cluster.stats();
        assert_eq!(
            (stats.failed, stats.queued_bytes),
            (1, 0),
            "what was lost is counted"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn with_nothing_queued_nobody_waits_for_a_broker_that_is_down() {
    let (broker, nodes) = counted(1).await;
    broker.stop();
    sleep(seconds(1)).await;
    let begun = Instant::now();
    nodes[0].cluster.close().await;
    assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_nobody_holds_is_left() {
    let (_broker, mut nodes) = counted(2).await;
    drop(nodes.pop());
    knows(&nodes[0], 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_joins_again_replaces_the_old_one() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let first = node(FakeBackend::heartbeats(&broker), log.options(), 0).await;
    let second = node(
        FakeBackend::heartbeats(&broker),
        Log::default().options(),
        1,
    )
    .await;
    knows(&first, 2).await;
    let again = sala_testkit::cluster::Recorder::new(vec![]);
    let adapter = second.cluster.join(NSP, again.clone());
    let old = second.adapter.broadcast(event("count", vec![]), &all());
    assert!(matches!(old, Err(AdapterError::Closed)));
    // The old one is gone already, and takes nothing with it.
    second.adapter.close().await;
    adapter.ready().await;
    first.count_to_all(1);
    again.wait(1, PATIENCE).await;
    assert!(second.local.heard().is_empty());
    assert!(log.with("has left").is_empty());
    adapter.close().await;
    knows(&first, 1).await;
    assert_eq!(log.with("server-1 has left (/chat)").len(), 1);
}
