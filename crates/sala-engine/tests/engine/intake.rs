//! Connections that another process accepted, here a listener in the same one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use sala_engine::intake::{Arrival, Intake, Leave};
use sala_engine::{EngineConfig, EngineLayer, Otherwise};
use sala_testkit::http::{Connection, request};
use sala_testkit::within;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::common::{Server, config, start_in};

const POLLING: &str = "/engine.io/?EIO=4&transport=polling";

/// Reads a little of each connection before it passes it in, and keeps what comes back.
struct Half {
    arrivals: Mutex<mpsc::UnboundedReceiver<Arrival>>,
    returned: mpsc::UnboundedSender<Arrival>,
    sessions: AtomicUsize,
    /// When and how the process is asked to leave.
    leave: watch::Sender<Option<Leave>>,
    stop: Notify,
    ended: Notify,
}

impl Intake for Half {
    fn session_prefix(&self) -> [u8; 2] {
        *b"zz"
    }

    fn begin(&self) {}

    fn next(&self) -> Pin<Box<dyn Future<Output = Option<Arrival>> + Send + '_>> {
        Box::pin(async { self.arrivals.lock().await.recv().await })
    }

    fn is_ours(&self, first: bool, session: Option<&str>) -> bool {
        first || session.is_some_and(|session| session.starts_with("zz"))
    }

    fn pass_on(&self, arrival: Arrival) {
        self.returned.send(arrival).ok();
    }

    fn report(&self, sessions: usize) {
        self.sessions.store(sessions, Ordering::Relaxed);
    }

    fn leave(&self) -> Pin<Box<dyn Future<Output = Leave> + Send>> {
        let mut leave = self.leave.subscribe();
        Box::pin(async move { leave.wait_for(Option::is_some).await.unwrap().unwrap() })
    }
}

impl Half {
    fn ask_to_leave(&self, grace: Duration) {
        let spread = Duration::ZERO;
        self.leave.send_replace(Some(Leave { grace, spread }));
    }
}

async fn accept(listener: TcpListener, arrived: mpsc::UnboundedSender<Arrival>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = vec![0; 10];
        let n = stream.read(&mut read).await.unwrap();
        read.truncate(n);
        let arrival = Arrival {
            stream: stream.into_std().unwrap(),
            read,
            remote: Some("192.0.2.1:9".parse().unwrap()),
            secure: false,
        };
        if arrived.send(arrival).is_err() {
            return;
        }
    }
}

async fn start(config: EngineConfig) -> (Server, Arc<Half>, mpsc::UnboundedReceiver<Arrival>) {
    start_beside(config, Otherwise::new(StatusCode::NOT_FOUND, "")).await
}

async fn start_beside<S, R>(
    config: EngineConfig,
    behind: S,
) -> (Server, Arc<Half>, mpsc::UnboundedReceiver<Arrival>)
where
    S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (returned, back) = mpsc::unbounded_channel();
    let (kept, mut intake) = mpsc::unbounded_channel();
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let server = start_in(config, |engine, listener| async move {
        tokio::spawn(accept(listener, arrived));
        let half = Arc::new(Half {
            arrivals: Mutex::new(arrivals),
            returned,
            sessions: AtomicUsize::new(0),
            leave: watch::Sender::new(None),
            stop: Notify::new(),
            ended: Notify::new(),
        });
        kept.send(Arc::clone(&half)).ok();
        let service = EngineLayer::new(engine.clone()).layer(behind);
        let served = engine.serve_intake(half.clone(), service, half.stop.notified());
        served.await?;
        half.ended.notify_one();
        Ok(())
    })
    .await;
    let half = intake.recv().await.unwrap();
    (server, half, back)
}

