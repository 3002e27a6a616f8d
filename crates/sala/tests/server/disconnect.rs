//! How sockets leave, and why.

use std::time::Duration;

use sala::{DisconnectReason, Server, ServerBuilder, Socket};
use sala_testkit::polling::Polling;

use super::{Client, Notes, join, notes, open, serve};

/// A server whose sockets write down how they leave: namespace, reason, description.
async fn noting(options: ServerBuilder) -> (Server, std::net::SocketAddr, Notes<String>) {
    let io = options.build();
    let (note, notes) = notes();
    for nsp in [&*io, &io.of("/ns")] {
        let (before, after) = (note.clone(), note.clone());
        nsp.on_disconnecting(async move |socket: Socket, reason: DisconnectReason| {
            assert!(socket.is_connected() && socket.is_in(socket.id()));
            before.write(format!("{} leaving: {reason}", socket.nsp().name()));
        })
        .on_disconnect(
            async move |socket: Socket, reason: DisconnectReason, text: Option<String>| {
                assert!(!socket.is_connected() && socket.rooms().is_empty());
                let text = text.map(|text| format!(" ({text})")).unwrap_or_default();
                after.write(format!("{} left: {reason}{text}", socket.nsp().name()));
            },
        );
    }
    let addr = serve(&io).await;
    (io, addr, notes)
}

async fn expect(notes: &mut Notes<String>, nsp: &str, reason: &str) {
    assert_eq!(notes.next().await, format!("{nsp} leaving: {reason}"));
    assert_eq!(notes.next().await, format!("{nsp} left: {reason}"));
}

#[tokio::test]
async fn the_server_disconnects_from_one_namespace_e066_e073_b032() {
    let (io, addr, mut notes) = noting(Server::builder()).await;
    let mut client = Client::new(addr).await;
    let id = join(&mut client, "40/ns,").await;
    let socket = io.of("/ns").socket(&id.as_str().into()).expect("connected");
    socket.disconnect(false);
    client.expect("41/ns,").await;
    expect(&mut notes, "/ns", "server namespace disconnect").await;
    // Twice is once: E068.
    socket.disconnect(false);
    socket.disconnect(true);
    client.nothing_more().await;
    // The transport stays, and the namespace may be joined again.
    assert_ne!(join(&mut client, "40/ns,").await, id);
    assert!(notes.so_far().is_empty());
}

