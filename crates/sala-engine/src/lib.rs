//! Engine.IO on tokio and hyper: sessions, polling, WebSocket, upgrades, the HTTP edge.

pub mod http;
