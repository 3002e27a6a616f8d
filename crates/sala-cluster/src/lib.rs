//! Many processes behind one port.
//!
//! A [`Primary`] owns the port and starts workers; each [`Worker`] is a server of its own. What
//! makes them one server is
//! - *sticky routing*: every request of a session reaches the worker that owns it, also on a
//!   connection that a proxy uses for many sessions. The primary reads the first line of a request
//!   and passes the connection itself to the worker, so that no byte of a WebSocket goes through it;
//! - *the cluster adapter*: rooms, acknowledgements and `fetch_sockets` reach the clients of all
//!   workers, over a channel that needs no broker ([`Worker::backend`]);
//! - *rolling restarts*: a reload replaces one worker after the other, and with
//!   [recovery](Primary::recovery) no client misses a message.
//!
//! In Rust this is not about cores, since one process uses them all. It is about a worker that crashes
//! and takes only its own clients along, and about new versions that go live while clients stay.
//!
//! One program is both, as in the documentation of the reference:
//!
//! ```no_run
//! use sala_cluster::{Role, role};
//!
//! # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
//! match role().await? {
//!     Role::Primary(primary) => primary.workers(4).listen("0.0.0.0:3000").run().await?,
//!     Role::Worker(worker) => {
//!         // let io = Server::builder().adapter(worker.backend()).build();
//!         // io.serve_intake(worker.intake()).await?;
//!         # let _ = worker;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Linux only: it relies on descriptors passed over Unix sockets.

mod channel;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod node;
mod outage;
mod primary;
mod sticky;
mod worker;

pub use sala_adapter::recovery::Retention;
pub use sala_engine_proto::{InvalidNetwork, Network};

pub use node::Serialization;
pub use primary::{Bound, Entrance, Forwarding, Primary, PrimaryError, UnknownForwarding, order};
pub use sticky::{Balance, UnknownBalance};
pub use worker::{Role, Worker, WorkerBackend, role};
