//! Engine.IO alone, revisions 4 and 3: every message is sent back unchanged.

use std::time::Duration;

use http::StatusCode;
use sala_engine::http::Cors;
use sala_engine::{
    App, CloseReason, Connection, Data, Engine, EngineConfig, EngineLayer, Otherwise, Scope,
    SessionHandle,
};
use sala_interop::server::{echo_frame, listen, terminated};
use tower_layer::Layer;

struct Echo;

struct EchoConnection(SessionHandle);

impl App for Echo {
    type Connection = EchoConnection;

    fn connect(&self, session: &SessionHandle, _: &mut Scope<'_, '_>) -> EchoConnection {
        EchoConnection(session.clone())
    }
}

impl Connection for EchoConnection {
    fn message(&mut self, data: Data<'_>, _: &mut Scope<'_, '_>) {
        // A client that has gone needs no echo.
        let _ = self.0.send(echo_frame(&data));
    }

    fn close(&mut self, _: CloseReason, _: Option<&str>, _: &mut Scope<'_, '_>) {}
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let config = EngineConfig::new()
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(200))
        .max_payload(1_000_000)
        .allow_revision_3(true)
        .cors(Some(Cors::any()));
    let engine = Engine::new(config, Echo);
    let service = EngineLayer::new(engine.clone()).layer(Otherwise::new(StatusCode::NOT_FOUND, ""));
    let terminated = terminated();
    let stop = async {
        terminated.await;
        engine.close();
    };
    engine
        .serve(listen("PORT", 3000).await, service, stop)
        .await
}
