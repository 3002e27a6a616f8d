//! The engine inside other people's servers.

use std::time::Duration;

use crate::common::{Seen, Server, start_in};
use axum::routing::get;
use http::StatusCode;
use sala_engine::{EngineConfig, EngineLayer, Otherwise};
use sala_testkit::polling::Polling;
use sala_testkit::ws::Ws;
use tower_layer::Layer as _;

#[tokio::test]
async fn axum_serves_the_engine_beside_its_own_routes() {
    let mut server = start_in(EngineConfig::new(), |engine, listener| async move {
        let router = axum::Router::new()
            .route("/hello", get(async || "hi"))
            .layer(EngineLayer::new(engine));
        axum::serve(listener, router).await
    })
    .await;
    echoes_on_both_transports(&mut server).await;
}

#[tokio::test]
async fn hyper_alone_serves_the_engine() {
    let mut server = start_in(EngineConfig::new(), |engine, listener| async move {
        let hello = Otherwise::new(StatusCode::OK, "hi");
        let service = EngineLayer::new(engine).layer(hello);
        let timeout = Duration::from_secs(30);
        sala_engine::serve(listener, service, timeout, std::future::pending()).await
    })
    .await;
    echoes_on_both_transports(&mut server).await;
}

async fn echoes_on_both_transports(server: &mut Server) {
    let reply = sala_testkit::http::get(server.addr, "/hello").await;
    assert_eq!((reply.status, reply.text()), (200, "hi"));

    let polling = Polling::open(server.addr, "/engine.io/").await;
    polling.send("4over axum").await;
    assert_eq!(polling.poll().await, ["4over axum"]);
    assert_eq!(server.next().await, Seen::Open);

    let mut ws = Ws::open(server.addr, "/engine.io/?EIO=4&transport=websocket").await;
    ws.expect_json("0").await;
    // Large enough to need several reads and a vectored write.
    let long = format!("4{}", "y".repeat(300_000));
    ws.text(&long).await;
    ws.expect(&long).await;
}