#[tokio::test]
async fn a_connection_goes_back_untouched_when_its_next_request_is_not_ours() {
    let (server, half, mut back) = start(config()).await;
    let mut connection = Connection::open(server.addr).await;
    let reply = connection.request("GET", POLLING, &[], b"").await;
    let sid = reply.text()[9..29].to_owned();
    assert!(sid.starts_with("zz"), "{reply:?}");
    let reported = async {
        while half.sessions.load(Ordering::Relaxed) != 1 {
            tokio::task::yield_now().await;
        }
    };
    within("the session to be reported", reported).await;

    // Ours, and behind it, in the same packet, another's with a part of its body.
    let target = format!("{POLLING}&sid={sid}");
    let ours = request("POST", &target, &[], b"4hi");
    let target = format!("{POLLING}&sid=aa345678901234567890");
    let other = request("POST", &target, &[], b"4 there");
    let (now, later) = other.split_at(other.len() - 3);
    connection.send([&ours[..], now].concat()).await;
    assert_eq!(connection.response().await.text(), "ok");
    let arrival = within("the connection to come back", back.recv())
        .await
        .unwrap();
    assert_eq!(arrival.read, now);
    assert_eq!(arrival.remote, Some("192.0.2.1:9".parse().unwrap()));
    // Nobody else reads from it.
    connection.send(later).await;
    let stream = tokio::net::TcpStream::from_std(arrival.stream).unwrap();
    stream.readable().await.unwrap();
    let mut rest = [0; 10];
    let n = stream.try_read(&mut rest).unwrap();
    assert_eq!(&rest[..n], later);
}

/// The server behind: what it answers depends on the path.
#[derive(Clone)]
struct Pages {
    /// Told when a request that never ends begins, and when it is given up.
    told: Arc<Notify>,
}

struct GivenUp(Arc<Notify>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Service<Request<Incoming>> for Pages {
    type Response = Response<Full<Bytes>>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let told = Arc::clone(&self.told);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let text = match parts.uri.path() {
                "/empty" => return Ok(Response::new(Full::default())),
                "/large" => "x".repeat(3 << 20),
                "/unread" => "not read".to_owned(),
                "/never" => {
                    told.notify_one();
                    let _at_the_end = GivenUp(told);
                    std::future::pending().await
                }
                "/bye" => {
                    let mut response = Response::new(Full::from("bye"));
                    let close = "close".parse().unwrap();
                    response.headers_mut().insert("connection", close);
                    return Ok(response);
                }
                _ => {
                    let body = body.collect().await?.to_bytes();
                    let body = String::from_utf8_lossy(&body);
                    format!("{} {} {body}", parts.method, parts.uri)
                }
            };
            Ok(Response::new(Full::new(text.into())))
        })
    }
}

async fn start_with_pages() -> (Server, mpsc::UnboundedReceiver<Arrival>, Arc<Notify>) {
    let told = Arc::new(Notify::new());
    let pages = Pages {
        told: Arc::clone(&told),
    };
    let (server, _, back) = start_beside(config(), pages).await;
    (server, back, told)
}

const OTHERS: &str = "/engine.io/?EIO=4&transport=polling&sid=aa345678901234567890";

/// Proxies use one connection for pages and for the sessions of all processes. It used to be closed
/// after each page.
#[tokio::test]
async fn a_page_between_does_not_end_the_connection() {
    let (server, mut back, _) = start_with_pages().await;
    let mut connection = Connection::open(server.addr).await;
    let reply = connection.request("GET", POLLING, &[], b"").await;
    let ours = format!("{POLLING}&sid={}", &reply.text()[9..29]);
    for (method, target, body) in [
        ("GET", "/page", ""),
        ("GET", "/empty", ""),
        ("POST", "/form", "a=1"),
        ("GET", "/large", ""),
        ("GET", "/engine.io", ""),
    ] {
        let reply = connection
            .request(method, target, &[], body.as_bytes())
            .await;
        assert_eq!((reply.status, reply.header("connection")), (200, None));
        let expected = match target {
            "/empty" => String::new(),
            "/large" => "x".repeat(3 << 20),
            _ => format!("{method} {target} {body}"),
        };
        assert_eq!(reply.text(), expected);
        let reply = connection.request("POST", &ours, &[], b"4hi").await;
        assert_eq!(reply.text(), "ok", "after {target}");
    }
    connection.send(request("HEAD", "/page", &[], b"")).await;
    assert_eq!(connection.read_response(true).await.status, 200);
    connection.send(request("GET", OTHERS, &[], b"")).await;
    let arrival = within("the connection to come back", back.recv()).await;
    assert_eq!(arrival.unwrap().read, request("GET", OTHERS, &[], b""));
}

