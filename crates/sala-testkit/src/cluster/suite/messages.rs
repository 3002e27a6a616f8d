use std::sync::Arc;

use bytes::Bytes;
use sala_adapter::adapter::{Command, RoomChange};
use sala_adapter::{Local, Room, Target};
use sala_proto::{Object, Value};

use super::stage::{Stage, send};
use super::{Factory, Limits};
use crate::cluster::{Heard, Recorder, event};

/// A broadcast reaches every other server once, with rooms, exceptions and flags, and not the one that sent it.
pub async fn a_broadcast_reaches_every_other_server_with_its_target(
    factory: &impl Factory,
    limits: &Limits,
) {
    let stage = Stage::new(factory, limits, 3).await;
    let targets = [
        Target::all(),
        Target::all().to(["b", "ein Raum 🏠"]).except("x"),
        Target::all().to("b").volatile().compress(false),
    ];
    for (number, target) in (0..).zip(&targets) {
        send(&stage[0], number, target);
    }
    for node in &stage.nodes[1..] {
        let mut heard = node.local.wait(targets.len(), limits.patience).await;
        // What goes to different rooms may take different ways; the order on one way is the next case.
        heard.sort_by_key(Heard::number);
        for ((number, target), heard) in (0..).zip(&targets).zip(heard) {
            let expected = Heard::Event {
                event: vec!["count".into(), i64::from(number).into()],
                target: target.clone(),
                offset: None,
                ack: false,
            };
            assert_eq!(without_offset(heard), expected);
        }
        stage.nothing_but(node, &[0, 1, 2]).await;
    }
    stage.nothing_but(&stage[0], &[]).await;
    stage.close().await;
}

/// Nested bytes, every kind of value, and a payload of `limits.large` bytes arrive unchanged, in both directions.
pub async fn binary_and_large_payloads_arrive_as_they_were_sent(
    factory: &impl Factory,
    limits: &Limits,
) {
    let stage = Stage::new(factory, limits, 2).await;
    let mut nested = Object::new();
    nested.insert("bytes", Bytes::from_static(&[0, 0x7b, 255]));
    nested.insert("list", vec![Value::Null, true.into(), Bytes::new().into()]);
    let payloads: [Vec<Value>; 5] = [
        vec![],
        vec![
            1.into(),
            1.5.into(),
            (-7).into(),
            "text – ∀".into(),
            Value::Null,
        ],
        vec![Bytes::from_static(b"{\"type\":3}").into()],
        vec![Value::Object(nested), "after".into()],
        vec![
            Bytes::from(vec![7; limits.large]).into(),
            "x".repeat(limits.large).into(),
        ],
    ];
    for (from, to) in [(0, 1), (1, 0)] {
        for args in &payloads {
            let packet = event("payload", args.clone());
            let sent = stage[from].adapter.broadcast(packet, &Target::all());
            sent.expect("the queue has room");
        }
        let heard = stage[to].local.wait(payloads.len(), limits.patience).await;
        for (args, heard) in payloads.iter().zip(heard) {
            let Heard::Event { event, .. } = heard else {
                panic!("an event was sent, not {heard:?}");
            };
            assert_eq!(event[0], "payload".into());
            assert!(
                event[1..] == args[..],
                "a payload of {} items changed",
                args.len()
            );
        }
    }
    stage.close().await;
}

/// Bursts of two servers at once reach a third one, each in its order and complete.
pub async fn broadcasts_of_each_server_arrive_in_their_order(
    factory: &impl Factory,
    limits: &Limits,
) {
    let stage = Stage::new(factory, limits, 3).await;
    let burst = i64::try_from(limits.burst).expect("a burst can be counted");
    for number in 0..burst {
        send(&stage[0], number, &Target::all());
        send(&stage[1], burst + number, &Target::all().to("b"));
    }
    let heard = stage[2].local.wait(2 * limits.burst, limits.patience).await;
    let numbers = heard.iter().map(|it| it.number().expect("only numbers"));
    let (first, second): (Vec<_>, Vec<_>) = numbers.partition(|number| *number < burst);
    assert!(first.into_iter().eq(0..burst));
    assert!(second.into_iter().eq(burst..2 * burst));
    stage.close().await;
}

/// Joins, leaves and disconnections reach the other servers.
pub async fn commands_reach_the_other_servers(factory: &impl Factory, limits: &Limits) {
    let stage = Stage::new(factory, limits, 3).await;
    let commands = [
        (
            Command::Join(["x", "y"].into_iter().collect()),
            Target::all(),
        ),
        (
            Command::Leave(["x"].into_iter().collect()),
            Target::all().to("b").except("c"),
        ),
        (Command::Disconnect { close: false }, Target::all().to("b0")),
        (Command::Disconnect { close: true }, Target::all()),
    ];
    for (command, target) in &commands {
        let sent = stage[1].adapter.command(command.clone(), target);
        sent.expect("the queue has room");
    }
    for number in [0, 2] {
        let heard = stage[number]
            .local
            .wait(commands.len(), limits.patience)
            .await;
        for ((command, target), heard) in commands.iter().zip(heard) {
            assert_eq!(heard, Heard::Command(command.clone(), target.clone()));
        }
    }
    assert!(stage[1].local.heard().is_empty());
    stage.close().await;
}

