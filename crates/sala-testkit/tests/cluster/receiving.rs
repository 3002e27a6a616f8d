use sala_adapter::backend::{BackendError, BackendErrorKind, Delivery};
use sala_adapter::cluster::ClusterOptions;
use sala_adapter::message::Message;
use sala_adapter::{Envelope, Target};
use sala_testkit::cluster::{FakeBackend, FakeBroker, Fate, event};
use tokio::time::sleep;

use crate::{Log, NSP, PATIENCE, counted, node, numbers, seconds};

fn envelope(sender: Option<&str>, message: Message) -> Envelope {
    Envelope {
        namespace: NSP.into(),
        sender: sender.map(Into::into),
        recipient: None,
        message,
    }
}

fn count(number: i64) -> Message {
    Message::Broadcast {
        packet: event("count", vec![number.into()]),
        target: Target::all(),
        request: None,
    }
}

#[tokio::test(start_paused = true)]
async fn own_messages_foreign_namespaces_and_answers_to_others_are_ignored() {
    let (broker, nodes) = counted(2).await;
    nodes[0].count_to_all(1);
    nodes[1].local.wait(1, PATIENCE).await;
    let before = nodes[0].cluster.stats();
    assert_eq!(before.own, 1);
    broker.inject(|| Delivery::Message {
        envelope: Envelope {
            namespace: "/other".into(),
            ..envelope(None, count(2))
        },
        offset: None,
    });
    broker.inject_message(&Envelope {
        recipient: Some("server-7".into()),
        ..envelope(Some("x"), count(3))
    });
    broker.inject_message(&envelope(
        Some("x"),
        Message::BroadcastClientCount {
            request: "unknown".into(),
            clients: usize::MAX,
        },
    ));
    broker.inject_message(&envelope(Some("x"), Message::Heartbeat));
    sleep(seconds(1)).await;
    let after = nodes[0].cluster.stats();
    assert_eq!(after.ignored - before.ignored, 3);
    assert!(numbers(&nodes[0]).is_empty());
}

#[tokio::test(start_paused = true)]
async fn emitters_are_heard_but_are_no_members() {
    let (broker, nodes) = crate::heartbeats(1).await;
    broker.inject_message(&envelope(Some("emitter"), count(1)));
    broker.inject_message(&envelope(None, count(2)));
    nodes[0].local.wait(2, PATIENCE).await;
    assert_eq!(nodes[0].adapter.server_count().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_counted_and_reported_once_in_a_row() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let receiver = node(FakeBackend::counted(&broker), log.options(), 0).await;
    let sender = node(FakeBackend::counted(&broker), ClusterOptions::default(), 1).await;
    broker.decide(|_| Fate::Garbled);
    (0..100).for_each(|number| sender.count_to_all(number));
    sleep(seconds(1)).await;
    assert_eq!(receiver.cluster.stats().malformed, 100);
    assert_eq!(
        log.count("malformed message from the fake broker"),
        (100, 1)
    );
    sleep(seconds(120)).await;
    broker.inject(|| Delivery::Malformed {
        source: "a channel".into(),
        error: BackendError::new(BackendErrorKind::Malformed, "no JSON"),
    });
    sleep(seconds(1)).await;
    assert_eq!(
        log.count("malformed message from a channel: no JSON"),
        (1, 1)
    );
    broker.decide(|_| Fate::Arrives);
    sender.count_to_all(7);
    receiver.local.wait(1, PATIENCE).await;
    assert_eq!(numbers(&receiver), [7]);
}

#[tokio::test(start_paused = true)]
async fn lost_messages_are_reported() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let node = node(FakeBackend::counted(&broker), log.options(), 0).await;
    for _ in 0..3 {
        broker.inject(|| Delivery::Lost {
            reason: "away for too long".into(),
        });
    }
    sleep(seconds(1)).await;
    assert_eq!(node.cluster.stats().lost, 3);
    assert_eq!(log.count("were lost: away for too long"), (3, 1));
}

/// Backends passed over such messages in silence: a server of an older version looked as if nobody had spoken to it.
#[tokio::test(start_paused = true)]
async fn messages_of_unknown_types_are_counted() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let node = node(FakeBackend::counted(&broker), log.options(), 0).await;
    broker.inject(|| Delivery::Foreign);
    sleep(seconds(1)).await;
    let stats = node.cluster.stats();
    assert_eq!((stats.ignored, stats.malformed), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_application_costs_one_message() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let receiver = node(FakeBackend::counted(&broker), log.options(), 0).await;
    let sender = node(FakeBackend::counted(&broker), ClusterOptions::default(), 1).await;
    receiver.local.panics(true);
    sender.count_to_all(1);
    sleep(seconds(1)).await;
    receiver.local.panics(false);
    sender.count_to_all(2);
    receiver.local.wait(1, PATIENCE).await;
    assert_eq!(numbers(&receiver), [2]);
    let stats = receiver.cluster.stats();
    assert_eq!((stats.panics, stats.outages), (1, 0));
    assert_eq!(log.count("made the application panic"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_listener_of_events_that_panics_stops_nothing() {
    let broker = FakeBroker::new();
    let options = ClusterOptions::default().on_event(|_| panic!("told to panic"));
    let receiver = node(FakeBackend::counted(&broker), options, 0).await;
    let sender = node(FakeBackend::counted(&broker), ClusterOptions::default(), 1).await;
    broker.cut(receiver.cluster.id());
    sleep(seconds(2)).await;
    sender.count_to_all(1);
    receiver.local.wait(1, PATIENCE).await;
}

#[tokio::test(start_paused = true)]
async fn questions_of_the_classic_adapter_are_answered_even_with_nothing() {
    let (broker, nodes) = counted(1).await;
    let ask = |message| broker.inject_message(&envelope(Some("classic"), message));
    ask(Message::FetchRooms {
        request: "1".into(),
    });
    ask(Message::FetchIds {
        request: "2".into(),
        rooms: Default::default(),
    });
    ask(Message::FetchIds {
        request: "3".into(),
        rooms: ["nobody"].into_iter().collect(),
    });
    sleep(seconds(1)).await;
    let sent = broker.sent();
    let answers = sent.iter().filter(|it| it.message.answers().is_some());
    let shown: Vec<_> = answers
        .map(|it| {
            assert_eq!(it.recipient, Some("classic".into()));
            assert_eq!(it.sender.as_ref(), Some(nodes[0].cluster.id()));
            match &it.message {
                Message::FetchRoomsResponse { request, rooms } => {
                    format!("{request}: {} rooms", rooms.len())
                }
                Message::FetchIdsResponse { request, ids } => format!("{request}: {ids:?}"),
                other => panic!("unexpected answer {other:?}"),
            }
        })
        .collect();
    assert_eq!(shown, ["1: 1 rooms", "2: [\"s0\"]", "3: []"]);
}

/// A broker that always has something must not keep the application from running.
#[tokio::test]
async fn a_flood_leaves_time_for_others() {
    let (broker, nodes) = counted(1).await;
    let flood = envelope(Some("x"), count(1));
    (0..20_000).for_each(|_| broker.inject_message(&flood));
    let mut turns = 0;
    while nodes[0].local.heard().len() < 20_000 {
        turns += 1;
        tokio::task::yield_now().await;
    }
    assert!(turns >= 100, "others ran {turns} times");
}
