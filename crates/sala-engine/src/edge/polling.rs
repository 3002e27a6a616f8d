//! Polling: a GET that waits for packets, a POST that brings some.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use sala_engine_proto::{CloseReason, HandshakeError, Query, Revision, Transport, payload};
use tokio::sync::oneshot;

use super::{Answer, EngineResponse, closing_reply, reply};
use crate::app::App;
use crate::engine::Engine;
use crate::http::{compress, error, polling};
use crate::request::Request;
use crate::session::{Incoming, PollReply, PostBody, SessionHandle};

impl<A: App> Engine<A> {
    pub(super) async fn post<B>(
        &self,
        session: &SessionHandle,
        parts: &Parts,
        body: B,
        query: &Query,
    ) -> Result<EngineResponse, Answer>
    where
        B: Body<Data: Buf>,
    {
        let content_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let binary = content_type == Some(b"application/octet-stream");
        if binary && session.revision() == Revision::V4 {
            session.fail(CloseReason::TransportError, Some("invalid content"));
            return Err(reply(StatusCode::BAD_REQUEST).into());
        }
        let posting = Posting::begin(session)?;
        let limit = self.core.config.max_payload;
        let declared = parts
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: u64| length > limit as u64) {
            posting.abandon();
            return Err(reply(StatusCode::PAYLOAD_TOO_LARGE).into());
        }
        let read = tokio::time::timeout(self.core.config.post_timeout, read_body(body, limit));
        let body = tokio::select! {
            read = read => read,
            () = session.closed() => {
                posting.abandon();
                return Err(closing_reply(StatusCode::BAD_REQUEST).into());
            }
        };
        let body = match body {
            Ok(Ok(body)) => body,
            Ok(Err(ReadError::TooLarge)) => {
                posting.abandon();
                return Err(reply(StatusCode::PAYLOAD_TOO_LARGE).into());
            }
            Ok(Err(ReadError::Broken)) => {
                drop(posting); // tells the session
                return Err(closing_reply(StatusCode::BAD_REQUEST).into());
            }
            Err(_) => {
                posting.abandon();
                session.fail(CloseReason::TransportError, Some("POST body took too long"));
                return Err(closing_reply(StatusCode::REQUEST_TIMEOUT).into());
            }
        };
        let body = if session.jsonp().is_some() && query.j.is_some() {
            payload::jsonp_post(&body).map(PostBody::Text)
        } else if binary {
            Some(PostBody::Binary(body))
        } else {
            Some(PostBody::Text(match String::from_utf8(body.into()) {
                Ok(text) => text,
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }))
        };
        match body {
            Some(body) => posting.deliver(body).await,
            None => posting.abandon(), // a JSONP form without its field is ignored
        }
        let mut response = Response::new(Bytes::from_static(b"ok"));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        polling::add_headers(polling::is_internet_explorer(&parts.headers), headers);
        Ok(response)
    }
}

/// What the reply to a poll depends on in the poll's own head, which is not kept while it waits.
pub(super) struct Client {
    internet_explorer: bool,
    encoding: Option<compress::Encoding>,
}

impl Client {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            internet_explorer: polling::is_internet_explorer(headers),
            encoding: compress::Encoding::negotiate(headers),
        }
    }
}

/// A GET that waits for packets. Small, because there is one for each polling client.
///
/// *Cancel safety:* dropping it tells the session that the client has gone.
pub(crate) struct PendingPoll {
    waiting: Waiting,
    client: Client,
    /// For the reply: the cross-origin rules.
    headers: Option<Box<HeaderMap>>,
    /// For the hook, if there is one.
    request: Option<Box<Request>>,
}

impl PendingPoll {
    pub(super) fn begin(session: SessionHandle, parts: &mut Parts) -> Result<Self, Answer> {
        let hooked = session.core().config.on_headers.is_some();
        Ok(Self {
            waiting: Waiting::begin(session)?,
            client: Client::of(&parts.headers),
            headers: None,
            request: hooked.then(|| Box::new(Request::new(parts, None))),
        })
    }

    pub(super) fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = (!headers.is_empty()).then(|| Box::new(headers));
        self
    }
}

impl Future for PendingPoll {
    type Output = EngineResponse;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<EngineResponse> {
        let this = &mut *self;
        let session = &this.waiting.session;
        let mut response = match ready!(Pin::new(&mut this.waiting.answer).poll(cx)) {
            Ok(answer) => {
                let mut response = poll_response(session, answer, &this.client);
                if let (Some(hook), Some(request)) =
                    (&session.core().config.on_headers, &this.request)
                {
                    hook(response.headers_mut(), request);
                }
                response
            }
            // The session ended before it saw this poll.
            Err(_) => error::refuse(HandshakeError::UnknownSid, None),
        };
        this.waiting.answered = true;
        if let Some(headers) = this.headers.take() {
            response.headers_mut().extend(*headers);
        }
        Poll::Ready(response)
    }
}