#[tokio::test]
async fn the_server_disconnects_and_closes_e067_e072_j145() {
    let (io, addr, mut notes) = noting(Server::builder()).await;
    let mut client = Client::new(addr).await;
    join(&mut client, "40/ns,").await;
    let socket = io.socket(&client.id.as_str().into()).expect("connected");
    socket.emit("before", &()).unwrap();
    socket.disconnect(true);
    client.expect(r#"42["before"]"#).await;
    client.expect("41").await;
    client.expect("41/ns,").await;
    client.expect_close(None).await;
    expect(&mut notes, "/", "server namespace disconnect").await;
    expect(&mut notes, "/ns", "server namespace disconnect").await;
    assert!(notes.so_far().is_empty());
}

#[tokio::test]
async fn a_handler_may_disconnect_its_own_socket() {
    let io = Server::new();
    let (note, mut notes) = notes();
    io.on("bye", async |socket: Socket| socket.disconnect(true))
        .on_disconnect(async move |_socket: Socket, reason: DisconnectReason| note.write(reason));
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"42["bye"]"#).await;
    client.expect("41").await;
    client.expect_close(None).await;
    assert_eq!(
        notes.next().await,
        DisconnectReason::ServerNamespaceDisconnect
    );
}

#[tokio::test]
async fn the_client_leaves_one_namespace_b031_e074() {
    let (_io, addr, mut notes) = noting(Server::builder()).await;
    let mut client = Client::new(addr).await;
    join(&mut client, "40/ns,").await;
    client.text("41/ns,").await;
    client.nothing_more().await;
    expect(&mut notes, "/ns", "client namespace disconnect").await;
    client.text("41").await;
    expect(&mut notes, "/", "client namespace disconnect").await;
    assert_ne!(join(&mut client, "40").await, client.id);
}

#[tokio::test]
async fn all_namespaces_hear_of_the_end_of_the_connection_e072_e077_j119() {
    let (_io, addr, mut notes) = noting(Server::builder()).await;
    let mut client = Client::new(addr).await;
    join(&mut client, "40/ns,").await;
    client.close(None).await;
    expect(&mut notes, "/", "transport close").await;
    expect(&mut notes, "/ns", "transport close").await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_transport_close_e077() {
    let (_io, addr, mut notes) = noting(Server::builder()).await;
    Client::new(addr).await.ws.into_connection().reset();
    expect(&mut notes, "/", "transport close").await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_pings_is_dropped_e076() {
    let options = Server::builder()
        .ping_interval(Duration::from_millis(30))
        .ping_timeout(Duration::from_millis(30));
    let (_io, addr, mut notes) = noting(options).await;
    let _client = Client::new(addr).await;
    expect(&mut notes, "/", "ping timeout").await;
}

#[tokio::test]
async fn an_undecodable_engine_packet_is_a_parse_error_e079() {
    let (_io, addr, mut notes) = noting(Server::builder()).await;
    let mut client = Client::new(addr).await;
    client.text("7").await;
    expect(&mut notes, "/", "parse error").await;
}

#[tokio::test]
async fn closing_the_connection_beneath_is_a_forced_close_e080() {
    let (io, addr, mut notes) = noting(Server::builder()).await;
    let mut client = Client::new(addr).await;
    io.socket(&client.id.as_str().into())
        .expect("connected")
        .conn()
        .close();
    client.expect_close(None).await;
    expect(&mut notes, "/", "forced close").await;
}

#[tokio::test]
async fn a_transport_error_says_more_a140_e078_e082() {
    let (_io, addr, mut notes) = noting(Server::builder()).await;
    let polling = Polling::open(addr, "/socket.io/").await;
    polling.send("40").await;
    polling.poll().await;
    let _first = polling.start_get().await;
    assert_eq!(polling.get().await.status, 400);
    assert_eq!(notes.next().await, "/ leaving: transport error");
    let left = notes.next().await;
    assert!(
        left.starts_with("/ left: transport error (") && left.ends_with(')'),
        "{left}"
    );
}

/// Seen only when the engine's close has to wait.
#[tokio::test]
async fn a_violation_on_polling_without_a_poll_is_a_forced_server_close_e081() {
    let (_io, addr, mut notes) = noting(Server::builder()).await;
    let polling = Polling::open(addr, "/socket.io/").await;
    polling.send("40").await;
    polling.poll().await;
    polling.send("40").await;
    expect(&mut notes, "/", "forced server close").await;
    assert!(notes.so_far().is_empty());
}

#[tokio::test]
async fn disconnecting_handlers_can_still_reach_the_rooms_e070() {
    let io = Server::new();
    io.on_connect(async |socket: Socket| socket.join("room"))
        .on_disconnecting(async |socket: Socket, reason: DisconnectReason| {
            socket
                .to(socket.rooms())
                .emit("left", &(socket.id(), reason.as_str()))
        });
    let addr = serve(&io).await;
    let [mut stays, mut leaves] = Client::several(addr).await;
    leaves.close(None).await;
    let id = &leaves.id;
    stays
        .expect(&format!(r#"42["left","{id}","transport close"]"#))
        .await;
}

#[tokio::test]
async fn handlers_outlive_their_connection() {
    let io = Server::new();
    let (note, mut notes) = notes();
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let waiting = gate.clone();
    io.on("work", async move |socket: Socket| {
        drop(waiting.acquire().await);
        note.write(socket.is_connected());
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"42["work"]"#).await;
    client.nothing_more().await;
    client.close(None).await;
    while io.sockets_count() > 0 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    assert!(!notes.next().await);
}

#[tokio::test]
async fn per_socket_handlers_of_the_end_run_too() {
    let io = Server::new();
    let (note, mut notes) = notes();
    io.on_connect(async move |socket: Socket| {
        let (before, after) = (note.clone(), note.clone());
        socket.on_disconnecting(async move |_socket: Socket, _: DisconnectReason| {
            before.write("disconnecting");
        });
        socket.on_disconnect(async move |_socket: Socket, _: DisconnectReason| {
            after.write("disconnect");
        });
    });
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40").await;
    ws.text("41").await;
    assert_eq!(notes.next().await, "disconnecting");
    assert_eq!(notes.next().await, "disconnect");
}
