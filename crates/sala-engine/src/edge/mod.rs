//! From an HTTP request to a session: checks in the reference's order, then the transport.

mod polling;
mod websocket;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::header::{CONNECTION, HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER, SET_COOKIE, UPGRADE};
use http::request::Parts;
use http::{Method, Request as HttpRequest, Response, StatusCode};
use http_body::Body;
use sala_engine_proto::{
    Frame, HandshakeError, PacketType, Query, Revision, Sid, Transport, open_packet, payload, ws,
};

pub(crate) use self::polling::PendingPoll;
use self::polling::{Client, poll_response};
use self::websocket::{Accepted, joined};
use crate::app::App;
use crate::engine::Engine;
use crate::hooks::{ConnectionError, ErrorContext, Refusal};
use crate::http::{Applied, error, origin};
use crate::request::{ConnectionInfo, Request};
use crate::session::{Opening, PollReply, SessionHandle, Start, Task};
use crate::transport::io::Upgrading;

/// A reply of the engine.
pub type EngineResponse = Response<Bytes>;

/// A reply that ends the handling of a request before its purpose is reached.
type Answer = Box<EngineResponse>;

/// What becomes of a request when all is done that needs no waiting.
pub(crate) enum Routed<B> {
    /// It has its answer.
    Answered(EngineResponse),
    /// It waits for packets, and nothing else of it is kept.
    Poll(PendingPoll),
    /// It needs [`Engine::work`].
    Work(Box<Work<B>>),
}

/// What an HTTP server that belongs to the engine knows of a request's connection. Others put it among
/// the request's extensions, which costs allocations.
#[derive(Default)]
pub(crate) struct Via {
    pub(crate) info: Option<ConnectionInfo>,
    pub(crate) upgrading: Option<Upgrading>,
}

/// A verified request that is no poll.
pub(crate) struct Work<B> {
    parts: Parts,
    body: B,
    via: Via,
    query: Query,
    purpose: Purpose,
    upgrade: bool,
    /// For the reply: the cross-origin rules.
    headers: HeaderMap,
}

