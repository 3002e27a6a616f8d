//! Starting servers and benches, and what every result has in common.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use sala::{Namespace, RawArgs, Server, ServerBuilder, Socket, Value};
use sala_testkit::within_long;
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

/// A run and all that is around it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Short, and alone: other tests run at the same time.
pub(crate) const SHORT: &str = "-q -c 10 --duration 500ms --warmup 100ms";

pub(crate) fn bench(url: &str, options: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sala"));
    command
        .arg("bench")
        .arg(url)
        .args(options.split_whitespace())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(crate) async fn ended(mut command: Command) -> Output {
    let output = within_long(PATIENCE, "the bench to end", command.output()).await;
    output.expect("the command can be started")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs with the results as JSON on stdout.
pub(crate) async fn json(url: &str, options: &str) -> (Json, Output) {
    let output = ended(bench(url, &format!("{SHORT} {options} --json -"))).await;
    match serde_json::from_slice(&output.stdout) {
        Ok(json) => (json, output),
        Err(error) => panic!("not JSON ({error}): {}", text(&output.stderr)),
    }
}

/// The results of a run in which everything must be right.
pub(crate) async fn results(url: &str, options: &str) -> Json {
    let (json, output) = json(url, options).await;
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{options}: {stderr}");
    let (connections, messages) = (&json["connections"], &json["messages"]);
    assert_eq!(
        connections["connected"], connections["asked"],
        "{options}: {stderr}"
    );
    for nothing in [&connections["failed"], &connections["closed"]] {
        assert_eq!(nothing, 0, "{options}: {stderr}");
    }
    assert_eq!(json["errors"], serde_json::json!({}), "{options}");
    assert_ordered(&connections["latency_us"]);
    if json["scenario"] != "connect" {
        assert!(number(&messages["received"]) > 0.0, "{options}: {stderr}");
        assert_eq!(
            messages["received"], messages["expected"],
            "{options}: {stderr}"
        );
        for nothing in [
            &messages["missing"],
            &messages["mismatched"],
            &messages["given_up"],
        ] {
            assert_eq!(nothing, 0, "{options}: {stderr}");
        }
        assert!(number(&messages["per_second"]) > 0.0);
        assert_ordered(&messages["latency_us"]);
    }
    json
}

#[track_caller]
pub(crate) fn number(json: &Json) -> f64 {
    json.as_f64()
        .unwrap_or_else(|| panic!("not a number: {json}"))
}

#[track_caller]
pub(crate) fn assert_ordered(latency: &Json) {
    let values = ["min", "p50", "p90", "p99", "p99_9", "max"].map(|name| number(&latency[name]));
    assert!(values[0] > 0.0 && values.is_sorted(), "{values:?}");
}

#[track_caller]
pub(crate) fn assert_failed(output: &Output, expected: &[&str]) {
    let stderr = text(&output.stderr);
    assert!(!output.status.success(), "it must fail: {stderr}");
    for part in expected {
        assert!(stderr.contains(part), "`{part}` is missing in: {stderr}");
    }
}

/// The events that the help asks for, and some that do wrong.
pub(crate) fn contract(namespace: &Namespace) {
    namespace
        .on("echo", async |_: Socket, payload: RawArgs| payload)
        .on("changed", async |_: Socket, payload: String| payload + "!")
        .on("join", async |socket: Socket, room: String| {
            socket.join(room)
        })
        .on("leave", async |socket: Socket, room: String| {
            socket.leave(room)
        })
        .on(
            "broadcast",
            async |socket: Socket, (room, payload): (String, Value)| {
                socket.nsp().to(room).emit("msg", &(payload,))
            },
        )
        .on(
            "twice",
            async |socket: Socket, (room, payload): (String, Value)| {
                socket
                    .nsp()
                    .to(room.clone())
                    .emit("msg", &(payload.clone(),))?;
                socket.nsp().to(room).emit("msg", &(payload,))
            },
        );
}

pub(crate) async fn listen(io: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let io = io.clone();
    tokio::spawn(async move { io.serve(listener).await });
    format!("http://{address}")
}

pub(crate) async fn serve(builder: ServerBuilder) -> String {
    let io = builder.build();
    contract(&io.of("/"));
    listen(&io).await
}

/// Answers whatever comes with these bytes.
pub(crate) async fn answer(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(bytes).await;
        }
    });
    address
}
