//! The end of a server.

use std::sync::Arc;
use std::time::Duration;

use sala::{DisconnectReason, Drain, Server, Socket};
use sala_testkit::polling::Polling;
use sala_testkit::within;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{Client, join, notes, open, serve};

#[tokio::test]
async fn closing_ends_every_connection_without_a_disconnect_packet_c040_e075_j103() {
    let io = Server::new();
    let (note, mut notes) = notes();
    for nsp in [&*io, &io.of("/ns")] {
        let note = note.clone();
        nsp.on_disconnect(async move |_socket: Socket, reason: DisconnectReason| {
            note.write(reason.to_string());
        });
    }
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    join(&mut client, "40/ns,").await;
    let polling = Polling::open(addr, "/socket.io/").await;
    polling.send("40").await;
    polling.poll().await;
    let mut poll = polling.start_get().await;

    within("the server to close", io.close()).await;
    assert_eq!(io.sockets_count(), 0);
    assert_eq!(notes.so_far(), ["server shutting down"; 3]);
    client.expect_close(None).await;
    assert_eq!(poll.packets().await, ["1"]);
}

#[tokio::test]
async fn disconnecting_first_keeps_clients_from_coming_back_c044() {
    let io = Server::new();
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    io.disconnect_sockets(true);
    client.expect("41").await;
    client.expect_close(None).await;
    within("the server to close", io.close()).await;
}

#[tokio::test]
async fn the_port_is_free_after_closing_and_the_server_may_listen_again_c041_c045_j103_j140() {
    let io = Server::new();
    io.on("sync", async |_socket: Socket| {});
    let mut addr = None;
    for _ in 0..2 {
        let listener = TcpListener::bind(addr.unwrap_or(([127, 0, 0, 1], 0).into()))
            .await
            .expect("the port is free");
        let here = listener.local_addr().expect("it is bound");
        addr = Some(here);
        let server = io.clone();
        let serving = tokio::spawn(async move { server.serve(listener).await });
        let mut client = Client::new(here).await;
        io.emit("hello", &()).unwrap();
        client.expect(r#"42["hello"]"#).await;
        within("the server to close", io.close()).await;
        within("the listener to end", serving)
            .await
            .unwrap()
            .unwrap();
        assert!(TcpStream::connect(here).await.is_err(), "nobody listens");
    }
    within("a second close", io.close()).await;
}

#[tokio::test]
async fn a_graceful_close_sends_what_is_queued_and_waits_for_handlers() {
    let io = Server::new();
    let (note, mut notes) = notes();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let reasons = note.clone();
    io.on("work", async move |_socket: Socket| {
        drop(waiting.acquire().await);
        note.write("done".to_owned());
    })
    .on_disconnect(async move |_socket: Socket, reason: DisconnectReason| {
        reasons.write(reason.to_string());
    });
    let addr = serve(&io).await;
    let [mut a, mut b] = Client::several(addr).await;
    a.text(r#"42["work"]"#).await;
    a.nothing_more().await;
    io.emit("bye", &()).unwrap();
    let drain = Drain {
        batch: 1,
        pause: Duration::from_millis(1),
        ..Drain::default()
    };
    let server = io.clone();
    let closing = tokio::spawn(async move { server.close_gracefully(drain).await });
    for client in [&mut a, &mut b] {
        client.expect(r#"42["bye"]"#).await;
        client.expect_close(None).await;
    }
    for _ in 0..2 {
        assert_eq!(notes.next().await, "server shutting down");
    }
    gate.add_permits(1);
    assert_eq!(notes.next().await, "done");
    assert!(
        within("the end", closing).await.unwrap(),
        "everything ended by itself"
    );
}

/// The handler is not waited for: it would wait for itself.
#[tokio::test]
async fn a_handler_may_close_the_server() {
    let io = Server::new();
    let (note, mut notes) = notes();
    io.on("stop", async move |socket: Socket| {
        socket.server().close().await;
        note.write(socket.server().sockets_count());
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"42["stop"]"#).await;
    client.expect_close(None).await;
    assert_eq!(notes.next().await, 0);
}

#[tokio::test]
async fn a_graceful_close_does_not_wait_for_ever() {
    let io = Server::new();
    io.on("work", async |_socket: Socket| {
        std::future::pending::<()>().await
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"42["work"]"#).await;
    client.nothing_more().await;
    let drain = Drain {
        grace: Duration::from_millis(50),
        ..Drain::default()
    };
    assert!(!within("the end", io.close_gracefully(drain)).await);
    assert_eq!(io.stats().engine.sessions, 0);
}

#[tokio::test]
async fn a_server_that_is_dropped_is_freed() {
    let io = Server::builder()
        .recovery(Default::default())
        .state(Arc::new(()))
        .build();
    let witness = Arc::downgrade(io.state::<Arc<()>>().expect("it was given"));
    drop(io.of("/ns"));
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let server = io.clone();
    let serving = tokio::spawn(async move { server.serve(listener).await });
    let mut ws = open(addr).await;
    join(&mut ws, "40").await;
    within("the server to close", io.close()).await;
    within("the listener to end", serving)
        .await
        .unwrap()
        .unwrap();
    drop(io);
    within("the server to be freed", async {
        while witness.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
