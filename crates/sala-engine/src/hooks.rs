//! What applications see of refused requests.

use std::borrow::Cow;
use std::fmt;

use http::request::Parts;
use sala_engine_proto::{HandshakeError, Revision, Transport};

/// A handshake that [`allow_request`](crate::EngineConfig::allow_request) refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    message: Option<String>,
}

impl Refusal {
    /// A refusal with the standard text, `Forbidden`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A refusal with a text of its own, sent to the client.
    #[must_use]
    pub fn with_message(message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
        }
    }

    /// The text, if there is one.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

/// A request that the engine refused; the reference's `connection_error` event.
#[derive(Debug)]
pub struct ConnectionError<'a> {
    /// The head of the refused request.
    pub request: &'a Parts,
    /// Code and generic text.
    pub error: HandshakeError,
    /// What exactly was wrong.
    pub context: ErrorContext<'a>,
}

/// What exactly was wrong with a refused request; the reference's `context`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorContext<'a> {
    /// Code 0: the transport that was asked for.
    UnknownTransport(&'a str),
    /// Code 1: the session id that is not alive here. It may be a live one on another server.
    UnknownSid(&'a str),
    /// Code 2: the method of a handshake.
    Method(&'a str),
    /// Code 3: the `Origin` header holds bytes that no origin has.
    InvalidOrigin,
    /// Code 3: the transport and the kind of request do not fit, or the WebSocket handshake is
    /// malformed.
    TransportHandshake(&'static str),
    /// Code 3: a plain request to a session that is on another transport.
    TransportMismatch {
        /// What the request asked for.
        transport: Transport,
        /// What the session uses.
        previous: Transport,
    },
    /// Code 3: a request of another revision than the session's.
    ProtocolMismatch {
        /// What the request asked for.
        protocol: Revision,
        /// What the session uses.
        previous: Revision,
    },
    /// Code 3: [`generate_id`](crate::EngineConfig::generate_id) failed.
    IdGeneration(&'a str),
    /// Code 4: refused by the application, or by the list of allowed origins; with the text that the
    /// client is sent.
    Refused(Cow<'a, str>),
    /// Code 5: the revision that was asked for is not served.
    UnsupportedRevision,
}

impl ErrorContext<'_> {
    /// The reference's name for it, where it has one.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::InvalidOrigin => "INVALID_ORIGIN",
            Self::TransportHandshake(_) => "TRANSPORT_HANDSHAKE_ERROR",
            Self::TransportMismatch { .. } => "TRANSPORT_MISMATCH",
            Self::ProtocolMismatch { .. } => "PROTOCOL_MISMATCH",
            Self::IdGeneration(_) => "ID_GENERATION_ERROR",
            _ => return None,
        })
    }
}

impl fmt::Display for ConnectionError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.error.message(), self.context)
    }
}
