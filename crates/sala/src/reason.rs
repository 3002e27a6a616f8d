//! Why a socket left its namespace.

use std::fmt;

use sala_engine::CloseReason;

/// Why a socket left its namespace. `Display` gives the reference's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// `server namespace disconnect`: the server called
    /// [`Socket::disconnect`](crate::Socket::disconnect) or `disconnect_sockets`.
    ServerNamespaceDisconnect,
    /// `client namespace disconnect`: the client left.
    ClientNamespaceDisconnect,
    /// `server shutting down`: the server was closed.
    ServerShuttingDown,
    /// `ping timeout`: the client did not answer a ping (revision 3: sent none) in time.
    PingTimeout,
    /// `transport close`: the client or the network closed the connection.
    TransportClose,
    /// `transport error`: the connection broke a rule of its transport, or the client read so
    /// slowly that its queue reached the limit.
    TransportError,
    /// `parse error`: the client sent an undecodable Engine.IO packet.
    ParseError,
    /// `forced close`: the client sent an undecodable Socket.IO packet or broke the protocol, or
    /// the server closed the connection beneath.
    ForcedClose,
    /// `forced server close`: as `forced close`, when the connection cannot be closed at once
    /// because data is still queued.
    ForcedServerClose,
}

impl DisconnectReason {
    /// The text of the reference.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerShuttingDown => "server shutting down",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
        }
    }

    /// Whether the session may be recovered afterwards, if
    /// [connection state recovery](crate::Recovery) is on.
    #[must_use]
    pub const fn is_recoverable(self) -> bool {
        matches!(
            self,
            Self::TransportError
                | Self::TransportClose
                | Self::ForcedClose
                | Self::PingTimeout
                | Self::ServerShuttingDown
                | Self::ForcedServerClose
        )
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::TransportClose => Self::TransportClose,
            CloseReason::TransportError | CloseReason::SlowConsumer => Self::TransportError,
            CloseReason::ParseError => Self::ParseError,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::ForcedClose => Self::ForcedClose,
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
