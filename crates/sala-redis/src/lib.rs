//! The Redis backends of Sala's cluster, byte-compatible with Socket.IO's adapters for Node.js.

mod connect;
mod error;
mod named;
mod numsub;
mod place;
#[cfg(feature = "sharded")]
mod sharded;
#[cfg(feature = "streams")]
mod streams;

pub use self::named::Redis;
#[cfg(feature = "sharded")]
pub use self::sharded::{Sharded, ShardedInlet, ShardedOptions, ShardedOutlet, SubscriptionMode};
#[cfg(feature = "streams")]
pub use self::streams::{Streams, StreamsInlet, StreamsOptions, StreamsOutlet};
