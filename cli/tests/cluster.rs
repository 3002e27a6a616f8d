//! `sala cluster` as people meet it: from outside, as processes.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use sala_testkit::{Child, ChildBuilder, http, within, within_long};
use tokio::process::Command;

const SALA: &str = env!("CARGO_BIN_EXE_sala");
const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// A primary with two workers, on a free port, that takes orders.
fn cluster(control: &Path) -> ChildBuilder {
    Child::command(SALA)
        .args(["cluster", "--workers", "2", "--port", "0", "--control"])
        .arg(control)
}

/// Runs a command that ends by itself, without the settings of whoever runs the tests.
async fn ended(args: &[&str]) -> Output {
    let mut command = Command::new(SALA);
    command
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    within_long(
        Duration::from_secs(20),
        "the command to end",
        command.output(),
    )
    .await
    .expect("the command can be started")
}

/// What an order prints.
async fn order(order: &str, control: &Path) -> String {
    let output = ended(&["cluster", order, "--control", control.to_str().unwrap()]).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{order}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

async fn refused(args: &[&str], expected: &[&str]) {
    let output = ended(args).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{args:?} must fail");
    for part in expected {
        assert!(stderr.contains(part), "`{part}` is missing in: {stderr}");
    }
}

/// The numbers of the workers that take new clients, once there are so many.
async fn workers(control: &Path, count: usize) -> Vec<String> {
    let all = async {
        loop {
            let status = order("status", control).await;
            let open = status.lines().filter(|line| line.contains(" open "));
            let numbers = open.filter_map(|line| line.split(' ').nth(1));
            let mut numbers: Vec<_> = numbers.map(str::to_owned).collect();
            numbers.sort();
            if numbers.len() == count {
                return numbers;
            }
        }
    };
    within_long(Duration::from_secs(20), "the workers to be ready", all).await
}

async fn logged(child: &Child, text: &str) {
    let said = async {
        while !child.log().contains(text) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within_long(Duration::from_secs(20), text, said).await;
}

#[tokio::test]
async fn without_a_program_the_workers_are_the_chat() {
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control");
    let server = cluster(&control).start().await;
    workers(&control, 2).await;
    let mut prefixes: Vec<_> = Vec::new();
    for _ in 0..2 {
        let reply = http::get(server.addr(), HANDSHAKE).await;
        assert_eq!(reply.status, 200);
        prefixes.push(reply.text()[9..11].to_owned());
    }
    assert_ne!(prefixes[0], prefixes[1], "one on each worker");
    let page = http::get(server.addr(), "/").await;
    assert_eq!(page.status, 200);
    let status = order("status", &control).await;
    assert!(status.contains("relayed"), "{status}");
    assert!(status.contains("dropped 0 malformed 0"), "{status}");
}

#[tokio::test]
async fn the_program_after_two_dashes_is_what_the_workers_run() {
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control");
    let server = cluster(&control)
        .args(["--", SALA, "serve", "--path", "/mine/"])
        .start()
        .await;
    workers(&control, 2).await;
    let reply = http::get(server.addr(), "/mine/?EIO=4&transport=polling").await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn reload_and_sighup_replace_the_workers() {
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control");
    let server = cluster(&control).start().await;
    assert_eq!(workers(&control, 2).await, ["1", "2"]);
    let said = order("reload", &control).await;
    assert_eq!(said, "worker 1 of 2 replaced\nworker 2 of 2 replaced\n");
    assert_eq!(workers(&control, 2).await, ["3", "4"]);
    server.signal("HUP").await;
    logged(&server, "reload: done").await;
    let again = async { while workers(&control, 2).await != ["5", "6"] {} };
    within_long(Duration::from_secs(20), "the second reload", again).await;
}

#[tokio::test]
async fn sigterm_ends_it_with_status_0_and_takes_its_socket_away() {
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control");
    let mut server = cluster(&control).start().await;
    workers(&control, 2).await;
    server.terminate().await;
    let status = within("the primary to end", server.exit()).await;
    assert!(status.success(), "{status}\n{}", server.log());
    assert!(!control.exists());
    let path = control.to_str().unwrap();
    for order in ["status", "reload"] {
        refused(
            &["cluster", order, "--control", path],
            &["nobody listens at", path, "is a primary running"],
        )
        .await;
    }
}

#[tokio::test]
async fn it_gives_up_on_programs_that_die_at_once_and_says_how_they_ended() {
    let args = ["cluster", "-w", "2", "--port", "0", "--", "false"];
    refused(
        &args,
        &[
            "died right after their start and none is left",
            "exit status: 1",
        ],
    )
    .await;
    let args = ["cluster", "-w", "1", "--port", "0", "--", "/nowhere/server"];
    refused(
        &args,
        &["/nowhere/server cannot be started", "No such file"],
    )
    .await;
}

#[tokio::test]
async fn bad_arguments_are_refused_with_what_to_write() {
    let table: [(&[&str], &[&str]); 7] = [
        (
            &["--balance", "nearest"],
            &["least-connection", "round-robin"],
        ),
        (&["--proxy-protocol", "10.0.0.0/99"], &["10.0.0.0/8"]),
        (&["--grace", "soon"], &["--grace", "soon"]),
        (&["--workers", "0"], &["number of workers", "0"]),
        (&["--workers", "many"], &["--workers", "many"]),
        (&["reload"], &["--control"]),
        (&["--work", "2"], &["--workers"]),
    ];
    for (args, expected) in table {
        refused(&[&["cluster"][..], args].concat(), expected).await;
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let address = format!("cannot listen on 127.0.0.1:{port}");
    refused(&["cluster", "--port", &port], &[&address, "in use"]).await;
}
