use sala_proto::Value;

use super::*;
use crate::message::RequestId;
use crate::target::RoomSet;

const MANY: usize = 1 << 20;

fn id() -> RequestId {
    "request".into()
}

fn sockets(names: &[&str]) -> Message {
    let snapshot = |name: &&str| SocketSnapshot {
        id: (*name).into(),
        handshake: Value::Null,
        rooms: RoomSet::new(),
        data: Value::Null,
    };
    Message::FetchSocketsResponse {
        request: id(),
        sockets: names.iter().map(snapshot).collect(),
    }
}

fn count(clients: usize) -> Message {
    Message::BroadcastClientCount {
        request: id(),
        clients,
    }
}

fn answer(number: u64) -> RawArgs {
    RawArgs::from_values(vec![number.into()])
}

fn ack(number: u64) -> Message {
    Message::BroadcastAck {
        request: id(),
        answer: answer(number),
    }
}

fn counted(wanted: Wanted) -> Collector {
    Collector::new(wanted, None, MANY)
}

fn named(wanted: Wanted, servers: &[&str]) -> Collector {
    let servers = servers.iter().map(|it| (*it).into()).collect();
    Collector::new(wanted, Some(servers), MANY)
}

fn from(name: &str) -> ServerId {
    name.into()
}

/// The sockets or replies that were collected.
fn collected(collector: &mut Collector) -> usize {
    match collector.finish() {
        Answers::Sockets(sockets) => sockets.len(),
        Answers::Servers(answers) => answers.len(),
        Answers::Acks { replies, .. } => replies.len(),
    }
}

const ACKS: Wanted = Wanted::Acks { single: false };

#[test]
fn as_many_servers_as_were_counted_have_to_answer() {
    let mut collector = counted(Wanted::Sockets);
    collector.answer(Some(&from("a")), sockets(&["1", "2"]));
    assert!(!collector.is_complete(), "nobody has counted yet");
    collector.expect(2);
    assert!(!collector.is_complete());
    collector.answer(Some(&from("b")), sockets(&[]));
    assert!(collector.is_complete());
    assert_eq!(collected(&mut collector), 2);
}

#[test]
fn nobody_else_is_complete_at_once() {
    let mut collector = counted(ACKS);
    collector.expect(0);
    assert!(collector.is_complete());
    assert!(named(Wanted::Servers, &[]).is_complete());
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let mut collector = counted(Wanted::Sockets);
    collector.expect(2);
    for _ in 0..2 {
        collector.answer(Some(&from("a")), sockets(&["1"]));
    }
    assert!(!collector.is_complete());
    assert_eq!(collected(&mut collector), 1);
}

#[test]
fn answers_without_a_sender_are_counted_as_they_come() {
    let mut collector = counted(Wanted::Sockets);
    collector.expect(2);
    collector.answer(None, sockets(&["1"]));
    collector.answer(None, sockets(&["1"]));
    assert!(collector.is_complete());
}

#[test]
fn named_servers_are_waited_for_by_name() {
    let mut collector = named(Wanted::Sockets, &["a", "b"]);
    collector.answer(Some(&from("stranger")), sockets(&["0"]));
    collector.answer(Some(&from("b")), sockets(&["1"]));
    assert_eq!(
        collector.missing(Vec::new()),
        Missing::Servers(vec![from("a")])
    );
    assert!(!collector.is_complete());
    collector.departed(&from("a"));
    assert!(collector.is_complete());
    // What the stranger has is welcome.
    assert_eq!(collected(&mut collector), 2);
}

#[test]
fn who_is_silent_is_named_also_where_only_the_broker_counts() {
    let mut collector = counted(Wanted::Sockets);
    collector.expect(3);
    collector.answer(Some(&from("a")), sockets(&[]));
    let known = || vec![from("a"), from("b")];
    let missing = |expected| Missing::Count {
        received: 1,
        expected,
        silent: vec![from("b")],
    };
    assert_eq!(collector.missing(known()), missing(3));
    let mut uncounted = counted(Wanted::Sockets);
    uncounted.answer(Some(&from("a")), sockets(&[]));
    assert_eq!(uncounted.missing(known()), missing(2));
}

#[test]
fn acknowledgements_are_complete_with_all_counts_and_all_replies_in_any_order() {
    let mut collector = counted(ACKS);
    collector.expect(2);
    collector.answer(Some(&from("a")), ack(1));
    collector.answer(Some(&from("a")), count(2));
    collector.answer(Some(&from("b")), count(0));
    assert!(!collector.is_complete());
    collector.answer(Some(&from("a")), ack(2));
    assert!(collector.is_complete());
    let Answers::Acks { expected, replies } = collector.finish() else {
        panic!("acks were wanted");
    };
    assert_eq!((expected, replies.len()), (2, 2));
}

#[test]
fn clients_of_a_departed_server_are_not_waited_for() {
    let mut collector = named(ACKS, &["a", "b", "c"]);
    collector.answer(Some(&from("a")), count(3));
    collector.answer(Some(&from("a")), ack(1));
    collector.answer(Some(&from("b")), count(1));
    collector.answer(Some(&from("b")), ack(2));
    collector.departed(&from("c"));
    assert!(!collector.is_complete());
    collector.departed(&from("a"));
    assert!(collector.is_complete());
    let Answers::Acks { expected, replies } = collector.finish() else {
        panic!("acks were wanted");
    };
    assert_eq!((expected, replies.len()), (4, 2));
}

#[test]
fn more_replies_than_clients_are_left_out() {
    let mut collector = counted(ACKS);
    collector.expect(1);
    collector.answer(Some(&from("a")), ack(1));
    collector.answer(Some(&from("a")), ack(1));
    collector.answer(Some(&from("a")), count(1));
    collector.answer(Some(&from("a")), ack(1));
    assert_eq!(collected(&mut collector), 1);
}

#[test]
fn one_reply_is_enough_if_one_socket_is_meant() {
    let mut collector = counted(Wanted::Acks { single: true });
    collector.answer(Some(&from("a")), ack(1));
    assert!(collector.is_complete());
    let mut nobody = counted(Wanted::Acks { single: true });
    nobody.expect(1);
    nobody.answer(Some(&from("a")), count(0));
    assert!(nobody.is_complete());
}

#[test]
fn an_answer_to_another_kind_of_question_is_ignored() {
    let mut collector = counted(Wanted::Sockets);
    collector.expect(1);
    assert_eq!(collector.answer(None, ack(1)), Verdict::Ignored);
    assert_eq!(collector.answer(None, Message::Heartbeat), Verdict::Ignored);
    assert!(!collector.is_complete());
}

#[test]
fn hostile_servers_fill_neither_the_memory_nor_the_count() {
    let mut collector = Collector::new(Wanted::Sockets, None, 4096);
    let many: Vec<_> = (0..1000).map(|i| i.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let verdict = collector.answer(Some(&from("a")), sockets(&many));
    assert_eq!(verdict, Verdict::TooLarge);
    assert_eq!(collected(&mut collector), 0);

    let mut collector = counted(ACKS);
    for i in 0..MAX_MEMBERS {
        collector.answer(Some(&from(&i.to_string())), count(usize::MAX));
    }
    let verdict = collector.answer(Some(&from("one more")), count(1));
    assert_eq!(verdict, Verdict::TooLarge);
}
