//! Connect handlers with the signature of another kind of handler.

use sala::{Ack, ConnectHandler, DisconnectReason, Socket};

async fn left(_socket: Socket, _reason: DisconnectReason) {}

async fn acked(_socket: Socket, _auth: String, _ack: Ack<u32>) {}

async fn answers(_socket: Socket) -> u32 {
    1
}

fn on_connect<S>(_handler: impl ConnectHandler<S>) {}

fn main() {
    on_connect(|_socket: Socket| {});
    on_connect(left);
    on_connect(acked);
    on_connect(answers);
}
