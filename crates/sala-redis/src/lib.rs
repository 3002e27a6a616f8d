//! The Redis backends of Sala's cluster, byte-compatible with Socket.IO's adapters for Node.js.

mod connect;
mod error;
mod named;
mod place;

pub use self::named::Redis;
