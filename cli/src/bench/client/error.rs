//! What can go wrong with a connection, and what to do about it.

use std::fmt;
use std::io;

use tokio_tungstenite::tungstenite;

/// How much of a server's text is repeated to the user.
const QUOTED: usize = 120;

#[derive(Debug)]
pub(crate) enum Error {
    /// The host has no address.
    Resolve(io::Error),
    Io(io::Error),
    /// What was waited for.
    Timeout(&'static str),
    /// The handshake was answered with this status and text.
    Http(u16, String),
    /// What the server said instead.
    NotSocketIo(String),
    /// The server refused the namespace, with this message.
    Refused(String),
    /// The server broke the protocol.
    Protocol(String),
    /// The server closed the connection.
    Closed,
}

impl Error {
    pub(super) fn http(status: u16, body: &[u8]) -> Self {
        Self::Http(status, quote(&String::from_utf8_lossy(body)))
    }

    pub(super) fn refused(message: &str) -> Self {
        Self::Refused(quote(message))
    }

    pub(super) fn not_socket_io(said: &str) -> Self {
        Self::NotSocketIo(quote(said))
    }

    pub(super) fn protocol(what: &str, said: &str) -> Self {
        Self::Protocol(format!("{what}: {}", quote(said)))
    }

    /// What the user can do, if this is the error of a connection attempt.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "is the host name right?",
            Self::Io(error) => advice_io(error),
            Self::Timeout(_) => {
                "is the server overloaded, or does it not answer the event? \
                                 see --connect-timeout, --connect-concurrency and the names of the events"
            }
            Self::Http(404, _) => "the server is there, but not at this path: see --path",
            Self::Http(401 | 403, _) => {
                "the server wants to know who connects: see --header and --auth"
            }
            Self::Http(400, _) => "does the server allow this transport? see --transport",
            Self::Http(..) => "is a Socket.IO server behind this address, at this --path?",
            Self::NotSocketIo(_) => {
                "this is not a Socket.IO server, or it listens on another --path"
            }
            Self::Refused(_) => "see --namespace and --auth",
            Self::Protocol(_) => "is it a server of Socket.IO 3 or later, with the default parser?",
            Self::Closed => {
                "is the --path right? else the server's own log may say why, or its limit of open files"
            }
        }
    }
}

fn advice_io(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there: is the server running, is the port right?"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no free port left for another connection to the server: use fewer connections, \
             several machines, or a wider net.ipv4.ip_local_port_range"
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => {
            "the server closed the connection; its limit of open files is a usual reason"
        }
        // EMFILE and ENFILE have no kind of their own.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => {
            "each connection needs an open file: raise the hard limit (ulimit -Hn) or use fewer --connections"
        }
        _ => "can this machine reach the server?",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(error) => write!(f, "the host cannot be found ({error})"),
            Self::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => f.write_str("connection refused"),
                io::ErrorKind::ConnectionReset => f.write_str("connection reset by the server"),
                _ => write!(f, "{error}"),
            },
            Self::Timeout(what) => write!(f, "waited too long for {what}"),
            Self::Http(status, body) if body.is_empty() => {
                write!(f, "the server answered with status {status}")
            }
            Self::Http(status, body) => {
                write!(f, "the server answered with status {status}: {body}")
            }
            Self::NotSocketIo(said) => {
                write!(f, "the answer is not that of a Socket.IO server: {said}")
            }
            Self::Refused(message) => write!(f, "the server refused the namespace: {message}"),
            Self::Protocol(what) => write!(f, "the server broke the protocol: {what}"),
            Self::Closed => f.write_str("the server closed the connection"),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<tungstenite::Error> for Error {
    fn from(error: tungstenite::Error) -> Self {
        use tungstenite::Error as Ws;
        use tungstenite::error::ProtocolError;
        match error {
            Ws::Io(error) => Self::Io(error),
            Ws::ConnectionClosed
            | Ws::AlreadyClosed
            | Ws::Protocol(
                ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete,
            ) => Self::Closed,
            Ws::Http(response) => {
                let body = response.body().as_deref().unwrap_or_default();
                Self::http(response.status().as_u16(), body)
            }
            Ws::Protocol(
                error @ (ProtocolError::HttparseError(_)
                | ProtocolError::WrongHttpVersion
                | ProtocolError::MissingUpgradeWebSocketHeader
                | ProtocolError::MissingConnectionUpgradeHeader
                | ProtocolError::SecWebSocketAcceptKeyMismatch),
            ) => Self::not_socket_io(&error.to_string()),
            error => Self::protocol("WebSocket", &error.to_string()),
        }
    }
}

impl From<hyper::Error> for Error {
    fn from(error: hyper::Error) -> Self {
        let source =
            std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
        let gone = [
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::NotConnected,
        ];
        let gone = source.is_some_and(|source| gone.contains(&source.kind()));
        if gone || error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            Self::Closed
        } else if error.is_parse() {
            Self::not_socket_io(&error.to_string())
        } else {
            Self::Io(io::Error::other(error))
        }
    }
}

/// A beginning of the text without line breaks and control characters.
fn quote(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(QUOTED)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line.trim().to_owned()
}
