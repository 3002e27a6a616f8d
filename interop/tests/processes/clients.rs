//! Official clients against four workers.

use std::time::Duration;

use sala_interop::{node, project_dir};
use sala_testkit::{Child, within_long};
use serde_json::json;

use crate::support::cluster;

async fn run(server: &Child, args: &[&str], seconds: u64) -> String {
    let url = format!("http://{}", server.addr());
    run_script("cluster.js", &url, args, seconds).await
}

async fn run_script(name: &str, url: &str, args: &[&str], seconds: u64) -> String {
    let mut script = node(&project_dir().join("clients").join(name)).listeners(0);
    for arg in args {
        script = script.arg(arg.replace("URL", url));
    }
    let mut script = script.start().await;
    let limit = Duration::from_secs(seconds);
    let status = within_long(limit, "the clients to end", script.exit()).await;
    assert!(status.success(), "clients failed:\n{}", script.log());
    script.log()
}

/// Rooms, bytes, acknowledgements, fetchSockets, server-side events, joins, leaves and disconnects.
mod everything_an_adapter_does_works_between_workers {
    use super::*;

    #[tokio::test]
    async fn over_polling() {
        run(&cluster(json!({})).await, &["rooms", "polling", "URL"], 40).await;
    }

    #[tokio::test]
    async fn over_websocket() {
        run(
            &cluster(json!({})).await,
            &["rooms", "websocket", "URL"],
            40,
        )
        .await;
    }

    #[tokio::test]
    async fn through_the_upgrade() {
        run(&cluster(json!({})).await, &["rooms", "upgrade", "URL"], 40).await;
    }
}

/// The proxy keeps its connections to the primary open, and each carries requests of all sessions.
mod a_proxy_that_ends_tls_works_in_front {
    use super::*;

    async fn through_the_proxy(kind: &str, workers: usize) {
        let folder = tempfile::tempdir().unwrap();
        let pem = folder.path().join("pem");
        let made = std::process::Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
            ])
            .args(["-subj", "/CN=localhost", "-keyout", "pem", "-out", "cert"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let cert = std::fs::read(folder.path().join("cert")).unwrap();
        let key = std::fs::read(&pem).unwrap();
        std::fs::write(&pem, [key, cert].concat()).unwrap();

        let node = 4 - workers;
        let options = json!({ "workers": workers, "node": node, "proxies": ["127.0.0.1"] });
        let server = cluster(options).await;
        let proxy = sala_interop::node(&project_dir().join("servers/tls-proxy.js"))
            .arg(server.addr().port().to_string())
            .arg(pem.display().to_string())
            .start()
            .await;
        let url = format!("https://127.0.0.1:{}", proxy.addr().port());
        run_script("cluster.js", &url, &["rooms", kind, "URL"], 40).await;
    }

    #[tokio::test]
    async fn over_polling() {
        through_the_proxy("polling", 4).await;
    }

    #[tokio::test]
    async fn over_websocket() {
        through_the_proxy("websocket", 4).await;
    }

    #[tokio::test]
    async fn through_the_upgrade() {
        through_the_proxy("upgrade", 4).await;
    }

    #[tokio::test]
    async fn through_the_upgrade_with_official_workers() {
        through_the_proxy("upgrade", 2).await;
    }
}

/// Nothing that a client can see tells that the primary stays between.
mod the_same_works_through_a_primary_that_stays_between {
    use super::*;

    async fn forwarding(node: usize) -> Child {
        let workers = 4 - node;
        cluster(json!({ "forwarding": "proxy", "workers": workers, "node": node })).await
    }

    #[tokio::test]
    async fn over_polling() {
        run(&forwarding(0).await, &["rooms", "polling", "URL"], 40).await;
    }

    #[tokio::test]
    async fn over_websocket() {
        run(&forwarding(0).await, &["rooms", "websocket", "URL"], 40).await;
    }

    #[tokio::test]
    async fn through_the_upgrade() {
        run(&forwarding(0).await, &["rooms", "upgrade", "URL"], 40).await;
    }

    #[tokio::test]
    async fn with_official_workers_over_polling() {
        run(&forwarding(2).await, &["rooms", "polling", "URL"], 40).await;
    }

    #[tokio::test]
    async fn with_official_workers_through_the_upgrade() {
        run(&forwarding(2).await, &["rooms", "upgrade", "URL"], 40).await;
    }

    #[tokio::test]
    async fn a_killed_worker_takes_only_its_own_clients_along() {
        let kill = ["kill", "40", "URL", "5000"];
        run(&forwarding(0).await, &kill, 60).await;
    }
}

