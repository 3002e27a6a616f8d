//! The page of the chat, and serving it beside the Socket.IO server.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use sala::{Drain, Server};
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

/// Serves the page and the server behind it. When `stop` resolves, clients are let go of as `drain` says.
///
/// # Errors
///
/// None at present.
pub async fn serve(
    listener: TcpListener,
    io: &Server,
    stop: impl Future<Output = ()>,
    drain: Drain,
) -> io::Result<()> {
    // While clients leave, the listener stays open: it answers newcomers that the server is closing.
    let stop = async {
        stop.await;
        io.close_gracefully(drain).await;
    };
    let header_timeout = io.engine().config().header_read_timeout();
    sala::engine::serve(listener, io.layer().layer(Page), header_timeout, stop).await
}

/// Resolves on Ctrl-C, and where there is one on SIGTERM.
pub async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    // An error means that no signal will ever come; then stopping now is better than never.
    tokio::signal::ctrl_c().await.ok();
}

/// The files of the page, built into the program.
#[derive(Clone, Copy)]
struct Page;

impl Page {
    /// Type and content of a file.
    fn file(path: &str) -> Option<(&'static str, &'static str)> {
        match path {
            "/" => Some((
                "text/html; charset=utf-8",
                include_str!("../static/index.html"),
            )),
            "/app.js" => Some((
                "text/javascript; charset=utf-8",
                include_str!("../static/app.js"),
            )),
            "/style.css" => Some((
                "text/css; charset=utf-8",
                include_str!("../static/style.css"),
            )),
            _ => None,
        }
    }
}

impl<B> Service<Request<B>> for Page {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let file = Self::file(request.uri().path());
        let (kind, content) = file.unwrap_or(("text/plain; charset=utf-8", "not found"));
        let mut response = Response::new(Full::from(content));
        if file.is_none() {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-cache"));
        ready(Ok(response))
    }
}
