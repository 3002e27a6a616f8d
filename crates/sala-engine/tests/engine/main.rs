//! The engine over real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod front;
mod hosts;
mod intake;
mod sessions;
