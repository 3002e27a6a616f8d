//! Limits that the reference does not have, and security advisories of others.

use std::sync::Arc;
use std::time::Duration;

use sala::{Attempt, ErrorKind, Limits, Server, Socket, Value};
use sala_testkit::ws::Ws;
use sala_testkit::{http, within};
use tokio::sync::Semaphore;

use super::{Client, join, notes, open, serve, start, sync};

#[tokio::test]
async fn namespaces_of_a_connection_are_bounded_i045() {
    let io = Server::builder().max_namespaces_per_connection(2).build();
    io.of_matching(|_| true);
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40").await;
    join(&mut ws, "40/a,").await;
    ws.text("40/b,").await;
    ws.expect(r#"44/b,{"message":"too many namespaces"}"#).await;
    ws.text("41/a,").await;
    join(&mut ws, "40/b,").await;
}

#[tokio::test]
async fn connects_that_wait_are_bounded_i046() {
    let io = Server::builder().max_pending_connects(2).build();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    io.of_matching(|_| true)
        .admit(async move |_attempt: Attempt| drop(waiting.acquire().await));
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    ws.texts(&["40/a,", "40/b,", "40/c,"]).await;
    ws.expect(r#"44/c,{"message":"too many pending connects"}"#)
        .await;
    gate.add_permits(1);
    ws.expect_json("40/a,").await;
    ws.expect_json("40/b,").await;
    join(&mut ws, "40/c,").await;
}

#[tokio::test]
async fn long_names_are_refused_i051() {
    let (note, mut notes) = notes();
    let io = Server::builder()
        .max_room_name(10)
        .limits(Limits::default().namespace(10).event(10))
        .on_error(move |context| note.write((context.kind, context.error.to_string())))
        .build();
    io.on("join", async |socket: Socket, room: String| {
        socket.join([room.as_str(), "short"]);
        assert!(!socket.is_in(room) && socket.is_in("short"));
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"421["join","12345678901"]"#).await;
    client.expect("431[]").await;
    assert_eq!(
        notes.next().await,
        (ErrorKind::Limit, "the name of a room is too long".into())
    );
    client.text(r#"42["12345678901"]"#).await;
    client.expect_close(None).await;
    let mut ws = open(addr).await;
    ws.text("40/1234567890,").await;
    ws.expect_close(None).await;
}

#[tokio::test]
async fn deep_json_closes_one_connection_i049() {
    let io = Server::new();
    io.on("deep", async |_socket: Socket, _value: Value| {});
    let addr = serve(&io).await;
    let mut other = Client::new(addr).await;
    for depth in [600, 100_000] {
        let mut client = Client::new(addr).await;
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        client.text(format!(r#"42["deep",{open}{close}]"#)).await;
        client.expect_close(None).await;
    }
    sync(&mut other.ws).await;
}

#[tokio::test]
async fn large_ids_and_long_headers_are_read_in_time_i021_i050() {
    let (_io, addr) = start(Server::builder()).await;
    for packet in [
        format!("42{}[\"a\"]", "9".repeat(900_000)),
        format!("45{}", "1".repeat(900_000)),
        format!("40/{}", "n".repeat(900_000)),
        format!("42{}", "[".repeat(900_000)),
    ] {
        let mut client = Client::new(addr).await;
        client.text(packet).await;
        client.expect_close(None).await;
    }
}

#[tokio::test]
async fn attachments_must_come_in_time_and_stay_small_b044_i024_i040_i041() {
    let options = || Server::builder().attachment_timeout(Duration::from_millis(50));
    let (_io, addr) = start(options()).await;
    let header = r#"452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    let mut client = Client::new(addr).await;
    client.text(header).await;
    client.binary([1]).await;
    client.expect_close(None).await;
    // The same before any CONNECT packet.
    let mut ws = open(addr).await;
    ws.text(header).await;
    ws.expect_close(None).await;

    let options = options().limits(Limits::default().attachment_bytes(10));
    let (_io, addr) = start(options).await;
    let mut client = Client::new(addr).await;
    client.text(header).await;
    client.binary([0; 8]).await;
    client.binary([0; 8]).await;
    client.expect_close(None).await;

    for packet in [
        "459999999-[\"a\"]",
        "450-[\"a\"]",
        "45-[\"a\"]",
        "451[\"a\"]",
    ] {
        let mut client = Client::new(addr).await;
        client.text(packet).await;
        client.expect_close(None).await;
    }
}

/// A client that reads nothing, and a server that sends more than it may keep.
#[tokio::test]
async fn a_slow_reader_is_cut_off_counted_and_reported_i044() {
    let (note, mut notes) = notes();
    let io = Server::builder()
        .max_buffered_bytes(Some(100_000))
        .on_error(move |context| note.write((context.kind, context.socket.is_some())))
        .build();
    let addr = serve(&io).await;
    let slow = Client::new(addr).await;
    let mut other = Client::new(addr).await;
    let socket = io.socket(&slow.id.as_str().into()).expect("connected");
    let text = "x".repeat(50_000);
    within("the slow client to be cut off", async {
        while socket.is_connected() {
            io.to(socket.id()).emit("x", &text).unwrap();
            assert!(socket.buffered_bytes() <= 200_000);
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(notes.next().await, (ErrorKind::SlowConsumer, true));
    assert_eq!(io.stats().engine.slow_consumers, 1);
    assert!(notes.so_far().is_empty(), "told once");
    sync(&mut other.ws).await;
}

#[tokio::test]
async fn a_paced_sender_waits_for_a_slow_reader() {
    let io = Server::builder().max_buffered_bytes(Some(100_000)).build();
    let (note, mut notes) = notes();
    io.on("stream", async move |socket: Socket| {
        for n in 0..200 {
            socket.ready().await;
            socket.emit("chunk", &(n, "x".repeat(30_000)))?;
        }
        note.write(socket.is_connected());
        Ok::<_, sala::Error>(())
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"42["stream"]"#).await;
    for n in 0..200 {
        let text = client.next_text().await;
        assert!(text.starts_with(&format!(r#"42["chunk",{n},"#)));
    }
    assert!(notes.next().await);
}

/// With as many unfinished handlers as allowed, the server stops reading from that client only.
#[tokio::test]
async fn unfinished_handlers_are_bounded() {
    let io = Server::builder().max_running_handlers(3).build();
    let (note, mut notes) = notes();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    io.on("wait", async move |_socket: Socket, n: u32| {
        note.write(n);
        waiting.acquire().await.map(|permit| permit.forget()).ok();
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    let mut other = Client::new(addr).await;
    for n in 0..10 {
        client.text(format!(r#"42["wait",{n}]"#)).await;
    }
    for n in 0..3 {
        assert_eq!(notes.next().await, n);
    }
    sync(&mut other.ws).await;
    let started = 3 + notes.so_far().len();
    assert!(started < 10, "{started} run at once");
    gate.add_permits(10);
    for n in started..10 {
        assert_eq!(notes.next().await, n as u32);
    }
}

#[tokio::test]
async fn a_hundred_thousand_acks_and_pongs_leave_nothing_behind_i039() {
    let (_io, addr) = start(Server::builder()).await;
    let mut client = Client::new(addr).await;
    for _ in 0..100 {
        client.texts(&["3", "430[]"].repeat(500)).await;
    }
    client.nothing_more().await;
}

#[tokio::test]
async fn no_origin_is_allowed_by_default_i002() {
    let (_io, addr) = start(Server::builder()).await;
    let target = "/socket.io/?EIO=4&transport=polling";
    let headers = [("Origin", "http://evil.example")];
    let reply = http::send(addr, "GET", target, &headers, b"").await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn odd_namespaces_and_events_hurt_nobody_i020_j142() {
    let (_io, addr) = start(Server::builder()).await;
    let mut client = Client::new(addr).await;
    for event in ["__proto__", "constructor", "toString", "hasOwnProperty"] {
        client
            .text(format!(r#"421["{event}",{{"__proto__":1}}]"#))
            .await;
    }
    client.nothing_more().await;
    let mut ws = Ws::open(addr, super::WS).await;
    ws.expect_json("0").await;
    for packet in ["4é", "4🦀[\"a\"]"] {
        let mut ws = open(addr).await;
        ws.text(packet).await;
        ws.expect_close(None).await;
    }
}
