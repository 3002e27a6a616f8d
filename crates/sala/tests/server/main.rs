//! The server over real connections, row by row of the compatibility list (docs/COMPAT.md).

mod acks;
mod broadcast;
mod close;
mod codecs;
mod connect;
mod disconnect;
mod dynamic;
mod edge;
mod emit;
mod events;
mod gates;
mod limits;
mod middleware;
mod polling;
mod recovery;
mod revision3;
mod rooms;
mod stress;

#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;

use sala::{Server, ServerBuilder};
use support::*;

/// A server with these options, and its address.
pub(crate) async fn start(options: ServerBuilder) -> (Server, SocketAddr) {
    let io = options.build();
    let addr = serve(&io).await;
    (io, addr)
}

impl Client {
    /// Connects several.
    pub(crate) async fn several<const N: usize>(addr: SocketAddr) -> [Self; N] {
        let mut clients = Vec::new();
        for _ in 0..N {
            clients.push(Self::new(addr).await);
        }
        clients
            .try_into()
            .unwrap_or_else(|_| unreachable!("as many as asked for"))
    }

    /// Asserts that this came and nothing else.
    pub(crate) async fn nothing_more_after(&mut self, text: &str) {
        self.expect(text).await;
        self.nothing_more().await;
    }
}
