//! Connect handlers with the signature of another kind of handler.

use sala::{Ack, ConnectHandler, Socket};

async fn acked(_socket: Socket, _auth: String, _ack: Ack<u32>) {}

async fn answers(_socket: Socket) -> u32 {
    1
}

fn on_connect<S>(_handler: impl ConnectHandler<S>) {}

fn main() {
    on_connect(|_socket: Socket| {});
    on_connect(acked);
    on_connect(answers);
}
