//! Socket.IO as the language-neutral protocol suites expect it.

use std::time::Duration;

use sala::engine::http::Cors;
use sala::{RawArgs, Server, Socket};
use sala_interop::server::{listen, terminated};

/// Tells a client what it sent to get in.
async fn greet(socket: Socket) -> Result<(), sala::Error> {
    socket.emit("auth", &socket.handshake().raw_auth())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::builder()
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(200))
        .max_payload(1_000_000)
        .connect_timeout(Duration::from_secs(1))
        .cors(Some(Cors::any()))
        .build();
    io.on_connect(greet);
    io.of("/custom").on_connect(greet);
    io.on(
        "message",
        async |socket: Socket, args: RawArgs| -> Result<(), sala::Error> {
            socket.emit("message-back", &args)
        },
    );
    io.on("message-with-ack", async |_: Socket, args: RawArgs| args);

    let terminated = terminated();
    let listener = listen("PORT", 3000).await;
    tokio::select! {
        served = io.serve(listener) => served,
        () = terminated => {
            io.close().await;
            Ok(())
        }
    }
}
