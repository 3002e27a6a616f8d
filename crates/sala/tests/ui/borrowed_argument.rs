//! An argument that borrows from the packet.

use sala::{Handler, Socket};

async fn message(_socket: Socket, _text: &str) {}

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    on("message", message);
}
