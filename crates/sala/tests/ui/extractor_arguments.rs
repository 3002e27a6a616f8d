//! Arguments as in frameworks whose handlers take extractors.

use sala::{Handler, Socket};

struct Db;
struct State<T>(T);

async fn message(_socket: Socket, State(_db): State<Db>, _text: String) {}

async fn state(_socket: Socket, State(_db): State<Db>) {}

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    on("message", message);
    on("state", state);
}
