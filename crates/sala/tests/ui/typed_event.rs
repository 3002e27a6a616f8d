//! Handlers of typed events that answer with something else, and one of no event.

use sala::{Event, EventHandler, Socket};

#[derive(serde::Serialize, serde::Deserialize)]
struct Add(i32, i32);

impl Event for Add {
    const NAME: &'static str = "add";
    type Ack = i32;
}

async fn text(_socket: Socket, _add: Add) -> String {
    String::new()
}

async fn untyped(_socket: Socket, _text: String) {}

async fn alone(_socket: Socket) {}

fn on_event<S>(_handler: impl EventHandler<S>) {}

fn main() {
    on_event(text);
    on_event(untyped);
    on_event(alone);
}