/// A poll on its way. Dropped before it was answered, it tells the session that the client has
/// gone; that includes an answer that was made and could not be handed over.
struct Waiting {
    session: SessionHandle,
    answer: oneshot::Receiver<PollReply>,
    answered: bool,
}

impl Waiting {
    fn begin(session: SessionHandle) -> Result<Self, Answer> {
        let (reply_to, answer) = oneshot::channel();
        {
            let mut mailbox = session.mailbox();
            if mailbox.over {
                return Err(error::refuse(HandshakeError::UnknownSid, None).into());
            }
            if mailbox.polling {
                drop(mailbox);
                session.fail(CloseReason::TransportError, Some("overlap from client"));
                return Err(reply(StatusCode::BAD_REQUEST).into());
            }
            mailbox.polling = true;
            mailbox.writable = true;
            mailbox.requests.push(Incoming::Poll(reply_to));
            mailbox.wake();
        }
        Ok(Self {
            session,
            answer,
            answered: false,
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.answered {
            self.session.leave(Incoming::PollGone);
        }
    }
}

/// A POST on its way: a session takes one at a time. Dropped before it was delivered or abandoned,
/// it ends a session on polling, because packets were lost. One that has moved to a WebSocket
/// meanwhile has nothing to do with it any more.
struct Posting {
    session: SessionHandle,
    settled: bool,
}

impl Posting {
    fn begin(session: &SessionHandle) -> Result<Self, Answer> {
        {
            let mut mailbox = session.mailbox();
            if mailbox.over {
                return Err(error::refuse(HandshakeError::UnknownSid, None).into());
            }
            if mailbox.posting {
                drop(mailbox);
                let description = Some("data request overlap from client");
                session.fail(CloseReason::TransportError, description);
                return Err(reply(StatusCode::BAD_REQUEST).into());
            }
            mailbox.posting = true;
        }
        Ok(Self {
            session: session.clone(),
            settled: false,
        })
    }

    /// Hands the body to the session and waits until it has been processed, or the session ended.
    async fn deliver(mut self, body: PostBody) {
        self.settled = true;
        let (done, processed) = oneshot::channel();
        self.session.leave(Incoming::Post(body, done));
        // A session that ends while it reads the body drops the sender; the client is told by
        // its next request.
        processed.await.ok();
    }

    /// The POST comes to nothing, and the session may have another.
    fn abandon(mut self) {
        self.settled = true;
        self.session.mailbox().posting = false;
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if self.session.transport() == Transport::Polling {
            let description = Some("data request connection closed prematurely");
            self.session.fail(CloseReason::TransportError, description);
        } else {
            self.session.mailbox().posting = false;
        }
    }
}

enum ReadError {
    TooLarge,
    Broken,
}

/// Reads a body, counting while it arrives.
async fn read_body<B>(body: B, limit: usize) -> Result<Bytes, ReadError>
where
    B: Body<Data: Buf>,
{
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(|_| ReadError::Broken)?.into_data() else {
            continue; // trailers
        };
        let len = data.remaining();
        if whole.len() + len > limit {
            return Err(ReadError::TooLarge);
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data.copy_to_bytes(len)); // the usual case: all of it in one piece
        }
        whole.put(data);
    }
    Ok(whole.freeze())
}

/// The reply to a poll, and to a handshake by polling.
pub(super) fn poll_response(
    session: &SessionHandle,
    answer: PollReply,
    client: &Client,
) -> EngineResponse {
    let PollReply {
        mut body,
        binary,
        compress,
    } = answer;
    if let Some(index) = session.jsonp() {
        // Revision 3 sends JSONP clients text only, so the body is UTF-8 here.
        body = payload::jsonp(index, &String::from_utf8_lossy(&body)).into_bytes();
    }
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    let content_type = if binary {
        "application/octet-stream"
    } else {
        "text/plain; charset=UTF-8"
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    polling::add_headers(client.internet_explorer, headers);
    let threshold = session.core().config.compression;
    if compress
        && threshold.is_some_and(|threshold| body.len() >= threshold)
        && let Some(encoding) = client.encoding
    {
        body = compress::encode(&body, encoding);
        headers.insert(CONTENT_ENCODING, encoding.header());
    }
    *response.body_mut() = body.into();
    response
}
