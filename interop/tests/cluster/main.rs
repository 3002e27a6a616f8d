//! Clusters of four servers behind one Redis: A and B are official Node.js servers, C and D are Sala, with official
//! clients on each.
//!
//! With `SALA_INTEROP_PEER=reference` all four are official: so the tests are judged before Sala is.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected is to fail"
)]

mod broker;
mod faults;
mod hostile;
mod lab;
mod modes;
mod operations;
mod recovery;
