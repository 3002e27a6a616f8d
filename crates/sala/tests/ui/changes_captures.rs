//! A closure that changes what it captured.

use sala::{Handler, Socket};

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    let mut count = 0;
    on("count", async move |_socket: Socket| {
        count += 1;
        count
    });
}
