//! The rows of the reference, one module per group. Row ids such as A042 are explained in `docs/COMPAT.md`.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected is to fail"
)]

mod support;

mod attachments;
mod broadcast;
mod client_files;
mod connecting;
mod contracts;
mod engine_requests;
mod handshake;
mod headers;
mod heartbeat;
mod jsonp;
mod leaving;
mod lifecycle;
mod namespaces;
mod parsers;
mod pitfalls;
mod polling;
mod protocol;
mod recovery;
mod revision3;
mod security;
mod server;
mod socket;
mod upgrade;
mod websocket;
mod websocket_handshake;
