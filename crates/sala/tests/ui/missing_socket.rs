//! The socket is left out.

use sala::{Handler, Socket};

async fn message(_text: String) {}

async fn nothing() {}

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    on("message", message);
    on("nothing", nothing);
    on("right", async |_socket: Socket| {});
}
