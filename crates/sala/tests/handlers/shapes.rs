//! What a handler may look like.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sala::{Ack, Bytes, DisconnectReason, Error, RawArgs, Server, Socket};
use sala_testkit::within;
use sala_testkit::ws::Message;
use tokio::sync::{mpsc, oneshot};

use crate::{ask, client, connect, connect_with, serve};

async fn named(_socket: Socket, (a, b): (String, i32)) -> String {
    format!("{a}{b}")
}

async fn generic<T: std::fmt::Debug>(_socket: Socket, value: T) -> String {
    format!("{value:?}")
}

async fn acked(_socket: Socket, n: i32, ack: Ack<str>) -> Result<(), Error> {
    ack.send(&n.to_string())
}

#[tokio::test]
async fn functions_closures_and_closures_that_return_futures_are_handlers() {
    let io = Server::new();
    let pointer: fn(Socket, i32) -> std::future::Ready<i32> = |_, n| std::future::ready(n + 1);
    let prefix = Arc::new(String::from("captured "));
    let borrowed: &'static str = "static";
    io.on("named", named)
        .on("generic", generic::<Option<bool>>)
        .on("pointer", pointer)
        .on("async closure", async |_socket: Socket, text: String| text)
        .on(
            "closure",
            |_socket: Socket, text: String| async move { text },
        )
        .on("moved", async move |_socket: Socket, text: String| {
            format!("{prefix}{text}")
        })
        .on("static", async move |_socket: Socket| borrowed)
        .on("acked", acked)
        .on(
            "acked closure",
            async |_socket: Socket, (): (), ack: Ack<i32>| ack.send(&7),
        );
    let mut ws = client(&io).await;
    ask(&mut ws, r#"["named","a",1]"#, r#"["a1"]"#).await;
    ask(&mut ws, r#"["generic",true]"#, r#"["Some(true)"]"#).await;
    ask(&mut ws, r#"["pointer",1]"#, "[2]").await;
    ask(&mut ws, r#"["async closure","x"]"#, r#"["x"]"#).await;
    ask(&mut ws, r#"["closure","x"]"#, r#"["x"]"#).await;
    ask(&mut ws, r#"["moved","x"]"#, r#"["captured x"]"#).await;
    ask(&mut ws, r#"["moved","y"]"#, r#"["captured y"]"#).await;
    ask(&mut ws, r#"["static"]"#, r#"["static"]"#).await;
    ask(&mut ws, r#"["acked",5]"#, r#"["5"]"#).await;
    ask(&mut ws, r#"["acked closure"]"#, "[7]").await;
}

#[tokio::test]
async fn arguments_are_read_as_in_javascript() {
    let io = Server::new();
    io.on("socket alone", async |_socket: Socket| "called")
        .on("first", async |_socket: Socket, n: i32| n)
        .on("one list", async |_socket: Socket, list: Vec<i32>| {
            list.len()
        })
        .on(
            "one tuple",
            async |_socket: Socket, ((a, b),): ((i32, i32),)| a + b,
        )
        .on(
            "optional",
            async |_socket: Socket, (a, b): (i32, Option<i32>)| a + b.unwrap_or(10),
        )
        .on("none", async |_socket: Socket, (): ()| "called")
        .on(
            "bytes",
            async |_socket: Socket, (name, bytes): (String, Bytes)| format!("{name} {bytes:?}"),
        );
    let mut ws = client(&io).await;
    ask(&mut ws, r#"["socket alone",1,2]"#, r#"["called"]"#).await;
    ask(&mut ws, r#"["first",1,"ignored",{}]"#, "[1]").await;
    ask(&mut ws, r#"["one list",[1,2,3],4]"#, "[3]").await;
    ask(&mut ws, r#"["one tuple",[1,2]]"#, "[3]").await;
    ask(&mut ws, r#"["optional",1]"#, "[11]").await;
    ask(&mut ws, r#"["optional",1,2,3]"#, "[3]").await;
    ask(&mut ws, r#"["none",1]"#, r#"["called"]"#).await;
    ws.text(r#"451-7["bytes","a",{"_placeholder":true,"num":0}]"#)
        .await;
    ws.binary(*b"xyz").await;
    ws.expect(r#"437["a b\"xyz\""]"#).await;
}

#[tokio::test]
async fn raw_arguments_may_be_read_twice_returned_and_emitted_unchanged() {
    let io = Server::new();
    io.on("echo", async |_socket: Socket, args: RawArgs| args)
        .on("back", async |socket: Socket, args: RawArgs| {
            socket.emit("back", &args)
        })
        .on(
            "either",
            async |_socket: Socket, args: RawArgs| match args.parse::<i64>() {
                Ok(number) => format!("number {number}"),
                Err(_) => args.parse::<String>().unwrap_or_default(),
            },
        );
    let mut ws = client(&io).await;
    ask(
        &mut ws,
        r#"["echo",1,"two",{"three":[4.50]}]"#,
        r#"[1,"two",{"three":[4.50]}]"#,
    )
    .await;
    ask(&mut ws, r#"["echo"]"#, "[]").await;
    ask(&mut ws, r#"["either",5]"#, r#"["number 5"]"#).await;
    ask(&mut ws, r#"["either","five"]"#, r#"["five"]"#).await;
    ws.text(r#"42["back",1,[2]]"#).await;
    ws.expect(r#"42["back",1,[2]]"#).await;

    // Bytes included.
    ws.text(r#"451-7["echo",{"a":{"_placeholder":true,"num":0}}]"#)
        .await;
    ws.binary(*b"abc").await;
    ws.expect(r#"461-7[{"a":{"_placeholder":true,"num":0}}]"#)
        .await;
    ws.expect_message(Message::Binary(b"abc".to_vec())).await;
}

#[tokio::test]
async fn a_captured_value_is_shared_by_all_calls() {
    let io = Server::new();
    let count = Arc::new(AtomicU64::new(0));
    io.on("count", async move |_socket: Socket| {
        count.fetch_add(1, Ordering::Relaxed)
    });
    let addr = serve(&io).await;
    let (mut a, mut b) = (connect(addr).await, connect(addr).await);
    ask(&mut a, r#"["count"]"#, "[0]").await;
    ask(&mut b, r#"["count"]"#, "[1]").await;
    ask(&mut a, r#"["count"]"#, "[2]").await;
}

#[tokio::test]
async fn an_ack_answers_while_the_handler_goes_on_and_from_anywhere() {
    let io = Server::new();
    let (finish, finished) = oneshot::channel::<()>();
    let finished = Arc::new(tokio::sync::Mutex::new(Some(finished)));
    let (done, mut is_done) = mpsc::unbounded_channel();
    io.on(
        "upload",
        async move |_socket: Socket, (): (), ack: Ack<(i32, &'static str)>| {
            assert!(ack.is_requested());
            ack.send(&(1, "started")).expect("it serializes");
            if let Some(finished) = finished.lock().await.take() {
                finished.await.expect("the test says so");
            }
            done.send("done").expect("the test waits");
        },
    );
    io.on("spawned", async |_socket: Socket, (): (), ack: Ack<str>| {
        tokio::spawn(async move { ack.send("from another task") });
    });
    let mut ws = client(&io).await;
    ask(&mut ws, r#"["upload"]"#, r#"[1,"started"]"#).await;
    assert!(is_done.try_recv().is_err(), "it waits for us");
    finish.send(()).expect("the handler waits");
    assert_eq!(
        within("the end of the handler", is_done.recv()).await,
        Some("done")
    );
    ask(&mut ws, r#"["spawned"]"#, r#"["from another task"]"#).await;
}

#[derive(serde::Deserialize)]
struct Auth {
    name: String,
}

#[tokio::test]
async fn connect_handlers_read_the_auth_of_the_client() {
    let io = Server::new();
    io.on_connect(async |socket: Socket, auth: Auth| socket.emit("auth", &auth.name));
    io.on_connect(async |socket: Socket| {
        socket.emit("plain", &()).expect("it serializes");
    });
    let addr = serve(&io).await;
    let mut ws = connect_with(addr, r#"40{"name":"Ada"}"#).await;
    ws.expect(r#"42["auth","Ada"]"#).await;
    ws.expect(r#"42["plain"]"#).await;
}

#[tokio::test]
async fn disconnect_handlers_are_told_the_reason() {
    let io = Server::new();
    let (left, mut who_left) = mpsc::unbounded_channel();
    let both = left.clone();
    io.on_disconnect(async move |_socket: Socket, reason: DisconnectReason| {
        left.send(format!("{reason}")).expect("the test waits");
    });
    io.on_disconnect(
        async move |_socket: Socket, reason: DisconnectReason, text: Option<String>| {
            both.send(format!("{reason} {text:?}"))
                .expect("the test waits");
        },
    );
    let mut ws = client(&io).await;
    ws.text("41").await;
    let first = within("the first handler", who_left.recv()).await;
    assert_eq!(first.as_deref(), Some("client namespace disconnect"));
    let second = within("the second handler", who_left.recv()).await;
    assert_eq!(second.as_deref(), Some("client namespace disconnect None"));
}
