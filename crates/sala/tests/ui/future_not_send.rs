//! A future that cannot move between threads.

use std::rc::Rc;

use sala::{Handler, Socket};

async fn message(socket: Socket) {
    let text = Rc::new(1);
    std::future::ready(()).await;
    drop((text, socket));
}

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    on("message", message);
}
