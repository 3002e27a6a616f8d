//! From an HTTP request to a session: checks in the reference's order, then the transport.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, SET_COOKIE, UPGRADE,
};
use http::request::Parts;
use http::{Method, Request as HttpRequest, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::upgrade::OnUpgrade;
use sala_engine_proto::{
    CloseReason, Frame, HandshakeError, PacketType, Query, Revision, Sid, Transport, open_packet,
    payload, ws,
};
use tokio::sync::oneshot;

use crate::app::App;
use crate::engine::Engine;
use crate::hooks::{ConnectionError, ErrorContext, Refusal};
use crate::http::{Applied, compress, error, origin, polling};
use crate::request::Request;
use crate::session::{
    Incoming, Opening, PollReply, PostBody, SessionHandle, Start, Task, WrapWebSocket,
};

/// A reply of the engine.
pub type EngineResponse = Response<Bytes>;

/// What a verified request is for.
enum Purpose {
    Handshake,
    Session(SessionHandle),
}

/// A request that is refused, with what its `connection_error` says.
struct Refused<'a> {
    error: HandshakeError,
    message: Option<String>,
    context: ErrorContext<'a>,
}

impl<'a> Refused<'a> {
    fn new(error: HandshakeError, context: ErrorContext<'a>) -> Self {
        Self {
            error,
            message: None,
            context,
        }
    }
}

impl<A: App> Engine<A> {
    /// Whether a request is the engine's: its target starts with the path option.
    #[must_use]
    pub fn owns<B>(&self, request: &HttpRequest<B>) -> bool {
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        self.core.config.path.matches(target)
    }

    /// Answers a request, whatever its path.
    ///
    /// A poll is answered when there is something to send. A WebSocket handshake needs hyper's
    /// `OnUpgrade` among the request's extensions, as hyper and axum put it there.
    ///
    /// *Cancel safety:* dropping the future of a poll tells the engine that the client has gone,
    /// which ends the session.
    pub async fn handle<B>(&self, request: HttpRequest<B>) -> EngineResponse
    where
        B: Body<Data: Buf>,
    {
        let (mut parts, body) = request.into_parts();
        let mut headers = HeaderMap::new();
        if let Some(cors) = &self.core.config.cors
            && let Applied::Preflight(status) =
                cors.apply(&parts.method, &parts.headers, &mut headers)
        {
            return with_headers(reply(status), headers);
        }
        if let Some(assets) = &self.core.config.assets
            && let Some(response) = assets(&parts)
        {
            return with_headers(response, headers);
        }
        let query = Query::parse(parts.uri.query().unwrap_or(""));
        let upgrade = self.is_upgrade(&parts.headers);
        let response = match self.verify(&parts, &query, upgrade) {
            Err(refused) => Err(self.refuse(&parts, refused, upgrade)),
            Ok(Purpose::Handshake) => self.open(&mut parts, &query, upgrade).await,
            Ok(Purpose::Session(session)) => {
                self.resume(session, &mut parts, body, &query, upgrade)
                    .await
            }
        };
        match response {
            Ok(response) => with_headers(response, headers),
            Err(refusal) => with_headers(refusal, headers),
        }
    }

    /// Whether the request asks for an upgrade, on a server that offers one.
    fn is_upgrade(&self, headers: &HeaderMap) -> bool {
        self.core.config.websocket
            && ws::handshake::is_upgrade(
                joined(headers, &CONNECTION).as_deref(),
                joined(headers, &UPGRADE).as_deref(),
            )
    }

