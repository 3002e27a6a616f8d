//! What can go wrong in and around a handler.

use std::sync::Arc;

use sala::{Ack, Attempt, ErrorKind, HandlerResult, Refused, Reply, Server, Socket};
use serde::ser::Error as _;
use serde_json::json;

use crate::{Notes, ask, connect, connect_with, note, report, reporting, serve, take};

#[tokio::test]
async fn wrong_arguments_are_reported_with_their_event_and_socket() {
    let (io, mut reports) = reporting();
    let calls: Notes<i32> = Notes::default();
    let noted = calls.clone();
    io.on("number", async move |_socket: Socket, n: i32| {
        note(&noted, n);
        n
    });
    io.on(
        "pair",
        async |_socket: Socket, (a, b): (i32, i32), ack: Ack<i32>| ack.send(&(a + b)),
    );
    let mut ws = connect(serve(&io).await).await;

    ws.text(r#"421["number","five"]"#).await;
    let (kind, nsp, event, text, socket) = report(&mut reports).await;
    assert_eq!(
        (kind, &*nsp, event.as_deref()),
        (ErrorKind::Arguments, "/", Some("number"))
    );
    assert!(
        socket && text.contains(r#"invalid type: string "five", expected i32"#),
        "{text}"
    );

    ws.text(r#"422["number"]"#).await;
    assert_eq!(report(&mut reports).await.3, "argument 1 is missing");
    ws.text(r#"423["pair",1]"#).await;
    assert!(
        report(&mut reports)
            .await
            .3
            .starts_with("argument 2 is missing")
    );

    // None of them was answered, and the socket works as before.
    ask(&mut ws, r#"["number",5]"#, "[5]").await;
    ask(&mut ws, r#"["pair",1,2]"#, "[3]").await;
    assert_eq!(take(&calls), [5]);
}

#[tokio::test]
async fn wrong_arguments_for_one_handler_leave_the_others_of_the_event_alone() {
    let (io, mut reports) = reporting();
    io.on("either", async |_socket: Socket, n: i32| n)
        .on("either", async |_socket: Socket, text: String| text);
    let mut ws = connect(serve(&io).await).await;
    ask(&mut ws, r#"["either","x"]"#, r#"["x"]"#).await;
    assert_eq!(report(&mut reports).await.0, ErrorKind::Arguments);
    ask(&mut ws, r#"["either",1]"#, "[1]").await;
    assert_eq!(report(&mut reports).await.0, ErrorKind::Arguments);
}

#[tokio::test]
async fn errors_of_handlers_are_reported_and_never_answered() {
    let (io, mut reports) = reporting();
    io.on("now", async |_socket: Socket| {})
        .on(
            "parse",
            async |_socket: Socket, text: String| -> HandlerResult<i32> {
                tokio::task::yield_now().await;
                Ok(text.parse()?)
            },
        )
        .on("text", async |_socket: Socket| Err::<(), _>("just text"))
        .on(
            "after the answer",
            async |_socket: Socket, (): (), ack: Ack<i32>| {
                ack.send(&1).expect("it serializes");
                Err::<(), _>("too late")
            },
        );
    let mut ws = connect(serve(&io).await).await;

    ws.text(r#"421["parse","x"]"#).await;
    let (kind, nsp, event, text, socket) = report(&mut reports).await;
    assert_eq!(
        (kind, &*nsp, event.as_deref()),
        (ErrorKind::Handler, "/", Some("parse"))
    );
    assert!(socket);
    assert_eq!(text, "invalid digit found in string");

    ws.text(r#"422["text"]"#).await;
    assert_eq!(report(&mut reports).await.3, "just text");

    ask(&mut ws, r#"["after the answer"]"#, "[1]").await;
    assert_eq!(report(&mut reports).await.3, "too late");
    ask(&mut ws, r#"["parse","5"]"#, "[5]").await;
    ask(&mut ws, r#"["now"]"#, "[]").await;
}

/// A type that cannot be serialized.
struct Unspeakable;

impl serde::Serialize for Unspeakable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("unspeakable"))
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_encoded_is_reported() {
    let (io, mut reports) = reporting();
    io.on("returned", async |_socket: Socket| Reply(Unspeakable))
        .on("partly", async |_socket: Socket| Reply((1, Unspeakable)))
        .on(
            "acked",
            async |_socket: Socket, (): (), ack: Ack<Unspeakable>| {
                let error = ack.send(&Unspeakable).expect_err("it is unspeakable");
                assert!(error.is_serialization());
                Err::<(), _>(error)
            },
        )
        .on("now", async |_socket: Socket| {});
    let mut ws = connect(serve(&io).await).await;
    for (event, kind) in [
        ("returned", ErrorKind::Encode),
        ("partly", ErrorKind::Encode),
        ("acked", ErrorKind::Handler),
    ] {
        ws.text(format!("421[{event:?}]")).await;
        let report = report(&mut reports).await;
        assert_eq!((report.0, report.2.as_deref()), (kind, Some(event)));
        assert!(report.3.contains("unspeakable"), "{}", report.3);
    }
    // Nobody asked: nothing is serialized.
    ws.text(r#"42["returned"]"#).await;
    ask(&mut ws, r#"["now"]"#, "[]").await;
    assert!(reports.try_recv().is_err());
}

fn panics(_: Socket, (): ()) -> std::future::Ready<()> {
    panic!("before there is a future")
}

struct PanicsInDeserialize;

impl<'de> serde::Deserialize<'de> for PanicsInDeserialize {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("in deserialize")
    }
}

#[tokio::test]
async fn a_panic_is_reported_and_closes_that_connection_alone() {
    let (io, mut reports) = reporting();
    io.on("function", panics)
        .on(
            "argument",
            async |_socket: Socket, _arg: PanicsInDeserialize| {},
        )
        .on("at once", async |_socket: Socket| -> () {
            panic!("at {}", "once")
        })
        .on("later", async |_socket: Socket| -> () {
            tokio::task::yield_now().await;
            panic!("later")
        })
        .on("now", async |_socket: Socket| {});
    let addr = serve(&io).await;
    let mut bystander = connect(addr).await;
    for (event, text) in [
        ("function", "before there is a future"),
        ("argument", "in deserialize"),
        ("at once", "at once"),
        ("later", "later"),
    ] {
        let mut ws = connect(addr).await;
        ws.text(format!("421[{event:?}]")).await;
        let (kind, nsp, reported, said, socket) = report(&mut reports).await;
        assert_eq!(
            (kind, &*nsp, reported.as_deref()),
            (ErrorKind::Panic, "/", Some(event))
        );
        assert!(socket);
        assert_eq!(said, text);
        ws.closed().await;
        ask(&mut bystander, r#"["now"]"#, "[]").await;
    }
}

#[derive(serde::Deserialize)]
struct Auth {
    name: String,
}

#[tokio::test]
async fn auth_that_a_connect_handler_does_not_take_is_reported() {
    let (io, mut reports) = reporting();
    io.on_connect(async |_socket: Socket, auth: Auth| drop(auth.name))
        .on("now", async |_socket: Socket| {});
    let addr = serve(&io).await;
    let mut ws = connect_with(addr, r#"40{"name":5}"#).await;
    let (kind, _, event, text, socket) = report(&mut reports).await;
    assert_eq!(
        (kind, event.as_deref()),
        (ErrorKind::Arguments, Some("connection"))
    );
    assert!(socket && text.contains("expected a string"), "{text}");
    ask(&mut ws, r#"["now"]"#, "[]").await;
}

#[tokio::test]
async fn b015_middlewares_refuse_with_whatever_says_why() {
    let io = Server::new();
    io.of("/open").admit(async |_attempt: Attempt| {});
    io.of("/text")
        .admit(async |_attempt: Attempt| Err::<(), _>("not today"));
    io.of("/error")
        .admit(async |_attempt: Attempt| "x".parse::<i32>().map(drop));
    io.of("/data")
        .admit(async |_attempt: Attempt| -> Result<(), Refused> {
            Err(Refused::new("wait").with_data(&json!({ "seconds": 5 })))
        });
    let reasons = Arc::new(String::from("captured"));
    io.of("/captured")
        .admit(async move |_attempt: Attempt| Err::<(), String>(reasons.to_string()));
    let mut ws = connect(serve(&io).await).await;
    ws.text("40/open,").await;
    ws.expect_json("40/open,").await;
    for (nsp, reply) in [
        ("/text", r#"{"message":"not today"}"#),
        ("/error", r#"{"message":"invalid digit found in string"}"#),
        ("/data", r#"{"message":"wait","data":{"seconds":5}}"#),
        ("/captured", r#"{"message":"captured"}"#),
    ] {
        ws.text(format!("40{nsp},")).await;
        ws.expect(&format!("44{nsp},{reply}")).await;
    }
}
