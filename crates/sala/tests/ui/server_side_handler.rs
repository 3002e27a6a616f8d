//! Handlers of events of other servers get the namespace, not a socket.

use sala::handler::ServerSideHandler;
use sala::{Namespace, Socket};

async fn socket(_socket: Socket, _text: String) {}

fn on<S>(_event: &str, _handler: impl ServerSideHandler<S>) {}

fn main() {
    on("socket", socket);
    on("closure", async || 1);
    on("right", async |_nsp: Namespace, _text: String| 1);
}
