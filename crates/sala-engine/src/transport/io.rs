//! The byte stream under a WebSocket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Extensions;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
#[cfg(feature = "axum")]
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::front::Rewind;

/// A connection that an HTTP server has handed over.
pub(crate) enum Io {
    /// A plain TCP connection, taken out of the HTTP server's wrappers: no indirection, and none of
    /// the HTTP server's buffers stay behind.
    Tcp(TcpStream),
    /// Anything else, such as TLS.
    Other(Box<TokioIo<hyper::upgrade::Upgraded>>),
}

/// A connection that is a WebSocket from now on.
pub(crate) struct Upgraded {
    pub(crate) io: Io,
    /// What arrived behind the request.
    pub(crate) early: Bytes,
    /// The 101 of the handshake, if it has yet to be sent.
    pub(crate) response: Bytes,
}

impl Upgraded {
    fn of_tcp(io: TcpStream, early: Bytes) -> Self {
        Self {
            io: Io::Tcp(io),
            early,
            response: Bytes::new(),
        }
    }
}

impl From<hyper::upgrade::Upgraded> for Upgraded {
    fn from(upgraded: hyper::upgrade::Upgraded) -> Self {
        let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => return Self::of_tcp(parts.io.into_inner(), parts.read_buf),
            Err(upgraded) => upgraded,
        };
        let upgraded = match upgraded.downcast::<TokioIo<Rewind>>() {
            Ok(parts) => {
                // What hyper has read comes before what it has not.
                let (io, rest) = parts.io.into_inner().into_parts();
                let early = [&parts.read_buf[..], &rest].concat();
                return Self::of_tcp(io, early.into());
            }
            Err(upgraded) => upgraded,
        };
        // Servers that detect the HTTP version, such as axum's, add a wrapper of their own.
        #[cfg(feature = "axum")]
        let upgraded = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => return Self::of_tcp(parts.io.into_inner(), parts.read_buf),
            Err(upgraded) => upgraded,
        };
        Self {
            io: Io::Other(Box::new(TokioIo::new(upgraded))),
            early: Bytes::new(),
            response: Bytes::new(),
        }
    }
}

/// Gives the connection when the HTTP server has sent the 101, or leaves that to the WebSocket;
/// nothing if it fails.
pub(crate) enum Upgrading {
    Hyper(OnUpgrade),
    Front(oneshot::Receiver<Upgraded>),
}

impl Upgrading {
    /// Takes what hyper has put into a request.
    pub(crate) fn by_hyper(extensions: &mut Extensions) -> Option<Self> {
        extensions.remove().map(Self::Hyper)
    }
}

impl Future for Upgrading {
    type Output = Option<Upgraded>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Upgraded>> {
        match &mut *self {
            Self::Hyper(upgrade) => Pin::new(upgrade).poll(cx).map(|upgraded| {
                let upgraded = upgraded.ok()?;
                Some(upgraded.into())
            }),
            Self::Front(connection) => Pin::new(connection).poll(cx).map(Result::ok),
        }
    }
}

impl Io {
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Self::Other(io) => Pin::new(io).poll_read(cx, buf),
        }
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(io) => Pin::new(io).poll_write(cx, buf),
            Self::Other(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Other(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    /// Pushes out what a wrapper such as TLS may hold back. Plain TCP holds nothing back.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Other(io) => Pin::new(io).poll_flush(cx),
        }
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Self::Other(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
