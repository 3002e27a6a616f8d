//! `?` in a closure that does not say what its error is.

use sala::{Handler, Socket};

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    on("parse", async |_socket: Socket, text: String| {
        text.parse::<i32>()?;
        Ok(())
    });
}
