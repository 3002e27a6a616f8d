//! Several servers in one process, over a broker that misbehaves on demand.

mod commands;
mod emits;
mod life;
mod outages;
mod questions;
mod recovery;
mod server_side;

#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::ops::Deref;

use sala::{ClusterStats, Server, ServerBuilder, ServerId, Socket};
use sala_testkit::cluster::{FakeBackend, FakeBroker};
use sala_testkit::within;
use support::*;

/// A server of a cluster.
struct Node {
    io: Server,
    addr: SocketAddr,
    /// By which the others know it.
    id: ServerId,
}

impl Node {
    /// A server that hears what the others send.
    async fn new(name: &str, backend: FakeBackend, options: ServerBuilder) -> Self {
        let id = ServerId::from(name);
        let cluster = sala::ClusterOptions::default().server_id(id.clone());
        let io = options.cluster(cluster).adapter(backend).build();
        let addr = serve(&io).await;
        within("the cluster", io.cluster_ready())
            .await
            .expect("the broker is there");
        Self { io, addr, id }
    }

    /// What its link with the others has done so far.
    fn link(&self) -> ClusterStats {
        self.io.stats().cluster.expect("it is in a cluster")
    }

    async fn client(&self) -> Client {
        Client::new(self.addr).await
    }

    fn socket(&self, client: &Client) -> Socket {
        self.io
            .socket(&client.id.as_str().into())
            .expect("it is connected")
    }
}

impl Deref for Node {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.io
    }
}

/// Servers whose broker counts them.
async fn counted<const N: usize>(broker: &FakeBroker) -> [Node; N] {
    nodes(|| FakeBackend::counted(broker), Server::builder).await
}

async fn nodes<const N: usize>(
    backend: impl Fn() -> FakeBackend,
    options: impl Fn() -> ServerBuilder,
) -> [Node; N] {
    let mut nodes = Vec::new();
    for number in 1..=N {
        nodes.push(Node::new(&format!("node {number}"), backend(), options()).await);
    }
    nodes
        .try_into()
        .unwrap_or_else(|_| unreachable!("as many as asked for"))
}

/// Waits for something that another server does.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    within(what, async {
        while !done() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
