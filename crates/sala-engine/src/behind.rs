//! The service behind the engine, served by hyper.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::front::head::has_close;
use crate::front::{OneRequest, Reply, Rewind};
use crate::http::TrustedProxies;
use crate::request::ConnectionInfo;
use crate::serve::Life;

/// Serves requests that are not the engine's.
pub(crate) trait Behind: Send + Sync {
    /// All requests from now on.
    fn take(&self, connection: Rewind, info: ConnectionInfo, life: Life);

    /// One request. If the connection can carry more, it comes back, with what was read behind it.
    fn take_one(&self, request: OneRequest, info: ConnectionInfo, life: Life, back: Back);
}

/// Takes a connection back.
pub(crate) type Back = Box<dyn FnOnce(TcpStream, Vec<u8>) + Send>;

/// What is asked of a connection that hyper serves.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) header_timeout: Duration,
    /// Whether there may be more than one request.
    pub(crate) keep_alive: bool,
    pub(crate) proxies: TrustedProxies,
}

/// A service and how it is served.
pub(crate) struct Served<S> {
    /// Locked only because a service need not be `Sync`.
    service: Mutex<S>,
    rules: Rules,
}

impl<S: Clone> Served<S> {
    pub(crate) fn new(service: S, rules: Rules) -> Self {
        Self {
            service: Mutex::new(service),
            rules,
        }
    }

    fn service(&self) -> S {
        let service = self.service.lock();
        service.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S, R> Behind for Served<S>
where
    S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn take(&self, connection: Rewind, info: ConnectionInfo, life: Life) {
        let (service, rules) = (self.service(), self.rules.clone());
        tokio::spawn(async move {
            serve_by(connection, info, service, rules, life.stopping()).await;
            drop(life);
        });
    }

    fn take_one(&self, request: OneRequest, info: ConnectionInfo, life: Life, back: Back) {
        let (service, rules) = (self.service(), self.rules.clone());
        tokio::spawn(async move {
            if let Some((io, read)) = serve_one(request, info, service, rules, &life).await {
                back(io, read);
            }
            drop(life);
        });
    }
}

/// Serves a connection until it ends, becomes something else, or `stop` resolves and the request in
/// progress has been answered.
pub(crate) async fn serve_by<I, S, R>(
    io: I,
    info: ConnectionInfo,
    service: S,
    rules: Rules,
    stop: impl Future<Output = ()>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (builder, keep_alive) = (builder(&rules), rules.keep_alive);
    let service = service_fn(move |request| call(service.clone(), request, info, &rules.proxies));
    let connection = builder
        .clone()
        .keep_alive(keep_alive)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection.with_upgrades());
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "HTTP connection ended with an error");
    }
}

/// Serves one request, also while the server ends. Gives the connection back if it can carry another.
async fn serve_one<S, R>(
    request: OneRequest,
    info: ConnectionInfo,
    service: S,
    rules: Rules,
    life: &Life,
) -> Option<(TcpStream, Vec<u8>)>
where
    S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let reply = Arc::clone(request.reply());
    let builder = builder(&rules);
    let service = Box::new(service); // hyper gives the connection back only if this is `Unpin`
    let service = service_fn(move |request| {
        let response = call((*service).clone(), request, info, &rules.proxies);
        let reply = Arc::clone(&reply);
        Box::pin(async move {
            let response = response.await?;
            if has_close(response.headers()) {
                reply.closes();
            }
            Ok::<_, S::Error>(response.map(|body| Watched {
                body,
                end: ReplyEnd(reply),
            }))
        })
    });
    let mut connection = builder.serve_connection(TokioIo::new(request), service);
    let served = std::future::poll_fn(|cx| connection.poll_without_shutdown(cx));
    if let Err(error) = served.await {
        tracing::debug!(%error, "HTTP request ended with an error");
        return None;
    }
    let parts = connection.into_parts();
    let mut request = parts.io.into_inner();
    if life.is_stopping() || !parts.read_buf.is_empty() || !request.is_over() {
        // The client may have gone already.
        request.shutdown().await.ok();
        return None;
    }
    Some(request.into_next())
}

fn builder(rules: &Rules) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(rules.header_timeout);
    builder
}

/// Has the service answer a request, whose connection it is told of.
fn call<S, R>(
    mut service: S,
    mut request: Request<Incoming>,
    info: ConnectionInfo,
    proxies: &TrustedProxies,
) -> impl Future<Output = Result<Response<R>, S::Error>> + use<S, R>
where
    S: Service<Request<Incoming>, Response = Response<R>>,
{
    let info = info.behind(proxies, request.headers_mut());
    request.extensions_mut().insert(info);
    async move {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request).await
    }
}

pin_project! {
    /// A body whose end is noted.
    struct Watched<R> {
        #[pin]
        body: R,
        end: ReplyEnd,
    }
}

/// hyper drops a body when it needs no more of it.
struct ReplyEnd(Arc<Reply>);

impl Drop for ReplyEnd {
    fn drop(&mut self) {
        self.0.complete();
    }
}

impl<R: Body> Body for Watched<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
