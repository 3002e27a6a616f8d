//! A function that is not async.

use sala::{Handler, Socket};

fn function(_socket: Socket, _text: String) {}

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    on("closure", |_socket: Socket, _text: String| {});
    on("function", function);
}
