//! Disconnect handlers without the reason.

use sala::{DisconnectHandler, Socket};

fn on_disconnect<S>(_handler: impl DisconnectHandler<S>) {}

fn main() {
    on_disconnect(async |_socket: Socket| {});
    on_disconnect(async |_socket: Socket, _reason: String| {});
}
