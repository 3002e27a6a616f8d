//! Engine.IO without I/O: packets, payloads, WebSocket framing, the session machine.
//!
//! Nothing in this crate opens a socket, reads a clock or spawns a task. Bytes and the current
//! time go in, packets and actions come out, so that every rule of the protocol can be tested
//! under a fake clock, fuzzed, and compiled for hosts without a runtime.

mod close;
mod frame;
mod handshake;
pub mod intake;
mod json;
mod network;
mod packet;
pub mod payload;
mod revision;
mod session;
mod sid;
pub mod ws;

pub use close::CloseReason;
pub use frame::{Frame, Wire};
pub use handshake::{HandshakeError, Query, open_packet};
pub use network::{InvalidNetwork, Network};
pub use packet::{Data, Packet, PacketType, ParseError};
pub use revision::{Revision, Transport};
pub use session::{Action, Session, Timing};
pub use sid::Sid;