/// Two workers of ours, two official ones under Node.js, one primary.
mod official_workers_and_ours_are_one_server {
    use super::*;

    async fn mixed(json: bool) -> Child {
        cluster(json!({ "workers": 2, "node": 2, "json": json })).await
    }

    #[tokio::test]
    async fn over_polling() {
        run(&mixed(false).await, &["rooms", "polling", "URL"], 40).await;
    }

    #[tokio::test]
    async fn over_websocket() {
        run(&mixed(false).await, &["rooms", "websocket", "URL"], 40).await;
    }

    #[tokio::test]
    async fn through_the_upgrade() {
        run(&mixed(false).await, &["rooms", "upgrade", "URL"], 40).await;
    }

    /// Between Node.js workers too, JSON makes objects of bytes.
    #[tokio::test]
    async fn with_messages_as_lines_of_json_all_but_bytes_arrives() {
        run(&mixed(true).await, &["rooms-of-text", "upgrade", "URL"], 40).await;
    }

    #[tokio::test]
    async fn an_official_worker_that_is_killed_is_replaced() {
        let server = mixed(false).await;
        let mut clients = crate::support::clients_on_different_workers(server.addr(), 4).await;
        let (mut killed, number, pid) = clients.pop().unwrap();
        assert_eq!(number, 4);
        crate::support::signal("KILL", pid).await;
        killed.gone().await;
        let again = async {
            loop {
                let numbers = clients[0].0.ask(json!(["numbers"])).await;
                if numbers.as_array().is_some_and(|numbers| numbers.len() == 3) {
                    return;
                }
            }
        };
        within_long(Duration::from_secs(30), "its successor to answer", again).await;
    }
}

/// The reference's workers have no recovery, but theirs and ours are replaced alike.
mod official_workers_are_looked_after {
    use super::*;
    use crate::support::{clients_on_different_workers, logged, signal};

    /// The adapter's heartbeats tell that a worker is there.
    #[tokio::test]
    async fn one_that_hangs_is_replaced() {
        let server = cluster(json!({ "workers": 1, "node": 1, "hang_ms": 5000 })).await;
        let mut clients = clients_on_different_workers(server.addr(), 2).await;
        let (mut hanging, number, pid) = clients.pop().unwrap();
        assert_eq!(number, 2);
        // It does not answer pings, and is there all the same.
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert!(crate::support::runs(pid), "{}", server.log());
        hanging.emit(json!(["hang", 60_000])).await;
        logged(&server, "worker hangs: it said nothing for 10s").await;
        hanging.gone().await;
        let again = async {
            while server.log().matches("worker is ready").count() < 3 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within_long(Duration::from_secs(20), "its successor", again).await;
    }

    #[tokio::test]
    async fn at_a_reload_their_clients_are_let_go_of_as_the_script_says() {
        let server = cluster(json!({ "workers": 1, "node": 1 })).await;
        let mut clients = clients_on_different_workers(server.addr(), 2).await;
        let (mut official, _, pid) = clients.pop().unwrap();
        signal("HUP", server.id().unwrap()).await;
        within_long(Duration::from_secs(20), "to be let go of", official.gone()).await;
        logged(&server, "reload: done").await;
        assert!(!crate::support::runs(pid));
        assert!(!server.log().contains("is killed"), "{}", server.log());
        let again = clients_on_different_workers(server.addr(), 2).await;
        assert!(again.iter().all(|(_, _, new)| *new != pid));
    }
}

/// `CLIENTS` and `ROLLS` say how many; the figures in the guide are of 1000 and 20.
#[tokio::test]
async fn reloads_under_load_lose_nothing_repeat_nothing_and_keep_the_order() {
    let setting = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control");
    let server = cluster(json!({ "control": control, "spread_ms": 300 })).await;
    let control = control.to_str().unwrap();
    let command = env!("CARGO_BIN_EXE_cluster-fixture");
    let (clients, rolls) = (setting("CLIENTS", "60"), setting("ROLLS", "3"));
    let args = [&clients, &rolls, "URL", command, "reload", control];
    let url = format!("http://{}", server.addr());
    println!("{}", run_script("rolls.js", &url, &args, 590).await);
}

/// The clients of a worker that is killed are on other workers within a second, and no other client
/// notices anything.
#[tokio::test]
async fn a_killed_worker_takes_only_its_own_clients_along_and_they_are_back_within_a_second() {
    let server = cluster(json!({})).await;
    let log = run(&server, &["kill", "40", "URL"], 60).await;
    println!("{log}");
}
