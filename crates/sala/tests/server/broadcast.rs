//! Emitting to many, and managing many.

use std::sync::Arc;

use sala::{Attempt, Bytes, Server, Socket};
use tokio::sync::Semaphore;

use super::{Client, join, open, serve, start};

fn socket(io: &Server, client: &Client) -> Socket {
    io.socket(&client.id.as_str().into())
        .expect("it is connected")
}

/// Three clients: the first in room `a`, the second in `a` and `b`, the third in none.
async fn three(io: &Server, addr: std::net::SocketAddr) -> [Client; 3] {
    let clients = Client::several(addr).await;
    socket(io, &clients[0]).join("a");
    socket(io, &clients[1]).join(["a", "b"]);
    clients
}

/// Asserts who of three has received exactly this.
async fn expect(clients: &mut [Client; 3], who: [bool; 3], text: &str) {
    for (client, receives) in clients.iter_mut().zip(who) {
        if receives {
            client.expect(text).await;
        }
        client.nothing_more().await;
    }
}

#[tokio::test]
async fn targets_are_unions_without_exclusions_each_once_c087_c088_d010_f017_g007_j109_j111() {
    let (io, addr) = start(Server::builder()).await;
    let mut clients = three(&io, addr).await;
    let first = clients[0].id.clone();
    let (yes, no) = (true, false);

    io.emit("all", &1).unwrap();
    expect(&mut clients, [yes, yes, yes], r#"42["all",1]"#).await;
    io.to("a").emit("a", &()).unwrap();
    expect(&mut clients, [yes, yes, no], r#"42["a"]"#).await;
    io.in_(["a", "b"]).emit("a or b", &()).unwrap();
    expect(&mut clients, [yes, yes, no], r#"42["a or b"]"#).await;
    io.to("a").to("b").emit("a or b", &()).unwrap();
    expect(&mut clients, [yes, yes, no], r#"42["a or b"]"#).await;
    io.except("b").emit("not b", &()).unwrap();
    expect(&mut clients, [yes, no, yes], r#"42["not b"]"#).await;
    io.to("a").except("b").emit("a, not b", &()).unwrap();
    expect(&mut clients, [yes, no, no], r#"42["a, not b"]"#).await;
    io.except(first.as_str())
        .emit("not the first", &())
        .unwrap();
    expect(&mut clients, [no, yes, yes], r#"42["not the first"]"#).await;
    io.to(first.as_str()).emit("the first", &()).unwrap();
    expect(&mut clients, [yes, no, no], r#"42["the first"]"#).await;
    io.local().emit("local", &()).unwrap();
    expect(&mut clients, [yes, yes, yes], r#"42["local"]"#).await;
    io.to("nobody").emit("x", &()).unwrap();
    expect(&mut clients, [no, no, no], "").await;
}

#[tokio::test]
async fn a_socket_broadcasts_to_all_but_itself_e057_to_e063_g005_g008_g010() {
    let (io, addr) = start(Server::builder()).await;
    let mut clients = three(&io, addr).await;
    let (yes, no) = (true, false);
    let first = socket(&io, &clients[0]);
    let third = clients[2].id.clone();

    first.broadcast().emit("others", &()).unwrap();
    expect(&mut clients, [no, yes, yes], r#"42["others"]"#).await;
    first.to("a").emit("a", &()).unwrap();
    expect(&mut clients, [no, yes, no], r#"42["a"]"#).await;
    first.in_("a").emit("a", &()).unwrap();
    expect(&mut clients, [no, yes, no], r#"42["a"]"#).await;
    first.except("b").emit("not b", &()).unwrap();
    expect(&mut clients, [no, no, yes], r#"42["not b"]"#).await;
    first.local().emit("local", &()).unwrap();
    expect(&mut clients, [no, yes, yes], r#"42["local"]"#).await;
    first.to(third.as_str()).emit("private", &()).unwrap();
    expect(&mut clients, [no, no, yes], r#"42["private"]"#).await;
    first
        .compress(false)
        .broadcast()
        .emit("flags", &())
        .unwrap();
    expect(&mut clients, [no, yes, yes], r#"42["flags"]"#).await;

    // Exclusion is by the own room, so whoever left it is no longer left out.
    first.leave(first.id());
    first.broadcast().emit("left", &()).unwrap();
    expect(&mut clients, [yes, yes, yes], r#"42["left"]"#).await;
}

#[tokio::test]
async fn an_operator_can_be_used_again_c089_j117() {
    let (io, addr) = start(Server::builder()).await;
    let mut clients = three(&io, addr).await;
    let to_a = io.to("a");
    let not_b = to_a.clone().except("b");
    to_a.clone().emit("a", &1).unwrap();
    expect(&mut clients, [true, true, false], r#"42["a",1]"#).await;
    not_b.emit("a", &2).unwrap();
    expect(&mut clients, [true, false, false], r#"42["a",2]"#).await;
    to_a.emit("a", &3).unwrap();
    expect(&mut clients, [true, true, false], r#"42["a",3]"#).await;
}

#[tokio::test]
async fn bytes_are_broadcast_whole_j109() {
    let (io, addr) = start(Server::builder()).await;
    let mut clients: [Client; 2] = Client::several(addr).await;
    io.emit("bin", &Bytes::from_static(b"abc")).unwrap();
    io.emit("next", &()).unwrap();
    for client in &mut clients {
        client
            .expect(r#"451-["bin",{"_placeholder":true,"num":0}]"#)
            .await;
        client.expect_binary(b"abc").await;
        client.expect(r#"42["next"]"#).await;
    }
}

#[tokio::test]
async fn the_server_emits_to_the_main_namespace_only_c015_c017_c021_d007() {
    let (io, addr) = start(Server::builder()).await;
    let ns = io.of("ns");
    assert_eq!(ns, io.of("/ns"));
    assert_eq!(io.of(""), io.of("/"));
    assert_eq!(io.of("/"), *io);
    let mut client = Client::new(addr).await;
    let mut other = open(addr).await;
    join(&mut other, "40/ns,").await;
    io.emit("main", &()).unwrap();
    ns.emit("ns", &()).unwrap();
    client.expect(r#"42["main"]"#).await;
    other.expect(r#"42/ns,["ns"]"#).await;
    client.nothing_more().await;
}

#[tokio::test]
async fn a_broadcast_does_not_reach_whoever_is_still_let_in_d002_d020() {
    let io = Server::new();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    io.admit(async move |attempt: Attempt| {
        attempt.join("a");
        drop(waiting.acquire().await);
    });
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    ws.text("40").await;
    ws.text("40/none,").await; // answered after the middleware has begun
    ws.next_text().await;
    assert_eq!(io.sockets_count(), 0);
    assert_eq!(io.room_size("a"), 0);
    io.to("a").emit("x", &()).unwrap();
    gate.add_permits(1);
    ws.expect_json("40").await;
    io.to("a").emit("y", &()).unwrap();
    ws.expect(r#"42["y"]"#).await;
}

#[tokio::test]
async fn sockets_are_fetched_joined_left_and_disconnected_c102_c103_d011_g013_j121_j146() {
    let (io, addr) = start(Server::builder()).await;
    let mut clients = three(&io, addr).await;
    socket(&io, &clients[0])
        .data()
        .set("name", "first")
        .unwrap();

    let all = io.fetch_sockets().await.unwrap();
    assert_eq!(all.len(), 3);
    let in_a = io.in_("a").except("b").fetch_sockets().await.unwrap();
    let [first] = &in_a[..] else {
        panic!("one is in a and not in b")
    };
    assert_eq!(first.id().as_str(), clients[0].id);
    assert!(first.rooms().contains(&"a".into()) && first.rooms().len() == 2);
    assert_eq!(first.data().get::<String>("name").as_deref(), Some("first"));
    assert_eq!(first.handshake().address(), "127.0.0.1");
    first.join("c");
    first.leave("a");
    first.emit("hello", &()).unwrap();
    clients[0].expect(r#"42["hello"]"#).await;
    assert_eq!((io.room_size("a"), io.room_size("c")), (1, 1));

    io.in_("b").sockets_join(["d", "e"]);
    assert_eq!((io.room_size("d"), io.room_size("e")), (1, 1));
    io.sockets_join("all");
    assert_eq!(io.room_size("all"), 3);
    io.except("b").sockets_leave("all");
    assert_eq!(io.room_size("all"), 1);

    io.emit("before", &()).unwrap();
    io.in_("b").disconnect_sockets(false);
    for (client, leaves) in clients.iter_mut().zip([false, true, false]) {
        client.expect(r#"42["before"]"#).await;
        if leaves {
            client.expect("41").await;
        } else {
            client.nothing_more().await;
        }
    }
    first.disconnect(true);
    clients[0].expect("41").await;
    clients[0].expect_close(None).await;
    io.disconnect_sockets(true);
    clients[2].expect("41").await;
    clients[2].expect_close(None).await;
    assert_eq!((io.sockets_count(), io.rooms().len()), (0, 0)); // D019
}

#[tokio::test]
async fn compression_flags_reach_the_packet_c092_e044_j122_j141() {
    use sala::engine::ConnectionEvent;

    let (io, addr) = start(Server::builder()).await;
    let client = Client::new(addr).await;
    let socket = socket(&io, &client);
    let (note, mut notes) = super::notes();
    socket.conn().observe(move |event| {
        if let ConnectionEvent::PacketCreate { frame, .. } = event {
            note.write(frame.may_compress());
        }
    });
    socket.emit("x", &()).unwrap();
    socket.compress(false).emit("x", &()).unwrap();
    socket.compress(true).emit("x", &()).unwrap();
    io.compress(false).emit("x", &()).unwrap();
    io.emit("x", &()).unwrap();
    assert_eq!(notes.so_far(), [true, false, true, false, true]);
}

/// Every client is sent the same frame, which was made once.
#[tokio::test]
async fn a_broadcast_is_encoded_once_for_all_a108_f012_f019() {
    use sala::engine::ConnectionEvent;

    let (io, addr) = start(Server::builder()).await;
    let mut clients = three(&io, addr).await;
    let (note, mut notes) = super::notes();
    for client in &clients {
        let note = note.clone();
        socket(&io, client).conn().observe(move |event| {
            if let ConnectionEvent::PacketCreate { frame, .. } = event {
                let whole = frame.first().ws_frame().expect("it is short");
                note.write((whole.as_ptr().addr(), whole.clone()));
            }
        });
    }
    io.emit("x", &1).unwrap();
    let frames = notes.so_far();
    assert_eq!(frames.len(), 3);
    assert!(frames.iter().all(|frame| *frame == frames[0]));
    // Final, text, unmasked, without reserved bits.
    assert_eq!(frames[0].1[..], *b"\x81\x0942[\"x\",1]");
    expect(&mut clients, [true; 3], r#"42["x",1]"#).await;
}
