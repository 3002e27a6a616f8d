//! Tests of the packet codec through its public API.

#![allow(clippy::unwrap_used)] // in a test a panic is the failure

mod arguments;
mod encoding;
mod hostile;
mod msgpack;
mod packets;
mod plugged;
mod random;
mod support;
mod values;
mod vectors;
mod wire;
