//! Types that the compiler cannot know.

use sala::{Handler, Socket};

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    on("argument", async |_socket: Socket, text| drop(text));
}
