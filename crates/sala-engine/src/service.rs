//! The engine as a tower service and layer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{Either, Full};
use tower_layer::Layer;
use tower_service::Service;

use crate::app::App;
use crate::engine::Engine;

/// Puts an engine in front of another service: the engine answers the requests under its path, the
/// other service all the rest.
///
/// # Example
///
/// ```
/// # use sala_engine::{App, Engine, EngineConfig, EngineLayer};
/// # fn mount<A: App>(app: A, router: axum::Router) -> axum::Router {
/// let engine = Engine::new(EngineConfig::new(), app);
/// router.layer(EngineLayer::new(engine))
/// # }
/// ```
pub struct EngineLayer<A: App>(Engine<A>);

impl<A: App> EngineLayer<A> {
    /// A layer for this engine.
    #[must_use]
    pub fn new(engine: Engine<A>) -> Self {
        Self(engine)
    }
}

impl<A: App> Clone for EngineLayer<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: App, S> Layer<S> for EngineLayer<A> {
    type Service = EngineService<A, S>;

    fn layer(&self, inner: S) -> Self::Service {
        EngineService {
            engine: self.0.clone(),
            inner,
        }
    }
}

/// What [`EngineLayer`] makes.
pub struct EngineService<A: App, S> {
    engine: Engine<A>,
    inner: S,
}

impl<A: App, S: Clone> Clone for EngineService<A, S> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine.clone(),
            inner: self.inner.clone(),
        }
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<A, S, B, R> Service<Request<B>> for EngineService<A, S>
where
    A: App,
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    B: Body<Data: Buf + Send> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<EngineBody<R>>;
    type Error = S::Error;
    type Future = BoxFuture<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.engine.owns(&request) {
            let engine = self.engine.clone();
            Box::pin(async move {
                let response = engine.handle(request).await;
                Ok(response.map(|bytes| Either::Left(Full::new(bytes))))
            })
        } else {
            let response = self.inner.call(request);
            Box::pin(async move { Ok(response.await?.map(Either::Right)) })
        }
    }
}

/// The body of a reply: the engine's own, or that of the service behind it.
pub type EngineBody<R> = Either<Full<Bytes>, R>;

/// Answers every request that is not the engine's with one status and a short text.
///
/// The reference's stand-alone servers do the same: 404 without a text for Socket.IO, 501 `Not
/// Implemented` for Engine.IO.
#[derive(Clone, Copy, Debug)]
pub struct Otherwise(http::StatusCode, &'static str);

impl Otherwise {
    /// Answers with this status and text.
    #[must_use]
    pub const fn new(status: http::StatusCode, text: &'static str) -> Self {
        Self(status, text)
    }
}

impl<B> Service<Request<B>> for Otherwise {
    type Response = Response<Full<Bytes>>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let mut response = Response::new(Full::new(Bytes::from_static(self.1.as_bytes())));
        *response.status_mut() = self.0;
        std::future::ready(Ok(response))
    }
}
