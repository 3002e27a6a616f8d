//! The two protocol revisions and the transports they run over.

use std::fmt;

/// A revision of the Engine.IO protocol, fixed at the handshake for the life of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revision {
    /// `EIO=3`: clients of Socket.IO 2.x. The client pings.
    V3,
    /// `EIO=4`: clients of Socket.IO 3.x and 4.x. The server pings.
    V4,
}

impl Revision {
    /// The number as clients write it: 3 or 4.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }
}

/// A way to carry packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long-polling, plain or JSONP.
    Polling,
    /// One packet per WebSocket message.
    WebSocket,
}

impl Transport {
    /// The name as it stands in the query string: `polling` or `websocket`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
