use sala_adapter::adapter::{AdapterError, Missing};
use sala_adapter::backend::BackendErrorKind;
use sala_adapter::cluster::ClusterOptions;
use sala_testkit::cluster::{FakeBackend, FakeBroker, Node, event};
use tokio::time::{Instant, sleep};

use crate::{Log, NSP, PATIENCE, all, counted, knows, millis, node, numbers, seconds};

#[tokio::test(start_paused = true)]
async fn what_is_queued_during_an_outage_arrives_in_order_within_two_seconds_of_its_end() {
    let (broker, nodes) = counted(3).await;
    broker.stop();
    sleep(seconds(30)).await;
    (0..1000).for_each(|number| nodes[0].count_to_all(number));
    broker.start();
    let back = Instant::now();
    for node in &nodes[1..] {
        node.local.wait(1000, PATIENCE).await;
        assert!(numbers(node).into_iter().eq(0..1000));
    }
    assert!(back.elapsed() < seconds(2), "{:?}", back.elapsed());
    let stats = nodes[0].cluster.stats();
    assert_eq!(
        (stats.outages, stats.queued_bytes, stats.queued_messages),
        (1, 0, 0)
    );
    assert!(stats.connected);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_reported_once_and_so_is_its_end() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let node = node(FakeBackend::counted(&broker), log.options(), 0).await;
    assert_eq!(log.count("connected"), (1, 1));
    broker.stop();
    sleep(seconds(10)).await;
    let (all, first) = log.count("disconnected");
    assert!(
        all > 5 && first == 1,
        "{all} attempts, {first} worth a line"
    );
    node.count_to_all(1);
    broker.start();
    sleep(seconds(2)).await;
    assert_eq!(log.count("connected again after").0, 1);
    assert_eq!(node.cluster.stats().outages, 1);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_and_says_so() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let options = log.options().max_queued_bytes(10_000);
    let sender = node(FakeBackend::counted(&broker), options, 0).await;
    let receiver = node(FakeBackend::counted(&broker), ClusterOptions::default(), 1).await;
    broker.stop();
    sleep(seconds(1)).await;
    let packet = || event("count", vec![7.into(), "x".repeat(1000).into()]);
    let send = || sender.adapter.broadcast(packet(), &all());
    let results: Vec<_> = (0..30).map(|_| send()).collect();
    let sent = results.iter().take_while(|it| it.is_ok()).count();
    assert!((5..10).contains(&sent), "{sent}");
    let refused = &results[sent..];
    assert!(
        refused
            .iter()
            .all(|it| matches!(it, Err(AdapterError::Backlogged)))
    );
    let stats = sender.cluster.stats();
    assert_eq!(stats.backlogged, refused.len() as u64);
    assert!(stats.queued_bytes <= 10_000);
    assert_eq!(log.count("the queue is full"), (refused.len(), 1));
    broker.start();
    receiver.local.wait(sent, PATIENCE).await;
    send().expect("there is room again");
}

