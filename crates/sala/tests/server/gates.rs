//! Middlewares for packets.

use std::sync::Arc;

use sala::{ErrorKind, GatedEvent, RawArgs, Server, Socket};
use tokio::sync::Semaphore;

use super::{Client, notes, serve};

#[tokio::test]
async fn gates_run_in_order_and_may_change_the_event_e027_j131() {
    let io = Server::new();
    io.gate(async |_socket: Socket, mut event: GatedEvent| {
        assert!(event.name() == "join" && event.wants_ack() || event.name() == "sync");
        let args: Vec<String> = event.args().parse().unwrap_or_default();
        event.set_args(&(args.len(), "woot"))?;
        Ok::<_, sala::Error>(event)
    });
    io.on_connect(async |socket: Socket| {
        socket.gate(async |_socket: Socket, mut event: GatedEvent| {
            if event.name() == "join" {
                event.set_name("wrap");
            }
            Ok::<_, sala::Error>(event)
        });
    });
    io.on("join", async |_socket: Socket| "join")
        .on("wrap", async |_socket: Socket, args: RawArgs| args);
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"421["join",["a","b"]]"#).await;
    client.expect(r#"431[2,"woot"]"#).await;
}

#[tokio::test]
async fn a_refused_packet_reaches_nobody_but_the_application_e025_e028_j131() {
    let (note, mut notes) = notes();
    let (server, own, any) = (note.clone(), note.clone(), note.clone());
    let io = Server::builder()
        .on_error(move |context| {
            assert_eq!(context.kind, ErrorKind::Gate);
            assert!(context.socket.is_some());
            server.write(format!(
                "server: {} {}",
                context.event.unwrap_or("-"),
                context.error
            ));
        })
        .build();
    io.gate(async |_socket: Socket, event: GatedEvent| {
        if event.name() == "bad" {
            Err("not allowed")
        } else {
            Ok(event)
        }
    })
    .on_any(move |_, event| any.write(format!("any: {}", event.name())))
    .on("bad", async move |_socket: Socket| {
        note.write("handled".into())
    })
    .on_connect(async move |socket: Socket| {
        let own = own.clone();
        socket.on_error(move |context| own.write(format!("socket: {}", context.error)));
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"421["bad"]"#).await;
    client.nothing_more().await;
    assert_eq!(
        notes.so_far(),
        [
            "any: bad",
            "socket: not allowed",
            "server: bad not allowed",
            "any: sync"
        ]
    );
    assert_eq!(io.stats().gated, 1);
}

#[tokio::test]
async fn later_packets_may_overtake_a_gate_that_waits_e033() {
    let io = Server::new();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    io.gate(async move |_socket: Socket, event: GatedEvent| {
        if event.name() == "slow" {
            drop(waiting.acquire().await);
        }
        Ok::<_, sala::Error>(event)
    })
    .on("slow", async |_socket: Socket| {})
    .on("fast", async |_socket: Socket| {});
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"421["slow"]"#).await;
    client.text(r#"422["fast"]"#).await;
    client.expect("432[]").await;
    gate.add_permits(1);
    client.expect("431[]").await;
}

#[tokio::test]
async fn what_passes_after_the_socket_left_is_not_handled() {
    let io = Server::new();
    let (note, mut notes) = notes();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let passed = note.clone();
    io.gate(async move |_socket: Socket, event: GatedEvent| {
        drop(waiting.acquire().await);
        passed.write("passed");
        Ok::<_, sala::Error>(event)
    })
    .on("e", async move |_socket: Socket| note.write("handled"));
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"42["e"]"#).await;
    client.close(None).await;
    client.gone().await;
    while io.sockets_count() > 0 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    assert_eq!(notes.next().await, "passed");
    assert!(notes.so_far().is_empty());
}
