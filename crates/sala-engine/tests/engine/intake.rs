//! Connections that another process accepted, here a listener in the same one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use sala_engine::intake::{Arrival, Intake, Leave};
use sala_engine::{EngineConfig, EngineLayer, Otherwise};
use sala_testkit::http::{Connection, request};
use sala_testkit::within;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tower_layer::Layer as _;

use crate::common::{Server, config, start_in};

const POLLING: &str = "/engine.io/?EIO=4&transport=polling";

/// Reads a little of each connection before it passes it in, and keeps what comes back.
struct Half {
    listener: Mutex<TcpListener>,
    returned: mpsc::UnboundedSender<Arrival>,
    sessions: AtomicUsize,
}

impl Intake for Half {
    fn session_prefix(&self) -> [u8; 2] {
        *b"zz"
    }

    fn begin(&self) {}

    fn next(&self) -> Pin<Box<dyn Future<Output = Option<Arrival>> + Send + '_>> {
        Box::pin(async {
            let (stream, _) = self.listener.lock().await.accept().await.ok()?;
            stream.readable().await.ok()?;
            let mut read = vec![0; 10];
            let n = stream.try_read(&mut read).ok()?;
            read.truncate(n);
            Some(Arrival {
                stream: stream.into_std().ok()?,
                read,
                remote: Some("192.0.2.1:9".parse().unwrap()),
            })
        })
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
        Box::pin(std::future::pending())
    }
}

async fn start(config: EngineConfig) -> (Server, Arc<Half>, mpsc::UnboundedReceiver<Arrival>) {
    let (returned, back) = mpsc::unbounded_channel();
    let (kept, mut intake) = mpsc::unbounded_channel();
    let server = start_in(config, |engine, listener| async move {
        let half = Arc::new(Half {
            listener: Mutex::new(listener),
            returned,
            sessions: AtomicUsize::new(0),
        });
        kept.send(Arc::clone(&half)).ok();
        let service =
            EngineLayer::new(engine.clone()).layer(Otherwise::new(StatusCode::NOT_FOUND, ""));
        engine
            .serve_intake(half, service, std::future::pending())
            .await
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

#[tokio::test]
async fn a_connection_with_other_requests_ends_after_the_first() {
    let (server, _, _) = start(config()).await;
    let mut connection = Connection::open(server.addr).await;
    let reply = connection.request("GET", "/page", &[], b"").await;
    assert_eq!(
        (reply.status, reply.header("connection")),
        (404, Some("close"))
    );
}
