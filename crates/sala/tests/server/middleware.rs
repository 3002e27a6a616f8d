//! Middlewares of namespaces.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sala::{Attempt, ErrorKind, Refused, Server, Socket};
use tokio::sync::Semaphore;

use super::{Client, join, notes, open, serve};

#[tokio::test]
async fn middlewares_run_in_order_then_the_client_is_in_c079_c083_d006_j114_j116() {
    let io = Server::new();
    let (note, mut notes) = notes();
    for n in [1, 2] {
        let note = note.clone();
        io.admit(async move |attempt: Attempt| {
            assert!(!attempt.is_connected());
            assert_eq!(attempt.nsp().sockets_count(), 0);
            note.write(n);
            tokio::task::yield_now().await;
            note.write(n * 10);
        });
    }
    io.on_connect(async move |socket: Socket| {
        assert!(socket.is_connected());
        note.write(100);
    });
    let addr = serve(&io).await;
    Client::new(addr).await;
    for n in [1, 10, 2, 20, 100] {
        assert_eq!(notes.next().await, n);
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_its_data_and_leaves_no_trace_b015_c080_d019_e055_j143() {
    let io = Server::new();
    let (note, mut notes) = notes();
    let left = note.clone();
    io.admit(async |attempt: Attempt| {
        attempt.join("room");
        match attempt.handshake().query("why").as_deref() {
            Some("data") => Err(Refused::new("no").with_data(&("a", 1))),
            Some("text") => Err("plain text".into()),
            Some("error") => Err("x".parse::<u8>().expect_err("no number").into()),
            _ => Ok(()),
        }
    })
    .admit(async move |_attempt: Attempt| note.write("second"))
    .on_disconnect(async move |_socket: Socket, _: sala::DisconnectReason| left.write("left"));
    let addr = serve(&io).await;
    for (why, reply) in [
        ("data", r#"44{"message":"no","data":["a",1]}"#),
        ("text", r#"44{"message":"plain text"}"#),
        ("error", r#"44{"message":"invalid digit found in string"}"#),
    ] {
        let target = format!("{}&why={why}", super::WS);
        let mut ws = sala_testkit::ws::Ws::open(addr, &target).await;
        ws.expect_json("0").await;
        ws.text("40").await;
        ws.expect(reply).await;
        assert!(io.rooms().is_empty() && io.sockets().is_empty());
        // It may try again on the same connection.
        ws.text("40").await;
        ws.expect(reply).await;
    }
    assert!(
        notes.so_far().is_empty(),
        "no later middleware, no handler of the end"
    );
}

#[tokio::test]
async fn rooms_joined_in_a_middleware_are_kept_c083() {
    let io = Server::new();
    io.admit(async |attempt: Attempt| attempt.socket().join(["a", "b"]));
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    io.to("a").emit("x", &()).unwrap();
    client.expect(r#"42["x"]"#).await;
}

#[tokio::test]
async fn what_a_middleware_emits_comes_before_the_reply_c083() {
    let io = Server::new();
    io.admit(async |attempt: Attempt| {
        attempt.disconnect(false); // does nothing: E069
        attempt.emit("early", &1)
    });
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    ws.text("40").await;
    ws.expect(r#"42["early",1]"#).await;
    ws.expect_json("40").await;
    super::sync(&mut ws).await;
}

#[tokio::test]
async fn middlewares_of_other_namespaces_do_not_run_c085_j116() {
    let io = Server::new();
    let _ns = io.of("/ns");
    io.admit(async |_attempt: Attempt| Err::<(), _>("not here"));
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40/ns,").await;
    ws.text("40").await;
    ws.expect(r#"44{"message":"not here"}"#).await;
}

#[tokio::test]
async fn a_client_that_has_gone_meanwhile_is_not_let_in_c082_j115() {
    let io = Server::new();
    let (note, mut notes) = notes();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let connected = note.clone();
    io.admit(async move |attempt: Attempt| {
        attempt.join("room");
        drop(waiting.acquire().await);
        note.write("let in");
    })
    .on_connect(async move |_socket: Socket| connected.write("connected"));
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    ws.text("40").await;
    ws.text("40/none,").await;
    ws.next_text().await;
    ws.close(None).await;
    ws.gone().await;
    while io.engine().clients_count() > 0 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    assert_eq!(notes.next().await, "let in");
    assert!(io.rooms().is_empty());
    assert!(notes.so_far().is_empty());
}

#[tokio::test]
async fn a_middleware_that_panics_refuses_and_closes() {
    let (note, mut notes) = notes();
    let io = Server::builder()
        .on_error(move |context| note.write((context.kind, context.error.to_string())))
        .build();
    io.admit(async |_attempt: Attempt| -> () { panic!("oh no") });
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    ws.text("40").await;
    assert_eq!(notes.next().await, (ErrorKind::Panic, "oh no".to_owned()));
    ws.closed().await;
    assert_eq!(io.sockets_count(), 0);
}

#[tokio::test]
async fn middlewares_run_once_for_each_connection_of_a_client() {
    let io = Server::new();
    let count = Arc::new(AtomicU32::new(0));
    let counter = count.clone();
    io.admit(async move |_attempt: Attempt| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    for n in 1..=3 {
        join(&mut ws, "40").await;
        ws.text("41").await;
        assert_eq!(count.load(Ordering::Relaxed), n);
    }
}
