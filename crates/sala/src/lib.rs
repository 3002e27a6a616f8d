//! A Socket.IO server: what a JavaScript client of any version connects to.
//!
//! ```no_run
//! use sala::{DisconnectReason, Server, Socket};
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let io = Server::new();
//!
//!     io.on_connect(async |socket: Socket, hello: Hello| {
//!         socket.data().set("name", &hello.name)?;
//!         socket.join("lobby");
//!         socket.to("lobby").emit("joined", &hello.name)
//!     })
//!     .on("message", async |socket: Socket, (room, text): (String, String)| {
//!         let name: Option<String> = socket.data().get("name");
//!         socket.to(&room).emit("message", &(&room, name, text))
//!     })
//!     .on("rooms", async |socket: Socket| socket.rooms().iter().map(ToString::to_string).collect::<Vec<_>>())
//!     .on("enter", async |socket: Socket, room: String| socket.join(room))
//!     .on("typing", async |socket: Socket, room: String| socket.to(room).volatile().emit("typing", socket.id()))
//!     .on_disconnecting(async |socket: Socket, reason: DisconnectReason| {
//!         socket.to(socket.rooms()).emit("left", &(socket.id(), reason.as_str()))
//!     });
//!
//!     println!("listening on http://127.0.0.1:3000");
//!     io.listen("127.0.0.1:3000").await
//! }
//!
//! #[derive(serde::Deserialize)]
//! struct Hello {
//!     name: String,
//! }
//! ```
//!
//! The client, in a web page (the server serves the client's own files too):
//!
//! ```html
//! <script src="/socket.io/socket.io.js"></script>
//! <script>
//!   const socket = io({ auth: { name: "Ada" } });
//!   socket.on("message", (room, name, text) => console.log(room, name, text));
//!   socket.emit("message", "lobby", "hello");
//!   const rooms = await socket.emitWithAck("rooms");
//! </script>
//! ```
//!
//! # Where things are
//!
//! | to | see |
//! |---|---|
//! | make, configure, serve and close a server | [`Server`], [`ServerBuilder`] |
//! | handle events; what a handler may take and return | [`handler`], [`Handler`] |
//! | send events to one client, to rooms, to all; wait for answers | [`Socket`], [`Emit`], [`Broadcast`] |
//! | know who a client is, keep data with it | [`Handshake`], [`SocketData`], [`Extensions`] |
//! | let clients in or not, look at packets | [`Namespace::admit`], [`Namespace::gate`] |
//! | have several channels over one connection | [`Server::of`], [`Namespace`] |
//! | have namespaces that clients name | [`Server::of_matching`], [`ParentNamespace`] |
//! | give events a type | [`Event`] |
//! | have short interruptions healed | [`Recovery`] |
//! | hear of what goes wrong | [`ServerBuilder::on_error`], [`ErrorContext`] |
//! | count things | [`Server::stats`] |
//!
//! # In one paragraph
//!
//! Each connection is owned by one task. It runs the handlers of its client: they start in the order
//! in which the events arrived, and overlap only where they wait. Sending never waits: it puts a
//! packet, encoded once for all its receivers, into their queues, which are bounded in bytes; a
//! client that does not read is cut off and reported. Arguments stay bytes until a handler says what
//! type it wants. Whatever goes wrong on behalf of a client, be it wrong arguments, an error or a
//! panic of a handler, reaches [`on_error`](ServerBuilder::on_error).
//!
//! # Features
//!
//! - `client-files` (default): serves the official client under the path of the server.

mod builder;
mod client;
#[cfg(feature = "client-files")]
mod client_files;
mod codec;
mod emit;
mod error;
mod event;
mod gate;
#[cfg(doctest)]
mod guide;
pub mod handler;
mod namespace;
mod reason;
mod recovery;
mod rooms;
mod server;
mod service;
mod socket;
mod stats;
mod versioned;

pub use builder::{Recovery, ServerBuilder};
pub use client::App;
pub use emit::{AckFuture, Broadcast, BroadcastAck, DEFAULT_BROADCAST_TIMEOUT, Emit};
pub use error::{AckError, Error, ErrorContext, ErrorKind, HandlerError, HandlerResult, Refused};
pub use event::{Event, EventHandler};
pub use gate::{GateHandler, GatedEvent};
pub use handler::{
    Ack, AdmitHandler, ConnectHandler, DisconnectHandler, Handler, IntoReply, Reply,
};
pub use namespace::table::ListenerId;
pub use namespace::{Attempt, Namespace, ParentNamespace, RoomEvent};
pub use reason::DisconnectReason;
pub use server::Server;
pub use service::{ServerLayer, ServerService};
pub use socket::{
    Data, Extensions, Handshake, Incoming, Outgoing, RemoteSocket, Socket, SocketData,
};
pub use stats::Stats;

pub use bytes::Bytes;
pub use sala_adapter::{IntoRooms, Room, RoomSet, SocketId};
pub use sala_engine as engine;
pub use sala_engine::http::{Cookie, Cors};
pub use sala_engine::{DeflateConfig, Drain, Refusal, Request, SessionHandle, Transport};
pub use sala_proto as parser;
pub use sala_proto::{Args, Codec, Limits, RawArgs, Value};
