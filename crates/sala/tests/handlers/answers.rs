//! What a handler may return.

use std::collections::{BTreeMap, HashMap};

use sala::{Ack, Bytes, HandlerError, RawArgs, Reply, Server, Socket};
use sala_testkit::ws::{Message, Ws};
use serde_json::json;

use crate::{ask, client};

#[derive(serde::Serialize)]
struct User {
    name: &'static str,
}

#[tokio::test]
async fn every_return_type_is_an_answer() {
    let io = Server::new();
    io.on("unit", async |_socket: Socket| {})
        .on("bool", async |_socket: Socket| true)
        .on("char", async |_socket: Socket| 'c')
        .on("integer", async |_socket: Socket| -7_i64)
        .on("float", async |_socket: Socket| 1.5)
        .on("string", async |_socket: Socket| String::from("s"))
        .on("str", async |_socket: Socket| "s")
        .on("none", async |_socket: Socket| None::<i32>)
        .on("some", async |_socket: Socket| Some(1))
        .on("list", async |_socket: Socket| vec![1, 2])
        .on("map", async |_socket: Socket| {
            BTreeMap::from([("a", 1), ("b", 2)])
        })
        .on("hash map", async |_socket: Socket| {
            HashMap::from([("a", 1)])
        })
        .on("one", async |_socket: Socket| (1,))
        .on("tuple", async |_socket: Socket| (1, "two", [3, 4]))
        .on("json", async |_socket: Socket| json!({ "a": [null] }))
        .on("reply", async |_socket: Socket| Reply(User { name: "Ada" }))
        .on("reply tuple", async |_socket: Socket| {
            Reply((1, User { name: "Ada" }))
        })
        .on("ok", async |_socket: Socket| {
            Ok::<_, HandlerError>(User { name: "Ada" })
        })
        .on("ok unit", async |_socket: Socket| Ok::<_, HandlerError>(()))
        .on("ok tuple", async |_socket: Socket| Ok::<_, &str>((1, 2)))
        .on("ok raw", async |_socket: Socket, args: RawArgs| {
            Ok::<_, String>(args)
        });
    let mut ws = client(&io).await;
    for (event, answer) in [
        ("unit", "[]"),
        ("bool", "[true]"),
        ("char", r#"["c"]"#),
        ("integer", "[-7]"),
        ("float", "[1.5]"),
        ("string", r#"["s"]"#),
        ("str", r#"["s"]"#),
        ("none", "[null]"),
        ("some", "[1]"),
        ("list", "[[1,2]]"),
        ("map", r#"[{"a":1,"b":2}]"#),
        ("hash map", r#"[{"a":1}]"#),
        ("one", "[1]"),
        ("tuple", r#"[1,"two",[3,4]]"#),
        ("json", r#"[{"a":[null]}]"#),
        ("reply", r#"[{"name":"Ada"}]"#),
        ("reply tuple", r#"[1,{"name":"Ada"}]"#),
        ("ok", r#"[{"name":"Ada"}]"#),
        ("ok unit", "[]"),
        ("ok tuple", "[1,2]"),
    ] {
        ask(&mut ws, &format!("[{event:?}]"), answer).await;
    }
    ask(&mut ws, r#"["ok raw",1,{"a":2}]"#, r#"[1,{"a":2}]"#).await;
}

#[tokio::test]
async fn b024_an_answer_may_hold_bytes() {
    let io = Server::new();
    io.on("bytes", async |_socket: Socket| {
        (1, Bytes::from_static(b"abc"))
    });
    let mut ws = client(&io).await;
    ws.text(r#"4217["bytes"]"#).await;
    ws.expect(r#"461-17[1,{"_placeholder":true,"num":0}]"#)
        .await;
    ws.expect_message(Message::Binary(b"abc".to_vec())).await;
}

/// Expects that nothing is waiting for the client: the next message answers this question.
async fn expect_nothing_before_now(ws: &mut Ws) {
    ws.text(r#"42999["now"]"#).await;
    ws.expect("43999[]").await;
}

#[tokio::test]
async fn nothing_is_sent_if_nobody_asked_nor_if_an_ack_is_dropped() {
    let io = Server::new();
    io.on("now", async |_socket: Socket| {})
        .on("answer", async |_socket: Socket| 1)
        .on("ack", async |_socket: Socket, (): (), ack: Ack<i32>| {
            assert!(!ack.is_requested());
            ack.send(&1)
        })
        .on(
            "dropped",
            async |_socket: Socket, (): (), _ack: Ack<i32>| {},
        );
    let mut ws = client(&io).await;
    ws.texts(&[r#"42["answer"]"#, r#"42["ack"]"#, r#"425["dropped"]"#])
        .await;
    expect_nothing_before_now(&mut ws).await;
}

#[tokio::test]
async fn b023_several_handlers_of_one_event_answer_once_together() {
    let io = Server::new();
    io.on("now", async |_socket: Socket| {})
        .on("both", async |_socket: Socket| 1)
        .on("both", async |_socket: Socket| 2);
    let mut ws = client(&io).await;
    ask(&mut ws, r#"["both"]"#, "[1]").await;
    expect_nothing_before_now(&mut ws).await;
}

#[tokio::test]
async fn a_handler_may_loop_for_ever() {
    let io = Server::new();
    io.on("tick", async |socket: Socket| {
        loop {
            socket.emit("tick", &()).expect("it serializes");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    });
    io.on("exit", async |_socket: Socket| std::process::exit(1));
    let mut ws = client(&io).await;
    ws.text(r#"421["tick"]"#).await;
    ws.expect(r#"42["tick"]"#).await;
    ws.expect(r#"42["tick"]"#).await;
}
