//! A closure that captured something that cannot be cloned.

use sala::{Handler, Socket};

struct Db;

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    let db = Db;
    on("save", async move |_socket: Socket| drop(&db));
}
