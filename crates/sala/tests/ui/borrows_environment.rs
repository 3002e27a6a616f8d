//! A closure that borrows a variable.

use sala::{Handler, Socket};

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    let greeting = String::from("hello");
    on("greet", async |_socket: Socket| greeting.clone());
}
