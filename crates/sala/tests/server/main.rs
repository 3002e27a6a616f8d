//! The server over real connections, row by row of the compatibility list (docs/COMPAT.md).

mod acks;
mod broadcast;
mod close;
mod codecs;
mod connect;
mod disconnect;
mod dynamic;
mod edge;
mod emit;
mod events;
mod gates;
mod limits;
mod middleware;
mod polling;
mod recovery;
mod revision3;
mod rooms;
mod stress;

#[path = "../support/mod.rs"]
mod support;

use support::*;