    /// The checks that need no waiting, in the reference's order.
    fn verify<'a>(
        &self,
        parts: &'a Parts,
        query: &'a Query,
        upgrade: bool,
    ) -> Result<Purpose, Refused<'a>> {
        use HandshakeError as E;
        let config = &self.core.config;
        let name = query.transport.as_deref().unwrap_or("");
        let transport = match name {
            "polling" if config.polling => Transport::Polling,
            "websocket" if config.websocket => Transport::WebSocket,
            _ => {
                return Err(Refused::new(
                    E::UnknownTransport,
                    ErrorContext::UnknownTransport(name),
                ));
            }
        };
        if parts
            .headers
            .get(ORIGIN)
            .is_some_and(|value| !origin::origin_is_valid(value))
        {
            return Err(Refused::new(E::BadRequest, ErrorContext::InvalidOrigin));
        }
        if let Some(sid) = &query.sid {
            let Some(session) = self.core.registry.get(sid) else {
                return Err(Refused::new(E::UnknownSid, ErrorContext::UnknownSid(sid)));
            };
            if session.revision() != query.eio {
                return Err(Refused::new(E::BadRequest, ErrorContext::ProtocolMismatch));
            }
            if !upgrade && session.transport() != transport {
                return Err(Refused::new(E::BadRequest, ErrorContext::TransportMismatch));
            }
            if upgrade && transport != Transport::WebSocket {
                let context = ErrorContext::TransportHandshake("an upgrade to a plain transport");
                return Err(Refused::new(E::BadRequest, context));
            }
            return Ok(Purpose::Session(session));
        }
        if parts.method != Method::GET {
            let context = ErrorContext::Method(parts.method.as_str());
            return Err(Refused::new(E::BadHandshakeMethod, context));
        }
        if (transport == Transport::WebSocket) != upgrade {
            let context = ErrorContext::TransportHandshake("transport and request do not fit");
            return Err(Refused::new(E::BadRequest, context));
        }
        Ok(Purpose::Handshake)
    }

    fn refuse(&self, parts: &Parts, refused: Refused<'_>, upgrade: bool) -> EngineResponse {
        let Refused {
            error,
            message,
            context,
        } = refused;
        self.core.stats.refused();
        let event = ConnectionError {
            request: parts,
            error,
            context,
        };
        tracing::debug!(error = %event, "request refused");
        if let Some(hook) = &self.core.config.on_connection_error {
            hook(&event);
        }
        if upgrade {
            error::refuse_upgrade(error, message.as_deref())
        } else {
            error::refuse(error, message.as_deref())
        }
    }

    /// Opens a session.
    async fn open(
        &self,
        parts: &mut Parts,
        query: &Query,
        upgrade: bool,
    ) -> Result<EngineResponse, EngineResponse> {
        if !self.core.has_room() {
            self.core.stats.over_limit();
            tracing::debug!("handshake answered with 503: a limit is reached or the server closes");
            let mut response = closing_reply(StatusCode::SERVICE_UNAVAILABLE);
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return Err(response);
        }
        let accept = if upgrade {
            Some(self.accept_websocket(parts)?)
        } else {
            None
        };
        let request = Arc::new(Request::new(parts));
        let sid = match self.admit(&request, parts, query).await {
            Ok(sid) => sid,
            Err(refused) => return Err(self.refuse(parts, refused, upgrade)),
        };
        let transport = if upgrade {
            Transport::WebSocket
        } else {
            Transport::Polling
        };
        let session = SessionHandle::new(
            Arc::clone(&self.core),
            sid,
            query,
            transport,
            Arc::clone(&request),
        );
        if !self.core.registry.insert(&session) {
            let context = ErrorContext::IdGeneration("the id is in use");
            let refused = Refused::new(HandshakeError::BadRequest, context);
            return Err(self.refuse(parts, refused, upgrade));
        }
        self.core.stats.opened();
        tracing::debug!(%sid, %transport, revision = query.eio.number(), "session opened");
        let open_packet = self.open_packet(sid, transport);
        match accept {
            Some(Accepted {
                upgrade,
                mut response,
                deflate,
            }) => {
                self.run_handshake_hooks(response.headers_mut(), &request);
                let opening = Opening {
                    upgrade,
                    wrap: self.wrap_websocket(&session, deflate),
                    open_packet,
                };
                self.start(session, Start::WebSocket(Box::new(opening)));
                Ok(response)
            }
            None => {
                let frames = [Some(open_packet), self.core.config.initial_packet.clone()];
                let base64 = session.wants_base64();
                let body = payload::encode(frames.iter().flatten(), session.revision(), base64);
                let reply = PollReply {
                    compress: false,
                    body: body.bytes,
                    binary: body.binary,
                };
                let mut response = poll_response(&session, reply, parts, None);
                if let Some(cookie) = &self.core.config.cookie {
                    response
                        .headers_mut()
                        .append(SET_COOKIE, cookie.header(sid.as_str()));
                }
                self.run_handshake_hooks(response.headers_mut(), &request);
                self.start(session, Start::Polling);
                Ok(response)
            }
        }
    }

    /// The checks that may wait, and the id of the session.
    async fn admit(
        &self,
        request: &Arc<Request>,
        parts: &Parts,
        query: &Query,
    ) -> Result<Sid, Refused<'static>> {
        let config = &self.core.config;
        let refusal = match (&config.allowed_origins, &config.allow_request) {
            (Some(list), _) if !origin::origin_allowed(list, &parts.headers) => {
                Err(Refusal::with_message("Origin not allowed"))
            }
            (_, Some(allow)) => allow(Arc::clone(request)).await,
            _ => Ok(()),
        };
        if let Err(refusal) = refusal {
            return Err(Refused {
                error: HandshakeError::Forbidden,
                message: refusal.message().map(str::to_owned),
                context: ErrorContext::Refused,
            });
        }
        if query.eio == Revision::V3 && !config.allow_revision_3 {
            let error = HandshakeError::UnsupportedProtocolVersion;
            return Err(Refused::new(error, ErrorContext::UnsupportedRevision));
        }
        let Some(generate) = &config.generate_id else {
            return Ok(Sid::random());
        };
        generate(Arc::clone(request)).await.map_err(|error| {
            tracing::error!(%error, "session id generation failed; the handshake is refused");
            Refused::new(
                HandshakeError::BadRequest,
                ErrorContext::IdGeneration("generate_id failed"),
            )
        })
    }

    fn open_packet(&self, sid: Sid, transport: Transport) -> Frame {
        let config = &self.core.config;
        let upgrades = match transport {
            Transport::Polling => config.upgrades(),
            Transport::WebSocket => &[],
        };
        Frame::packet(PacketType::Open.digit(), |buf| {
            open_packet(
                buf,
                sid.as_str(),
                upgrades,
                config.timing.ping_interval.as_millis() as u64,
                config.timing.ping_timeout.as_millis() as u64,
                config.max_payload,
            );
        })
    }

    fn start(&self, session: SessionHandle, start: Start) {
        tokio::spawn(Task::new(Arc::clone(&self.app), session, start));
    }

    /// A request of an open session.
    async fn resume<B>(
        &self,
        session: SessionHandle,
        parts: &mut Parts,
        body: B,
        query: &Query,
        upgrade: bool,
    ) -> Result<EngineResponse, EngineResponse>
    where
        B: Body<Data: Buf>,
    {
        if upgrade {
            return self.probe(&session, parts);
        }
        let mut response = match parts.method {
            Method::GET => self.poll(&session, parts).await?,
            Method::POST => self.post(&session, parts, body, query).await?,
            _ => return Err(reply(StatusCode::INTERNAL_SERVER_ERROR)),
        };
        self.run_headers_hook(response.headers_mut(), parts);
        Ok(response)
    }

    async fn poll(
        &self,
        session: &SessionHandle,
        parts: &Parts,
    ) -> Result<EngineResponse, EngineResponse> {
        match Waiting::begin(session)?.answer().await {
            Some(answer) => Ok(poll_response(
                session,
                answer,
                parts,
                self.core.config.compression,
            )),
            // The session ended before it saw this poll.
            None => Err(error::refuse(HandshakeError::UnknownSid, None)),
        }
    }

    async fn post<B>(
        &self,
        session: &SessionHandle,
        parts: &Parts,
        body: B,
        query: &Query,
    ) -> Result<EngineResponse, EngineResponse>
    where
        B: Body<Data: Buf>,
    {
        let content_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let binary = content_type == Some(b"application/octet-stream");
        if binary && session.revision() == Revision::V4 {
            session.fail(CloseReason::TransportError, Some("invalid content"));
            return Err(reply(StatusCode::BAD_REQUEST));
        }
        let posting = Posting::begin(session)?;
        let limit = self.core.config.max_payload;
        let declared = parts
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: u64| length > limit as u64) {
            posting.abandon();
            return Err(reply(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let read = tokio::time::timeout(self.core.config.post_timeout, read_body(body, limit));
        let body = tokio::select! {
            read = read => read,
            () = session.closed() => {
                posting.abandon();
                return Err(closing_reply(StatusCode::BAD_REQUEST));
            }
        };
        let body = match body {
            Ok(Ok(body)) => body,
            Ok(Err(ReadError::TooLarge)) => {
                posting.abandon();
                return Err(reply(StatusCode::PAYLOAD_TOO_LARGE));
            }
            Ok(Err(ReadError::Broken)) => {
                drop(posting); // tells the session
                return Err(closing_reply(StatusCode::BAD_REQUEST));
            }
            Err(_) => {
                posting.abandon();
                session.fail(CloseReason::TransportError, Some("POST body took too long"));
                return Err(closing_reply(StatusCode::REQUEST_TIMEOUT));
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
        polling::add_headers(&parts.headers, headers);
        Ok(response)
    }

    /// A WebSocket that wants to take over from polling.
    fn probe(
        &self,
        session: &SessionHandle,
        parts: &mut Parts,
    ) -> Result<EngineResponse, EngineResponse> {
        let Accepted {
            upgrade,
            mut response,
            deflate,
        } = self.accept_websocket(parts)?;
        self.run_headers_hook(response.headers_mut(), parts);
        let wrap = self.wrap_websocket(session, deflate);
        let session = session.clone();
        tokio::spawn(async move {
            // A handshake that breaks off concerns nobody: polling goes on.
            if let Ok(upgraded) = upgrade.await {
                session.leave(Incoming::Upgrade(Box::new(wrap.wrap(upgraded))));
            }
        });
        Ok(response)
    }

    fn wrap_websocket(
        &self,
        session: &SessionHandle,
        deflate: Option<ws::deflate::Agreed>,
    ) -> WrapWebSocket {
        WrapWebSocket {
            max_message: self.core.config.max_payload,
            deflate: deflate.zip(self.core.config.deflate.clone()),
            revision: session.revision(),
            base64: session.wants_base64(),
        }
    }

    /// Checks the WebSocket handshake and makes its 101.
    fn accept_websocket(&self, parts: &mut Parts) -> Result<Accepted, EngineResponse> {
        let headers = &parts.headers;
        let [upgrade, key, version, protocol, extensions] = [
            &UPGRADE,
            &SEC_WEBSOCKET_KEY,
            &SEC_WEBSOCKET_VERSION,
            &SEC_WEBSOCKET_PROTOCOL,
            &SEC_WEBSOCKET_EXTENSIONS,
        ]
        .map(|name| joined(headers, name));
        let request = ws::handshake::Request {
            method: parts.method.as_str(),
            upgrade: upgrade.as_deref(),
            key: key.as_deref(),
            version: version.as_deref(),
            protocol: protocol.as_deref(),
            extensions: extensions.as_deref(),
        };
        let accept = ws::handshake::check(&request, self.core.config.deflate.as_ref())
            .map_err(|refusal| error::refuse_handshake(refusal))?;
        let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            tracing::error!(
                "a WebSocket handshake came without hyper's OnUpgrade: serve connections with \
                 upgrades enabled, and keep the request's extensions"
            );
            return Err(reply(StatusCode::INTERNAL_SERVER_ERROR));
        };
        let mut response = reply(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        let deflate = accept.deflate;
        let values = [
            (SEC_WEBSOCKET_ACCEPT, Some(accept.accept_key)),
            (SEC_WEBSOCKET_PROTOCOL, accept.protocol),
            (
                SEC_WEBSOCKET_EXTENSIONS,
                deflate.as_ref().map(ToString::to_string),
            ),
        ];
        for (name, value) in values {
            // All three are made of tokens, which are legal in headers.
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        }
        Ok(Accepted {
            upgrade,
            response,
            deflate,
        })
    }

    fn run_handshake_hooks(&self, headers: &mut HeaderMap, request: &Request) {
        let config = &self.core.config;
        for hook in [&config.on_initial_headers, &config.on_headers]
            .into_iter()
            .flatten()
        {
            hook(headers, request);
        }
    }

    fn run_headers_hook(&self, headers: &mut HeaderMap, parts: &mut Parts) {
        if let Some(hook) = &self.core.config.on_headers {
            hook(headers, &Request::new(parts));
        }
    }
}

/// A WebSocket handshake that can be answered with 101.
struct Accepted {
    upgrade: OnUpgrade,
    response: EngineResponse,
    deflate: Option<ws::deflate::Agreed>,
}

/// A poll on its way. Dropped before it was answered, it tells the session that the client has
/// gone; that includes an answer that was made and could not be handed over.
struct Waiting {
    session: SessionHandle,
    answer: oneshot::Receiver<PollReply>,
    answered: bool,
}

impl Waiting {
    fn begin(session: &SessionHandle) -> Result<Self, EngineResponse> {
        let (reply_to, answer) = oneshot::channel();
        {
            let mut mailbox = session.mailbox();
            if mailbox.over {
                return Err(error::refuse(HandshakeError::UnknownSid, None));
            }
            if mailbox.polling {
                drop(mailbox);
                session.fail(CloseReason::TransportError, Some("overlap from client"));
                return Err(reply(StatusCode::BAD_REQUEST));
            }
            mailbox.polling = true;
            mailbox.writable = true;
            mailbox.requests.push(Incoming::Poll(reply_to));
            mailbox.wake();
        }
        Ok(Self {
            session: session.clone(),
            answer,
            answered: false,
        })
    }

    /// None if the session ended without an answer.
    async fn answer(mut self) -> Option<PollReply> {
        let answer = (&mut self.answer).await.ok();
        self.answered = true;
        answer
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
/// it ends the session, because packets were lost.
struct Posting {
    session: SessionHandle,
    settled: bool,
}

impl Posting {
    fn begin(session: &SessionHandle) -> Result<Self, EngineResponse> {
        {
            let mut mailbox = session.mailbox();
            if mailbox.over {
                return Err(error::refuse(HandshakeError::UnknownSid, None));
            }
            if mailbox.posting {
                drop(mailbox);
                let description = Some("data request overlap from client");
                session.fail(CloseReason::TransportError, description);
                return Err(reply(StatusCode::BAD_REQUEST));
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
        if !self.settled {
            let description = Some("data request connection closed prematurely");
            self.session.fail(CloseReason::TransportError, description);
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

fn poll_response(
    session: &SessionHandle,
    answer: PollReply,
    parts: &Parts,
    compression: Option<usize>,
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
    polling::add_headers(&parts.headers, headers);
    if compress
        && compression.is_some_and(|threshold| body.len() >= threshold)
        && let Some(encoding) = compress::Encoding::negotiate(&parts.headers)
    {
        body = compress::encode(&body, encoding);
        headers.insert(CONTENT_ENCODING, encoding.header());
    }
    *response.body_mut() = body.into();
    response
}

/// A header's value; several lines of the same name are one list.
fn joined<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, [u8]>> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = values.next()?;
    let Some(second) = values.next() else {
        return Some(Cow::Borrowed(first));
    };
    let mut list = [first, b", ", second].concat();
    for value in values {
        list.extend_from_slice(b", ");
        list.extend_from_slice(value);
    }
    Some(Cow::Owned(list))
}

fn reply(status: StatusCode) -> EngineResponse {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// A reply to a request whose body was not read to its end: the connection is of no more use.
fn closing_reply(status: StatusCode) -> EngineResponse {
    let mut response = reply(status);
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn with_headers(mut response: EngineResponse, headers: HeaderMap) -> EngineResponse {
    if !headers.is_empty() {
        response.headers_mut().extend(headers);
    }
    response
}
