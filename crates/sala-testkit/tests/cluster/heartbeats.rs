use sala_adapter::adapter::{AdapterError, Answers, Missing, Request};
use sala_adapter::message::Message;
use sala_testkit::cluster::{FakeBackend, FakeBroker, Node, event};
use tokio::time::{Instant, sleep};

use crate::{Log, NSP, PATIENCE, all, heartbeats, knows, node, numbers, seconds};

/// How many heartbeats a server has sent.
fn beats(broker: &FakeBroker, node: &Node) -> usize {
    let sent = broker.sent();
    let own = sent
        .iter()
        .filter(|it| it.sender.as_ref() == Some(node.cluster.id()));
    own.filter(|it| matches!(it.message, Message::Heartbeat))
        .count()
}

#[tokio::test(start_paused = true)]
async fn servers_know_each_other_by_name_and_say_who_came() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let first = node(FakeBackend::heartbeats(&broker), log.options(), 0).await;
    let second = node(
        FakeBackend::heartbeats(&broker),
        Log::default().options(),
        1,
    )
    .await;
    knows(&first, 2).await;
    knows(&second, 2).await;
    assert_eq!(log.with("server-1 is there (/chat)").len(), 1);
    assert_eq!(first.cluster.stats().members, 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_server_sends_a_heartbeat_every_five_seconds() {
    let (broker, nodes) = heartbeats(2).await;
    let before = beats(&broker, &nodes[0]);
    sleep(seconds(21)).await;
    assert_eq!(beats(&broker, &nodes[0]) - before, 4);
    knows(&nodes[1], 2).await;
}

#[tokio::test(start_paused = true)]
async fn requests_put_the_next_heartbeat_off_and_broadcasts_do_not() {
    let (broker, nodes) = heartbeats(2).await;
    let before = beats(&broker, &nodes[0]);
    for _ in 0..8 {
        sleep(seconds(3)).await;
        nodes[0].sockets(PATIENCE).await.expect("the other answers");
    }
    assert_eq!(beats(&broker, &nodes[0]), before);
    for number in 0..8 {
        sleep(seconds(3)).await;
        nodes[0].count_to_all(number);
    }
    assert_eq!(beats(&broker, &nodes[0]) - before, 4);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_is_gone_after_ten_seconds_of_silence() {
    let broker = FakeBroker::new();
    let log = Log::default();
    let first = node(FakeBackend::heartbeats(&broker), log.options(), 0).await;
    let second = node(
        FakeBackend::heartbeats(&broker),
        Log::default().options(),
        1,
    )
    .await;
    knows(&first, 2).await;
    broker.kill(second.cluster.id());
    sleep(seconds(9)).await;
    assert_eq!(first.adapter.server_count().await.unwrap(), 2);
    sleep(seconds(3)).await;
    assert_eq!(first.adapter.server_count().await.unwrap(), 1);
    assert_eq!(log.with("server-1 fell silent (/chat)").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_does_not_wait_for_a_server_that_has_died() {
    let (broker, nodes) = heartbeats(3).await;
    broker.kill(nodes[2].cluster.id());
    let asked = Instant::now();
    let found = nodes[0].sockets(PATIENCE).await;
    assert_eq!(found.expect("who is left has answered"), ["s1"]);
    let waited = asked.elapsed();
    assert!(waited > seconds(5) && waited < seconds(13), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_when_the_server_that_it_waits_for_says_goodbye() {
    let (_broker, nodes) = heartbeats(3).await;
    nodes[2].local.mute();
    let target = all();
    let request = || Request::Emit(event("question", vec![]));
    let acks = nodes[0].adapter.request(request(), &target, Some(PATIENCE));
    let request = Request::ServerSide(event("question", vec![]));
    let servers = nodes[0].adapter.request(request, &target, Some(PATIENCE));
    nodes[2].local.wait(2, PATIENCE).await;
    nodes[2].adapter.close().await;
    let Answers::Acks { expected, replies } = acks.await.expect("nobody is missing") else {
        panic!("asked clients");
    };
    assert_eq!(
        (expected, replies.len()),
        (2, 1),
        "one client went with its server"
    );
    let Answers::Servers(answers) = servers.await.expect("nobody is missing") else {
        panic!("asked servers");
    };
    assert_eq!(answers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_names_the_servers_that_are_missing() {
    let (_broker, nodes) = heartbeats(3).await;
    nodes[1].local.mute();
    let request = Request::ServerSide(event("question", vec![]));
    let answers = nodes[0].ask(request, &all(), seconds(2)).await;
    let Err(error @ AdapterError::Timeout { .. }) = answers else {
        panic!("one server is mute: {answers:?}");
    };
    let text = "timeout reached: missing 1 responses (silent: server-1)";
    assert_eq!(error.to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn who_is_alone_is_answered_at_once_and_still_sends_events() {
    let (broker, nodes) = heartbeats(1).await;
    assert!(nodes[0].sockets(PATIENCE).await.unwrap().is_empty());
    let request = Request::Emit(event("question", vec![]));
    nodes[0].ask(request, &all(), PATIENCE).await.unwrap();
    sleep(seconds(1)).await;
    let is_event = |it: &Message| {
        matches!(
            it,
            Message::Broadcast {
                request: Some(_),
                ..
            }
        )
    };
    let sent = broker.sent();
    assert_eq!(sent.iter().filter(|it| is_event(&it.message)).count(), 1);
    let is_fetch = |it: &Message| matches!(it, Message::FetchSockets { .. });
    assert!(!sent.iter().any(|it| is_fetch(&it.message)));
}

#[tokio::test(start_paused = true)]
async fn servers_that_were_parted_find_each_other_again() {
    let (broker, nodes) = heartbeats(2).await;
    let (a, b) = (nodes[0].cluster.id(), nodes[1].cluster.id());
    broker.part(a, b);
    sleep(seconds(12)).await;
    knows(&nodes[0], 1).await;
    knows(&nodes[1], 1).await;
    broker.heal();
    knows(&nodes[0], 2).await;
    knows(&nodes[1], 2).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_forgotten_during_an_outage() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let first = node(FakeBackend::heartbeats(&broker), log.options(), 0).await;
    let second = node(
        FakeBackend::heartbeats(&broker),
        Log::default().options(),
        1,
    )
    .await;
    knows(&first, 2).await;
    knows(&second, 2).await;
    broker.stop();
    sleep(seconds(60)).await;
    let failed = first.sockets(PATIENCE).await;
    let Err(AdapterError::Unreachable { missing, .. }) = failed else {
        panic!("the broker is down: {failed:?}");
    };
    assert_eq!(missing, Missing::Servers(vec!["server-1".into()]));
    broker.start();
    sleep(seconds(5)).await;
    assert_eq!(first.sockets(PATIENCE).await.unwrap(), ["s1"]);
    assert!(log.with("fell silent").is_empty());
}

#[tokio::test(start_paused = true)]
async fn invented_members_are_bounded() {
    let (broker, nodes) = heartbeats(1).await;
    for i in 0..3000 {
        broker.inject_message(&sala_adapter::Envelope {
            namespace: NSP.into(),
            sender: Some(format!("invented {i}").into()),
            recipient: None,
            message: Message::Heartbeat,
        });
    }
    knows(&nodes[0], 1025).await;
    sleep(seconds(12)).await;
    knows(&nodes[0], 1).await;
    assert!(numbers(&nodes[0]).is_empty());
}

/// A broker took nothing for longer than the interval of heartbeats. The one that was due was in the queue already, and
/// the task that sends them looked for it again and again without a pause, on a processor of its own.
#[test]
fn a_heartbeat_that_is_stuck_is_not_looked_for_without_a_pause() {
    let (done, ended) = std::sync::mpsc::channel();
    // The clock stands still as long as a task is busy, so it is another thread that loses its patience.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let beats = runtime.block_on(async {
            let (broker, nodes) = heartbeats(1).await;
            broker.stall(true);
            sleep(seconds(13)).await;
            broker.stall(false);
            sleep(seconds(1)).await;
            beats(&broker, &nodes[0])
        });
        done.send(beats)
    });
    let beats = ended.recv_timeout(PATIENCE).expect("time goes on");
    assert_eq!(beats, 1);
}

/// A peer that asks again and again who is there, while the broker takes nothing, gets one answer.
#[tokio::test(start_paused = true)]
async fn signs_of_life_do_not_fill_the_queue() {
    let (broker, nodes) = heartbeats(1).await;
    broker.stall(true);
    for _ in 0..1000 {
        broker.inject_message(&sala_adapter::Envelope {
            namespace: NSP.into(),
            sender: Some("curious".into()),
            recipient: None,
            message: Message::InitialHeartbeat,
        });
    }
    sleep(seconds(1)).await;
    assert_eq!(nodes[0].cluster.stats().queued_messages, 1);
    broker.stall(false);
    let before = beats(&broker, &nodes[0]);
    sleep(seconds(1)).await;
    assert_eq!(beats(&broker, &nodes[0]) - before, 1);
}
