//! Accepts connections and reads just enough of each to know whose it is.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::Shared;
use super::proxy::{self, Forwarding};
use crate::channel::control::Connection;
use crate::outage::Outage;
use crate::sticky::{Announced, MAX_LINE, Seen, announced, look};

/// How long the listener rests when the process is out of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// How much is read at once.
const READ: usize = 4 << 10;
/// What to do when descriptors are used up.
pub(super) const ADVICE: &str = "is the limit of open files (ulimit -n) too low?";
/// What a client is told when there is no worker.
const NO_WORKER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Accepts until it is dropped.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let failing = Outage::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(receive(Arc::clone(&shared), stream, peer));
            }
            Err(error) if concerns_one(&error) => {}
            Err(error) => {
                if failing.begins() {
                    tracing::error!(%error, "accept failed; {ADVICE}");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn receive(shared: Arc<Shared>, mut stream: TcpStream, peer: SocketAddr) {
    let limit = shared.config.head_timeout;
    let balancer = shared.is_balancer(peer.ip()).then_some((&*shared, peer));
    let arrived = tokio::time::timeout(limit, arrive(&mut stream, balancer)).await;
    let Ok(Ok(arrived)) = arrived else {
        // Slow, gone, or not what a balancer should send.
        return;
    };
    match shared.config.forwarding {
        Forwarding::Descriptor => pass(&shared, stream, arrived).await,
        Forwarding::Proxy => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY could not be set");
            }
            proxy::carry(&shared, stream, peer, arrived).await;
        }
    }
}

async fn pass(shared: &Shared, stream: TcpStream, arrived: Arrived) {
    match stream.into_std() {
        Ok(stream) => {
            let session = arrived.session.as_deref();
            shared
                .dispatch(session, arrived.connection, stream.into())
                .await;
        }
        Err(error) => tracing::error!(%error, "a connection could not be passed on"),
    }
}

/// A connection of which it is known whose its first request is.
pub(super) struct Arrived {
    pub(super) session: Option<String>,
    pub(super) connection: Connection,
}

/// Reads until it is known which session the first request belongs to. A connection from a balancer
/// begins with a header of the PROXY protocol.
pub(super) async fn arrive<S: AsyncRead + Unpin>(
    stream: &mut S,
    balancer: Option<(&Shared, SocketAddr)>,
) -> io::Result<Arrived> {
    let mut read = BytesMut::with_capacity(READ);
    let mut balancer = balancer;
    let mut remote = None;
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((shared, peer)) = balancer {
            match announced(&read) {
                Announced::Partial => {}
                Announced::Client(client, len) => {
                    remote = client;
                    balancer = None;
                    let _header = read.split_to(len);
                }
                Announced::Malformed => {
                    shared.refused_balancer(peer);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        if balancer.is_none()
            && !read.is_empty()
            && let Seen::Session(session) = look(&read)
        {
            let connection = Connection {
                remote,
                secure: false,
                read: read.freeze(),
                newcomer: session.is_none(),
            };
            return Ok(Arrived {
                session,
                connection,
            });
        }
        read.reserve(READ.min(MAX_LINE));
    }
}

/// Tells a client that there is no worker.
pub(crate) async fn refuse(descriptor: OwnedFd) {
    let stream = std::net::TcpStream::from(descriptor);
    // It does not block, and its buffer is empty; if the client has gone, nobody minds.
    (&stream).write_all(NO_WORKER).ok();
    if let Ok(stream) = TcpStream::from_std(stream) {
        linger(&stream).await.ok();
    }
}

/// Lets the client read the reply: closing with something unread would destroy it.
async fn linger(stream: &TcpStream) -> io::Result<()> {
    rustix::net::shutdown(stream, rustix::net::Shutdown::Write)?;
    let drain = async {
        let mut sink = [0; 4096];
        for _ in 0..256 {
            stream.readable().await?;
            match stream.try_read(&mut sink) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        io::Result::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(2), drain).await?
}

/// Errors of the connection that was to be accepted, not of the listener.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
