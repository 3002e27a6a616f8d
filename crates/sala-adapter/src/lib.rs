//! The contract between a Socket.IO server and its cluster.
//!
//! - [`target`]: who receives a packet ([`Target`]), and the names used everywhere: [`Room`],
//!   [`SocketId`], [`ServerId`].
//! - [`adapter`]: what a namespace asks of the other servers ([`Adapter`]). A single server uses
//!   none: rooms are always local and live in the server itself.
//! - [`recovery`]: connection state recovery: what is kept of a lost connection, and the store
//!   that keeps it in memory.
//!
//! Nothing here opens a socket, reads a clock or spawns a task. The cluster base (messages between
//! servers, collection of their answers, heartbeats) and the traits of a broker will live here,
//! beside the [`Adapter`] that they implement.

pub mod adapter;
pub mod recovery;
pub mod target;
mod text;

pub use adapter::{Adapter, AdapterError, BoxFuture};
pub use target::{Flags, IntoRooms, Room, RoomSet, ServerId, SocketId, Target};
