//! What goes wrong, and how it is explained.

use std::sync::Arc;

use sala::{Server, Socket};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::support::*;

#[tokio::test]
async fn changed_answers_are_found() {
    let url = serve(Server::builder()).await;
    let (json, output) = json(&url, "--echo-event changed").await;
    assert_failed(&output, &["answers were not what was sent"]);
    assert!(number(&json["messages"]["mismatched"]) > 0.0);
    assert_eq!(json["messages"]["received"], 0);
}

#[tokio::test]
async fn doubled_deliveries_are_found() {
    let url = serve(Server::builder()).await;
    let (json, output) = json(&url, "-s broadcast --broadcast-event twice").await;
    assert_failed(&output, &["answers were not what was sent"]);
    assert_eq!(json["messages"]["received"], json["messages"]["expected"]);
}

#[tokio::test]
async fn events_that_nobody_answers_are_named() {
    let url = serve(Server::builder()).await;
    let silent = "--echo-event silence --answer-timeout 100ms";
    let output = ended(bench(&url, &format!("{SHORT} {silent}"))).await;
    assert_failed(
        &output,
        &[
            "nothing was answered",
            "does the server offer these events?",
        ],
    );
    let silent = "-s broadcast --join-event silence --connect-timeout 200ms";
    let output = ended(bench(&url, &format!("{SHORT} {silent}"))).await;
    assert_failed(&output, &["the acknowledgement of the join event"]);
}

#[tokio::test]
async fn a_dead_address_is_explained() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let output = ended(bench(&url, SHORT)).await;
    assert_failed(
        &output,
        &[
            &url,
            "connection refused",
            "is the server running, is the port right?",
        ],
    );
}

#[tokio::test]
async fn what_is_no_socket_io_server_is_explained() {
    let page = answer(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>").await;
    let missing = answer(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    let noise = answer(b"220 mail.example.com ESMTP\r\n").await;
    for (address, transport, expected) in [
        (page, "polling", "not that of a Socket.IO server: <html>"),
        (page, "websocket", "status 200"),
        (missing, "polling", "see --path"),
        (missing, "websocket", "see --path"),
        (noise, "polling", "not a Socket.IO server"),
        (noise, "websocket", "not a Socket.IO server"),
    ] {
        let output = ended(bench(
            &address.to_string(),
            &format!("{SHORT} -t {transport}"),
        ))
        .await;
        assert_failed(&output, &[expected]);
    }
}

#[tokio::test]
async fn a_server_that_goes_away_ends_the_run() {
    let io = Server::new();
    contract(&io.of("/"));
    let called = Arc::new(Notify::new());
    let notify = called.clone();
    io.on("join", async move |_: Socket| notify.notify_one());
    let url = listen(&io).await;
    let run = ended(bench(&url, "-q -c 3 -s churn --warmup 0s --duration 20s"));
    let close = async {
        called.notified().await;
        io.close().await;
    };
    let (output, ()) = tokio::join!(run, close);
    assert_failed(&output, &["all connections were lost"]);
}

#[tokio::test]
async fn help_names_scenarios_options_and_what_the_server_must_offer() {
    let help = text(&ended(bench("--help", "")).await.stdout);
    for part in [
        "connect",
        "echo",
        "broadcast",
        "rooms",
        "churn",
        "--connections",
        "--payload",
        "--binary",
        "--inflight",
        "--rate",
        "--duration",
        "--warmup",
        "--rooms",
        "--transport",
        "upgrade",
        "--connect-concurrency",
        "--pid",
        "--json",
        "--header",
        "--auth",
        "--namespace",
        "--echo-event",
        "--message-event",
        "TLS is not spoken",
        "(payload, ack)",
        "Examples:",
    ] {
        assert!(help.contains(part), "`{part}` is missing in: {help}");
    }
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    for (options, expected) in [
        ("-s broadcast --payload 7", "at least 8"),
        ("--payload 17MiB", "at most 16MiB"),
        ("--rate 5 --inflight 2", "cannot be used with"),
        ("--rate nan", "emits per second"),
        ("--connections 0", "1..=1000000"),
        ("--duration 10", "such as 25s"),
        ("--namespace chat", "starts with /"),
        ("--path socket.io", "starts with /"),
        ("--auth 5", "not a JSON object"),
        ("--header x", "NAME: VALUE"),
        ("--pid 4294967295", "nothing known of such a process"),
        ("--scenario sleep", "possible values"),
    ] {
        let output = ended(bench("http://127.0.0.1:9", options)).await;
        assert_failed(&output, &[expected]);
    }
    let output = ended(bench("https://127.0.0.1:9", "")).await;
    assert_failed(&output, &["does not speak TLS"]);
}
