use sala_adapter::adapter::{AdapterError, Request, RoomChange};
use sala_adapter::{Room, Target};
use tokio::time::Instant;

use super::stage::{Stage, send};
use super::{Factory, Limits};
use crate::cluster::{Heard, Node};

/// What is sent while the broker is away is queued, and arrives in order when it is back.
pub async fn what_is_sent_during_an_outage_arrives_after_it(
    factory: &impl Factory,
    limits: &Limits,
) {
    let stage = Stage::new(factory, limits, 2).await;
    if !factory.stop().await {
        return stage.close().await;
    }
    for node in &stage.nodes {
        outage_is_noticed(&stage, node).await;
    }
    for number in 0..10 {
        send(&stage[0], number, &Target::all());
    }
    assert!(stage[0].cluster.stats().queued_bytes > 0);
    factory.start().await;
    let last = |heard: &[Heard]| heard.iter().any(|it| it.number() == Some(9));
    let arrived = stage[1]
        .local
        .wait_for("the queue", limits.patience, last)
        .await;
    let mut numbers = numbers(&arrived);
    // What was being sent when the link broke may arrive twice.
    numbers.dedup();
    assert!(numbers.iter().copied().eq(0..10), "{numbers:?}");
    stage.all_hear_each_other().await;
    let stats = stage[0].cluster.stats();
    assert_eq!(
        (stats.queued_bytes, stats.failed, stats.backlogged),
        (0, 0, 0)
    );
    assert!(stats.outages >= 1 && stats.connected, "{stats:?}");
    stage.close().await;
}

/// Nobody waits for a broker that is away, and everything works when it is back.
pub async fn requests_fail_at_once_during_an_outage(factory: &impl Factory, limits: &Limits) {
    let stage = Stage::new(factory, limits, 2).await;
    if !factory.stop().await {
        return stage.close().await;
    }
    outage_is_noticed(&stage, &stage[0]).await;
    let asked = Instant::now();
    let failed = stage[0]
        .ask(Request::Sockets, &Target::all(), limits.patience)
        .await;
    assert!(
        matches!(failed, Err(AdapterError::Unreachable { .. })),
        "{failed:?}"
    );
    assert!(asked.elapsed() < limits.patience / 2);
    factory.start().await;
    stage.all_know(2).await;
    stage.all_hear_each_other().await;
    let found = stage[0].sockets(limits.patience).await.expect("all answer");
    assert_eq!(found, ["a1", "b1"]);
    stage.close().await;
}

/// Namespaces and rooms from before an outage, and those that came during it, are heard of after it.
pub async fn rooms_are_followed_again_after_an_outage(factory: &impl Factory, limits: &Limits) {
    let stage = Stage::new(factory, limits, 2).await;
    let enter = |name: &str| {
        let room = Room::from(name);
        stage[1].local.occupy(&room, true);
        stage[1].adapter.interest(RoomChange {
            room: &room,
            own: false,
            occupied: true,
        });
    };
    enter("before");
    stage
        .within("the room to be followed", stage[1].adapter.ready())
        .await;
    if !factory.stop().await {
        return stage.close().await;
    }
    outage_is_noticed(&stage, &stage[1]).await;
    enter("meanwhile");
    factory.start().await;
    stage
        .within("the rooms to be followed", stage[1].adapter.ready())
        .await;
    stage.all_hear_each_other().await;
    send(&stage[0], 1, &Target::all().to("before"));
    send(&stage[0], 2, &Target::all().to("meanwhile"));
    let both = |heard: &[Heard]| numbers(heard).len() == 2;
    let heard = stage[1].local.wait_for("both", limits.patience, both).await;
    let mut numbers = numbers(&heard);
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    stage.close().await;
}

/// Waits until a server knows that the broker is away. It may have to send something to notice.
async fn outage_is_noticed(stage: &Stage, node: &Node) {
    let noticed = async {
        while node.cluster.stats().connected {
            // Nobody is to hear it: it only makes a silent link talk.
            send(node, -1, &Target::all().to("nobody"));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    stage.within("the outage to be noticed", noticed).await;
}

/// What was sent on purpose.
fn numbers(heard: &[Heard]) -> Vec<i64> {
    let numbers = heard.iter().filter_map(Heard::number);
    numbers.filter(|number| *number >= 0).collect()
}
