//! A Socket.IO server: namespaces, rooms, acknowledgements, middlewares, connection state recovery.

mod builder;
mod client;
#[cfg(feature = "client-files")]
mod client_files;
mod codec;
mod emit;
mod error;
mod event;
mod handler;
mod namespace;
mod reason;
mod recovery;
mod rooms;
mod server;
mod socket;
mod stats;
mod versioned;
