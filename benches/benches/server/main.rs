//! How long a whole server takes, without sockets of the system: clients on in-memory streams, all
//! on one thread. So the figures hold the cost of the runtime and of the little client too, but no
//! system call.

mod client;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use divan::Bencher;
use sala::{RawArgs, Server, Socket};
use sala_benches::input;
use tokio::runtime::Runtime;

use client::Client;

fn main() {
    divan::main();
}

/// A server and its clients, all in the room `all`.
struct World {
    runtime: Runtime,
    io: Server,
    clients: Vec<Client>,
    sockets: Arc<Mutex<Vec<Socket>>>,
}

impl World {
    fn new(clients: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let io = Server::builder()
            .ping_interval(Duration::from_secs(3600))
            .build();
        let sockets = Arc::new(Mutex::new(Vec::new()));
        let joined = Arc::clone(&sockets);
        io.on_connect(move |socket: Socket| {
            socket.join("all");
            let mut joined = joined.lock().unwrap_or_else(PoisonError::into_inner);
            joined.push(socket);
            async {}
        });
        io.on("echo", async |_socket: Socket, args: RawArgs| args);
        io.on("typed", async |_socket: Socket, text: String| text);
        let clients = (0..clients).map(|_| runtime.block_on(Client::connect(&io)));
        let clients = clients.collect();
        Self {
            runtime,
            io,
            clients,
            sockets,
        }
    }

    fn socket(&self, index: usize) -> Socket {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)[index].clone()
    }

    /// Lets every client read one message.
    fn receive(&mut self) {
        self.runtime.block_on(async {
            for client in &mut self.clients {
                client.receive(1).await;
            }
        });
    }
}

/// One event with an ack, there and back; then sixteen that arrive together.
#[divan::bench(args = [("echo", 32, 1), ("echo", 32, 16), ("echo", 1024, 1), ("typed", 32, 1)])]
fn event(bencher: Bencher<'_, '_>, (name, len, together): (&str, usize, usize)) {
    let mut world = World::new(1);
    let packet = format!(r#"420["{name}","{}"]"#, input::text(len));
    let sent = input::client_frame(1, packet.as_bytes()).repeat(together);
    bencher
        .counter(divan::counter::ItemsCount::new(together))
        .bench_local(|| {
            let client = &mut world.clients[0];
            world.runtime.block_on(async {
                client.send(&sent).await;
                client.receive(together).await;
            });
        });
}

/// Encodes an event and puts it into the queue of every member; the clients read it off the clock.
#[divan::bench(args = [1_000, 10_000], sample_size = 1, max_time = 3)]
fn emit_to_room(bencher: Bencher<'_, '_>, members: usize) {
    let mut world = World::new(members);
    let text = input::text(32);
    let io = world.io.clone();
    let mut queued = false;
    bencher
        .counter(divan::counter::ItemsCount::new(members))
        .with_inputs(|| {
            if std::mem::replace(&mut queued, true) {
                world.receive();
            }
        })
        .bench_local_values(|()| io.to("all").emit("msg", &text));
}

/// The same until the last client has it.
#[divan::bench(args = [1_000, 10_000], sample_size = 1, max_time = 3)]
fn deliver_to_room(bencher: Bencher<'_, '_>, members: usize) {
    let mut world = World::new(members);
    let text = input::text(32);
    bencher
        .counter(divan::counter::ItemsCount::new(members))
        .bench_local(|| {
            let emitted = world.io.to("all").emit("msg", &text);
            emitted.expect("text can be encoded");
            world.receive();
        });
}

/// Emits to a room that nobody is in while others have members: what finding a room costs.
#[divan::bench(args = [10, 1_000, 100_000])]
fn find_a_room_among(bencher: Bencher<'_, '_>, rooms: usize) {
    let world = World::new(1);
    let socket = world.socket(0);
    for i in 0..rooms {
        socket.join(format!("room-{i}"));
    }
    bencher.bench_local(|| world.io.to("nobody").emit("msg", "text"));
}

/// Selects the members of two rooms that have all of them in common, each once, but for one.
#[divan::bench(args = [1_000, 10_000])]
fn select_from_two_rooms(bencher: Bencher<'_, '_>, members: usize) {
    let world = World::new(members);
    for i in 0..members {
        world.socket(i).join("other");
    }
    let except = world.socket(0).id().to_string();
    bencher
        .counter(divan::counter::ItemsCount::new(members))
        .bench_local(|| {
            world
                .io
                .to("all")
                .to("other")
                .except(except.as_str())
                .sockets_leave("none")
        });
}

/// One socket joins a room and leaves it while the server has this many others.
#[divan::bench(args = [10, 1_000, 10_000])]
fn join_and_leave(bencher: Bencher<'_, '_>, members: usize) {
    let world = World::new(members);
    let socket = world.socket(members / 2);
    bencher.bench_local(|| {
        socket.join("room");
        socket.leave("room");
    });
}

/// One socket joins a room and leaves it, where there are this many rooms with a member each: always the
/// same room, or each in turn, so that with many rooms none of them is in the processor's caches.
#[divan::bench(args = [(10, "same"), (1_000, "same"), (100_000, "same"), (10, "turns"), (1_000, "turns"), (100_000, "turns")])]
fn join_and_leave_among(bencher: Bencher<'_, '_>, (rooms, which): (usize, &str)) {
    let world = World::new(2);
    let names: Vec<String> = (0..rooms).map(|i| format!("room-{i}")).collect();
    world.socket(0).join(&names);
    let socket = world.socket(1);
    let mut next = 0;
    bencher.bench_local(|| {
        let name = names[next].as_str();
        socket.join(name);
        socket.leave(name);
        if which == "turns" {
            // A prime, so that neighbours in memory are far apart in time.
            next = (next + 7919) % rooms;
        }
    });
}

/// Emits to a room with one member, which drops what it gets, where there are this many such rooms.
#[divan::bench(args = [10, 1_000, 100_000])]
fn emit_to_one_room_of(bencher: Bencher<'_, '_>, rooms: usize) {
    let mut world = World::new(1);
    let names: Vec<String> = (0..rooms).map(|i| format!("room-{i}")).collect();
    world.socket(0).join(&names);
    let mut next = 0;
    bencher.bench_local(|| {
        let emitted = world.io.to(names[next].as_str()).emit("msg", "text");
        emitted.expect("text can be encoded");
        world.receive();
        next = (next + 7919) % rooms;
    });
}

/// A client connects by WebSocket, joins the main namespace, and goes.
#[divan::bench(max_time = 2)]
fn connect_and_leave(bencher: Bencher<'_, '_>) {
    let world = World::new(0);
    bencher.bench_local(|| {
        world.runtime.block_on(async {
            Client::connect(&world.io).await.leave().await;
        });
        world
            .sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    });
}
