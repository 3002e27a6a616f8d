//! The rows of the reference, one module per group. Row ids such as A042 are explained in `docs/COMPAT.md`.

mod support;

mod broadcast;
mod client_files;
mod contracts;
mod engine_requests;
mod headers;
mod heartbeat;
mod jsonp;
mod lifecycle;
mod namespaces;
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
