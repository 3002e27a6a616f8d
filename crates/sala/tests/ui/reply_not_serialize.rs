//! Return values that are no answers.

use sala::{Ack, Handler, Reply, Socket};

#[derive(serde::Serialize)]
struct User;

struct Secret;

struct NotAnError;

async fn unwrapped(_socket: Socket) -> User {
    User
}

async fn secret(_socket: Socket) -> Reply<Secret> {
    Reply(Secret)
}

async fn fallible(_socket: Socket) -> Result<User, NotAnError> {
    Ok(User)
}

async fn twice(_socket: Socket, _text: String, _ack: Ack<u32>) -> u32 {
    1
}

fn on<S>(_event: &str, _handler: impl Handler<S>) {}

fn main() {
    on("unwrapped", unwrapped);
    on("secret", secret);
    on("fallible", fallible);
    on("twice", twice);
}
