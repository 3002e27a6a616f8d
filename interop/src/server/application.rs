//! The application around a probe: its pages, and layers in front of the engine.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Incoming};
use sala_engine::http::error;
use sala_engine_proto::HandshakeError;
use serde_json::{Value, json};
use tower_service::Service;

use super::channel::report;

type Future<T> = Pin<Box<dyn std::future::Future<Output = Result<T, Infallible>> + Send>>;

/// Any body.
pub type AnyBody = UnsyncBoxBody<Bytes, Error>;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The application's own pages: `{path: text}`, and 404 elsewhere.
#[derive(Debug, Clone)]
pub struct Pages {
    pages: Value,
    elsewhere: (StatusCode, &'static str),
}

impl Pages {
    /// The pages among the options of a probe.
    pub fn of(options: &Value) -> Self {
        let alone = options["engine"] == true && options["standalone"] == true;
        let elsewhere = if alone {
            (StatusCode::NOT_IMPLEMENTED, "Not Implemented")
        } else {
            (StatusCode::NOT_FOUND, "")
        };
        Self {
            pages: options["pages"].clone(),
            elsewhere,
        }
    }
}

impl Service<Request<Incoming>> for Pages {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let mut response = Response::default();
        match self.pages.get(request.uri().path()).and_then(Value::as_str) {
            Some(page) => *response.body_mut() = Full::from(page.to_owned()),
            None => {
                *response.status_mut() = self.elsewhere.0;
                *response.body_mut() = Full::from(self.elsewhere.1);
            }
        }
        std::future::ready(Ok(response))
    }
}

/// The middlewares of a probe, in front of the engine: each a small rule, see `reference/options.js`.
#[derive(Debug, Clone)]
pub struct Middlewares<S> {
    steps: Value,
    inner: S,
}

impl<S> Middlewares<S> {
    /// The middlewares among the options of a probe.
    pub fn of(options: &Value, inner: S) -> Self {
        Self {
            steps: options["use"].clone(),
            inner,
        }
    }
}

impl<S, R> Service<Request<Incoming>> for Middlewares<S>
where
    S: Service<Request<Incoming>, Response = Response<R>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Error>,
{
    type Response = Response<AnyBody>;
    type Error = Infallible;
    type Future = Future<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let (steps, mut inner) = (self.steps.clone(), self.inner.clone());
        Box::pin(async move {
            let mut headers = Vec::new();
            for step in steps.as_array().into_iter().flatten() {
                if let Some(delay) = super::options::millis(&step["delay"]) {
                    tokio::time::sleep(delay).await;
                }
                if step["report"] == true {
                    let url = request.uri().to_string();
                    report(
                        "middleware",
                        json!({"url": url, "method": request.method().as_str()}),
                    );
                }
                if let Some(answer) = answer(step, &request) {
                    return Ok(answer.map(|body| any(Full::from(body))));
                }
                headers.extend(header_of(step));
            }
            let mut response = inner.call(request).await?.map(any);
            response.headers_mut().extend(headers);
            Ok(response)
        })
    }
}

fn any<R>(body: R) -> AnyBody
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Error>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// What a step answers by itself.
fn answer(step: &Value, request: &Request<Incoming>) -> Option<Response<Bytes>> {
    if step["fail"].is_string() {
        let upgrade = request.headers().contains_key(header::UPGRADE);
        let refuse = if upgrade {
            error::refuse_upgrade
        } else {
            error::refuse
        };
        return Some(refuse(HandshakeError::BadRequest, None));
    }
    let status = u16::try_from(step["end"].as_u64()?).ok()?;
    let mut response = Response::new(Bytes::from_static(b"ended"));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    Some(response)
}

fn header_of(step: &Value) -> Option<(HeaderName, HeaderValue)> {
    let name = step["set"][0].as_str()?.parse().expect("a header name");
    Some((
        name,
        step["set"][1].as_str()?.parse().expect("a header value"),
    ))
}

/// How long a probe waits for the head of a request.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
