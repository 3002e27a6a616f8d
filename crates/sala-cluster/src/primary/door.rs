//! Accepts connections and reads just enough of each to know whose it is.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::{TcpListener, TcpStream};

use super::Shared;
use crate::channel::control::Connection;
use crate::outage::Outage;
use crate::sticky::{Announced, MAX_LINE, Seen, announced, look};

/// How long the listener rests when the process is out of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// How much is read at once.
const READ: usize = 4 << 10;
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
                    tracing::error!(%error, "accept failed; is the limit of open files (ulimit -n) too low?");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn receive(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let limit = shared.config.head_timeout;
    let arrived = tokio::time::timeout(limit, arrive(&shared, &stream, peer)).await;
    let Ok(Ok((session, connection))) = arrived else {
        // Slow, gone, or not what a balancer should send.
        return;
    };
    match stream.into_std() {
        Ok(stream) => {
            let descriptor = stream.into();
            shared
                .dispatch(session.as_deref(), connection, descriptor)
                .await;
        }
        Err(error) => tracing::error!(%error, "a connection could not be passed on"),
    }
}

/// Reads until it is known which session the first request belongs to.
async fn arrive(
    shared: &Shared,
    stream: &TcpStream,
    peer: SocketAddr,
) -> io::Result<(Option<String>, Connection)> {
    let mut read = BytesMut::with_capacity(READ);
    let mut announces = shared.is_balancer(peer.ip());
    let mut remote = None;
    loop {
        stream.readable().await?;
        match stream.try_read_buf(&mut read) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        if announces {
            match announced(&read) {
                Announced::Partial => {}
                Announced::Client(client, len) => {
                    remote = client;
                    announces = false;
                    let _header = read.split_to(len);
                }
                Announced::Malformed => {
                    shared.refused_balancer(peer);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        if !announces
            && !read.is_empty()
            && let Seen::Session(session) = look(&read)
        {
            let connection = Connection {
                remote,
                read: read.freeze(),
                newcomer: session.is_none(),
            };
            return Ok((session, connection));
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
