//! A Socket.IO server: what a JavaScript client of any version connects to.
//!
//! A chat, whole:
//!
//! ```no_run
//! use sala::{Attempt, DisconnectReason, Error, Refused, Server, Socket};
//! use serde_json::json;
//!
//! #[derive(serde::Deserialize)]
//! struct Hello {
//!     name: String,
//! }
//!
//! /// Nobody comes in without a name.
//! async fn check(attempt: Attempt) -> Result<(), Refused> {
//!     let hello: Hello = attempt.auth()?;
//!     Ok(attempt.data().set("name", &hello.name)?)
//! }
//!
//! async fn connect(socket: Socket) -> Result<(), Error> {
//!     socket.join("lobby");
//!     socket.to("lobby").emit("joined", &name(&socket))
//! }
//!
//! /// `socket.emit("message", "lobby", "hello")` reaches everybody else in the room.
//! async fn message(socket: Socket, (room, text): (String, String)) -> Result<(), Error> {
//!     socket.to(&room).emit("message", &(&room, name(&socket), text))
//! }
//!
//! /// What a handler returns is the acknowledgement: `await socket.emitWithAck("enter", "news")`.
//! async fn enter(socket: Socket, room: String) -> usize {
//!     socket.join(&room);
//!     socket.nsp().room_size(room)
//! }
//!
//! async fn leaving(socket: Socket, reason: DisconnectReason) -> Result<(), Error> {
//!     socket.to(socket.rooms()).emit("left", &(name(&socket), reason.as_str()))
//! }
//!
//! fn name(socket: &Socket) -> Option<String> {
//!     socket.data().get("name")
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let io = Server::new();
//!     io.admit(check)
//!         .on_connect(connect)
//!         .on("message", message)
//!         .on("enter", enter)
//!         .on("typing", async |socket: Socket, room: String| {
//!             let who = json!({ "name": name(&socket) });
//!             socket.to(room).volatile().emit("typing", &who)
//!         })
//!         .on_disconnecting(leaving);
//!     io.listen("127.0.0.1:3000").await
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
//!   socket.emitWithAck("enter", "news").then((members) => console.log(members));
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
//! | be one of several servers | [`ServerBuilder::adapter`], [`Namespace::server_side_emit`], [`Namespace::on_server_side`] |
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
mod cluster;
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
    ServerSideHandler,
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
pub use sala_adapter::cluster::{ClusterEvent, ClusterOptions, ClusterStats};
pub use sala_adapter::{Backend, BackendError, IntoRooms, Room, RoomSet, ServerId, SocketId};
pub use sala_engine as engine;
pub use sala_engine::http::{Cookie, Cors};
pub use sala_engine::{DeflateConfig, Drain, Refusal, Request, SessionHandle, Transport};
pub use sala_proto as parser;
pub use sala_proto::{Args, Codec, Limits, RawArgs, Value};
