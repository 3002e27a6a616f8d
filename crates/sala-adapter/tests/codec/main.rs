//! The messages of a cluster as bytes: against what the official packages wrote, and against what
//! nobody should write.

#![allow(clippy::unwrap_used)] // in a test a panic is the failure

mod hostile;
mod msgpack;
mod random;
mod samples;
#[path = "../../../sala-proto/tests/suite/values.rs"]
mod values;
mod vectors;
mod view;
