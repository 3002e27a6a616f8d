//! When handlers run.

use std::sync::Arc;

use sala::{Server, Socket};
use tokio::sync::{Notify, Semaphore};

use crate::{Notes, ask, client, note, take};

/// Another server of the field, which has a task for each event, started 2,583 of 20,000 handlers
/// out of order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn handlers_start_in_the_order_of_their_events() {
    const EVENTS: usize = 20_000;
    let io = Server::new();
    let started: Notes<usize> = Notes::default();
    let noted = started.clone();
    io.on("numbered", async move |_socket: Socket, n: usize| {
        note(&noted, n);
        if n.is_multiple_of(3) {
            tokio::task::yield_now().await;
        }
    });
    io.on("now", async |_socket: Socket| {});
    let mut ws = client(&io).await;
    let texts: Vec<String> = (0..EVENTS)
        .map(|n| format!(r#"42["numbered",{n}]"#))
        .collect();
    for batch in texts.chunks(500) {
        ws.texts(&batch.iter().map(String::as_str).collect::<Vec<_>>())
            .await;
    }
    ask(&mut ws, r#"["now"]"#, "[]").await;
    let started = take(&started);
    assert_eq!(started.len(), EVENTS);
    assert!(started.is_sorted());
}

#[tokio::test]
async fn a_handler_may_wait_for_a_later_event_of_the_same_client() {
    let io = Server::new();
    let opened = Arc::new(Notify::new());
    let open = opened.clone();
    io.on("wait", async move |_socket: Socket| opened.notified().await)
        .on("open", async move |_socket: Socket| open.notify_waiters());
    let mut ws = client(&io).await;
    ws.texts(&[r#"421["wait"]"#, r#"422["wait"]"#, r#"423["open"]"#])
        .await;
    ws.expect("433[]").await;
    let mut answers = [ws.next_text().await, ws.next_text().await];
    answers.sort();
    assert_eq!(answers, ["431[]", "432[]"]);
}

#[tokio::test]
async fn a_handler_may_wait_for_an_answer_of_the_same_client() {
    let io = Server::new();
    io.on("ask me", async |socket: Socket| {
        let name: String = socket.emit_with_ack("name?", &()).await?;
        Ok::<_, sala::Error>(format!("hello {name}"))
    });
    let mut ws = client(&io).await;
    ws.text(r#"421["ask me"]"#).await;
    ws.expect(r#"420["name?"]"#).await;
    ws.text(r#"430["Ada"]"#).await;
    ws.expect(r#"431["hello Ada"]"#).await;
}

#[tokio::test]
async fn a_handler_runs_to_its_end_after_its_client_left() {
    let io = Server::new();
    let (started, left, ended) = (
        Arc::new(Semaphore::new(0)),
        Arc::new(Semaphore::new(0)),
        Arc::new(Semaphore::new(0)),
    );
    let (starts, leaves, ends) = (started.clone(), left.clone(), ended.clone());
    io.on("work", async move |socket: Socket| {
        starts.add_permits(1);
        leaves.acquire().await.expect("it stays open").forget();
        assert!(!socket.is_connected());
        socket.emit("done", &()).expect("nobody there is no error");
        ends.add_permits(1);
    });
    let gone = Arc::new(Notify::new());
    let has_gone = gone.clone();
    io.on_disconnect(
        async move |_socket: Socket, _reason: sala::DisconnectReason| {
            gone.notify_one();
        },
    );
    let mut ws = client(&io).await;
    ws.text(r#"421["work"]"#).await;
    sala_testkit::within("the handler's start", started.acquire())
        .await
        .expect("open")
        .forget();
    ws.close(Some(1000)).await;
    sala_testkit::within("the disconnection", has_gone.notified()).await;
    left.add_permits(1);
    sala_testkit::within("the handler's end", ended.acquire())
        .await
        .expect("open")
        .forget();
}
