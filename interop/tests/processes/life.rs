//! How primary and workers begin and end.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sala_testkit::http::{self, Connection};
use sala_testkit::ws;
use sala_testkit::{within, within_long};
use serde_json::json;
use tokio::process::Command;

use crate::support::{
    Client, POLLING, WEBSOCKET, clients_on_different_workers, cluster, fixture, logged, poll, post,
    runs, sessions_of_different_workers, signal,
};

const FIXTURE: &str = env!("CARGO_BIN_EXE_cluster-fixture");

#[tokio::test]
async fn workers_end_when_their_primary_is_killed_even_one_that_hangs() {
    let mut server = cluster(json!({ "workers": 3 })).await;
    let mut clients = clients_on_different_workers(server.addr(), 3).await;
    let pids: Vec<_> = clients.iter().map(|(_, _, pid)| *pid).collect();
    clients[0].0.emit(json!(["hang", 60_000])).await;
    signal("KILL", server.id().unwrap()).await;
    server.exit().await;
    let ended = async {
        while pids.iter().any(|pid| runs(*pid)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within_long(Duration::from_secs(20), "the workers to end", ended).await;
}

#[tokio::test]
async fn the_exit_status_is_0_after_sigterm_and_sigint() {
    for name in ["TERM", "INT"] {
        let mut server = cluster(json!({ "workers": 2 })).await;
        let mut client = Client::open(server.addr()).await;
        signal(name, server.id().unwrap()).await;
        client.gone().await;
        let status = within("the primary to end", server.exit()).await;
        assert!(status.success(), "{status}");
    }
}

#[tokio::test]
async fn a_worker_that_does_not_end_in_time_is_killed_and_the_status_says_so() {
    let mut server = cluster(json!({ "workers": 2, "grace_ms": 200 })).await;
    let mut client = Client::open(server.addr()).await;
    client.emit(json!(["hang", 60_000])).await;
    server.terminate().await;
    let limit = Duration::from_secs(25);
    let status = within_long(limit, "the primary to end", server.exit()).await;
    assert_eq!(status.code(), Some(1));
    logged(&server, "1 workers had to be killed").await;
}

/// systemd, unless told otherwise, sends SIGTERM to all processes of a service at once: the workers
/// ended on the spot, with all that they were doing.
#[tokio::test]
async fn a_worker_that_gets_sigterm_lets_go_of_its_clients_and_is_replaced() {
    let server = cluster(json!({ "workers": 2 })).await;
    let mut clients = clients_on_different_workers(server.addr(), 2).await;
    let (mut client, _, pid) = clients.remove(0);
    signal("TERM", pid).await;
    client.gone().await;
    logged(&server, "worker has ended").await;
    assert!(!server.log().contains("worker died"), "{}", server.log());
    assert!(server.log().contains("exit status: 0"), "{}", server.log());
    let new = pids(&server).await;
    assert!(!new.contains(&pid));
}

/// The second signal was read only when the first one had been obeyed, half a minute later.
#[tokio::test]
async fn a_second_sigterm_ends_everything_at_once() {
    let mut server = cluster(json!({ "workers": 2, "grace_ms": 60_000 })).await;
    let mut clients = clients_on_different_workers(server.addr(), 2).await;
    let pids: Vec<_> = clients.iter().map(|(_, _, pid)| *pid).collect();
    clients[0].0.emit(json!(["hang", 60_000])).await;
    server.terminate().await;
    clients[1].0.gone().await;
    server.terminate().await;
    let status = within("the primary to end", server.exit()).await;
    assert_eq!(status.code(), Some(1));
    logged(&server, "told to end a second time").await;
    assert!(pids.iter().all(|pid| !runs(*pid)));
}

#[tokio::test]
async fn workers_that_die_at_once_make_the_primary_give_up_with_the_reason() {
    let start = Instant::now();
    let mut server = fixture(&json!({ "workers": 2, "mishap": "die" }))
        .start()
        .await;
    let status = within("the primary to end", server.exit()).await;
    assert_eq!(status.code(), Some(1));
    // It waits 0.1, 0.2 and 0.4 s before it tries for the third, fourth and fifth time.
    assert!(
        start.elapsed() > Duration::from_millis(700),
        "{:?}",
        start.elapsed()
    );
    logged(&server, "died right after their start and none is left").await;
    logged(&server, "exit status: 1").await;
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named() {
    let options = json!({ "workers": 1, "program": ["/nowhere/server"] });
    let mut server = fixture(&options).start().await;
    let status = within("the primary to end", server.exit()).await;
    assert_eq!(status.code(), Some(1));
    logged(&server, "/nowhere/server cannot be started").await;
}

#[tokio::test]
async fn clients_are_told_503_when_there_is_no_worker() {
    let options = json!({ "workers": 1, "program": ["sleep", "60"] });
    let server = fixture(&options).start().await;
    let upgrade = String::from_utf8(ws::handshake_bytes(WEBSOCKET, &[])).unwrap();
    let get = |target: &str| String::from_utf8(http::request("GET", target, &[], b"")).unwrap();
    for request in [get(POLLING), upgrade, get("/")] {
        let mut connection = http::Connection::open(server.addr()).await;
        connection.send(&request).await;
        let reply = connection.response().await;
        assert_eq!(reply.status, 503, "{request}");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
}

#[tokio::test]
async fn sighup_replaces_all_workers_and_a_broken_successor_replaces_none() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken");
    let control = folder.path().join("control");
    let options = json!({ "workers": 2, "mishap": "die-if", "flag": broken, "control": control });
    let mut server = cluster(options).await;
    let old: Vec<_> = pids(&server).await;
    signal("HUP", server.id().unwrap()).await;
    logged(&server, "reload: done").await;
    let new = pids(&server).await;
    assert!(
        old.iter().all(|pid| !new.contains(pid) && !runs(*pid)),
        "{old:?} {new:?}"
    );

    // The next version does not start.
    std::fs::write(&broken, "").unwrap();
    let reload = Command::new(FIXTURE)
        .arg("reload")
        .arg(&control)
        .env_remove("SALA_WORKER")
        .output();
    let output = within("the reload to fail", reload).await.unwrap();
    assert!(!output.status.success());
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(why.contains("ended before it was ready"), "{why}");
    assert_eq!(pids(&server).await, new);
    server.terminate().await;
    assert!(within("the primary to end", server.exit()).await.success());
    assert!(!control.exists());
}

/// Otherwise a reload would be a storm of reconnects. (The clients' own delays spread them further.)
#[tokio::test]
async fn clients_of_a_worker_that_is_replaced_are_let_go_of_evenly() {
    let server = cluster(json!({ "workers": 1, "spread_ms": 2000 })).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = Client::open(server.addr()).await;
        clients.push(tokio::spawn(async move {
            client.gone().await;
            Instant::now()
        }));
    }
    signal("HUP", server.id().unwrap()).await;
    let mut ends = Vec::new();
    for client in clients {
        ends.push(within("a client to be let go of", client).await.unwrap());
    }
    ends.sort();
    let window = Duration::from_millis(200);
    let busiest = ends
        .iter()
        .map(|from| {
            ends.iter()
                .filter(|end| *end >= from && **end < *from + window)
                .count()
        })
        .max();
    let took = ends[99] - ends[0];
    println!("100 clients let go of within {took:?}, {busiest:?} of them within {window:?}");
    assert!(
        took > Duration::from_millis(1500) && took < Duration::from_secs(4),
        "{took:?}"
    );
    // 10 would be even.
    assert!(busiest < Some(30), "{busiest:?} within {window:?}");
}

/// A worker that was to be replaced waited for its whole grace period for a polling client that had gone.
#[tokio::test]
async fn a_reload_does_not_wait_for_polling_clients_that_have_gone() {
    let server = cluster(json!({ "workers": 2, "grace_ms": 60_000 })).await;
    for sid in sessions_of_different_workers(server.addr(), 2).await {
        let mut connection = Connection::open(server.addr()).await;
        assert_eq!(post(&mut connection, &sid, "40").await.text(), "ok");
        assert_eq!(poll(&mut connection, &sid).await.status, 200);
    }
    let start = Instant::now();
    signal("HUP", server.id().unwrap()).await;
    logged(&server, "reload: done").await;
    println!("two workers were replaced within {:?}", start.elapsed());
    assert!(!server.log().contains("it is killed"));
}

async fn pids(server: &sala_testkit::Child) -> Vec<u32> {
    let clients = clients_on_different_workers(server.addr(), 2).await;
    clients.iter().map(|(_, _, pid)| *pid).collect()
}

#[tokio::test]
async fn systemd_passes_the_socket_and_is_told_when_clients_can_come() {
    let folder = tempfile::tempdir().unwrap();
    let notify = folder.path().join("notify");
    let notified = UnixDatagram::bind(&notify).unwrap();
    notified
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut primary = Command::new("sh")
        .args([
            "-c",
            "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\"",
            FIXTURE,
        ])
        .env("CLUSTER", json!({ "workers": 1 }).to_string())
        .env("NOTIFY_SOCKET", &notify)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let state = |notified: UnixDatagram| {
        tokio::task::spawn_blocking(move || {
            let mut buffer = [0; 200];
            let n = notified.recv(&mut buffer).unwrap();
            (String::from_utf8_lossy(&buffer[..n]).into_owned(), notified)
        })
    };
    let (ready, notified) = state(notified).await.unwrap();
    assert!(ready.contains("READY=1"), "{ready}");
    assert_eq!(http::get(address, POLLING).await.status, 200);
    signal("TERM", primary.id().unwrap()).await;
    let (stopping, _) = state(notified).await.unwrap();
    assert!(stopping.contains("STOPPING=1"), "{stopping}");
    // The session that polls no more is waited for a moment.
    let ended = within_long(
        Duration::from_secs(10),
        "the primary to end",
        primary.wait(),
    );
    assert!(ended.await.unwrap().success());
}
