//! The server behind HTTP.

use std::convert::Infallible;
use std::time::Duration;

use ::http::{Method, Request, Version};
use http_body_util::{BodyExt as _, Full};
use sala::engine::{ConnectionInfo, serve_connection};
use sala::{Bytes, Server, Socket};
use sala_testkit::http;
use sala_testkit::polling::Polling;
use sala_testkit::ws::Ws;
use tokio::net::TcpListener;
use tower_service::Service as _;

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
    // C016: the tag is the version.
    let numbers = etag.trim_matches('"').split('.').map(str::parse::<u32>);
    assert_eq!(numbers.filter(Result::is_ok).count(), 3, "{etag}");
    let headers = [("If-None-Match", etag.as_str())];
    let reply = http::send(addr, "GET", "/socket.io/socket.io.js", &headers, b"").await;
    assert_eq!(reply.status, 304);
    let reply = http::get(addr, "/socket.io/nope.js").await;
    assert_eq!(
        (reply.status, reply.text()),
        (400, r#"{"code":0,"message":"Transport unknown"}"#)
    );

    // C005
    let (_io, addr) = start(Server::builder().serve_client(false)).await;
    assert_eq!(http::get(addr, "/socket.io/socket.io.js").await.status, 400);
}

#[tokio::test]
async fn options_reach_the_engine_c011() {
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

/// Whoever has a TLS stream hands it in, and says that it is one.
#[tokio::test]
async fn a_stream_that_is_handed_in_may_be_a_secure_one_a017() {
    let io = Server::new();
    io.on("secure", async |socket: Socket| {
        socket.handshake().is_secure()
    });
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let service = io.service();
    tokio::spawn(async move {
        while let Ok((stream, remote)) = listener.accept().await {
            let info = ConnectionInfo {
                remote: Some(remote),
                secure: true,
            };
            let stop = std::future::pending();
            let timeout = Duration::from_secs(30);
            tokio::spawn(serve_connection(
                stream,
                info,
                service.clone(),
                timeout,
                stop,
            ));
        }
    });
    let mut client = Client::new(addr).await;
    client.text(r#"421["secure"]"#).await;
    client.expect("431[true]").await;
    let polling = Polling::open(addr, "/socket.io/").await;
    polling.send("40").await;
    polling.poll().await;
    polling.send(r#"421["secure"]"#).await;
    assert_eq!(polling.poll().await, ["431[true]"]);
}

/// An HTTP/2 server hands in requests like these.
#[tokio::test]
async fn polling_works_whatever_the_version_of_http_a017() {
    let io = Server::new();
    let ask = async |method: Method, target: &str, body: &'static str| {
        let request = Request::builder()
            .version(Version::HTTP_2)
            .method(method)
            .uri(format!("https://localhost{target}"))
            .body(Full::new(Bytes::from_static(body.as_bytes())))
            .expect("a valid request");
        let answer: Result<_, Infallible> = io.service().call(request).await;
        let (head, body) = answer.expect("it cannot fail").into_parts();
        let body = body.collect().await.expect("it is in memory").to_bytes();
        assert_eq!(head.status, 200);
        for name in ["connection", "keep-alive", "transfer-encoding", "upgrade"] {
            assert!(!head.headers.contains_key(name), "{name} is of HTTP/1.1");
        }
        String::from_utf8(body.to_vec()).expect("it is text")
    };
    let target = "/socket.io/?EIO=4&transport=polling";
    let open = ask(Method::GET, target, "").await;
    let sid = open.split('"').nth(3).expect("the id comes first");
    let target = format!("{target}&sid={sid}");
    assert_eq!(ask(Method::POST, &target, "40").await, "ok");
    let reply = ask(Method::GET, &target, "").await;
    assert!(reply.starts_with(r#"40{"sid":""#), "{reply}");
}
