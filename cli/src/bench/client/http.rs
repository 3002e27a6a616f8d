//! HTTP requests over one kept connection.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;

use super::{Error, Target};

/// The largest answer that is read.
const MAX_ANSWER: usize = 64 << 20;

/// A client of the server's HTTP side. Connects when it must, again if the server has closed meanwhile.
#[derive(Debug)]
pub(super) struct Http {
    target: Arc<Target>,
    index: usize,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Http {
    pub(super) fn new(target: Arc<Target>, index: usize) -> Self {
        Self {
            target,
            index,
            connection: None,
        }
    }

    pub(super) async fn get(&mut self, sid: Option<&str>) -> Result<Bytes, Error> {
        self.request(&Method::GET, sid, Bytes::new()).await
    }

    pub(super) async fn post(&mut self, sid: &str, payload: String) -> Result<(), Error> {
        self.request(&Method::POST, Some(sid), payload.into())
            .await
            .map(drop)
    }

    async fn request(
        &mut self,
        method: &Method,
        sid: Option<&str>,
        body: Bytes,
    ) -> Result<Bytes, Error> {
        let kept = self.connection.is_some();
        let answer = self.once(method, sid, body.clone()).await;
        // Servers close connections that were idle for a while. The request may have crossed with that.
        let answer = if kept && matches!(answer, Err(Error::Closed)) {
            self.connection = None;
            self.once(method, sid, body).await?
        } else {
            answer?
        };
        read(answer).await
    }

    async fn once(
        &mut self,
        method: &Method,
        sid: Option<&str>,
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.target, self.index).await?),
        };
        connection.ready().await?;
        let mut request = Request::builder()
            .method(method)
            .uri(self.target.request("polling", sid));
        if let Some(headers) = request.headers_mut() {
            headers.insert("host", self.target.host.clone());
            if method == Method::POST {
                headers.insert(
                    "content-type",
                    http::HeaderValue::from_static("text/plain;charset=UTF-8"),
                );
            }
            headers.extend(self.target.headers.clone());
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| Error::Io(std::io::Error::other(error)))?;
        Ok(connection.send_request(request).await?)
    }
}

async fn connect(target: &Target, index: usize) -> Result<SendRequest<Full<Bytes>>, Error> {
    let stream = target.dial(index).await?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends when the sender is dropped. Its errors come out of the request concerned too.
    tokio::spawn(connection);
    Ok(sender)
}

async fn read(answer: Response<Incoming>) -> Result<Bytes, Error> {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body
        .map_err(|error| Error::Io(std::io::Error::other(error)))?
        .to_bytes();
    if status.is_success() {
        Ok(body)
    } else {
        Err(Error::http(status.as_u16(), &body))
    }
}
