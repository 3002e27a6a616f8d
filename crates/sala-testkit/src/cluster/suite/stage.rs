use std::ops::Index;
use std::time::Duration;

use sala_adapter::Target;
use sala_adapter::backend::Backend;
use sala_adapter::cluster::ClusterOptions;
use sala_adapter::message::SocketSnapshot;
use tokio::time::{Instant, sleep, timeout};

use super::{Factory, Limits};
use crate::cluster::{Node, event, socket};

/// Some servers that know each other, with a namespace of their own.
pub(super) struct Stage {
    pub(super) nodes: Vec<Node>,
    pub(super) namespace: String,
    pub(super) limits: Limits,
}

impl Stage {
    /// Starts so many servers. Server 0 has the sockets `a0` and `b0`, and so on; those with `b` are in the room `b`.
    pub(super) async fn new<F: Factory>(factory: &F, limits: &Limits, servers: usize) -> Self {
        let mut stage = Self {
            nodes: Vec::new(),
            namespace: format!("/suite-{}", sala_adapter::ServerId::random()),
            limits: limits.clone(),
        };
        for number in 0..servers {
            let node = stage.start(factory.backend(), sockets_of(number)).await;
            stage.nodes.push(node);
        }
        stage.all_know(servers).await;
        stage
    }

    /// Starts one more server in the namespace.
    pub(super) async fn start(&self, backend: impl Backend, sockets: Vec<SocketSnapshot>) -> Node {
        let node = Node::start(backend, options(), &self.namespace, sockets);
        self.within("a server to be ready", node).await
    }

    /// Waits until each server counts so many.
    pub(super) async fn all_know(&self, servers: usize) {
        for node in &self.nodes {
            self.knows(node, servers).await;
        }
    }

    /// Waits until a server counts so many.
    pub(super) async fn knows(&self, node: &Node, servers: usize) {
        let deadline = Instant::now() + self.limits.patience;
        loop {
            let counted = node.adapter.server_count().await;
            if matches!(counted, Ok(count) if count == servers) {
                return;
            }
            let late = Instant::now() > deadline;
            assert!(
                !late,
                "{} counts {counted:?} instead of {servers}",
                node.cluster.id()
            );
            // There is no event for it: only the broker knows.
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a message of each server reaches each other one, sending again while some do not; then forgets all.
    pub(super) async fn all_hear_each_other(&self) {
        let deadline = Instant::now() + self.limits.patience;
        for (at, from) in self.nodes.iter().enumerate() {
            let mark = 1_000_000 + i64::try_from(at).expect("few servers");
            loop {
                from.count_to_all(mark);
                let others = self.nodes.iter().enumerate().filter(|(i, _)| *i != at);
                let heard = async {
                    for (_, to) in others {
                        let arrived = |heard: &[_]| heard.iter().any(|it| is_mark(it, mark));
                        to.local.wait_for("a mark", FOREVER, arrived).await;
                    }
                };
                if timeout(Duration::from_millis(200), heard).await.is_ok() {
                    break;
                }
                assert!(Instant::now() < deadline, "server {at} is not heard");
            }
        }
        // Marks that are still on their way are waited for, so that they are not heard later.
        self.settle().await;
        self.nodes.iter().for_each(|node| node.local.forget());
    }

    /// Waits until what each server has sent so far has arrived everywhere.
    async fn settle(&self) {
        for (at, from) in self.nodes.iter().enumerate() {
            let mark = 2_000_000 + i64::try_from(at).expect("few servers");
            from.count_to_all(mark);
            for (_, to) in self.nodes.iter().enumerate().filter(|(i, _)| *i != at) {
                let arrived = |heard: &[_]| heard.iter().any(|it| is_mark(it, mark));
                to.local
                    .wait_for("the last mark", self.limits.patience, arrived)
                    .await;
            }
        }
    }

    /// Asserts that nothing more arrives at a server than these numbers, which are given in ascending order. In which
    /// order they came does not matter: what goes to different rooms may take different ways.
    pub(super) async fn nothing_but(&self, node: &Node, numbers: &[i64]) {
        sleep(self.limits.quiet).await;
        let heard = node.local.heard();
        let mut found: Vec<_> = heard.iter().filter_map(|it| it.number()).collect();
        found.sort_unstable();
        assert_eq!(
            (found, heard.len()),
            (numbers.to_vec(), numbers.len()),
            "{heard:?}"
        );
    }

    pub(super) async fn within<F: Future>(&self, what: &str, future: F) -> F::Output {
        crate::within_long(self.limits.patience, what, future).await
    }

    pub(super) async fn close(self) {
        for node in &self.nodes {
            self.within("a server to leave", node.cluster.close()).await;
        }
    }
}

impl Index<usize> for Stage {
    type Output = Node;

    fn index(&self, number: usize) -> &Node {
        &self.nodes[number]
    }
}

/// Longer than any other limit; that one ends the wait.
const FOREVER: Duration = Duration::from_secs(3600);

fn is_mark(heard: &crate::cluster::Heard, mark: i64) -> bool {
    heard.number() == Some(mark)
}

/// The sockets of a server.
pub(super) fn sockets_of(number: usize) -> Vec<SocketSnapshot> {
    vec![
        socket(&format!("a{number}"), &[]),
        socket(&format!("b{number}"), &["b"]),
    ]
}

pub(super) fn options() -> ClusterOptions {
    ClusterOptions::default().retry_delays(Duration::from_millis(20), Duration::from_millis(400))
}

/// Sends an event with a number.
pub(super) fn send(node: &Node, number: i64, target: &Target) {
    let sent = node
        .adapter
        .broadcast(event("count", vec![number.into()]), target);
    sent.expect("the queue has room");
}
