//! Runs in which everything goes well, and what they report.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sala::{Attempt, RawArgs, Refused, Server, Socket};
use sala_testkit::within_long;
use serde_json::Value as Json;
use tokio::process::Command;
use tokio::sync::Notify;

use crate::support::*;

#[tokio::test]
async fn every_echo_comes_back_over_every_transport() {
    let url = serve(Server::builder()).await;
    for transport in ["websocket", "polling", "upgrade"] {
        for kind in ["", "--binary", "--payload 2000 --inflight 4", "--payload 0"] {
            let json = results(&url, &format!("-s echo -t {transport} {kind}")).await;
            assert_eq!(json["transport"], transport);
            assert_eq!(json["messages"]["sent"], json["messages"]["expected"]);
        }
    }
}

#[tokio::test]
async fn a_broadcast_reaches_every_other_client() {
    let url = serve(Server::builder()).await;
    for options in [
        "",
        "--binary",
        "-t polling",
        "-t polling --binary",
        "-t upgrade --inflight 8",
    ] {
        let json = results(&url, &format!("-s broadcast {options}")).await;
        let messages = &json["messages"];
        assert_eq!(json["connections"]["connected"], 11);
        assert_eq!(
            number(&messages["expected"]),
            number(&messages["sent"]) * 10.0
        );
        assert_ordered(&messages["last_delivery_us"]);
    }
}

#[tokio::test]
async fn a_broadcast_to_a_room_reaches_its_members() {
    let url = serve(Server::builder()).await;
    let json = results(&url, "-s rooms --rooms 5").await;
    let messages = &json["messages"];
    assert_eq!(
        (&json["rooms"], &json["in_flight"]),
        (&5.into(), &16.into())
    );
    assert_eq!(
        number(&messages["expected"]),
        number(&messages["sent"]) * 2.0
    );
}

#[tokio::test]
async fn joining_and_leaving_is_acknowledged() {
    let url = serve(Server::builder()).await;
    for transport in ["websocket", "polling"] {
        results(&url, &format!("-s churn --rooms 3 -t {transport}")).await;
    }
}

