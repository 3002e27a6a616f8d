//! Engine.IO on tokio and hyper: sessions, polling, WebSocket, upgrades, the HTTP edge.
//!
//! Each session is owned by one task, which reads, decodes, runs the application, writes, and
//! sleeps until its next deadline. Others hold a [`SessionHandle`], which can put a frame into the
//! session's queue. An application implements [`App`] and [`Connection`].

mod app;
mod behind;
mod config;
mod edge;
mod engine;
mod front;
mod hooks;
pub mod http;
mod registry;
mod request;
mod serve;
mod service;
mod session;
mod stats;
mod transport;

/// Decoders that the fuzz targets and nobody else should reach.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::front::{chunked, head};
}

pub use app::{App, Connection};
pub use config::EngineConfig;
pub use edge::EngineResponse;
pub use engine::{Drain, Engine};
pub use hooks::{ConnectionError, ErrorContext, Refusal};
pub use request::{ConnectionInfo, Request};
pub use sala_engine_proto::intake;
pub use sala_engine_proto::ws::deflate::Config as DeflateConfig;
pub use sala_engine_proto::{
    CloseReason, Data, Frame, InvalidNetwork, Network, PacketType, Query, Revision, Sid, Timing,
    Transport,
};
pub use serve::{serve, serve_connection};
pub use service::{EngineBody, EngineLayer, EngineService, Otherwise};
pub use session::{BoxFuture, ConnectionEvent, Scope, SendError, SessionHandle};
pub use stats::EngineStats;
