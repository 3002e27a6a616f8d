use std::time::Duration;

use sala_adapter::Target;
use sala_adapter::recovery::{Offset, PrivateId, SavedSession};
use sala_proto::Value;

use super::stage::Stage;
use super::{Factory, Limits};
use crate::cluster::{Heard, Node, event, heard_event};

/// Broadcasts that can be recovered reach the sockets of the sender, too, in one order and with the same offsets as
/// everywhere. Backends without recovery have nothing to show.
pub async fn logged_broadcasts_have_one_order_and_one_offset_everywhere(
    factory: &impl Factory,
    limits: &Limits,
) {
    let stage = Stage::new(factory, limits, 2).await;
    if stage[0].adapter.recovery().is_none() {
        return stage.close().await;
    }
    let burst = i64::try_from(limits.burst).expect("a burst can be counted");
    (0..burst).for_each(|number| log(&stage[0], number, &Target::all()));
    let own = stage[0].local.wait(limits.burst, limits.patience).await;
    let other = stage[1].local.wait(limits.burst, limits.patience).await;
    assert_eq!(own, other);
    assert!(own.iter().filter_map(Heard::number).eq(0..burst));
    let mut offsets: Vec<_> = offsets(&own);
    offsets.dedup();
    assert_eq!(offsets.len(), limits.burst);
    stage.close().await;
}

/// A session that one server saved is taken back by another, once, with the packets that were meant for it.
pub async fn a_session_is_taken_back_once_with_what_it_missed(
    factory: &impl Factory,
    limits: &Limits,
) {
    let stage = Stage::new(factory, limits, 2).await;
    let Some(store) = stage[0].adapter.recovery() else {
        return stage.close().await;
    };
    let session = SavedSession {
        sid: "sid-of-20-characters".into(),
        pid: PrivateId::random(),
        rooms: ["sid-of-20-characters", "b"].into_iter().collect(),
        data: Value::from("data"),
    };
    log(&stage[0], 0, &Target::all());
    let seen = stage[0].local.wait(1, limits.patience).await;
    let seen = offsets(&seen).pop().expect("one was seen");
    let nsp = &stage.namespace;
    let ttl = Duration::from_secs(60);
    let saved = store.save(nsp, session.clone(), ttl).await;
    saved.expect("the session is saved");
    log(&stage[1], 1, &Target::all().to("b"));
    log(&stage[0], 2, &Target::all().to("elsewhere"));
    log(&stage[0], 3, &Target::all().except("b"));
    log(&stage[0], 4, &Target::all());
    stage[0].local.wait(5, limits.patience).await;
    stage[1].local.wait(5, limits.patience).await;

    let elsewhere = stage[1].adapter.recovery().expect("both have one");
    let take = || elsewhere.take(nsp, &session.pid, &seen);
    let taken = take().await.expect("the store answers");
    let taken = taken.expect("the session is there");
    assert_eq!(taken.session, session);
    let mut missed: Vec<_> = taken
        .missed
        .iter()
        .map(|(packet, _)| number(packet))
        .collect();
    assert_eq!(missed.len(), 2, "{missed:?}");
    missed.sort_unstable();
    assert_eq!(missed, [1, 4]);
    assert!(
        take().await.expect("the store answers").is_none(),
        "taken twice"
    );

    let (_, last) = taken.missed.last().expect("two were missed");
    log(&stage[0], 5, &Target::all().to("b"));
    stage[1].local.wait(6, limits.patience).await;
    let later = elsewhere.missed(nsp, &session.rooms, last).await;
    let later = later.expect("the store answers");
    assert_eq!(
        later
            .iter()
            .map(|(packet, _)| number(packet))
            .collect::<Vec<_>>(),
        [5]
    );
    stage.close().await;
}

fn log(node: &Node, number: i64, target: &Target) {
    let packet = event("count", vec![number.into()]);
    let logged = node.adapter.broadcast_logged(packet, target);
    logged.expect("the queue has room");
}

fn number(packet: &sala_proto::RawArgs) -> i64 {
    let heard = Heard::ServerSide(heard_event(packet));
    heard.number().expect("only numbers are sent")
}

fn offsets(heard: &[Heard]) -> Vec<Offset> {
    let offset = |it: &Heard| match it {
        Heard::Event { offset, .. } => offset.clone(),
        _ => None,
    };
    heard.iter().filter_map(offset).collect()
}