#[tokio::test]
async fn what_comes_behind_a_page_is_not_read_as_part_of_it() {
    let (server, mut back, _) = start_with_pages().await;
    let page = b"POST /form HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nTrailer: 1\r\n\r\n";
    let other = request("POST", OTHERS, &[], b"4 there");
    let bytes = [&page[..], &other].concat();
    for at in 1..=bytes.len() {
        let mut connection = Connection::open(server.addr).await;
        connection.send(&bytes[..at]).await;
        if at % 7 == 0 {
            // Nothing tells when the first piece has been read.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        connection.send(&bytes[at..]).await;
        let reply = connection.response().await;
        assert_eq!(reply.text(), "POST /form abcd", "split at {at}");
        let arrival = within("the connection to come back", back.recv()).await;
        let arrival = arrival.unwrap();
        let stream = tokio::net::TcpStream::from_std(arrival.stream).unwrap();
        let mut read = arrival.read;
        while read.len() < other.len() {
            within("the rest", stream.readable()).await.unwrap();
            stream.try_read_buf(&mut read).ok();
        }
        assert_eq!(read, other, "split at {at}");
    }
}

#[tokio::test]
async fn a_connection_ends_after_a_request_that_nothing_can_follow() {
    let (server, mut back, _) = start_with_pages().await;
    let next = request("GET", OTHERS, &[], b"");
    for first in [
        "GET /page HTTP/1.0\r\nHost: a\r\n\r\n",
        "GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /bye HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /page HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "POST /form HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /form HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /page HTTP/1.1\r\n\r\n\0",
    ] {
        let mut connection = Connection::open(server.addr).await;
        connection.send([first.as_bytes(), &next].concat()).await;
        let (replies, _) = connection.rest().await;
        let replies = String::from_utf8_lossy(&replies).into_owned();
        assert!(
            replies.matches("HTTP/1.").count() <= 1,
            "{first}: {replies}"
        );
        assert!(back.try_recv().is_err(), "{first}");
    }
}

/// Whoever does not read a body leaves it between two requests.
#[tokio::test]
async fn a_body_that_nobody_reads_is_not_taken_for_a_request() {
    let (server, mut back, _) = start_with_pages().await;
    let body = request("GET", OTHERS, &[], b"").repeat(2000);
    let mut connection = Connection::open(server.addr).await;
    connection
        .send(request("POST", "/unread", &[], &body))
        .await;
    assert_eq!(connection.response().await.text(), "not read");
    connection.rest().await;
    assert!(back.try_recv().is_err());
}

#[tokio::test]
async fn a_page_is_given_up_when_its_client_goes() {
    let (server, _back, told) = start_with_pages().await;
    let mut connection = Connection::open(server.addr).await;
    connection.send(request("GET", "/never", &[], b"")).await;
    connection.send(request("GET", "/page", &[], b"")).await;
    within("the request to begin", told.notified()).await;
    drop(connection);
    within("the request to be given up", told.notified()).await;
}

/// The grace period went by while sessions were still being saved: serving ended in the middle of it, and
/// panicked.
#[tokio::test]
async fn a_process_that_leaves_serves_until_it_is_told_to_stop_however_long_that_takes() {
    let (server, half, _back) = start(config()).await;
    half.ask_to_leave(Duration::ZERO);
    for _ in 0..3 {
        let mut connection = Connection::open(server.addr).await;
        let reply = connection.request("GET", POLLING, &[], b"").await;
        assert_eq!(reply.status, 200);
    }
    half.stop.notify_one();
    within("the end of serving", half.ended.notified()).await;
}

/// What the other process had sent on its way when this one stopped was reset, without an answer; and a
/// connection that never said what it wanted kept this one for as long as it liked.
#[tokio::test]
async fn what_arrives_while_the_process_ends_is_answered_and_what_says_nothing_does_not_keep_it() {
    let (server, half, _back) = start(config()).await;
    let mut silent = Connection::open(server.addr).await;
    silent.send(b"GET /engine.io/?EIO=4").await;
    // The one before has been taken when this one is answered.
    let mut before = Connection::open(server.addr).await;
    assert_eq!(before.request("GET", "/", &[], b"").await.status, 404);
    half.stop.notify_one();
    let reply = before.try_response(false).await;
    assert!(reply.is_err(), "an idle connection ends: {reply:?}");
    let mut late = Connection::open(server.addr).await;
    assert_eq!(late.request("GET", "/", &[], b"").await.status, 404);
    half.ask_to_leave(Duration::ZERO);
    within("the end of serving", half.ended.notified()).await;
}
