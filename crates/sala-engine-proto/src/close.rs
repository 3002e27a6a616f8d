//! Why a session ended.

use std::fmt;

/// Why a session ended. `Display` gives the reference's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The peer closed: a close packet, a WebSocket close frame, the end of the TCP connection.
    TransportClose,
    /// The peer broke a rule of the transport, or writing to it failed.
    TransportError,
    /// A packet could not be decoded.
    ParseError,
    /// The peer did not answer a ping (revision 4) or sent none (revision 3) in time.
    PingTimeout,
    /// The server closed the session.
    ForcedClose,
    /// The client read more slowly than the server wrote, and its queue reached the limit.
    SlowConsumer,
}

impl CloseReason {
    /// The text that applications see. A slow consumer shows as `transport error`, the reason
    /// that clients and applications already know how to handle.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportClose => "transport close",
            Self::TransportError | Self::SlowConsumer => "transport error",
            Self::ParseError => "parse error",
            Self::PingTimeout => "ping timeout",
            Self::ForcedClose => "forced close",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
