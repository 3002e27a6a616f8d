//! The server behind HTTP: as a tower service, as a layer, or on a port of its own.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use sala_engine::intake::{Intake, Leave};
use sala_engine::{Drain, EngineBody, Otherwise};
use tokio::net::{TcpListener, ToSocketAddrs};
use tower_layer::Layer;
use tower_service::Service;

use crate::cluster::READY_TIMEOUT;
use crate::server::Server;

/// Puts a server in front of another service: it answers the requests under its path, the other
/// service all the rest. Made by [`Server::layer`].
#[derive(Clone, Debug)]
pub struct ServerLayer(Server);

/// A server as a tower service. Made by [`Server::service`], or by a [`ServerLayer`] in front of
/// another service.
#[derive(Clone)]
pub struct ServerService<S = Otherwise> {
    server: Server,
    inner: S,
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> ServerService<S> {
        ServerService {
            server: self.0.clone(),
            inner,
        }
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<S, B, R> Service<Request<B>> for ServerService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    B: Body<Data: Buf + Send, Error: Send> + Send + 'static,
{
    type Response = Response<EngineBody<R>>;
    type Error = S::Error;
    type Future = BoxFuture<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !self.server.engine().owns(&request) {
            let response = self.inner.call(request);
            return Box::pin(async move { Ok(response.await?.map(Either::Right)) });
        }
        let server = self.server.clone();
        Box::pin(async move {
            let response = server.handle(request).await;
            Ok(response.map(|body| Either::Left(Full::new(body))))
        })
    }
}

impl<S> fmt::Debug for ServerService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerService")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// # Serving requests
impl Server {
    /// Listens on an address, such as `"127.0.0.1:3000"`, and serves until the server is
    /// [closed](Self::close). In a cluster it first waits, up to ten seconds, until the other servers
    /// reach this one. Requests that are not under the server's path are answered with 404.
    ///
    /// To learn the port that `"127.0.0.1:0"` gave, bind a listener and call
    /// [`serve`](Self::serve).
    ///
    /// ```no_run
    /// # async fn main_() -> std::io::Result<()> {
    /// let io = sala::Server::new();
    /// io.listen("127.0.0.1:3000").await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on, or the broker refuses this server for a reason that only a change
    /// of its configuration can mend.
    ///
    /// *Cancel safety:* dropping the future closes the listener; connections go on.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        self.serve(TcpListener::bind(address).await?).await
    }

    /// Whoever is connected to this server must hear what the others send: so they come first. But clients
    /// are not kept waiting for a broker that is away.
    async fn await_cluster(&self) -> io::Result<()> {
        match tokio::time::timeout(READY_TIMEOUT, self.inner().cluster_ready()).await {
            Ok(ready) => ready.map_err(io::Error::other),
            Err(_) => {
                tracing::warn!("serving without the other servers: the broker is not reached yet");
                Ok(())
            }
        }
    }

    /// Serves the connections of a listener until the server is [closed](Self::close).
    ///
    /// # Errors
    ///
    /// If the broker refuses this server for a reason that only a change of its configuration can mend.
    /// Errors of single connections are logged.
    ///
    /// *Cancel safety:* as [`listen`](Self::listen).
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        tokio::select! {
            ready = self.await_cluster() => ready?,
            () = self.closed() => return Ok(()),
        }
        let stop = self.closed();
        self.engine().serve(listener, self.service(), stop).await
    }

    /// Serves as one of several processes behind one port, until the process that accepts the
    /// connections asks this one to leave: then clients are let go of within the time that it says.
    /// Requests that are not under the server's path are answered with 404; see
    /// [`serve_intake_beside`](Self::serve_intake_beside) for others.
    ///
    /// The intake is that of a worker of `sala-cluster`. Give the server the worker's backend too,
    /// so that rooms reach the clients of the other workers.
    ///
    /// # Errors
    ///
    /// As [`Engine::serve_intake`](sala_engine::Engine::serve_intake).
    ///
    /// *Cancel safety:* as [`listen`](Self::listen).
    pub async fn serve_intake(&self, intake: Arc<dyn Intake>) -> io::Result<()> {
        self.serve_intake_beside(intake, self.service()).await
    }

    /// As [`serve_intake`](Self::serve_intake), with a service that has this server in it, such as
    /// [`layer`](Self::layer) makes of a router.
    ///
    /// # Errors
    ///
    /// As [`serve_intake`](Self::serve_intake).
    ///
    /// *Cancel safety:* as [`listen`](Self::listen).
    pub async fn serve_intake_beside<S, R>(
        &self,
        intake: Arc<dyn Intake>,
        service: S,
    ) -> io::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.await_cluster().await?;
        let leave = intake.leave();
        let stop = async {
            let drain = drain(leave.await, self.engine().clients_count());
            self.close_gracefully(drain).await;
        };
        self.engine().serve_intake(intake, service, stop).await
    }

    /// The server as a tower service, which answers requests that are not under its path with 404.
    #[must_use]
    pub fn service(&self) -> ServerService {
        self.layer()
            .layer(Otherwise::new(StatusCode::NOT_FOUND, ""))
    }

    /// A tower layer that puts the server in front of another service, such as an axum router.
    ///
    /// ```
    /// # fn mount(io: sala::Server) -> axum::Router {
    /// axum::Router::new()
    ///     .route("/", axum::routing::get(|| async { "hello" }))
    ///     .layer(io.layer())
    /// # }
    /// ```
    #[must_use]
    pub fn layer(&self) -> ServerLayer {
        ServerLayer(self.clone())
    }

    /// Answers one request, whatever its path: for frameworks that know no tower.
    ///
    /// *Cancel safety:* as [`Engine::handle`](sala_engine::Engine::handle).
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Bytes>
    where
        B: Body<Data: Buf>,
    {
        #[cfg(feature = "client-files")]
        if let Some(response) = self.client_file(&request) {
            return response;
        }
        self.engine().handle(request).await
    }

    /// The reply to a request for one of the client's files.
    #[cfg(feature = "client-files")]
    fn client_file<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        use crate::client_files;
        use sala_engine::http::Applied;

        if !self.inner().options.serve_client {
            return None;
        }
        let config = self.engine().config();
        let target = request.uri().path_and_query()?.as_str();
        let file = client_files::find(config.path_prefix().file_name(target)?)?;
        let mut cors = http::HeaderMap::new();
        if let Some(rules) = config.cors_rules()
            && let Applied::Preflight(status) =
                rules.apply(request.method(), request.headers(), &mut cors)
        {
            return Some(reply(status, cors, Bytes::new()));
        }
        let (status, mut headers, body) =
            client_files::respond(file, request.method(), request.headers());
        headers.extend(cors);
        Some(reply(status, headers, body))
    }
}

/// Lets go of this many clients evenly over the time that is given.
fn drain(leave: Leave, clients: usize) -> Drain {
    const PAUSE: Duration = Duration::from_millis(20);
    let steps = leave.spread.as_millis() / PAUSE.as_millis() + 1;
    Drain {
        grace: leave.grace,
        batch: clients.div_ceil(steps as usize).max(1),
        pause: PAUSE,
        ..Drain::default()
    }
}

#[cfg(feature = "client-files")]
fn reply(status: StatusCode, headers: http::HeaderMap, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
