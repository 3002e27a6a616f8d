//! The server's side of WebSocket (RFC 6455) with permessage-deflate (RFC 7692), without I/O.
//!
//! [`handshake`] checks the request, [`Reader`] turns received bytes into events, and the functions
//! here write frames. Text packets of a [`Frame`](crate::Frame) carry their header already; it is
//! written apart for binary attachments, control frames and compressed messages.

pub mod deflate;
mod error;
mod frame;
pub mod handshake;
mod header_value;
mod reader;

pub use error::WsError;
pub use frame::{Opcode, close_frame, header, ping, pong};
pub use reader::{Event, MAX_FRAGMENTS, Reader};
