//! The Redis backends of Sala's cluster, byte-compatible with Socket.IO's adapters for Node.js.

mod connect;
mod error;
mod named;
mod place;
#[cfg(feature = "streams")]
mod streams;

pub use self::named::Redis;
#[cfg(feature = "streams")]
pub use self::streams::{Streams, StreamsInlet, StreamsOutlet};
