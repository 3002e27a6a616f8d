//! The bench server.
fn main() {}