impl<B> Work<B> {
    /// Whether a session begins here.
    pub(crate) fn opens_session(&self) -> bool {
        matches!(self.purpose, Purpose::Handshake)
    }
}

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
    /// A poll is answered when there is something to send; nothing of its request is kept while it
    /// waits. A WebSocket handshake needs hyper's `OnUpgrade` among the request's extensions, as
    /// hyper and axum put it there.
    ///
    /// *Cancel safety:* dropping the future of a poll tells the engine that the client has gone,
    /// which ends the session.
    pub async fn handle<B>(&self, request: HttpRequest<B>) -> EngineResponse
    where
        B: Body<Data: Buf>,
    {
        let (parts, body) = request.into_parts();
        match self.route(parts, body, Via::default()) {
            Routed::Answered(response) => response,
            Routed::Poll(poll) => poll.await,
            Routed::Work(work) => self.work(work).await,
        }
    }

    /// Does everything for a request that can be done without waiting.
    pub(crate) fn route<B>(&self, mut parts: Parts, body: B, via: Via) -> Routed<B> {
        let config = &self.core.config;
        let hooked = config.assets.is_some()
            || config.on_connection_error.is_some()
            || config.on_headers.is_some();
        if let Some(info) = via.info.filter(|_| hooked) {
            parts.extensions.insert(info);
        }
        let mut headers = HeaderMap::new();
        if let Some(cors) = &self.core.config.cors
            && let Applied::Preflight(status) =
                cors.apply(&parts.method, &parts.headers, &mut headers)
        {
            return Routed::Answered(with_headers(reply(status), headers));
        }
        if let Some(assets) = &self.core.config.assets
            && let Some(response) = assets(&parts)
        {
            return Routed::Answered(with_headers(response, headers));
        }
        let query = Query::parse(parts.uri.query().unwrap_or(""));
        let upgrade = self.is_upgrade(&parts.headers);
        let purpose = match self.verify(&parts, &query, upgrade) {
            Err(refused) => {
                let response = self.refuse(&parts, refused, upgrade);
                return Routed::Answered(with_headers(response, headers));
            }
            Ok(Purpose::Session(session)) if parts.method == Method::GET && !upgrade => {
                return match PendingPoll::begin(session, &mut parts) {
                    Ok(poll) => Routed::Poll(poll.with_headers(headers)),
                    Err(answer) => Routed::Answered(with_headers(*answer, headers)),
                };
            }
            Ok(purpose) => purpose,
        };
        Routed::Work(Box::new(Work {
            parts,
            body,
            via,
            query,
            purpose,
            upgrade,
            headers,
        }))
    }

    /// Does the rest of what [`route`](Self::route) began.
    pub(crate) async fn work<B>(&self, work: Box<Work<B>>) -> EngineResponse
    where
        B: Body<Data: Buf>,
    {
        let Work {
            mut parts,
            body,
            via,
            query,
            purpose,
            upgrade,
            headers,
        } = *work;
        let response = match purpose {
            Purpose::Handshake => self.open(&mut parts, via, &query, upgrade).await,
            Purpose::Session(session) if upgrade => self.probe(&session, &mut parts, via),
            Purpose::Session(session) => self.resume(session, &mut parts, body, &query).await,
        };
        match response {
            Ok(response) => with_headers(response, headers),
            Err(answer) => with_headers(*answer, headers),
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
                let context = ErrorContext::ProtocolMismatch {
                    protocol: query.eio,
                    previous: session.revision(),
                };
                return Err(Refused::new(E::BadRequest, context));
            }
            if !upgrade && session.transport() != transport {
                let context = ErrorContext::TransportMismatch {
                    transport,
                    previous: session.transport(),
                };
                return Err(Refused::new(E::BadRequest, context));
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
        via: Via,
        query: &Query,
        upgrade: bool,
    ) -> Result<EngineResponse, Answer> {
        if !self.core.has_room() {
            self.core.stats.over_limit();
            tracing::debug!("handshake answered with 503: a limit is reached or the server closes");
            let mut response = closing_reply(StatusCode::SERVICE_UNAVAILABLE);
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return Err(response.into());
        }
        let accept = if upgrade {
            Some(self.accept_websocket(parts, via.upgrading)?)
        } else {
            None
        };
        let request = Arc::new(Request::new(parts, via.info));
        let sid = match self.admit(&request, parts, query).await {
            Ok(sid) => sid,
            Err(refused) => return Err(self.refuse(parts, refused, upgrade).into()),
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
            return Err(self.refuse(parts, refused, upgrade).into());
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
                let mut response = poll_response(&session, reply, &Client::of(&parts.headers));
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
            let text = refusal
                .message()
                .unwrap_or(HandshakeError::Forbidden.message());
            return Err(Refused {
                error: HandshakeError::Forbidden,
                context: ErrorContext::Refused(Cow::Owned(text.to_owned())),
                message: Some(text.to_owned()),
            });
        }
        if query.eio == Revision::V3 && !config.allow_revision_3 {
            let error = HandshakeError::UnsupportedProtocolVersion;
            return Err(Refused::new(error, ErrorContext::UnsupportedRevision));
        }
        let Some(generate) = &config.generate_id else {
            let prefix = self.core.session_prefix.get();
            return Ok(prefix.map_or_else(Sid::random, |prefix| Sid::with_prefix(*prefix)));
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

    /// A request of an open session that is neither a poll nor an upgrade.
    async fn resume<B>(
        &self,
        session: SessionHandle,
        parts: &mut Parts,
        body: B,
        query: &Query,
    ) -> Result<EngineResponse, Answer>
    where
        B: Body<Data: Buf>,
    {
        if parts.method != Method::POST {
            return Err(reply(StatusCode::INTERNAL_SERVER_ERROR).into());
        }
        let mut response = self.post(&session, parts, body, query).await?;
        self.run_headers_hook(response.headers_mut(), parts);
        Ok(response)
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
            hook(headers, &Request::new(parts, None));
        }
    }
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
