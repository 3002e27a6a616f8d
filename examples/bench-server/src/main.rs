//! The server that the load generator measures: echo with acknowledgement, rooms, broadcasts.
//!
//! `PORT` (default 3000) is listened on at 127.0.0.1. `WORKERS` sets the number of threads; 1 is a
//! single-threaded runtime. `ECHO=value` has the echo decode its payload to a value and encode it again,
//! rather than pass it on. `REDIS`, a URL, makes it one node of a cluster, over the adapter that `ADAPTER` names:
//! `classic` (the default), `sharded` or `streams`.
//! `ROOMS` is how many rooms there are from the first client on, who is in all of them; who joins a room then joins
//! one of these in turn, whatever the name.
//! `PROCESSES` makes it so many worker processes behind that port; `FORWARDING=proxy` has their primary copy.

use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Once};

use sala::{BackendError, RawArgs, Server, Socket, Value};
use sala_redis::{Classic, Sharded, Streams};

#[global_allocator]
static ALLOCATOR: sala_memory::Allocator = sala_memory::Allocator;

fn main() -> std::io::Result<()> {
    let workers: Option<usize> = number("WORKERS");
    let port = number("PORT").unwrap_or(3000);
    let mut runtime = match workers {
        Some(1) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if let Some(workers) = workers {
        runtime.worker_threads(workers);
    }
    let runtime = runtime.enable_all().build()?;
    runtime.spawn(sala_memory::give_back());
    #[cfg(target_os = "linux")]
    if let Some(processes) = number("PROCESSES") {
        return runtime.block_on(serve_processes(processes, port));
    }
    runtime.block_on(serve(port))
}

#[cfg(target_os = "linux")]
async fn serve_processes(count: usize, port: u16) -> std::io::Result<()> {
    use sala_cluster::Role;
    match sala_cluster::role().await? {
        Role::Primary(primary) => primary
            .workers(count)
            .forwarding(number("FORWARDING").unwrap_or_default())
            .listen(format!("127.0.0.1:{port}"))
            .run()
            .await
            .map_err(std::io::Error::other),
        Role::Worker(worker) => {
            let io = Server::builder().adapter(worker.backend()).build();
            handlers(&io);
            io.serve_intake(worker.intake()).await
        }
    }
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

async fn serve(port: u16) -> std::io::Result<()> {
    let io = server().await.map_err(std::io::Error::other)?;
    handlers(&io);
    io.listen((Ipv4Addr::LOCALHOST, port)).await
}

fn handlers(io: &Server) {
    if std::env::var("ECHO").is_ok_and(|echo| echo == "value") {
        io.on("echo", async |_socket: Socket, payload: Value| payload);
    } else {
        io.on("echo", async |_socket: Socket, payload: RawArgs| payload);
    }
    match number("ROOMS") {
        Some(count) => many_rooms(io, count),
        None => {
            io.on("join", async |socket: Socket, room: String| {
                socket.join(room)
            });
            io.on("leave", async |socket: Socket, room: String| {
                socket.leave(room)
            });
        }
    }
    io.on(
        "broadcast",
        async |socket: Socket, (room, payload): (String, Value)| {
            socket.nsp().to(room).emit("msg", &(payload,))
        },
    );
}

fn many_rooms(io: &Server, count: NonZeroUsize) {
    let count = count.get();
    let first = Arc::new(Once::new());
    io.on_connect(move |socket: Socket| {
        first.call_once(|| socket.join((0..count).map(name_of).collect::<Vec<_>>()));
        async {}
    });
    let next = Arc::new(AtomicUsize::new(0));
    io.on("join", move |socket: Socket, _: String| {
        // A prime, so that neighbours in memory are far apart in time.
        let room = next.fetch_add(7919, Relaxed) % count;
        let joined = socket.data().set("room", &room);
        socket.join(name_of(room));
        async { joined }
    });
    io.on("leave", async |socket: Socket, _: String| {
        if let Some(room) = socket.data().get::<usize>("room") {
            socket.leave(name_of(room));
        }
    });
}

fn name_of(room: usize) -> String {
    format!("room-{room}")
}

async fn server() -> Result<Server, BackendError> {
    let builder = Server::builder();
    let Ok(url) = std::env::var("REDIS") else {
        return Ok(builder.build());
    };
    let adapter = std::env::var("ADAPTER");
    let builder = match adapter.as_deref() {
        Ok("sharded") => builder.adapter(Sharded::connect(url).await?),
        Ok("streams") => builder.adapter(Streams::connect(url).await?),
        _ => builder.adapter(Classic::connect(url).await?),
    };
    Ok(builder.build())
}
