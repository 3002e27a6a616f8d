//! The contract between a Socket.IO server, its cluster, and the brokers that carry it.
//!
//! - [`target`]: who receives a packet ([`Target`]), and the names used everywhere: [`Room`],
//!   [`SocketId`], [`ServerId`].
//! - [`adapter`]: what a namespace asks of the other servers ([`Adapter`]), and what they ask of it
//!   ([`Local`]). A single server uses neither: rooms are always local and live in the server itself.
//! - [`message`]: what servers say to each other.
//! - [`cluster`]: the cluster itself, for every broker the same.
//! - [`codec`]: the formats that brokers share.
//! - [`backend`]: what a broker crate implements: two small halves, one that sends and one that
//!   receives.
//! - [`codec`]: the format that most brokers carry, and its parts.
//! - [`recovery`]: connection state recovery: what is kept of a lost connection, the store that keeps
//!   it in memory, and the contract of one that keeps it elsewhere.

pub mod adapter;
pub mod backend;
pub mod cluster;
pub mod codec;
pub mod message;
pub mod recovery;
pub mod target;
mod text;

pub use adapter::{Adapter, AdapterError, BoxFuture, Local};
pub use backend::{Backend, BackendError, BackendErrorKind};
pub use message::{Envelope, Message};
pub use target::{Flags, IntoRooms, Room, RoomSet, ServerId, SocketId, Target};
