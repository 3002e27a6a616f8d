//! The rows of the reference, one module per group. Row ids such as A042 are explained in `docs/COMPAT.md`.

mod support;

mod engine_requests;
mod headers;
mod heartbeat;
mod jsonp;
mod lifecycle;
mod polling;
mod revision3;
mod upgrade;
mod websocket;
