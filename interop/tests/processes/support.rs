//! Starting a cluster, and simple clients that tell which worker they are on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use sala_testkit::http::{self, Connection, Response};
use sala_testkit::ws::Ws;
use sala_testkit::{Child, ChildBuilder, within_long};
use serde_json::{Value, json};
use tokio::process::Command;

pub(crate) const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
pub(crate) const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// Prepares a cluster. `{}` for four workers with recovery.
pub(crate) fn fixture(options: &Value) -> ChildBuilder {
    Child::command(env!("CARGO_BIN_EXE_cluster-fixture")).env("CLUSTER", options.to_string())
}

/// Starts a cluster; its workers are ready.
pub(crate) async fn cluster(options: Value) -> Child {
    let workers = options["workers"].as_u64().unwrap_or(4) + options["node"].as_u64().unwrap_or(0);
    let workers = workers as usize;
    let child = fixture(&options).start().await;
    let ready = async {
        while child.log().matches("worker is ready").count() < workers {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within_long(Duration::from_secs(30), "all workers to be ready", ready).await;
    child
}

/// A handshake on a connection of its own: the session's id, whose first two characters tell the worker.
pub(crate) async fn handshake(addr: SocketAddr) -> String {
    session(&http::get(addr, POLLING).await)
}

/// The id in the reply to a handshake.
#[track_caller]
pub(crate) fn session(reply: &Response) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    let open: Value = serde_json::from_str(&reply.text()[1..]).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

/// How many of so many new sessions each worker got.
pub(crate) async fn prefixes(addr: SocketAddr, count: usize) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for _ in 0..count {
        *found
            .entry(handshake(addr).await[..2].to_owned())
            .or_default() += 1;
    }
    found
}

/// Sessions of so many different workers.
pub(crate) async fn sessions_of_different_workers(addr: SocketAddr, count: usize) -> Vec<String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    while found.len() < count {
        let sid = handshake(addr).await;
        found.insert(sid[..2].to_owned(), sid);
    }
    found.into_values().collect()
}

/// Posts to a session on a connection that may carry others.
pub(crate) async fn post(connection: &mut Connection, sid: &str, body: &str) -> Response {
    let target = format!("{POLLING}&sid={sid}");
    connection
        .request("POST", &target, &[], body.as_bytes())
        .await
}

/// Polls a session on a connection that may carry others.
pub(crate) async fn poll(connection: &mut Connection, sid: &str) -> Response {
    let target = format!("{POLLING}&sid={sid}");
    connection.request("GET", &target, &[], b"").await
}

/// A Socket.IO client over WebSocket, in the main namespace.
pub(crate) struct Client {
    socket: Ws,
    asked: u32,
    /// What came while an answer was waited for.
    pub(crate) events: Vec<Value>,
}

impl Client {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self::try_open(addr).await.unwrap()
    }

    async fn try_open(addr: SocketAddr) -> Option<Self> {
        let mut socket = Ws::open(addr, WEBSOCKET).await;
        socket.expect_json("0").await;
        socket.text("40").await;
        socket.expect_json("40").await;
        Some(Self {
            socket,
            asked: 0,
            events: Vec::new(),
        })
    }

    /// Emits and waits for the acknowledgement.
    pub(crate) async fn ask(&mut self, event: Value) -> Value {
        self.asked += 1;
        let ack = format!("43{}", self.asked);
        self.socket.text(format!("42{}{event}", self.asked)).await;
        loop {
            let text = self.next().await;
            if let Some(answer) = text.strip_prefix(&ack) {
                let answer: Value = serde_json::from_str(answer).unwrap();
                return answer[0].clone();
            }
            self.events.extend(event_of(&text));
        }
    }

    /// Emits without waiting.
    pub(crate) async fn emit(&mut self, event: Value) {
        self.socket.text(format!("42{event}")).await;
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Value {
        if !self.events.is_empty() {
            return self.events.remove(0);
        }
        loop {
            if let Some(event) = event_of(&self.next().await) {
                return event;
            }
        }
    }

    /// Waits until the connection ends.
    pub(crate) async fn gone(&mut self) {
        self.socket.gone().await;
    }

    async fn next(&mut self) -> String {
        loop {
            let text = self.socket.next_text().await;
            if text == "2" {
                self.socket.text("3").await;
            } else {
                return text;
            }
        }
    }
}

/// An event without its offset, which recovery adds.
fn event_of(text: &str) -> Option<Value> {
    let Value::Array(mut event) = serde_json::from_str(text.strip_prefix("42")?).ok()? else {
        return None;
    };
    event.truncate(2);
    Some(Value::Array(event))
}

/// Clients on so many different workers, with the numbers of those and their process ids.
pub(crate) async fn clients_on_different_workers(
    addr: SocketAddr,
    count: usize,
) -> Vec<(Client, u64, u32)> {
    let mut found: BTreeMap<u64, (Client, u64, u32)> = BTreeMap::new();
    let mut spare = Vec::new();
    while found.len() < count {
        let mut client = Client::open(addr).await;
        let who = client.ask(json!(["whoami"])).await;
        let (worker, pid) = (
            who["worker"].as_u64().unwrap(),
            who["pid"].as_u64().unwrap(),
        );
        // The one before stays open, or the next client would come to the same worker.
        spare.extend(found.insert(worker, (client, worker, pid as u32)));
    }
    found.into_values().collect()
}

/// Sends a signal, by name, to one process.
pub(crate) async fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()
        .await
        .unwrap();
    assert!(sent.success(), "cannot send {name} to {pid}");
}

/// Whether a process runs (a zombie does not).
pub(crate) fn runs(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

/// Waits until the log of the cluster says something.
pub(crate) async fn logged(child: &Child, text: &str) {
    let said = async {
        while !child.log().contains(text) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within_long(
        Duration::from_secs(20),
        &format!("the log to say {text:?}"),
        said,
    )
    .await;
}

/// The address that the log tells behind a text.
pub(crate) async fn logged_address(child: &Child, before: &str) -> SocketAddr {
    logged(child, before).await;
    let log = child.log();
    let line = log.lines().find_map(|line| line.split_once(before));
    line.unwrap().1.trim().parse().unwrap()
}
