//! Several arguments that are not a tuple.

use sala::{Handler, Socket};

async fn add(_socket: Socket, _a: i32, _b: i32) {}

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    on("add", add);
}