/// An event for the servers runs on all others.
pub async fn events_between_servers_need_no_answer(factory: &impl Factory, limits: &Limits) {
    let stage = Stage::new(factory, limits, 3).await;
    let args = vec![7.into(), Bytes::from_static(&[1, 2]).into()];
    let sent = stage[0]
        .adapter
        .server_side_emit(event("hello", args.clone()));
    sent.expect("the queue has room");
    for node in &stage.nodes[1..] {
        let heard = node.local.wait(1, limits.patience).await;
        let expected = [vec!["hello".into()], args.clone()].concat();
        assert_eq!(heard, [Heard::ServerSide(expected)]);
    }
    stage.nothing_but(&stage[0], &[]).await;
    stage.close().await;
}

/// A namespace hears nothing of another one, also if their names begin alike.
pub async fn namespaces_are_apart(factory: &impl Factory, limits: &Limits) {
    let stage = Stage::new(factory, limits, 2).await;
    let others = [
        "/",
        &format!("{}-more", stage.namespace),
        &stage.namespace[..7],
    ];
    let mut locals = Vec::new();
    for name in others {
        let local = Recorder::new(Vec::new());
        let cluster = &stage[1].cluster;
        let adapter = cluster.join(name, local.clone() as Arc<dyn Local>);
        stage
            .within("the namespace to be ready", adapter.ready())
            .await;
        locals.push((local, adapter));
    }
    send(&stage[0], 1, &Target::all());
    send(&stage[0], 2, &Target::all().to("b"));
    stage[1].local.wait(2, limits.patience).await;
    stage.nothing_but(&stage[1], &[1, 2]).await;
    for (local, _) in &locals {
        assert!(!local.heard().iter().any(|it| it.number().is_some()));
    }
    stage.close().await;
}

/// Rooms come and go; what is sent to one while it has members arrives.
pub async fn a_room_is_heard_of_from_when_it_is_entered(factory: &impl Factory, limits: &Limits) {
    let stage = Stage::new(factory, limits, 2).await;
    let rooms = [
        "late",
        "with#hash",
        "*[?",
        "ein sehr langer Name, der nicht in 22 Bytes passt",
    ];
    let own = "abcdefghijklmnopqrst";
    let change = |name: &str, occupied| {
        let room = Room::from(name);
        stage[1].local.occupy(&room, occupied);
        stage[1].adapter.interest(RoomChange {
            room: &room,
            own: name == own,
            occupied,
        });
    };
    let all = || rooms.iter().copied().chain([own]);
    // Coming and going at once must not confuse anybody.
    for name in all() {
        for occupied in [true, false, true] {
            change(name, occupied);
        }
    }
    stage
        .within("the rooms to be followed", stage[1].adapter.ready())
        .await;
    for (number, name) in (0..).zip(all()) {
        send(&stage[0], number, &Target::all().to(name));
    }
    let heard = stage[1].local.wait(rooms.len() + 1, limits.patience).await;
    let numbers: Vec<_> = heard.iter().filter_map(Heard::number).collect();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..=4), "{numbers:?}");
    all().for_each(|name| change(name, false));
    stage
        .within("the rooms to be left", stage[1].adapter.ready())
        .await;
    send(&stage[0], 9, &Target::all());
    stage[1].local.wait(rooms.len() + 2, limits.patience).await;
    stage.close().await;
}

/// A namespace may come when the server has long been connected, and go.
pub async fn a_namespace_that_joins_later_is_heard_of(factory: &impl Factory, limits: &Limits) {
    let stage = Stage::new(factory, limits, 2).await;
    let name = format!("{}/later", stage.namespace);
    let local = Recorder::new(Vec::new());
    let later = stage[0]
        .cluster
        .join(&name, local.clone() as Arc<dyn Local>);
    let sender = stage[1].cluster.join(&name, Recorder::new(Vec::new()));
    stage
        .within("the namespace to be ready", later.ready())
        .await;
    let packet = || event("count", vec![1.into()]);
    sender
        .broadcast(packet(), &Target::all())
        .expect("the queue has room");
    local.wait(1, limits.patience).await;
    stage
        .within("the namespace to be closed", later.close())
        .await;
    sender
        .broadcast(packet(), &Target::all())
        .expect("the queue has room");
    send(&stage[1], 2, &Target::all());
    stage[0].local.wait(1, limits.patience).await;
    assert_eq!(local.heard().len(), 1, "heard after the close");
    stage.close().await;
}

fn without_offset(mut heard: Heard) -> Heard {
    if let Heard::Event { offset, .. } = &mut heard {
        *offset = None;
    }
    heard
}
