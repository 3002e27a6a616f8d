use std::time::Duration;

use futures_util::future::join_all;
use sala_adapter::Target;
use sala_adapter::adapter::{AdapterError, Answers, Missing, Request};
use sala_proto::RawArgs;

use super::stage::{Stage, sockets_of};
use super::{Factory, Limits};
use crate::cluster::{Heard, event};

/// Each server counts those that are there, itself included, and no longer those that have left.
pub async fn servers_are_counted_as_they_come_and_go(factory: &impl Factory, limits: &Limits) {
    let mut stage = Stage::new(factory, limits, 2).await;
    let third = stage.start(factory.backend(), Vec::new()).await;
    stage.all_know(3).await;
    stage.knows(&third, 3).await;
    stage
        .within("the namespace to close", third.adapter.close())
        .await;
    stage.all_know(2).await;
    stage
        .within("the server to leave", third.cluster.close())
        .await;
    let last = stage.nodes.pop().expect("there are two");
    stage
        .within("the server to leave", last.cluster.close())
        .await;
    stage.all_know(1).await;
    stage.close().await;
}

/// Sockets of all other servers are fetched with all that is known of them, and none of the own.
pub async fn sockets_of_all_servers_are_fetched(factory: &impl Factory, limits: &Limits) {
    let stage = Stage::new(factory, limits, 3).await;
    let found = stage[0].sockets(limits.patience).await.expect("all answer");
    assert_eq!(found, ["a1", "a2", "b1", "b2"]);
    let target = Target::all().to("b").except("b1");
    let answers = stage[0]
        .ask(Request::Sockets, &target, limits.patience)
        .await;
    let Answers::Sockets(sockets) = answers.expect("also who has none answers") else {
        panic!("asked for sockets");
    };
    assert_eq!(sockets, [sockets_of(2).remove(1)]);
    stage.close().await;
}

/// Each client answers once; servers without clients count as well.
pub async fn acknowledgements_of_all_clients_are_collected(
    factory: &impl Factory,
    limits: &Limits,
) {
    let stage = Stage::new(factory, limits, 3).await;
    for (target, expected) in [
        (Target::all(), vec!["a1", "a2", "b1", "b2"]),
        (Target::all().to("b"), vec!["b1", "b2"]),
        (Target::all().to("a2"), vec!["a2"]),
        (Target::all().to("nobody"), vec![]),
    ] {
        let request = Request::Emit(event("question", vec![1.into()]));
        let answers = stage[0].ask(request, &target, limits.patience).await;
        let Answers::Acks {
            expected: clients,
            replies,
        } = answers.expect("all answer")
        else {
            panic!("asked for acknowledgements");
        };
        assert_eq!(clients, expected.len());
        assert_eq!(texts(&replies), expected);
    }
    let heard = stage[1].local.heard();
    assert!(
        heard
            .iter()
            .all(|it| matches!(it, Heard::Event { ack: true, .. }))
    );
    assert!(stage[0].local.heard().is_empty());
    stage.close().await;
}

/// What one socket is asked is answered by that one alone.
pub async fn the_first_answer_is_enough_for_a_single_socket(
    factory: &impl Factory,
    limits: &Limits,
) {
    let stage = Stage::new(factory, limits, 3).await;
    let mut target = Target::all().to("b2");
    target.flags.expect_single_response = true;
    let request = Request::Emit(event("question", vec![1.into()]));
    let answers = stage[0].ask(request, &target, limits.patience).await;
    let Answers::Acks { replies, .. } = answers.expect("it answers") else {
        panic!("asked for acknowledgements");
    };
    assert_eq!(texts(&replies), ["b2"]);
    stage.close().await;
}

/// The listeners of all other servers answer once each.
pub async fn listeners_of_all_servers_answer(factory: &impl Factory, limits: &Limits) {
    let stage = Stage::new(factory, limits, 3).await;
    let request = Request::ServerSide(event("who", vec![1.into()]));
    let answers = stage[1].ask(request, &Target::all(), limits.patience).await;
    let Answers::Servers(answers) = answers.expect("all answer") else {
        panic!("asked servers");
    };
    assert_eq!(texts(&answers), ["a0", "a2"]);
    assert!(stage[1].local.heard().is_empty());
    stage.close().await;
}

/// Questions of all kinds by four servers at the same time find their answers.
pub async fn all_servers_ask_at_once(factory: &impl Factory, limits: &Limits) {
    let stage = Stage::new(factory, limits, 4).await;
    let ask = |node: usize, kind: usize| {
        let request = match kind {
            0 => Request::Sockets,
            1 => Request::Emit(event("question", vec![1.into()])),
            _ => Request::ServerSide(event("who", vec![1.into()])),
        };
        let target = Target::all();
        stage[node]
            .adapter
            .request(request, &target, Some(limits.patience))
    };
    let questions = (0..48).map(|i| ask(i % 4, i / 4 % 3));
    for answer in join_all(questions).await {
        let count = match answer.expect("all answer") {
            Answers::Sockets(sockets) => sockets.len() / 2,
            Answers::Acks { replies, .. } => replies.len() / 2,
            Answers::Servers(answers) => answers.len(),
        };
        assert_eq!(count, 3);
    }
    stage.close().await;
}

/// A request that one server does not answer ends in time, with what the others said.
pub async fn a_server_without_an_answer_is_missed(factory: &impl Factory, limits: &Limits) {
    let stage = Stage::new(factory, limits, 3).await;
    stage[2].local.mute();
    let request = Request::ServerSide(event("who", vec![1.into()]));
    let wait = Duration::from_secs(1);
    let answers = stage[0].ask(request, &Target::all(), wait).await;
    let Err(AdapterError::Timeout {
        missing,
        waited,
        partial,
    }) = answers
    else {
        panic!("one server is mute, but {answers:?}");
    };
    assert_eq!(waited, wait);
    match missing {
        Missing::Servers(names) => assert_eq!(names, [stage[2].cluster.id().clone()]),
        Missing::Count {
            received, expected, ..
        } => assert_eq!((received, expected), (1, 2)),
    }
    let Answers::Servers(partial) = partial else {
        panic!("asked servers");
    };
    assert_eq!(texts(&partial), ["a1"]);
    stage.close().await;
}

/// The first arguments as text, in order.
fn texts(answers: &[RawArgs]) -> Vec<String> {
    let mut texts: Vec<String> = answers
        .iter()
        .map(|answer| answer.parse().expect("the answer is text"))
        .collect();
    texts.sort_unstable();
    texts
}
