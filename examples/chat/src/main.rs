//! The chat on http://localhost:3000, or on the port that `PORT` says.

#![expect(
    clippy::print_stdout,
    reason = "a person at the terminal wants to know"
)]

use sala::{Drain, Recovery, Server};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse::<u16>())?;
    let io = Server::builder().recovery(Recovery::new()).build();
    chat::chat(&io);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!(
        "listening on http://localhost:{}",
        listener.local_addr()?.port()
    );
    chat::serve(listener, &io, chat::asked_to_stop(), Drain::default()).await?;
    Ok(())
}
