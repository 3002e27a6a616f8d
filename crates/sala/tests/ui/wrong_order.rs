//! The arguments are in the wrong order.

use sala::{Ack, Handler, Socket};

async fn message(_text: String, _socket: Socket) {}

async fn acked(_socket: Socket, _ack: Ack<u32>, _text: String) {}

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    on("message", message);
    on("acked", acked);
}
