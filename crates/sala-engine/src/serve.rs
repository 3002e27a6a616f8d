//! A small HTTP/1.1 server for those who want nothing else.

use std::error::Error;
use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_service::Service;

use crate::request::ConnectionInfo;

/// How long the listener rests when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections and serves them until `stop` resolves, then lets the requests in progress
/// end and returns. Connections that became WebSockets belong to their sessions and are not waited
/// for.
///
/// `header_timeout` bounds how long the head of a request may take; see
/// [`EngineConfig::header_timeout`](crate::EngineConfig::header_timeout).
///
/// # Errors
///
/// None at present: errors of single connections are logged at debug level, and a listener that
/// cannot accept is tried again.
///
/// *Cancel safety:* dropping the future closes the listener; connections go on by themselves.
pub async fn serve<S, R>(
    listener: TcpListener,
    service: S,
    header_timeout: Duration,
    stop: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // Dropping the sender of the first tells the connections to end; when the last receiver of the
    // second is dropped, all have.
    let (stopping, stopped) = watch::channel(());
    let (waiting, served) = watch::channel(());
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, remote)) => {
                // Small packets are the rule here; waiting to merge them only adds delay.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                let info = ConnectionInfo {
                    remote: Some(remote),
                    secure: false,
                };
                let service = service.clone();
                let mut stopped = stopped.clone();
                let served = served.clone();
                tokio::spawn(async move {
                    let stop = async move {
                        stopped.changed().await.ok(); // an error is the signal
                    };
                    serve_connection(stream, info, service, header_timeout, stop).await;
                    drop(served);
                });
            }
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                tracing::error!(%error, "accept failed; is the limit of open files too low?");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    drop(stopping);
    drop(served);
    waiting.closed().await;
    Ok(())
}

/// Serves one connection, such as a TLS stream, until it ends, becomes a WebSocket, or `stop`
/// resolves and the request in progress has been answered.
pub async fn serve_connection<I, S, R>(
    io: I,
    info: ConnectionInfo,
    service: S,
    header_timeout: Duration,
    stop: impl Future<Output = ()>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(info);
        let mut service = service.clone();
        async move {
            std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
            service.call(request).await
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "HTTP connection ended with an error");
    }
}

/// Errors of the connection that was to be accepted, not of the listener.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
