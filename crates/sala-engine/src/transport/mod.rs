//! Transports: each moves bytes between a client and a session's task.

pub(crate) mod buffers;
pub(crate) mod io;
pub(crate) mod websocket;

pub(crate) use websocket::WebSocket;
