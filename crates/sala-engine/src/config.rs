//! The options of the engine.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response};
use sala_engine_proto::{Network, Sid, Timing, Transport};

use crate::hooks::{ConnectionError, Refusal};
use crate::http::{Cookie, Cors};
use crate::request::Request;
use crate::{DeflateConfig, Frame};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type AllowRequest = Arc<dyn Fn(Arc<Request>) -> BoxFuture<Result<(), Refusal>> + Send + Sync>;
type GenerateId = Arc<dyn Fn(Arc<Request>) -> BoxFuture<Result<Sid, String>> + Send + Sync>;
type HeadersHook = Arc<dyn Fn(&mut HeaderMap, &Request) + Send + Sync>;
type Assets = Arc<dyn Fn(&Parts) -> Option<Response<Bytes>> + Send + Sync>;
type ErrorHook = Arc<dyn Fn(&ConnectionError<'_>) + Send + Sync>;

/// The options of an [`Engine`](crate::Engine), with the reference's defaults and with limits
/// that the reference does not have.
#[derive(Clone)]
pub struct EngineConfig {
    pub(crate) path: crate::http::PathPrefix,
    pub(crate) timing: Timing,
    pub(crate) max_payload: usize,
    pub(crate) max_buffered_bytes: Option<usize>,
    pub(crate) max_running_handlers: usize,
    pub(crate) max_sessions: Option<usize>,
    pub(crate) max_silent_sessions: Option<usize>,
    pub(crate) post_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) polling: bool,
    pub(crate) websocket: bool,
    pub(crate) allow_upgrades: bool,
    pub(crate) allow_revision_3: bool,
    pub(crate) compression: Option<usize>,
    pub(crate) deflate: Option<DeflateConfig>,
    pub(crate) initial_packet: Option<Frame>,
    pub(crate) cookie: Option<Cookie>,
    pub(crate) cors: Option<Cors>,
    pub(crate) allowed_origins: Option<Vec<String>>,
    pub(crate) allow_request: Option<AllowRequest>,
    pub(crate) generate_id: Option<GenerateId>,
    pub(crate) on_initial_headers: Option<HeadersHook>,
    pub(crate) on_headers: Option<HeadersHook>,
    pub(crate) on_connection_error: Option<ErrorHook>,
    pub(crate) assets: Option<Assets>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            path: crate::http::PathPrefix::new("/engine.io", true),
            timing: Timing::default(),
            max_payload: 1_000_000,
            max_buffered_bytes: Some(8 << 20),
            max_running_handlers: 1024,
            max_sessions: None,
            max_silent_sessions: Some(100_000),
            post_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(30),
            trusted_proxies: Vec::new(),
            polling: true,
            websocket: true,
            allow_upgrades: true,
            allow_revision_3: false,
            compression: Some(1024),
            deflate: None,
            initial_packet: None,
            cookie: None,
            cors: None,
            allowed_origins: None,
            allow_request: None,
            generate_id: None,
            on_initial_headers: None,
            on_headers: None,
            on_connection_error: None,
            assets: None,
        }
    }
}