#[tokio::test]
async fn idle_clients_answer_pings() {
    let pings = Server::builder()
        .ping_interval(Duration::from_millis(50))
        .ping_timeout(Duration::from_millis(250));
    let url = serve(pings).await;
    for transport in ["websocket", "polling", "upgrade"] {
        let json = results(&url, &format!("-s connect --duration 1s -t {transport}")).await;
        assert_eq!(json["messages"], Json::Null);
        assert!(number(&json["connections"]["per_second"]) > 0.0);
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_servers_memory_and_time_are_shown() {
    let url = serve(Server::builder()).await;
    // The kernel counts CPU time in steps of 10 ms: it must run for a while to be sure of one.
    let json = results(&url, &format!("--pid {} --duration 3s", std::process::id())).await;
    let server = &json["server"];
    for memory in ["rss_before", "rss_connected", "rss_peak", "rss_after"] {
        assert!(number(&server[memory]) > 1e6, "{memory}: {server}");
    }
    assert!(number(&server["cpu_seconds"]) > 0.0, "{server}");
    assert!(number(&server["cpu_seconds_per_million"]) > 0.0, "{server}");
}

#[tokio::test]
async fn the_table_is_on_stdout_and_json_in_its_file() {
    let url = serve(Server::builder()).await;
    let path = std::env::temp_dir().join(format!("sala-bench-{}.json", std::process::id()));
    let mut command = bench(&url, SHORT);
    command.arg("--json").arg(&path);
    let output = ended(command).await;
    let json: Json =
        serde_json::from_slice(&std::fs::read(&path).expect("the file")).expect("JSON");
    std::fs::remove_file(path).expect("the file is ours");
    let table = text(&output.stdout);
    assert_eq!(json["messages"]["mismatched"], 0);
    for part in [
        "connections     10 of 10",
        "answers/s",
        "p99.9",
        "latency",
        "wrong           0",
    ] {
        assert!(table.contains(part), "`{part}` is missing in: {table}");
    }
    assert_eq!(text(&output.stderr), "");
}

#[tokio::test]
async fn a_fixed_rate_is_kept() {
    let url = serve(Server::builder()).await;
    for (scenario, transport) in [
        ("echo", "websocket"),
        ("echo", "polling"),
        ("rooms", "websocket"),
    ] {
        let json = results(
            &url,
            &format!("-s {scenario} -t {transport} --rate 200 --duration 1s"),
        )
        .await;
        let (messages, due) = (&json["messages"], 200.0 * number(&json["seconds"]));
        let sent = number(&messages["sent"]);
        assert!((sent / due - 1.0).abs() < 0.2, "{sent} of {due}: {json}");
        assert!(number(&messages["late_us"]["max"]) > 0.0);
    }
}

#[tokio::test]
async fn at_a_fixed_rate_a_stall_is_not_hidden() {
    let io = Server::new();
    let calls = Arc::new(AtomicU32::new(0));
    io.on("echo", move |_: Socket, payload: RawArgs| {
        if calls.fetch_add(1, Ordering::Relaxed) == 100 {
            // On purpose: the server's only thread stands still.
            std::thread::sleep(Duration::from_millis(500));
        }
        async { payload }
    });
    let url = listen(&io).await;
    let json = results(&url, "--rate 200 --duration 1s").await;
    let p90 = number(&json["messages"]["latency_us"]["p90"]);
    assert!(
        p90 > 100_000.0,
        "half of the emits were due in the stall: {json}"
    );
}

#[tokio::test]
#[cfg(unix)]
async fn ctrl_c_shows_the_results_so_far() {
    let io = Server::new();
    let calls = Arc::new(AtomicU32::new(0));
    let called = Arc::new(Notify::new());
    let notify = called.clone();
    io.on("echo", move |_: Socket, payload: RawArgs| {
        if calls.fetch_add(1, Ordering::Relaxed) == 100 {
            notify.notify_one();
        }
        async { payload }
    });
    let url = listen(&io).await;
    let mut command = bench(&url, "-q -c 3 --warmup 0s --duration 60s --json -");
    let process = command.spawn().expect("the command can be started");
    let id = process.id().expect("it runs").to_string();
    within_long(PATIENCE, "some load", called.notified()).await;
    let sent = Command::new("kill").args(["-INT", &id]).status().await;
    assert!(sent.is_ok_and(|status| status.success()));
    let output = within_long(PATIENCE, "the end", process.wait_with_output())
        .await
        .expect("an end");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["interrupted"], true);
    assert_eq!(json["messages"]["received"], json["messages"]["expected"]);
    assert!(number(&json["messages"]["received"]) >= 100.0);
}

#[tokio::test]
async fn namespace_auth_and_headers_reach_the_server() {
    let io = Server::new();
    let admin = io.of("/admin");
    admin.admit(async |attempt: Attempt| {
        let auth: Json = attempt.auth()?;
        let cookie = attempt
            .handshake()
            .header("cookie")
            .unwrap_or_default()
            .to_owned();
        match (auth["token"].as_str(), cookie.as_str()) {
            (Some("1"), "a=b") => Ok(()),
            _ => Err(Refused::new("who are you?")),
        }
    });
    contract(&admin);
    let url = listen(&io).await + "/admin";
    for transport in ["websocket", "polling", "upgrade"] {
        let refused = ended(bench(&url, &format!("{SHORT} -t {transport}"))).await;
        assert_failed(&refused, &["who are you?", "see --namespace and --auth"]);
        let mut command = bench(&url, &format!("{SHORT} -t {transport} --binary"));
        command.args(["--auth", r#"{"token":"1"}"#, "--header", "Cookie: a=b"]);
        let output = ended(command).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}
