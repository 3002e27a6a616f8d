//! Test support: private server processes and raw clients that send exactly the bytes a test asks for.
//!
//! Nothing here knows Sala, except [`cluster`], which knows the contract of its brokers. The clients speak HTTP/1.1
//! and WebSocket over a bare TCP connection, so that a test can also send what no real client would. Every wait has a
//! deadline ([`within`]) and fails with a sentence.

mod child;
pub mod cluster;
mod daemon;
mod deadline;
mod folder;
pub mod http;
pub mod polling;
pub mod redis;
pub mod resp;
pub mod ws;

pub use child::{Child, ChildBuilder};
pub use daemon::{Daemon, find_program};
pub use deadline::{PATIENCE, quiet_for, within, within_long};
pub use folder::Folder;
