//! Events to the sockets of all servers.

use sala::{Bytes, Recovery, Server, Socket};
use sala_adapter::backend::RoomsFollowed;
use sala_testkit::cluster::{FakeBackend, FakeBroker};
use sala_testkit::polling::Polling;
use sala_testkit::ws::Ws;

use super::{Client, Node, counted, nodes, notes, until};

/// Two servers with two clients each; the second client of each is in `room`.
struct Stage {
    nodes: [Node; 2],
    clients: [Client; 4],
}

impl Stage {
    async fn set(nodes: [Node; 2]) -> Self {
        let [a, b] = &nodes;
        let clients = [
            a.client().await,
            a.client().await,
            b.client().await,
            b.client().await,
        ];
        a.socket(&clients[1]).join("room");
        b.socket(&clients[3]).join("room");
        Self { nodes, clients }
    }

    /// Asserts who received exactly this and nothing else, of what the first server sent.
    async fn expect(&mut self, who: [bool; 4], text: &str) {
        self.nodes[0].emit("end", &()).expect("it encodes");
        for (client, receives) in self.clients.iter_mut().zip(who) {
            if receives {
                client.expect(text).await;
            }
            client.expect(r#"42["end"]"#).await;
        }
    }
}

const ALL: [bool; 4] = [true; 4];

#[tokio::test]
async fn what_a_server_emits_reaches_those_that_are_meant_on_all_servers() {
    let mut stage = Stage::set(counted(&FakeBroker::new()).await).await;
    let io = stage.nodes[0].io.clone();
    let far = stage.clients[2].id.clone();
    io.emit("all", &1).unwrap();
    stage.expect(ALL, r#"42["all",1]"#).await;
    io.to("room").emit("room", &(1, "x")).unwrap();
    stage
        .expect([false, true, false, true], r#"42["room",1,"x"]"#)
        .await;
    io.except("room").emit("others", &()).unwrap();
    stage
        .expect([true, false, true, false], r#"42["others"]"#)
        .await;
    io.to(far.as_str()).emit("one", &()).unwrap();
    stage
        .expect([false, false, true, false], r#"42["one"]"#)
        .await;
    io.to(["room", far.as_str()])
        .except("room")
        .emit("less", &())
        .unwrap();
    stage
        .expect([false, false, true, false], r#"42["less"]"#)
        .await;
    io.local().emit("local", &()).unwrap();
    stage
        .expect([true, true, false, false], r#"42["local"]"#)
        .await;
    io.compress(false).emit("plain", &()).unwrap();
    stage.expect(ALL, r#"42["plain"]"#).await;
}

#[tokio::test]
async fn what_a_socket_emits_to_others_reaches_them_on_all_servers_but_not_itself() {
    let mut stage = Stage::set(counted(&FakeBroker::new()).await).await;
    let socket = stage.nodes[0].socket(&stage.clients[1]);
    let far = stage.clients[2].id.clone();
    socket.broadcast().emit("others", &()).unwrap();
    stage
        .expect([true, false, true, true], r#"42["others"]"#)
        .await;
    socket.to("room").emit("room", &()).unwrap();
    stage
        .expect([false, false, false, true], r#"42["room"]"#)
        .await;
    socket.to(far.as_str()).emit("private", &()).unwrap();
    stage
        .expect([false, false, true, false], r#"42["private"]"#)
        .await;
    socket.local().emit("local", &()).unwrap();
    stage
        .expect([true, false, false, false], r#"42["local"]"#)
        .await;
    socket.emit("own", &()).unwrap();
    stage
        .expect([false, true, false, false], r#"42["own"]"#)
        .await;
}

#[tokio::test]
async fn bytes_reach_the_other_servers_as_bytes() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let (mut near, mut far) = (a.client().await, b.client().await);
    let nested = serde_json::json!({ "list": [1] });
    a.emit("bytes", &(nested, Bytes::from_static(b"abc")))
        .unwrap();
    a.emit("next", &()).unwrap();
    for client in [&mut near, &mut far] {
        let head = r#"451-["bytes",{"list":[1]},{"_placeholder":true,"num":0}]"#;
        client.expect(head).await;
        client.expect_binary(b"abc").await;
        client.expect(r#"42["next"]"#).await;
    }
}

#[tokio::test]
async fn namespaces_are_apart_on_the_way_too() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let (chat, _) = (a.of("/chat"), b.of("/chat"));
    a.cluster_ready().await.unwrap();
    b.cluster_ready().await.unwrap();
    let mut main = b.client().await;
    let mut client = b.client().await;
    super::join(&mut client, "40/chat").await;
    chat.emit("chat", &()).unwrap();
    a.emit("main", &()).unwrap();
    client.expect(r#"42/chat,["chat"]"#).await;
    client.expect(r#"42["main"]"#).await;
    main.expect(r#"42["main"]"#).await;
}

#[tokio::test]
async fn a_parent_emits_through_each_of_its_children() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let parent = a.of_matching(|name| name.starts_with("/room-"));
    b.of_matching(|name| name.starts_with("/room-"));
    let (mut near, mut far) = (super::open(a.addr).await, super::open(b.addr).await);
    super::join(&mut near, "40/room-1").await;
    super::join(&mut far, "40/room-1").await;
    a.cluster_ready().await.unwrap();
    b.cluster_ready().await.unwrap();
    parent.emit("all", &1).unwrap();
    near.expect(r#"42/room-1,["all",1]"#).await;
    far.expect(r#"42/room-1,["all",1]"#).await;
    parent.in_("nobody").disconnect_sockets(true);
    parent.disconnect_sockets(false);
    near.expect("41/room-1,").await;
    far.expect("41/room-1,").await;
}

/// The order in which one server emits, commands and asks is the order in which the others see it.
#[tokio::test]
async fn the_order_of_one_server_is_kept_on_the_others() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let mut far = b.client().await;
    for n in 0..200 {
        a.in_(far.id.as_str()).sockets_join(format!("room {n}"));
        a.to(format!("room {n}")).emit("n", &n).unwrap();
    }
    for n in 0..200 {
        far.expect(&format!(r#"42["n",{n}]"#)).await;
    }
}

#[tokio::test]
async fn listeners_of_outgoing_events_see_what_comes_from_other_servers() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let (pen, mut seen) = notes();
    b.on_any_outgoing(move |socket: &Socket, event: &sala::Outgoing<'_>| {
        let args: Option<(i32,)> = event.args().and_then(|args| args.parse().ok());
        pen.write((socket.id().to_string(), event.name().to_owned(), args));
    });
    let mut far = b.client().await;
    a.emit("seen", &7).unwrap();
    far.expect(r#"42["seen",7]"#).await;
    assert_eq!(
        seen.next().await,
        (far.id.clone(), "seen".to_owned(), Some((7,)))
    );
}

/// Without a store in the broker each server keeps the log of its own clients; what comes from other servers
/// is in it, unlike in the reference, which appends `null`.
#[tokio::test]
async fn broadcasts_of_other_servers_are_logged_for_recovery_in_memory() {
    let broker = FakeBroker::new();
    let recovering = || Server::builder().recovery(Recovery::new());
    let [a, b] = nodes(|| FakeBackend::counted(&broker), recovering).await;
    let mut ws = super::open(b.addr).await;
    ws.text("40").await;
    let ids = ws.expect_json("40").await;
    a.emit("seen", &()).unwrap();
    let seen = ws.expect_json("42").await;
    let offset = seen[1].as_str().expect("an offset");
    ws.close(None).await;
    until("the server to notice", || b.sockets_count() == 0).await;
    a.emit("missed", &1).unwrap();
    let mut end = b.client().await;
    a.emit("end", &()).unwrap();
    end.expect_json("42").await;

    let mut ws = super::open(b.addr).await;
    let pid = &ids["pid"];
    ws.text(format!(r#"40{{"pid":{pid},"offset":"{offset}"}}"#))
        .await;
    let missed = ws.expect_json("42").await;
    assert_eq!((&missed[0], &missed[1]), (&"missed".into(), &1.into()));
    assert!(missed[2].is_string(), "it has an offset: {missed}");
    assert_eq!(ws.expect_json("42").await[0], "end");
    assert_eq!(ws.expect_json("40").await["sid"], ids["sid"]);
}

#[tokio::test]
async fn a_volatile_event_of_another_server_is_volatile() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let polling = Polling::open(b.addr, "/socket.io/").await;
    polling.send("40").await;
    polling.poll().await;
    // No request waits, so nothing can be sent at this instant.
    a.volatile().emit("dropped", &()).unwrap();
    until("the volatile event to be dropped", || {
        b.stats().engine.volatile_dropped == 1
    })
    .await;
    a.emit("last", &()).unwrap();
    assert_eq!(polling.poll().await, [r#"42["last"]"#]);
}

/// The id of a client of Socket.IO 2 outside of the main namespace is longer than others. Senders took its room for one that
/// has a channel, its own server took it for one that has none: what was sent to it was lost.
#[tokio::test]
async fn a_client_of_revision_3_is_reached_where_public_rooms_are_followed() {
    let broker = FakeBroker::new();
    let backend = || FakeBackend::counted(&broker).rooms(RoomsFollowed::Public);
    let options = || Server::builder().allow_revision_3(true);
    let [a, b] = nodes(backend, options).await;
    for node in [&a, &b] {
        node.of("/chat");
    }
    let mut ws = Ws::open(a.addr, "/socket.io/?EIO=3&transport=websocket").await;
    let sid = ws.expect_json("0").await["sid"].clone();
    ws.expect("40").await;
    ws.text("40/chat,").await;
    ws.expect("40/chat,").await;
    a.cluster_ready().await.expect("the broker is there");
    b.cluster_ready().await.expect("the broker is there");
    let id = format!("/chat#{}", sid.as_str().expect("it is text"));
    b.of("/chat").to(id).emit("hello", &()).expect("queued");
    ws.expect(r#"42/chat,["hello"]"#).await;
}
