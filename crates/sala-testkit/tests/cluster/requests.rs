use sala_adapter::adapter::{AdapterError, Answers, Missing, Request};
use sala_adapter::cluster::ClusterOptions;
use sala_adapter::message::Message;
use sala_testkit::cluster::{FakeBackend, Fate, Heard, event};
use tokio::time::{Instant, sleep};

use crate::{PATIENCE, all, counted, knows, millis, node, seconds};

fn question() -> Request {
    Request::Emit(event("question", vec![]))
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_between_request_and_answer_is_missed_by_name() {
    let (broker, nodes) = counted(3).await;
    // Everybody was heard from.
    nodes.iter().for_each(|node| node.count_to_all(0));
    nodes[0].local.wait(2, PATIENCE).await;
    nodes[2].local.mute();
    let target = all();
    let request = Request::ServerSide(event("question", vec![]));
    let asked = nodes[0].adapter.request(request, &target, Some(seconds(3)));
    nodes[2].local.wait(3, PATIENCE).await;
    let begun = Instant::now();
    let (answers, ()) = tokio::join!(asked, async {
        sleep(millis(100)).await;
        broker.kill(nodes[2].cluster.id());
    });
    assert!(begun.elapsed() <= seconds(3));
    let Err(AdapterError::Timeout {
        missing, partial, ..
    }) = answers
    else {
        panic!("one server has died: {answers:?}");
    };
    let expected = Missing::Count {
        received: 1,
        expected: 2,
        silent: vec!["server-2".into()],
    };
    assert_eq!(missing, expected);
    assert!(matches!(partial, Answers::Servers(answers) if answers.len() == 1));
    knows(&nodes[0], 2).await;
}

#[tokio::test(start_paused = true)]
async fn the_time_in_the_queue_is_part_of_the_timeout() {
    let (broker, nodes) = counted(2).await;
    broker.stall(true);
    nodes[0].count_to_all(0);
    sleep(millis(100)).await;
    let begun = Instant::now();
    let answers = nodes[0].sockets(seconds(2)).await;
    assert!(
        matches!(answers, Err(AdapterError::Timeout { .. })),
        "{answers:?}"
    );
    assert_eq!(begun.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_backend_says_how_long_to_wait_if_nobody_else_does() {
    let broker = sala_testkit::cluster::FakeBroker::new();
    let backend = || FakeBackend::counted(&broker).request_timeout(seconds(7));
    let asking = node(backend(), ClusterOptions::default(), 0).await;
    let mute = node(backend(), ClusterOptions::default(), 1).await;
    mute.local.mute();
    let begun = Instant::now();
    let answers = asking.adapter.request(question(), &all(), None).await;
    assert!(matches!(answers, Err(AdapterError::Timeout { waited, .. }) if waited == seconds(7)));
    assert_eq!(begun.elapsed().as_secs(), 7);
    // The clients' servers are told, too.
    let Heard::Event { target, .. } = mute.local.heard().remove(0) else {
        panic!("an event was sent");
    };
    assert_eq!(target.flags.timeout, Some(seconds(7)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_waits_for_any_more_leaves_nothing_behind() {
    let (_broker, nodes) = counted(2).await;
    nodes[1].local.mute();
    let target = all();
    let pending = nodes[0]
        .adapter
        .request(question(), &target, Some(PATIENCE));
    assert_eq!(nodes[0].cluster.stats().pending_requests, 1);
    drop(pending);
    assert_eq!(nodes[0].cluster.stats().pending_requests, 0);
    // It was sent all the same.
    nodes[1].local.wait(1, PATIENCE).await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_come_too_late_are_ignored() {
    let (broker, nodes) = counted(2).await;
    let late = |message: &Message| match message.answers() {
        Some(_) => Fate::Late(seconds(10)),
        None => Fate::Arrives,
    };
    broker.decide(move |passage| late(&passage.envelope.message));
    let answers = nodes[0].sockets(seconds(1)).await;
    assert!(matches!(answers, Err(AdapterError::Timeout { .. })));
    let before = nodes[0].cluster.stats().ignored;
    sleep(seconds(15)).await;
    assert_eq!(nodes[0].cluster.stats().ignored, before + 1);
}

#[tokio::test(start_paused = true)]
async fn messages_that_arrive_twice_and_in_another_order_change_no_answer() {
    let (broker, nodes) = counted(4).await;
    let mut turn = 0;
    broker.decide(move |_| {
        turn += 1;
        match turn % 3 {
            0 => Fate::Twice,
            1 => Fate::Late(millis(30 * turn % 97)),
            _ => Fate::Arrives,
        }
    });
    for _ in 0..20 {
        assert_eq!(
            nodes[0].sockets(PATIENCE).await.unwrap(),
            ["s1", "s2", "s3"]
        );
        let answers = nodes[1].ask(question(), &all(), PATIENCE).await;
        let Answers::Acks { expected, replies } = answers.unwrap() else {
            panic!("asked clients");
        };
        // An event that arrives twice is answered twice, but its server said once to how many it went.
        assert_eq!((expected, replies.len()), (3, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_question_ends_in_a_timeout_that_counts() {
    let (broker, nodes) = counted(3).await;
    let lost = nodes[2].cluster.id().clone();
    broker.decide(move |passage| match passage.envelope.message.asks() {
        Some(_) if *passage.to == lost => Fate::Lost,
        _ => Fate::Arrives,
    });
    let answers = nodes[0].sockets(seconds(1)).await;
    let text = "timeout reached: only 1 responses received out of 2";
    assert_eq!(answers.unwrap_err().to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn who_is_alone_waits_for_nobody() {
    let (_broker, nodes) = counted(1).await;
    let begun = Instant::now();
    assert!(nodes[0].sockets(PATIENCE).await.unwrap().is_empty());
    assert!(begun.elapsed() < seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_request_right_after_the_start_waits_for_the_connection() {
    let (broker, nodes) = counted(1).await;
    let options = ClusterOptions::default();
    let backend = FakeBackend::counted(&broker);
    let node = sala_testkit::cluster::Node::start_at_once(backend, options, crate::NSP, vec![]);
    assert_eq!(node.sockets(PATIENCE).await.unwrap(), ["s0"]);
    assert_eq!(node.adapter.server_count().await.unwrap(), 2);
    drop(nodes);
}

/// The question left before the server was subscribed, and the answers went to nobody.
#[tokio::test(start_paused = true)]
async fn a_question_does_not_leave_before_its_answers_can_arrive() {
    let (broker, nodes) = counted(1).await;
    broker.slow_to_follow(seconds(1));
    let (backend, options) = (FakeBackend::counted(&broker), ClusterOptions::default());
    let node = sala_testkit::cluster::Node::start_at_once(backend, options, crate::NSP, vec![]);
    assert_eq!(node.sockets(seconds(3)).await.unwrap(), ["s0"]);
    let late = node.cluster.join("/late", node.local.clone());
    let other = nodes[0].cluster.join("/late", nodes[0].local.clone());
    other.ready().await;
    let answers = late
        .request(Request::Sockets, &all(), Some(seconds(3)))
        .await;
    assert!(matches!(answers, Ok(Answers::Sockets(sockets)) if sockets.len() == 1));
}

#[tokio::test(start_paused = true)]
async fn too_large_an_answer_is_left_out_and_reported() {
    let broker = sala_testkit::cluster::FakeBroker::new();
    let log = crate::Log::default();
    let options = log.options().max_answer_bytes(64);
    let asking = node(FakeBackend::counted(&broker), options, 0).await;
    let _other = node(FakeBackend::counted(&broker), ClusterOptions::default(), 1).await;
    let answers = asking.sockets(seconds(1)).await;
    assert!(
        matches!(answers, Err(AdapterError::Timeout { .. })),
        "{answers:?}"
    );
    assert_eq!(asking.cluster.stats().malformed, 1);
    assert_eq!(log.count("malformed message from server-1"), (1, 1));
}

/// A server that had announced three clients said nothing for a minute, as servers without heartbeats may. It was
/// taken for gone, its clients with it, and the question ended as if nobody was missing.
#[tokio::test(start_paused = true)]
async fn clients_of_a_quiet_server_are_waited_for_where_the_broker_counts() {
    let (_broker, nodes) = counted(2).await;
    let peer = &nodes[1];
    peer.local.mute();
    let target = all();
    let asked = nodes[0]
        .adapter
        .request(question(), &target, Some(seconds(120)));
    let begun = Instant::now();
    let (answers, ()) = tokio::join!(asked, async {
        peer.local.wait(1, PATIENCE).await;
        sleep(seconds(70)).await;
        peer.local.answer_kept();
    });
    assert_eq!(begun.elapsed().as_secs(), 70);
    let Ok(Answers::Acks { expected, replies }) = answers else {
        panic!("the client has answered: {answers:?}");
    };
    assert_eq!((expected, replies.len()), (1, 1));
}
