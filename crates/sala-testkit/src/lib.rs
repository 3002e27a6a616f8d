//! Test support: raw HTTP and WebSocket clients, private servers, the reference under test.
