//! A small HTTP/1.1 server for those who want nothing else.

use std::error::Error;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use sala_engine_proto::intake::{Arrival, Intake, Leave};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, watch};
use tower_service::Service;

use crate::app::App;
use crate::behind::{Rules, Served, serve_by};
use crate::engine::Engine;
use crate::front::{Front, Host};
use crate::http::TrustedProxies;
use crate::request::ConnectionInfo;

/// How often the number of sessions is reported to the process that accepts.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);
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
    accept(listener, stop, move |stream, info, life| {
        let service = service.clone();
        tokio::spawn(async move {
            serve_connection(stream, info, service, header_timeout, life.stopping()).await;
            drop(life);
        });
    })
    .await;
    Ok(())
}

impl<A: App> Engine<A> {
    /// As [`serve`], for a service that has this engine in it, such as
    /// [`EngineLayer`](crate::EngineLayer) makes. Requests to the engine's path itself do not pass
    /// through the service: the engine reads and answers them without hyper, so that a polling
    /// client costs little while it waits. A connection goes over to hyper, for good, with the
    /// first request that is for something else or unusual (such as HTTP/1.0).
    ///
    /// # Errors
    ///
    /// None at present, as for [`serve`].
    ///
    /// *Cancel safety:* as for [`serve`].
    pub async fn serve<S, R>(
        &self,
        listener: TcpListener,
        service: S,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let host = Arc::new(self.host(service, None));
        accept(listener, stop, move |stream, info, life| {
            tokio::spawn(Front::new(
                stream,
                Vec::new(),
                info,
                Arc::clone(&host),
                life,
            ));
        })
        .await;
        Ok(())
    }

    /// As [`serve`](Self::serve), for one of several processes behind one port: connections come
    /// from the process that accepts them, and those whose next request belongs to a session of
    /// another process go back to it. The ids of sessions begin with the two characters by which
    /// that process tells whose they are.
    ///
    /// Requests for something else than the engine's path may stand between; after one that is unusual (an
    /// upgrade, HTTP/1.0) the connection ends.
    ///
    /// # Errors
    ///
    /// If the engine [generates its ids](crate::EngineConfig::generate_id) in another way.
    ///
    /// *Cancel safety:* as for [`serve`].
    pub async fn serve_intake<S, R>(
        &self,
        intake: Arc<dyn Intake>,
        service: S,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if self.config().generate_id.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a worker cannot use `generate_id`: session ids tell which worker made them",
            ));
        }
        // The same prefix again, if this is the second call.
        self.core.session_prefix.set(intake.session_prefix()).ok();
        let host = Arc::new(self.host(service, Some(Arc::clone(&intake))));
        let (life, ending) = Life::new();
        let serve = |arrival, life| match arrived(arrival) {
            Ok((stream, read, info)) => {
                tokio::spawn(Front::new(stream, read, info, Arc::clone(&host), life));
            }
            Err(error) => tracing::debug!(%error, "a connection went before it was served"),
        };
        intake.begin();
        let mut reports = tokio::time::interval(REPORT_INTERVAL);
        let mut grace = std::pin::pin!(grace_over(intake.leave()));
        let mut is_over = false;
        let mut stop = std::pin::pin!(stop);
        loop {
            let arrival = tokio::select! {
                arrival = intake.next() => arrival,
                _ = reports.tick() => {
                    intake.report(self.clients_count());
                    continue;
                }
                // Whoever serves still saves sessions then: `stop` tells when that is done.
                () = &mut grace, if !is_over => {
                    is_over = true;
                    continue;
                }
                () = &mut stop => break,
            };
            let Some(arrival) = arrival else {
                // The other process has gone; the clients that are here can still be served.
                stop.await;
                break;
            };
            serve(arrival, life.clone());
        }
        // What is on its way is answered; a connection that has no end does not keep the process.
        drop(life);
        ending.begin();
        while !is_over {
            tokio::select! {
                () = ending.ended() => break,
                () = &mut grace => is_over = true,
                Some(arrival) = intake.next() => serve(arrival, ending.life()),
            }
        }
        Ok(())
    }

    fn host<S, R>(&self, service: S, intake: Option<Arc<dyn Intake>>) -> Host<A>
    where
        S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let told = intake
            .as_ref()
            .map_or(Vec::new(), |intake| intake.trusted_proxies());
        let config = self.config();
        let proxies = TrustedProxies::new(config.trusted_proxies.iter().copied().chain(told));
        let rules = Rules {
            header_timeout: config.header_timeout,
            keep_alive: intake.is_none(),
            proxies: proxies.clone(),
        };
        Host {
            engine: self.clone(),
            behind: Box::new(Served::new(service, rules)),
            proxies,
            intake,
        }
    }
}

