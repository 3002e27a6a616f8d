use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sala_adapter::Room;
use sala_adapter::adapter::RoomChange;
use sala_adapter::backend::RoomsFollowed;
use sala_adapter::cluster::ClusterOptions;
use sala_testkit::cluster::{FakeBackend, FakeBroker, Node, event};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

use crate::{Log, all, knows, millis, node, numbers};

/// How many tasks send at once, and how many messages each.
const SENDERS: i64 = 4;
const EACH: i64 = 2000;

/// Tasks on several threads broadcast through one server while rooms come and go and links break: nothing is lost,
/// nothing comes twice, and each task's messages keep their order on every server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn order_survives_threads_and_broken_links() {
    let (broker, log) = (FakeBroker::new(), Log::default());
    let mut nodes = Vec::new();
    for number in 0..3 {
        let backend = FakeBackend::counted(&broker)
            .rooms(RoomsFollowed::All)
            .logged();
        let options = retrying(log.options());
        nodes.push(Arc::new(node(backend, options, number).await));
    }
    knows(&nodes[0], 3).await;
    let done = Arc::new(AtomicBool::new(false));
    let churn = tokio::spawn(churn(nodes[0].clone(), done.clone()));
    let cuts = tokio::spawn(cut_links(broker.clone(), nodes.clone(), done.clone()));
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        senders.spawn(send(nodes[0].clone(), sender));
    }
    senders.join_all().await;
    done.store(true, Ordering::Relaxed);
    churn.await.expect("the rooms come and go");
    cuts.await.expect("links break");
    let total = usize::try_from(SENDERS * EACH).expect("few messages");
    for node in &nodes {
        node.local.wait(total, crate::PATIENCE).await;
        let numbers = numbers(node);
        for sender in 0..SENDERS {
            let of_sender = numbers.iter().filter(|it| **it / EACH == sender);
            assert!(of_sender.copied().eq(sender * EACH..(sender + 1) * EACH));
        }
    }
    assert!(nodes[0].cluster.stats().outages > 0, "no link broke");
    assert!(log.with("panic").is_empty(), "{:?}", log.with("panic"));
    nodes[0].adapter.ready().await;
    let own = broker.followed(nodes[0].cluster.id(), crate::NSP);
    assert_eq!(own, [Room::from("s0")]);
}

fn retrying(options: ClusterOptions) -> ClusterOptions {
    options.retry_delays(millis(1), millis(5))
}

async fn send(node: Arc<Node>, sender: i64) {
    for number in sender * EACH..(sender + 1) * EACH {
        let packet = event("count", vec![number.into()]);
        let logged = node.adapter.broadcast_logged(packet, &all());
        logged.expect("the queue has room");
        if number % 50 == 0 {
            sleep(millis(1)).await;
        }
    }
}

/// Rooms that are entered and left without end, and empty at last.
async fn churn(node: Arc<Node>, done: Arc<AtomicBool>) {
    let mut occupied = false;
    while !done.load(Ordering::Relaxed) || occupied {
        occupied = !occupied;
        for room in 0..20 {
            node.adapter.interest(RoomChange {
                room: &format!("room {room}").into(),
                own: false,
                occupied,
            });
        }
        yield_now().await;
    }
}

async fn cut_links(broker: FakeBroker, nodes: Vec<Arc<Node>>, done: Arc<AtomicBool>) {
    for turn in 0.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        broker.cut(nodes[turn % nodes.len()].cluster.id());
        sleep(millis(7)).await;
    }
}
