//! What `on_error` is told.

use std::fmt;

use super::HandlerError;
use crate::socket::Socket;

/// What went wrong on behalf of a client, or of the cluster, and where: given to
/// [`on_error`](crate::ServerBuilder::on_error).
///
/// Its `Display` is written for the person who has to do something about it: what happened, what
/// that means for the client, where to look.
///
/// ```
/// use sala::{ErrorKind, Server};
///
/// let io = Server::builder()
///     .on_error(|context| match context.kind {
///         // Somebody tries things out; nothing is wrong here.
///         ErrorKind::Arguments | ErrorKind::Protocol => {}
///         _ => eprintln!("{context}"),
///     })
///     .build();
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ErrorContext<'a> {
    /// The socket, if it had one by then.
    pub socket: Option<&'a Socket>,
    /// The namespace; empty if it concerns a connection as a whole.
    pub namespace: &'a str,
    /// The event that was handled. `connection`, `disconnecting` and `disconnect` are the handlers
    /// of these names.
    pub event: Option<&'a str>,
    /// What kind of thing it was.
    pub kind: ErrorKind,
    /// The error.
    pub error: &'a HandlerError,
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The arguments of an event, or the `auth` of a client, are not what the handler takes. The
    /// handler was not called and the client not answered.
    Arguments,
    /// A handler returned an error. The client was not answered.
    Handler,
    /// A handler or a middleware panicked. The connection of that client was closed.
    Panic,
    /// A [gate](crate::Namespace::gate) refused a packet. No handler was called.
    Gate,
    /// An answer could not be encoded. The client was not answered.
    Encode,
    /// A client read so slowly that its queue reached
    /// [`max_buffered_bytes`](crate::ServerBuilder::max_buffered_bytes). Its connection was closed.
    SlowConsumer,
    /// A client sent something undecodable or broke the protocol. Its connection was closed.
    Protocol,
    /// A limit of the server kept something from being done; the error says which.
    Limit,
    /// The link with the other servers is down, lost messages, or carries something that is no message.
    /// Told once for each outage. The clients of this server are served all the same.
    Cluster,
    /// The store of lost sessions failed: clients connect as new ones. Told once until it works again.
    Recovery,
}

impl ErrorKind {
    /// What that means and where to look.
    fn advice(self) -> &'static str {
        match self {
            Self::Arguments => {
                "the handler was not called and the client not answered; compare what the client \
                 emits with the type that the handler takes"
            }
            Self::Handler => "the client was not answered; look at the handler",
            Self::Panic => "the client's connection was closed; this is a bug in the handler",
            Self::Gate => "no handler was called and the client was not told",
            Self::Encode => {
                "the client was not answered; look at the type that the handler answers with"
            }
            Self::SlowConsumer => {
                "the connection was closed; if there are many such clients, send them less (or \
                 volatile events), or raise max_buffered_bytes"
            }
            Self::Protocol => {
                "the connection was closed; one is a broken or malicious client, many at once are \
                 a client of another version or with another parser"
            }
            Self::Limit => "raise the limit if this client did nothing wrong",
            Self::Cluster => {
                "clients of this server are served all the same, and the server goes on trying; look \
                 at the broker, its address and password, and at what else writes to it"
            }
            Self::Recovery => {
                "clients whose connection breaks meanwhile connect as new ones; look at the broker"
            }
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Arguments => "unexpected arguments",
            Self::Handler => "the handler failed",
            Self::Panic => "the handler panicked",
            Self::Gate => "a gate refused the packet",
            Self::Encode => "the answer cannot be encoded",
            Self::SlowConsumer => "the client reads too slowly",
            Self::Protocol => "the client broke the protocol",
            Self::Limit => "a limit was reached",
            Self::Cluster => "the cluster is in trouble",
            Self::Recovery => "connection state recovery failed",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

impl ErrorContext<'_> {
    /// What is done if nobody listens.
    pub(crate) fn log(&self) {
        tracing::warn!(
            socket = self.socket.map(|socket| tracing::field::display(socket.id())),
            namespace = self.namespace,
            event = self.event,
            error = %self.error,
            "{}: {}", self.kind, self.kind.advice()
        );
    }
}

impl fmt::Display for ErrorContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.error)?;
        let mut separator = " [";
        if let Some(event) = self.event {
            // The name may come from the client: escaped, it cannot forge a line of a log.
            write!(f, "{separator}event {event:?}")?;
            separator = ", ";
        }
        if !self.namespace.is_empty() {
            write!(f, "{separator}namespace {:?}", self.namespace)?;
            separator = ", ";
        }
        if let Some(socket) = self.socket {
            write!(f, "{separator}socket {}", socket.id())?;
            separator = ", ";
        }
        if separator == ", " {
            f.write_str("]")?;
        }
        write!(f, " ({})", self.kind.advice())
    }
}
