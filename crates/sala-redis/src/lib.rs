//! Redis for Sala's cluster: three ways to meet, each byte for byte that of an official adapter for Node.js, so that
//! both kinds of servers, and the emitters of every language, share one cluster.
//!
//! | backend | on Node.js | for whom |
//! |---|---|---|
//! | [`Classic`] | `createAdapter` of `@socket.io/redis-adapter` | existing clusters and emitters; any Redis from 6.0 on |
//! | [`Sharded`] | `createShardedAdapter` of the same package | many servers, Redis Cluster; 7.0 or newer |
//! | [`Streams`] | `@socket.io/redis-streams-adapter` | nothing is lost while Redis or a server is away; connection state recovery on any server |
//!
//! All servers of a cluster use the same. Each is given to a server as its adapter; [`Redis`] names the Redis:
//!
//! ```no_run
//! # async fn run() -> Result<(), sala_adapter::BackendError> {
//! use sala_redis::Sharded;
//!
//! // `Server::builder().adapter(backend)` of the crate `sala` takes it from here.
//! let backend = Sharded::connect("redis://127.0.0.1:6379").await?;
//! # let _ = backend;
//! # Ok(())
//! # }
//! ```
//!
//! `connect` fails at once and says what to do if the configuration cannot work. Later the cluster connects again by itself, as
//! often as it takes; what could not be delivered meanwhile is counted and reported.
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `classic`, `sharded`, `streams` | yes | the backends |
//! | `cluster` | yes | Redis Cluster, and Redis behind Sentinel |
//! | `tls` | no | `rediss://` |

#![cfg_attr(
    not(all(
        feature = "classic",
        feature = "sharded",
        feature = "streams",
        feature = "cluster"
    )),
    allow(
        dead_code,
        unused_imports,
        reason = "each backend uses some of what they share"
    )
)]

#[cfg(feature = "classic")]
pub mod classic;
mod connect;
mod error;
mod named;
mod numsub;
mod peers;
mod place;
#[cfg(feature = "sharded")]
mod sharded;
#[cfg(feature = "streams")]
pub mod streams;
#[cfg(test)]
mod vectors;

#[cfg(feature = "classic")]
pub use self::classic::{Classic, ClassicInlet, ClassicOptions, ClassicOutlet, Parser};
pub use self::named::Redis;
#[cfg(feature = "sharded")]
pub use self::sharded::{Sharded, ShardedInlet, ShardedOptions, ShardedOutlet, SubscriptionMode};
#[cfg(feature = "streams")]
pub use self::streams::{Streams, StreamsInlet, StreamsOptions, StreamsOutlet};
