//! The cluster base over a broker that misbehaves, under a clock that jumps: no test takes longer than its work.

mod closing;
mod heartbeats;
mod links;
mod logged;
mod receiving;
mod requests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sala_adapter::Target;
use sala_adapter::cluster::ClusterOptions;
use sala_testkit::cluster::{FakeBackend, FakeBroker, Node, socket};
use tokio::time::sleep;

const NSP: &str = "/chat";

/// Longer than anything may take; under the jumping clock it costs nothing.
const PATIENCE: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A broker, and servers that count each other with its help. Server `n` has the socket `sN`.
async fn counted(servers: usize) -> (FakeBroker, Vec<Node>) {
    cluster(servers, FakeBackend::counted).await
}

/// The same with heartbeats.
async fn heartbeats(servers: usize) -> (FakeBroker, Vec<Node>) {
    cluster(servers, FakeBackend::heartbeats).await
}

async fn cluster(
    servers: usize,
    backend: impl Fn(&FakeBroker) -> FakeBackend,
) -> (FakeBroker, Vec<Node>) {
    let broker = FakeBroker::new();
    let mut nodes = Vec::new();
    for number in 0..servers {
        nodes.push(node(backend(&broker), ClusterOptions::default(), number).await);
    }
    for node in &nodes {
        knows(node, servers).await;
    }
    (broker, nodes)
}

async fn node(backend: FakeBackend, options: ClusterOptions, number: usize) -> Node {
    let options = options.server_id(format!("server-{number}"));
    let sockets = vec![socket(&format!("s{number}"), &[])];
    Node::start(backend, options, NSP, sockets).await
}

/// Waits until a server counts so many.
async fn knows(node: &Node, servers: usize) {
    let known = async {
        while !matches!(node.adapter.server_count().await, Ok(count) if count == servers) {
            sleep(millis(10)).await;
        }
    };
    sala_testkit::within_long(PATIENCE, "the servers to know each other", known).await;
}

/// The numbers that a server has heard.
fn numbers(node: &Node) -> Vec<i64> {
    let heard = node.local.heard();
    heard.iter().filter_map(|heard| heard.number()).collect()
}

/// Whoever is in no room.
fn all() -> Target {
    Target::all()
}

/// What the operator was told.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(bool, String)>>>);

impl Log {
    fn options(&self) -> ClusterOptions {
        let log = self.clone();
        ClusterOptions::default().on_event(move |event| {
            let line = (event.is_first(), event.to_string());
            log.0.lock().expect("no panic with it").push(line);
        })
    }

    /// Everything with this text in it.
    fn with(&self, text: &str) -> Vec<(bool, String)> {
        let log = self.0.lock().expect("no panic with it");
        let found = log.iter().filter(|(_, line)| line.contains(text));
        found.cloned().collect()
    }

    /// How often this was said, and how often it was worth a line.
    fn count(&self, text: &str) -> (usize, usize) {
        let found = self.with(text);
        let first = found.iter().filter(|(first, _)| *first).count();
        (found.len(), first)
    }
}
