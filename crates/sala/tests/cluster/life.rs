//! How namespaces and servers enter a cluster and leave it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sala::{Drain, RoomEvent, Server};
use sala_adapter::backend::RoomsFollowed;
use sala_adapter::message::Message;
use sala_testkit::cluster::{FakeBackend, FakeBroker};
use tokio::sync::Semaphore;

use super::{Client, Node, counted, join, nodes, notes, open, until};

#[tokio::test]
async fn a_server_that_is_alone_has_no_cluster() {
    let io = Server::new();
    io.cluster_ready().await.unwrap();
    assert!(io.stats().cluster.is_none());
    assert_eq!(io.server_count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_child_that_is_cleaned_up_leaves_the_cluster_and_comes_back_f005() {
    let broker = FakeBroker::new();
    let options = || Server::builder().cleanup_empty_child_namespaces(true);
    let [a, b] = nodes(|| FakeBackend::heartbeats(&broker), options).await;
    for io in [&a, &b] {
        io.of_matching(|name| name == "/child");
    }
    let mut here = open(a.addr).await;
    join(&mut here, "40/child").await;
    let count = async || a.of("/child").server_count().await.unwrap();
    for _ in 0..2 {
        let mut there = open(b.addr).await;
        join(&mut there, "40/child").await;
        while count().await != 2 {
            tokio::task::yield_now().await;
        }
        a.of("/child").emit("both", &()).unwrap();
        there.expect(r#"42/child,["both"]"#).await;
        here.expect(r#"42/child,["both"]"#).await;
        there.text("41/child,").await;
        while count().await != 1 {
            tokio::task::yield_now().await;
        }
    }
    let goodbyes = broker.sent().into_iter();
    let goodbyes = goodbyes.filter(|it| matches!(it.message, Message::AdapterClose));
    assert_eq!(goodbyes.count(), 2);
}

/// An empty child namespace said goodbye to the others while the list of namespaces was locked. The queue was full, the
/// application was told so, looked for a namespace, and waited for itself for ever.
#[tokio::test]
async fn a_goodbye_that_is_refused_is_told_while_namespaces_can_be_looked_up() {
    let broker = FakeBroker::new();
    let io: Arc<OnceLock<Server>> = Arc::default();
    let (pen, mut found) = notes();
    let server = io.clone();
    let options = Server::builder()
        .cleanup_empty_child_namespaces(true)
        .cluster(sala::ClusterOptions::default().max_queued_bytes(1))
        .on_error(move |_| {
            // In a thread of its own, so that the test ends whatever happens.
            let (done, is_done) = std::sync::mpsc::channel();
            let server = server.get().expect("it is set at the start").clone();
            std::thread::spawn(move || done.send(server.of("/other").name().to_owned()));
            pen.write(is_done.recv_timeout(Duration::from_secs(5)));
        });
    let a = options.adapter(FakeBackend::heartbeats(&broker)).build();
    io.set(a.clone()).expect("once");
    let addr = super::serve(&a).await;
    a.cluster_ready().await.unwrap();
    a.of_matching(|name| name == "/child");
    let mut client = open(addr).await;
    join(&mut client, "40/child").await;
    a.cluster_ready().await.unwrap();
    until("the queue to be empty", || {
        a.stats().cluster.expect("it is in one").queued_messages == 0
    })
    .await;
    broker.stall(true);
    a.emit("fills the queue", &()).unwrap();
    client.text("41/child,").await;
    assert_eq!(found.next().await.as_deref(), Ok("/other"));
}

#[tokio::test]
async fn a_server_that_closes_says_goodbye_and_then_works_alone() {
    let broker = FakeBroker::new();
    let [a, b] = nodes(|| FakeBackend::heartbeats(&broker), Server::builder).await;
    until("the servers to meet", || a.link().members == 1).await;
    let mut far = b.client().await;
    let (pen, mut left) = notes();
    a.on_disconnect(
        async move |socket: sala::Socket, _: sala::DisconnectReason| {
            // The cluster is there until the last client has left.
            pen.write(socket.broadcast().emit("left", &()).is_ok());
        },
    );
    let _near = a.client().await;
    a.close().await;
    assert!(left.next().await);
    far.expect(r#"42["left"]"#).await;
    until("the goodbye", || b.link().members == 0).await;
    assert_eq!(b.server_count().await.unwrap(), 1);

    // It may go on to serve, by itself.
    let mut near = Client::new(super::serve(&a.io).await).await;
    let error = a.emit("alone", &()).unwrap_err();
    assert!(error.is_closed(), "{error}");
    near.expect(r#"42["alone"]"#).await;
    far.nothing_more().await;
    let error = a.fetch_sockets().await.unwrap_err();
    assert!(error.error().is_closed());
    assert_eq!(error.responses().len(), 1);
    assert!(a.server_count().await.unwrap_err().is_closed());
}

#[tokio::test]
async fn a_server_that_drains_is_in_the_cluster_until_its_last_handler_has_ended() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let gate: &'static Semaphore = Box::leak(Box::new(Semaphore::new(0)));
    let (pen, mut began) = notes();
    a.on("work", async move |socket: sala::Socket| {
        pen.write(());
        gate.acquire().await.expect("never closed").forget();
        socket.nsp().emit("worked", &())
    });
    let (mut near, mut far) = (a.client().await, b.client().await);
    near.text(r#"42["work"]"#).await;
    began.next().await;
    let io = a.io.clone();
    let draining = tokio::spawn(async move {
        let drain = Drain {
            pause: Duration::ZERO,
            ..Drain::default()
        };
        io.close_gracefully(drain).await
    });
    near.closed().await;
    b.on_server_side("still there", async |_: sala::Namespace| {});
    assert_eq!(b.server_count().await.unwrap(), 2);
    gate.add_permits(1);
    assert!(draining.await.unwrap());
    far.expect(r#"42["worked"]"#).await;
    assert_eq!(b.server_count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_server_that_is_dropped_leaves_the_cluster() {
    let broker = FakeBroker::new();
    let [a] = counted(&broker).await;
    let cluster = sala::ClusterOptions::default();
    let io = Server::builder()
        .cluster(cluster)
        .adapter(FakeBackend::counted(&broker))
        .build();
    io.cluster_ready().await.unwrap();
    assert_eq!(a.server_count().await.unwrap(), 2);
    drop(io);
    while a.server_count().await.unwrap() != 1 {
        tokio::task::yield_now().await;
    }
}

/// The broker is told of the rooms that have members here, while the application listens to rooms as well.
#[tokio::test]
async fn rooms_with_members_are_followed_beside_listeners_of_rooms() {
    let broker = FakeBroker::new();
    let backend = FakeBackend::counted(&broker).rooms(RoomsFollowed::Public);
    let a = Node::new("a", backend, Server::builder()).await;
    let (pen, mut events) = notes();
    let followed = || broker.followed(&a.id, "/");
    let mut client = a.client().await;
    let socket = a.socket(&client);
    socket.join("before");
    until("the room to be followed", || followed() == ["before"]).await;
    a.on_room_event(move |event: &RoomEvent| pen.write(event.clone()));
    socket.join(["x", "y"]);
    until("the rooms to be followed", || followed().len() == 3).await;
    socket.leave("x");
    until("the room to be left", || followed().len() == 2).await;
    let id = socket.id().clone();
    for expected in [
        RoomEvent::Create("x".into()),
        RoomEvent::Join("x".into(), id.clone()),
        RoomEvent::Create("y".into()),
        RoomEvent::Join("y".into(), id.clone()),
        RoomEvent::Leave("x".into(), id.clone()),
        RoomEvent::Delete("x".into()),
    ] {
        assert_eq!(events.next().await, expected);
    }
    // The own room of a socket is none of them, also if another socket is in it.
    let other = a.client().await;
    a.socket(&other).join(id.as_str());
    client.text("41").await;
    until("the rooms to be left", || followed().is_empty()).await;
}

#[tokio::test]
async fn broadcasts_to_one_room_reach_servers_that_follow_rooms_one_by_one() {
    for rooms in [RoomsFollowed::Public, RoomsFollowed::All] {
        let broker = FakeBroker::new();
        let backend = || FakeBackend::counted(&broker).rooms(rooms);
        let [a, b] = nodes(backend, Server::builder).await;
        let mut far = b.client().await;
        b.socket(&far).join("news");
        b.cluster_ready().await.unwrap();
        a.to("news").emit("news", &()).unwrap();
        far.expect(r#"42["news"]"#).await;
    }
}
