//! A Socket.IO server: namespaces, rooms, acknowledgements, middlewares, connection state recovery.

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

pub use sala_adapter::{IntoRooms, Room, RoomSet, SocketId};
pub use sala_engine as engine;
pub use sala_engine::Drain;
pub use sala_proto::{Args, Codec, Limits, RawArgs, Value};
