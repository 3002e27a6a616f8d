//! What is measured: one catalogue of operations for three kinds of measurement.
//!
//! | question | how |
//! |---|---|
//! | how long does it take? | `cargo bench -p sala-benches` |
//! | how many instructions? | `tests/instructions.rs`, which compares with `baseline.json` |
//! | how many allocations? | `tests/allocations.rs`, which holds the table |
//!
//! The operations are deterministic: no clock, no thread, no randomness.

pub mod input;
pub mod operations;

pub use operations::{Operation, find, operations};