/// A connection that another process accepted.
fn arrived(arrival: Arrival) -> io::Result<(TcpStream, Vec<u8>, ConnectionInfo)> {
    arrival.stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(arrival.stream)?;
    set_nodelay(&stream);
    let remote = match arrival.remote {
        Some(remote) => remote,
        None => stream.peer_addr()?,
    };
    let info = ConnectionInfo {
        remote: Some(remote),
        secure: arrival.secure,
    };
    Ok((stream, arrival.read, info))
}

/// Small packets are the rule here; waiting to merge them only adds delay.
fn set_nodelay(stream: &TcpStream) {
    // A socket that is not TCP has nothing to be set.
    if let Err(error) = stream.set_nodelay(true)
        && error.kind() != io::ErrorKind::Unsupported
    {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
}

/// What a connection knows of the end of its server. The server waits until all are dropped.
#[derive(Clone)]
pub(crate) struct Life {
    stop: Arc<Stop>,
    /// The server waits for the last of these.
    _served: watch::Receiver<()>,
}

#[derive(Default)]
struct Stop {
    now: AtomicBool,
    notify: Arc<Notify>,
}

/// Resolves when a process that was asked to leave has had its time.
async fn grace_over(leave: impl Future<Output = Leave>) {
    let leave = leave.await;
    tokio::time::sleep(leave.grace).await;
}

/// The end of a server, which its connections are told of.
struct Ending {
    stop: Arc<Stop>,
    waiting: watch::Sender<()>,
}

impl Ending {
    /// Has all connections end, and waits for them.
    async fn end(self, life: Life) {
        drop(life);
        self.begin();
        self.ended().await;
    }

    /// Has all connections end.
    fn begin(&self) {
        self.stop.now.store(true, Ordering::Release);
        self.stop.notify.notify_waiters();
    }

    /// Resolves when the last one has ended.
    async fn ended(&self) {
        self.waiting.closed().await;
    }

    /// For a connection that comes late.
    fn life(&self) -> Life {
        Life {
            stop: Arc::clone(&self.stop),
            _served: self.waiting.subscribe(),
        }
    }
}

impl Life {
    fn new() -> (Self, Ending) {
        let stop = Arc::new(Stop::default());
        let (waiting, served) = watch::channel(());
        let life = Self {
            stop: Arc::clone(&stop),
            _served: served,
        };
        (life, Ending { stop, waiting })
    }

    /// Whether connections are to end when they have answered what they were asked.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.now.load(Ordering::Acquire)
    }

    /// Resolves when that begins, unless it has begun already.
    pub(crate) fn stop_begins(&self) -> OwnedNotified {
        Arc::clone(&self.stop.notify).notified_owned()
    }

    /// Resolves when the connection is to end.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + use<> {
        let begins = self.stop_begins();
        let stopping = self.is_stopping();
        async move {
            if !stopping {
                begins.await;
            }
        }
    }
}

/// Accepts connections until `stop` resolves, then waits until all of them have ended.
async fn accept(
    listener: TcpListener,
    stop: impl Future<Output = ()>,
    take: impl Fn(TcpStream, ConnectionInfo, Life),
) {
    let (life, ending) = Life::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, remote)) => {
                set_nodelay(&stream);
                let info = ConnectionInfo {
                    remote: Some(remote),
                    secure: false,
                };
                take(stream, info, life.clone());
            }
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                tracing::error!(%error, "accept failed; is the limit of open files too low?");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    ending.end(life).await;
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
    let rules = Rules {
        header_timeout,
        keep_alive: true,
        proxies: TrustedProxies::default(),
    };
    serve_by(io, info, service, rules, stop).await;
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
