//! What the tests in `tests/` share: starting a server under judgement and commanding it.
//!
//! Every test runs against one of two peers, chosen by the environment variable `SALA_INTEROP_PEER`:
//! `sala` (the default) or `reference`, the official server from npm. Tests are right when they pass against the
//! reference; then they judge Sala. Where Sala differs on purpose, a test asks [`differs`].

mod peer;
mod probe;
pub mod server;
mod sio;

pub use peer::{Peer, departs, differs, fixture, fixture_of, node, peer, project_dir};
pub use probe::Probe;
pub use sio::Sio;
