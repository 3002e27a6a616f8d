//! Several processes behind one port: `servers/cluster-fixture.rs`, judged from outside.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clients;
mod life;
mod mishaps;
mod routing;
mod support;