impl EngineConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers requests under the engine's path that are for something else, such as the files of
    /// a client. It is asked before the engine looks at a request, and after the cross-origin rules.
    #[must_use]
    pub fn assets(
        mut self,
        find: impl Fn(&Parts) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.assets = Some(Arc::new(find));
        self
    }

    /// Where requests go. Default `/engine.io`, with a slash appended: a request is the engine's
    /// if its path starts with `/engine.io/`. With `trailing_slash` false nothing is appended, and
    /// `/engine.io?EIO=4…` is the engine's too.
    #[must_use]
    pub fn path(mut self, path: &str, trailing_slash: bool) -> Self {
        self.path = crate::http::PathPrefix::new(path, trailing_slash);
        self
    }

    /// Revision 4: how long after the handshake, or after a pong, the server pings. Default 25 s.
    #[must_use]
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.timing.ping_interval = interval;
        self
    }

    /// How long a client may take to answer a ping. Default 20 s. A connection that vanished
    /// without a word is noticed after `ping_interval + ping_timeout` at the latest.
    #[must_use]
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.timing.ping_timeout = timeout;
        self
    }

    /// How long a probing WebSocket may take to commit. Default 10 s.
    #[must_use]
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.timing.upgrade_timeout = timeout;
        self
    }

    /// How long a session that the server closes waits for a polling client to fetch what is
    /// queued. Default 30 s.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.timing.close_timeout = timeout;
        self
    }

    /// The reference's `maxHttpBufferSize`, in bytes: the most that one POST body or one WebSocket
    /// message (all its fragments, after inflation) may hold. Default 1 000 000. A client may make
    /// the server hold this much for each session.
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// How many bytes may wait for one client. Default 8 MiB. A client whose queue would grow past
    /// it is cut off with the reason `transport error` and counted as a slow consumer. `None` is
    /// the reference's behaviour: the queue grows until the process dies.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: Option<usize>) -> Self {
        self.max_buffered_bytes = bytes;
        self
    }

    /// How many handlers of one session may be unfinished. Default 1024. At the limit the server
    /// stops reading from that client until one ends.
    #[must_use]
    pub fn max_running_handlers(mut self, count: usize) -> Self {
        self.max_running_handlers = count.max(1);
        self
    }

    /// How many sessions may be open at once. Default: no limit. Past it handshakes are answered
    /// with 503.
    #[must_use]
    pub fn max_sessions(mut self, count: Option<usize>) -> Self {
        self.max_sessions = count;
        self
    }

    /// How many sessions may be open from which no message has come yet. Default 100 000. It bounds
    /// what a flood of handshakes costs; past it handshakes are answered with 503.
    #[must_use]
    pub fn max_silent_sessions(mut self, count: Option<usize>) -> Self {
        self.max_silent_sessions = count;
        self
    }

    /// How long the body of a POST may take to arrive. Default 30 s; then 408, and the session
    /// ends with `transport error`.
    #[must_use]
    pub fn post_timeout(mut self, timeout: Duration) -> Self {
        self.post_timeout = timeout;
        self
    }

    /// How long the head of an HTTP request may take to arrive, and how long a connection may be
    /// idle between two requests, on connections that the engine serves itself. Default 30 s.
    #[must_use]
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// Proxies in front whose `X-Forwarded-For` is believed, on connections that the engine serves
    /// itself: then [`Request::remote_address`](crate::Request::remote_address) is the client's.
    ///
    /// The header is read from its end, past the proxies in this list. From anybody who is not in
    /// the list, the header is taken out of the request. So list every proxy that a request may
    /// pass, and no client. Default: nobody; then the header is not looked at and stays as it came.
    #[must_use]
    pub fn trusted_proxies(mut self, from: impl IntoIterator<Item = Network>) -> Self {
        self.trusted_proxies = from.into_iter().collect();
        self
    }

    /// The transports offered. Default: polling and WebSocket. The order does not matter.
    #[must_use]
    pub fn transports(mut self, transports: &[Transport]) -> Self {
        self.polling = transports.contains(&Transport::Polling);
        self.websocket = transports.contains(&Transport::WebSocket);
        self
    }

    /// Whether the handshake announces upgrades. Default true.
    #[must_use]
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.allow_upgrades = allow;
        self
    }

    /// The reference's `allowEIO3`: whether clients of revision 3 (Socket.IO 2.x) are served.
    /// Default false.
    #[must_use]
    pub fn allow_revision_3(mut self, allow: bool) -> Self {
        self.allow_revision_3 = allow;
        self
    }

    /// The reference's `httpCompression`: compress polling replies of at least this many bytes.
    /// Default 1024; `None` never compresses.
    #[must_use]
    pub fn http_compression(mut self, threshold: Option<usize>) -> Self {
        self.compression = threshold;
        self
    }

    /// The reference's `perMessageDeflate`: offer compression of WebSocket messages. Default `None`:
    /// off. With it, each connection that takes up the offer costs up to about 300 KiB.
    #[must_use]
    pub fn per_message_deflate(mut self, config: Option<DeflateConfig>) -> Self {
        self.deflate = config;
        self
    }

    /// A message sent right after the open packet; with polling, in the same body.
    #[must_use]
    pub fn initial_packet(mut self, frame: Option<Frame>) -> Self {
        self.initial_packet = frame;
        self
    }

    /// A cookie that carries the session id, for load balancers. Default none. It is sent with
    /// polling handshakes only, and never read back.
    #[must_use]
    pub fn cookie(mut self, cookie: Option<Cookie>) -> Self {
        self.cookie = cookie;
        self
    }

    /// Cross-origin headers. Default none: browsers then refuse other origins.
    #[must_use]
    pub fn cors(mut self, cors: Option<Cors>) -> Self {
        self.cors = cors;
        self
    }

    /// The origins that a WebSocket handshake may come from; requests without an `Origin` header
    /// pass. Default: any. Browsers do not apply cross-origin rules to WebSockets, so a server that
    /// trusts cookies should set this. Others get 400 and code 4.
    #[must_use]
    pub fn allowed_origins(mut self, origins: Option<Vec<String>>) -> Self {
        self.allowed_origins = origins;
        self
    }

    /// Decides, once per session, whether a handshake is accepted. A refusal is answered with
    /// code 4 and its text.
    #[must_use]
    pub fn allow_request<F, Fut>(mut self, decide: F) -> Self
    where
        F: Fn(Arc<Request>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.allow_request = Some(Arc::new(move |request| Box::pin(decide(request))));
        self
    }

    /// Makes session ids. They must be unique and impossible to guess. Default: [`Sid::random`]. An
    /// error refuses the handshake with code 3.
    #[must_use]
    pub fn generate_id<F, Fut>(mut self, make: F) -> Self
    where
        F: Fn(Arc<Request>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Sid, String>> + Send + 'static,
    {
        self.generate_id = Some(Arc::new(move |request| Box::pin(make(request))));
        self
    }

    /// Changes the headers of the reply to a handshake: `initial_headers` of the reference.
    #[must_use]
    pub fn on_initial_headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &Request) + Send + Sync + 'static,
    ) -> Self {
        self.on_initial_headers = Some(Arc::new(hook));
        self
    }

    /// Changes the headers of every polling reply and every WebSocket handshake: `headers` of the
    /// reference. It runs after [`on_initial_headers`](Self::on_initial_headers). The request is
    /// the one that is being answered.
    #[must_use]
    pub fn on_headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &Request) + Send + Sync + 'static,
    ) -> Self {
        self.on_headers = Some(Arc::new(hook));
        self
    }

    /// Hears of every refused request: `connection_error` of the reference.
    #[must_use]
    pub fn on_connection_error(
        mut self,
        hook: impl Fn(&ConnectionError<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_connection_error = Some(Arc::new(hook));
        self
    }

    /// The path option as a matcher, for what answers requests under it.
    #[must_use]
    pub fn path_prefix(&self) -> &crate::http::PathPrefix {
        &self.path
    }

    /// The cross-origin rules, for what is served beside the engine: see [`cors`](Self::cors).
    #[must_use]
    pub fn cors_rules(&self) -> Option<&Cors> {
        self.cors.as_ref()
    }

    /// What [`serve`](crate::serve) wants to know: see [`header_timeout`](Self::header_timeout).
    #[must_use]
    pub fn header_read_timeout(&self) -> Duration {
        self.header_timeout
    }

    /// What the handshake announces to a client that comes by polling.
    pub(crate) fn upgrades(&self) -> &'static [Transport] {
        if self.websocket && self.allow_upgrades {
            &[Transport::WebSocket]
        } else {
            &[]
        }
    }
}

impl fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineConfig")
            .field("timing", &self.timing)
            .field("max_payload", &self.max_payload)
            .field("max_buffered_bytes", &self.max_buffered_bytes)
            .field("polling", &self.polling)
            .field("websocket", &self.websocket)
            .field("allow_revision_3", &self.allow_revision_3)
            .finish_non_exhaustive()
    }
}