#[tokio::test(start_paused = true)]
async fn a_message_above_the_bound_is_sent_if_nothing_else_waits() {
    let (broker, nodes) = counted(1).await;
    let options = ClusterOptions::default().max_queued_bytes(1000);
    let small = node(FakeBackend::counted(&broker), options, 1).await;
    let large = event("count", vec![1.into(), "x".repeat(5000).into()]);
    small
        .adapter
        .broadcast(large, &all())
        .expect("nothing else waits");
    nodes[0].local.wait(1, PATIENCE).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_broker_takes_messages_in_batches() {
    let (broker, nodes) = counted(2).await;
    broker.slow(millis(100));
    let begun = Instant::now();
    (0..1000).for_each(|number| nodes[0].count_to_all(number));
    nodes[1].local.wait(1000, PATIENCE).await;
    assert!(numbers(&nodes[1]).into_iter().eq(0..1000));
    let batches = begun.elapsed().as_millis() / 100;
    assert!((4..=5).contains(&batches), "{batches} batches");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_nothing_is_left_after_a_while() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let sender = node(FakeBackend::counted(&broker), log.options(), 0).await;
    let receiver = node(FakeBackend::counted(&broker), ClusterOptions::default(), 1).await;
    broker.stall(true);
    sender.count_to_all(1);
    sleep(seconds(9)).await;
    assert!(sender.cluster.stats().connected);
    sleep(seconds(2)).await;
    assert_eq!(
        log.count("did not take a batch of messages within 10s").1,
        1
    );
    broker.stall(false);
    receiver.local.wait(1, PATIENCE).await;
    assert_eq!(numbers(&receiver), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_broker_refuses_fails_alone() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let sender = node(FakeBackend::counted(&broker), log.options(), 0).await;
    let receiver = node(FakeBackend::counted(&broker), ClusterOptions::default(), 1).await;
    broker.refuse_larger_than(1000);
    sender.count_to_all(1);
    for _ in 0..3 {
        let large = event("count", vec![2.into(), "x".repeat(5000).into()]);
        sender
            .adapter
            .broadcast(large, &all())
            .expect("it is queued");
    }
    sender.count_to_all(3);
    receiver.local.wait(2, PATIENCE).await;
    assert_eq!(numbers(&receiver), [1, 3]);
    let stats = sender.cluster.stats();
    assert_eq!((stats.failed, stats.sent, stats.outages), (3, 2, 0));
    assert_eq!(
        log.count("cannot be sent: the broker takes at most 1000 bytes"),
        (3, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_panics_is_opened_again_without_the_message() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let sender = node(FakeBackend::counted(&broker), log.options(), 0).await;
    let receiver = node(FakeBackend::counted(&broker), ClusterOptions::default(), 1).await;
    broker.panic_on_send(true);
    sender.count_to_all(1);
    sleep(millis(10)).await;
    broker.panic_on_send(false);
    sender.count_to_all(2);
    receiver.local.wait(1, PATIENCE).await;
    assert_eq!(numbers(&receiver), [2]);
    let stats = sender.cluster.stats();
    assert_eq!((stats.failed, stats.outages, stats.queued_bytes), (1, 1, 0));
    assert_eq!(log.count("the backend panicked").1, 1);
}

#[tokio::test(start_paused = true)]
async fn bad_configuration_is_told_at_the_start_and_may_be_repaired() {
    let broker = FakeBroker::new();
    broker.refuse();
    let (backend, options) = (FakeBackend::counted(&broker), ClusterOptions::default());
    let node = Node::start_at_once(backend, options, NSP, vec![]);
    let error = node.cluster.started().await.expect_err("it is refused");
    assert_eq!(error.kind(), BackendErrorKind::Refused);
    assert_eq!(error.to_string(), "the broker wants a password; give one");
    let failed = node.sockets(PATIENCE).await;
    let Err(AdapterError::Unreachable { reason, missing }) = failed else {
        panic!("it is refused: {failed:?}");
    };
    assert_eq!(&*reason, "the broker wants a password; give one");
    assert!(matches!(
        missing,
        Missing::Count {
            received: 0,
            expected: 0,
            ..
        }
    ));
    broker.start();
    knows(&node, 1).await;
}

/// A broker let a server in and refused it its channels. The start was told to have gone well, and the server waited to
/// be ready for ever.
#[tokio::test(start_paused = true)]
async fn a_refusal_to_subscribe_is_told_at_the_start() {
    let broker = FakeBroker::new();
    broker.refuse_to_follow(true);
    let (backend, options) = (FakeBackend::counted(&broker), ClusterOptions::default());
    let node = Node::start_at_once(backend, options, NSP, vec![]);
    let error = node.cluster.started().await.expect_err("it is refused");
    assert_eq!(error.kind(), BackendErrorKind::Refused);
    broker.refuse_to_follow(false);
    knows(&node, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_good_start_is_told_as_well() {
    let (_broker, nodes) = counted(1).await;
    nodes[0].cluster.started().await.expect("it is connected");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_again_and_again_loses_nothing() {
    let (broker, nodes) = counted(2).await;
    for number in 0..50 {
        nodes[0].count_to_all(number);
        if number % 10 == 3 {
            broker.cut(nodes[0].cluster.id());
        }
        sleep(millis(300)).await;
    }
    nodes[1].local.wait(50, PATIENCE).await;
    assert!(numbers(&nodes[1]).into_iter().eq(0..50));
    assert_eq!(nodes[0].cluster.stats().outages, 5);
}

#[tokio::test(start_paused = true)]
async fn an_outage_names_who_was_there_before() {
    let (broker, nodes) = counted(3).await;
    nodes[1].count_to_all(1);
    nodes[0].local.wait(1, PATIENCE).await;
    broker.stop();
    sleep(seconds(600)).await;
    let failed = nodes[0].sockets(PATIENCE).await;
    let Err(AdapterError::Unreachable { missing, reason }) = failed else {
        panic!("the broker is down: {failed:?}");
    };
    assert_eq!(&*reason, "the fake broker is down");
    let expected = Missing::Count {
        received: 0,
        expected: 2,
        silent: vec!["server-1".into()],
    };
    assert_eq!(missing, expected);
    let failed = nodes[0].adapter.server_count().await;
    assert!(matches!(failed, Err(AdapterError::Unreachable { .. })));
}

#[tokio::test(start_paused = true)]
async fn only_rooms_with_members_are_followed_also_on_a_new_link() {
    let broker = FakeBroker::new();
    let backend = FakeBackend::counted(&broker).rooms(sala_adapter::backend::RoomsFollowed::Public);
    // As long as ids are, and so left out: the own room of a socket.
    let socket = sala_testkit::cluster::socket("own-90123456789-1234", &[]);
    let node = Node::start(backend, ClusterOptions::default(), NSP, vec![socket]).await;
    let change = |name: &str, occupied| {
        let room = sala_adapter::Room::from(name);
        node.adapter.interest(sala_adapter::adapter::RoomChange {
            room: &room,
            own: false,
            occupied,
        });
    };
    let followed = || broker.followed(node.cluster.id(), NSP);
    (0..1000).for_each(|i| change(&format!("room {i}"), true));
    node.adapter.ready().await;
    assert_eq!(followed().len(), 1000);
    (10..1000).for_each(|i| change(&format!("room {i}"), false));
    node.adapter.ready().await;
    assert_eq!(followed().len(), 10);
    broker.cut(node.cluster.id());
    change("room 0", false);
    sleep(seconds(1)).await;
    node.adapter.ready().await;
    assert_eq!(followed().len(), 9);
}
