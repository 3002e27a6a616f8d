//! The page of the chat, and serving it beside the Socket.IO server.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use sala::engine::intake::Intake;
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
    let page = io.layer().layer(Page::new(io));
    io.engine().serve(listener, page, stop).await
}

/// As [`serve`], for one of several processes behind one port.
///
/// # Errors
///
/// If the broker of the cluster refuses this server.
pub async fn serve_intake(intake: Arc<dyn Intake>, io: &Server) -> io::Result<()> {
    let page = io.layer().layer(Page::new(io));
    io.serve_intake_beside(intake, page).await
}

/// Resolves on Ctrl-C, and where there is one on SIGTERM. Listens from the call on, not from the first poll.
///
/// # Errors
///
/// If the signals cannot be listened to.
#[cfg(unix)]
pub fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves on Ctrl-C. Listens from the call on, not from the first poll.
///
/// # Errors
///
/// If Ctrl-C cannot be listened to.
#[cfg(windows)]
pub fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    let mut ctrl_c = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        ctrl_c.recv().await;
    })
}

/// The files of the page, built into the program.
#[derive(Clone)]
struct Page {
    index: Bytes,
}

impl Page {
    /// The page for this server: it loads the client from under the server's path.
    fn new(io: &Server) -> Self {
        let index = include_str!("../static/index.html");
        let path = io.engine().config().path_prefix().as_str();
        Self {
            index: index.replace("/socket.io/", path).into(),
        }
    }

    /// Type and content of a file.
    fn file(&self, path: &str) -> Option<(&'static str, Bytes)> {
        const APP: &str = include_str!("../static/app.js");
        const STYLE: &str = include_str!("../static/style.css");
        match path {
            "/" => Some(("text/html; charset=utf-8", self.index.clone())),
            "/app.js" => Some(("text/javascript; charset=utf-8", APP.into())),
            "/style.css" => Some(("text/css; charset=utf-8", STYLE.into())),
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
        let (status, kind, content) = match self.file(request.uri().path()) {
            Some((kind, content)) => (StatusCode::OK, kind, content),
            None => (
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                "not found".into(),
            ),
        };
        let mut response = Response::new(Full::new(content));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        ready(Ok(response))
    }
}
