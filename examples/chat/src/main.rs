//! The chat on http://localhost:3000, or on the port that `PORT` says.

#![expect(clippy::print_stdout, reason = "a person reads it")]

use std::time::Duration;

use sala::{Drain, Recovery, Server};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: sala_memory::Allocator = sala_memory::Allocator;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::spawn(sala_memory::give_back());
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse::<u16>())?;
    let io = Server::builder().recovery(Recovery::new()).build();
    chat::chat(&io);

    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.map_err(|error| format!("{error}: set PORT to another one"))?;
    let stop = chat::asked_to_stop()?;
    let port = listener.local_addr()?.port();
    println!("listening on http://localhost:{port}");
    let drain = Drain {
        grace: Duration::from_secs(5),
        ..Drain::default()
    };
    chat::serve(listener, &io, stop, drain).await?;
    Ok(())
}
