//! Staying between a client and its worker, where the connection itself cannot be passed on or is not
//! to be.
//!
//! The worker gets one end of a pair of Unix sockets in place of the client's connection, and the client's
//! address with it. For the worker that is a connection like any other: it can become a WebSocket, and it
//! goes back to the primary, and on, when its next request is another worker's.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio::net::UnixStream;

use super::door::{Arrived, arrive};
use super::{Shared, door};

/// How long a client may go on sending when its worker has closed the connection.
const LINGER: Duration = Duration::from_secs(2);

/// How connections reach the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Forwarding {
    /// The connection itself is passed to the worker. The primary reads the first line of a request and
    /// is out of the way from then on. The default.
    #[default]
    Descriptor,
    /// The primary keeps the connection and copies bytes both ways, also those of WebSockets.
    /// It costs CPU for each message and two buffers of 8 KiB for each connection, and clients are lost
    /// with the primary at once. Node.js workers do not learn a client's address.
    Proxy,
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptor => "descriptor",
            Self::Proxy => "proxy",
        })
    }
}

impl FromStr for Forwarding {
    type Err = UnknownForwarding;

    fn from_str(name: &str) -> Result<Self, UnknownForwarding> {
        [Self::Descriptor, Self::Proxy]
            .into_iter()
            .find(|forwarding| forwarding.to_string() == name)
            .ok_or(UnknownForwarding)
    }
}

/// The text names no [`Forwarding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownForwarding;

impl fmt::Display for UnknownForwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connections are forwarded by descriptor or by proxy")
    }
}

impl std::error::Error for UnknownForwarding {}

/// Another way in, for connections that a primary cannot accept by itself: made by
/// [`Bound::entrance`](super::Bound::entrance).
#[derive(Clone, Debug)]
pub struct Entrance {
    pub(super) shared: Arc<Shared>,
}

impl Entrance {
    /// Serves a connection that is no plain TCP connection, such as a TLS stream whose handshake is done,
    /// or one of a Unix socket. It cannot be passed to a worker, so the primary stays between, as with
    /// [`Forwarding::Proxy`].
    ///
    /// `peer` is the client's address, and `secure` whether the connection is encrypted: what
    /// `handshake().address()` and `handshake().is_secure()` tell. Resolves when the connection has
    /// ended. The [PROXY protocol](super::Primary::proxy_protocol) is not looked for.
    ///
    /// *Cancel safety:* if dropped, the connection is cut.
    ///
    /// ```no_run
    /// # use sala_cluster::{Bound, Primary};
    /// # async fn tls_accept(stream: tokio::net::TcpStream) -> std::io::Result<tokio::net::TcpStream> {
    /// #     Ok(stream)
    /// # }
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let primary = Primary::new().listen("127.0.0.1:3000").bind()?;
    /// let entrance = primary.entrance();
    /// let listener = tokio::net::TcpListener::bind("0.0.0.0:443").await?;
    /// tokio::spawn(async move {
    ///     while let Ok((stream, peer)) = listener.accept().await {
    ///         let entrance = entrance.clone();
    ///         tokio::spawn(async move {
    ///             // Such as tokio_rustls::TlsAcceptor.
    ///             if let Ok(stream) = tls_accept(stream).await {
    ///                 entrance.admit(stream, peer, true).await;
    ///             }
    ///         });
    ///     }
    /// });
    /// primary.run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn admit<S>(&self, mut stream: S, peer: SocketAddr, secure: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limit = self.shared.config.head_timeout;
        let arrived = tokio::time::timeout(limit, arrive(&mut stream, None)).await;
        // Else it was slow, or has gone.
        if let Ok(Ok(mut arrived)) = arrived {
            arrived.connection.secure = secure;
            carry(&self.shared, stream, peer, arrived).await;
        }
    }
}

/// Gives the worker of a connection one end of a pair of sockets, and copies until both sides are done.
pub(super) async fn carry<S>(shared: &Shared, client: S, peer: SocketAddr, arrived: Arrived)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Arrived {
        session,
        mut connection,
    } = arrived;
    connection.remote.get_or_insert(peer);
    let pair = || -> io::Result<_> {
        let (near, far) = StdUnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok((UnixStream::from_std(near)?, far))
    };
    let _carrying = shared.carrying.subscribe();
    match pair() {
        Ok((near, far)) => {
            let dispatched = shared.dispatch(session.as_deref(), connection, far.into());
            tokio::join!(dispatched, between(client, near));
        }
        Err(error) => {
            tracing::error!(%error, "a connection could not be forwarded; {}", door::ADVICE);
        }
    }
}

/// Waits until what the workers said last has been copied.
pub(super) async fn last_words(shared: &Shared) {
    // Who has not taken it until then has lost it.
    tokio::time::timeout(LINGER, shared.carrying.closed())
        .await
        .ok();
}

/// Copies until the worker has closed its end and the client had time to take note.
async fn between<S: AsyncRead + AsyncWrite>(client: S, worker: UnixStream) {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_worker, mut to_worker) = worker.into_split();
    // Errors are ends too: whoever is left hears of it by the end of its stream.
    let mut up = std::pin::pin!(async {
        copy(&mut from_client, &mut to_worker).await.ok();
        to_worker.shutdown().await.ok();
    });
    let down = async {
        copy(&mut from_worker, &mut to_client).await.ok();
        to_client.shutdown().await.ok();
    };
    let mut down = std::pin::pin!(down);
    tokio::select! {
        () = &mut down => {}
        () = &mut up => return down.await,
    }
    tokio::time::timeout(LINGER, up).await.ok();
}

#[cfg(test)]
mod tests;
