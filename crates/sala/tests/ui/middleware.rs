//! Middlewares in the style of JavaScript, and with a result that says nothing.

use sala::{AdmitHandler, Attempt, Socket};

fn admit(_handler: impl AdmitHandler) {}

fn main() {
    admit(async |_socket: Socket, next: fn()| next());
    admit(|_attempt: Attempt| Ok::<(), String>(()));
    admit(async |_attempt: Attempt| true);
}
