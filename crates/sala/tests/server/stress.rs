//! Many things at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sala::{Server, Socket};
use sala_testkit::ws::Message;

use super::{Client, open, serve};

/// Clients that come, join, leave and go, while others broadcast, kick and look: in the end
/// everybody is gone and nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_come_and_go_leave_nothing_behind() {
    let io = Server::builder()
        .cleanup_empty_child_namespaces(true)
        .build();
    io.of_matching(|name| name.starts_with("/room-"))
        .on_connect(async |socket: Socket| socket.join("all"));
    io.on("join", async |socket: Socket, room: String| {
        socket.join(room)
    })
    .on("leave", async |socket: Socket, room: String| {
        socket.leave(room)
    })
    .on("say", async |socket: Socket, room: String| {
        tokio::task::yield_now().await;
        socket.to(room).emit("said", socket.id())
    });
    let addr = serve(&io).await;

    let running = Arc::new(AtomicBool::new(true));
    let meddler = {
        let (io, running) = (io.clone(), running.clone());
        tokio::spawn(async move {
            let mut n = 0_u32;
            while running.load(Ordering::Relaxed) {
                n += 1;
                io.emit("tick", &n).expect("it encodes");
                io.to(["r0", "r1"])
                    .except("r2")
                    .volatile()
                    .emit("tock", &n)
                    .expect("it encodes");
                drop(io.in_("r3").emit_with_ack::<()>("ask", &()));
                io.in_("r4").sockets_join("r0");
                if n.is_multiple_of(7) {
                    io.in_("r5").disconnect_sockets(n.is_multiple_of(2));
                }
                io.fetch_sockets().await.expect("one server");
                io.of("/room-1").emit("tick", &n).expect("it encodes");
                tokio::task::yield_now().await;
            }
        })
    };
    let clients = (0..40).map(|seed: u32| {
        tokio::spawn(async move {
            for round in 0..10 {
                let mut ws = open(addr).await;
                let n = seed.wrapping_mul(31).wrapping_add(round * 17);
                let packets = [
                    "40".to_owned(),
                    format!("40/room-{},", n % 3),
                    format!(r#"42["join","r{}"]"#, n % 6),
                    format!(r#"42["join","r{}"]"#, n % 4),
                    format!(r#"42["say","r{}"]"#, n % 5),
                    format!(r#"42["leave","r{}"]"#, n % 4),
                ];
                let packets: Vec<&str> = packets.iter().map(String::as_str).collect();
                ws.texts(&packets).await;
                for _ in 0..n % 8 {
                    match ws.next().await {
                        Message::Close(..) | Message::End(_) => break,
                        // Thrown out: nothing more may come.
                        Message::Text(text) if text == "41" => break,
                        _ => {}
                    }
                }
                match n % 3 {
                    0 => ws.close(None).await,
                    1 => ws.into_connection().reset(),
                    _ => drop(ws),
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("no client fails");
    }
    running.store(false, Ordering::Relaxed);
    meddler.await.expect("the meddler does not fail");
    sala_testkit::within("everybody to be gone", async {
        while io.stats().engine.sessions > 0 || io.stats().sockets > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(io.rooms().is_empty(), "{:?}", io.rooms());
    let stats = io.stats();
    assert_eq!(
        (stats.panics, stats.handler_errors, stats.decode_errors),
        (0, 0, 0)
    );

    // The server is as good as new.
    let mut client = Client::new(addr).await;
    client.nothing_more().await;
}
