//! Engine.IO without I/O: packets, payloads, WebSocket framing, the session machine.
