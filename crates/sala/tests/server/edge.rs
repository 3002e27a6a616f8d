//! The server behind HTTP.

use sala::Server;
use sala_testkit::http;
use sala_testkit::ws::Ws;
use tokio::net::TcpListener;

use super::{Client, join, start};

#[tokio::test]
async fn it_drops_into_axum_as_a_layer() {
    let io = Server::new();
    let app = axum::Router::new()
        .route("/hello", axum::routing::get(|| async { "hello" }))
        .layer(io.layer());
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    assert_eq!(http::get(addr, "/hello").await.text(), "hello");
    assert_eq!(http::get(addr, "/nope").await.status, 404);
    let client = Client::new(addr).await;
    assert!(io.socket(&client.id.as_str().into()).is_some());
}

#[tokio::test]
async fn other_paths_are_not_found_a001_j129() {
    let (_io, addr) = start(Server::builder()).await;
    for path in ["/", "/socket.io-admin/", "/nope"] {
        assert_eq!(http::get(addr, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_path_may_be_another_c004() {
    let (_io, addr) = start(Server::builder().path("/chat")).await;
    assert_eq!(
        http::get(addr, "/socket.io/?EIO=4&transport=polling")
            .await
            .status,
        404
    );
    let mut ws = Ws::open(addr, "/chat/?EIO=4&transport=websocket").await;
    ws.expect_json("0").await;
    join(&mut ws, "40").await;
}

#[cfg(feature = "client-files")]
#[tokio::test]
async fn the_client_is_served_beside_the_engine_c047_c053_c054_c055_j127_j129() {
    let (_io, addr) = start(Server::builder().cors(Some(sala::Cors::any()))).await;
    let reply = http::get(addr, "/socket.io/socket.io.js?v=1").await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("content-type"),
        Some("application/javascript; charset=utf-8")
    );
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let etag = reply.header("etag").expect("it has one").to_owned();
    let headers = [("If-None-Match", etag.as_str())];
    let reply = http::send(addr, "GET", "/socket.io/socket.io.js", &headers, b"").await;
    assert_eq!(reply.status, 304);
    let reply = http::get(addr, "/socket.io/nope.js").await;
    assert_eq!(
        (reply.status, reply.text()),
        (400, r#"{"code":0,"message":"Transport unknown"}"#)
    );

    let (_io, addr) = start(Server::builder().serve_client(false)).await;
    assert_eq!(http::get(addr, "/socket.io/socket.io.js").await.status, 400);
}

#[tokio::test]
async fn options_reach_the_engine_c011() {
    use std::time::Duration;

    let options = Server::builder()
        .ping_interval(Duration::from_millis(1234))
        .ping_timeout(Duration::from_millis(567))
        .max_payload(89)
        .transports(&[sala::Transport::WebSocket])
        .engine(|engine| engine.max_sessions(Some(1)));
    let (_io, addr) = start(options).await;
    let mut ws = Ws::open(addr, super::WS).await;
    let open = ws.expect_json("0").await;
    assert_eq!(open["pingInterval"], 1234);
    assert_eq!(open["pingTimeout"], 567);
    assert_eq!(open["maxPayload"], 89);
    assert_eq!(
        http::get(addr, "/socket.io/?EIO=4&transport=polling")
            .await
            .status,
        400
    );
    assert!(Ws::attempt(addr, super::WS, &[]).await.is_err());
}

#[tokio::test]
async fn a_handshake_may_be_refused() {
    let options = Server::builder().allow_request(async |request| match request.header("x-key") {
        Some("secret") => Ok(()),
        _ => Err(sala::Refusal::new()),
    });
    let (_io, addr) = start(options).await;
    let reply = http::get(addr, "/socket.io/?EIO=4&transport=polling").await;
    assert_eq!(
        (reply.status, reply.text()),
        (403, r#"{"code":4,"message":"Forbidden"}"#)
    );
    let mut ws = Ws::open_with(addr, super::WS, &[("X-Key", "secret")]).await;
    ws.expect_json("0").await;
}
