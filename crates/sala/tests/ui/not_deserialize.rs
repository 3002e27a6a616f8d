//! An argument that cannot be deserialized, and one that borrows.

use sala::{Ack, Handler, Socket};

struct Move {
    _x: i32,
}

async fn moved(_socket: Socket, _to: Move) {}

async fn acked(_socket: Socket, _ack: Ack<u32>) {}

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    on("move", moved);
    on("acked", acked);
}
