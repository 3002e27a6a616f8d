//! The Redis backends of Sala's cluster, byte-compatible with Socket.IO's adapters for Node.js.

#[cfg(feature = "classic")]
pub mod classic;
mod connect;
mod error;
mod named;
mod numsub;
mod place;
#[cfg(feature = "sharded")]
mod sharded;
#[cfg(feature = "streams")]
pub mod streams;
#[cfg(all(test, any(feature = "classic", feature = "sharded")))]
mod vectors;

#[cfg(feature = "classic")]
pub use self::classic::{Classic, ClassicInlet, ClassicOptions, ClassicOutlet, Parser};
pub use self::named::Redis;
#[cfg(feature = "sharded")]
pub use self::sharded::{Sharded, ShardedInlet, ShardedOptions, ShardedOutlet, SubscriptionMode};
#[cfg(feature = "streams")]
pub use self::streams::{Streams, StreamsInlet, StreamsOptions, StreamsOutlet};
