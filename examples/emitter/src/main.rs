//! A worker that serves nobody: each second it tells all clients of a cluster the time, whatever
//! server they are connected to, and every tenth time it sends the room `night` to bed.
//!
//! ```text
//! cargo run -p emitter -- redis://127.0.0.1:6379
//! ```
//!
//! The servers may be Sala with `sala_redis::Streams`, or Node.js with `@socket.io/redis-streams-adapter`. With
//! the classic adapter, write `Classic` instead of `Streams`.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sala_emitter::Emitter;
use sala_redis::Streams;
use serde::Serialize;

#[derive(Serialize)]
struct Tick {
    seconds: u64,
    count: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let redis = std::env::args().nth(1);
    let redis = redis.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let emitter = Emitter::new(Streams::options().outlet(redis).await?);

    for count in 1.. {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        // Redis may be away for a while: say so, and go on.
        if let Err(error) = emitter
            .volatile()
            .emit("tick", &Tick { seconds, count })
            .await
        {
            eprintln!("tick {count}: {error}");
        }
        if count % 10 == 0 {
            emitter.in_("night").emit("good night", &()).await?;
            emitter.in_("night").disconnect_sockets(true).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
