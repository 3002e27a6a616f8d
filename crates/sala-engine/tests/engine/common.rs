//! A server of raw Engine.IO for the tests, in the test's own process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sala_engine::{
    App, CloseReason, Connection, Data, Engine, EngineConfig, EngineLayer, Frame, Otherwise, Scope,
    SessionHandle,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tower_layer::Layer as _;

/// What happened on the server, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Open,
    Closing,
    Close(CloseReason, Option<String>),
}

/// Sends every message back. `close`, `close now`, `panic`, `wait` and `flood N` are orders, and so is
/// `at_once` in the query of the handshake.
pub(crate) struct Echo(mpsc::UnboundedSender<(SessionHandle, Seen)>);

pub(crate) struct EchoConnection {
    session: SessionHandle,
    events: mpsc::UnboundedSender<(SessionHandle, Seen)>,
}

impl App for Echo {
    type Connection = EchoConnection;

    fn connect(&self, session: &SessionHandle, _: &mut Scope<'_, '_>) -> EchoConnection {
        self.0.send((session.clone(), Seen::Open)).ok();
        let url = session.request().url();
        if url.ends_with("&at_once=close") {
            session.close_now();
        } else if url.ends_with("&at_once=panic") {
            panic!("as the test asked");
        }
        EchoConnection {
            session: session.clone(),
            events: self.0.clone(),
        }
    }
}

impl EchoConnection {
    fn tell(&self, seen: Seen) {
        self.events.send((self.session.clone(), seen)).ok();
    }
}

impl Connection for EchoConnection {
    fn message(&mut self, data: Data<'_>, scope: &mut Scope<'_, '_>) {
        let session = self.session.clone();
        match data {
            Data::Text("close") => session.close(),
            Data::Text("close now") => {
                session.send(text("never")).ok();
                session.close_now();
            }
            Data::Text("panic") => panic!("as the test asked"),
            Data::Text("wait") => scope.run(Box::pin(async move {
                tokio::task::yield_now().await;
                session.send(text("waited")).ok();
            })),
            Data::Text("for ever") => scope.run(Box::pin(std::future::pending())),
            Data::Text("volatile") => {
                for word in ["first", "second", "third"] {
                    session.send_volatile(text(word));
                }
                session.send(text("regular")).ok();
            }
            Data::Text(order) if order.starts_with("flood ") => {
                let count = order[6..].parse().unwrap();
                let chunk = "x".repeat(100_000);
                for _ in 0..count {
                    if session.send(text(&chunk)).is_err() {
                        break;
                    }
                }
            }
            Data::Text(other) => drop(session.send(text(other))),
            Data::Binary(bytes) => {
                let frame = Frame::binary(|buf| buf.extend_from_slice(&bytes));
                session.send(frame).ok();
            }
        }
    }

    fn closing(&mut self, _: &mut Scope<'_, '_>) {
        self.tell(Seen::Closing);
    }

    fn close(&mut self, reason: CloseReason, description: Option<&str>, _: &mut Scope<'_, '_>) {
        self.tell(Seen::Close(reason, description.map(str::to_owned)));
    }
}

pub(crate) fn text(text: &str) -> Frame {
    Frame::message(|buf| buf.extend_from_slice(text.as_bytes()), Vec::new())
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) engine: Engine<Echo>,
    pub(crate) events: mpsc::UnboundedReceiver<(SessionHandle, Seen)>,
    pub(crate) stop: Arc<tokio::sync::Notify>,
}

/// Short clocks, so that a test of a timeout takes no longer than it must.
pub(crate) fn config() -> EngineConfig {
    EngineConfig::new()
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(200))
}

pub(crate) async fn start(config: EngineConfig) -> Server {
    let stop = Arc::new(tokio::sync::Notify::new());
    let stopped = Arc::clone(&stop);
    let mut server = start_in(config, |engine, listener| async move {
        let elsewhere = Otherwise::new(http::StatusCode::NOT_IMPLEMENTED, "Not Implemented");
        let service = EngineLayer::new(engine.clone()).layer(elsewhere);
        let stop = async move { stopped.notified().await };
        engine.serve(listener, service, stop).await
    })
    .await;
    server.stop = stop;
    server
}

/// A server whose HTTP side the test chooses.
pub(crate) async fn start_in<F>(
    config: EngineConfig,
    host: impl FnOnce(Engine<Echo>, TcpListener) -> F,
) -> Server
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let (sender, events) = mpsc::unbounded_channel();
    let engine = Engine::new(config, Echo(sender));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(host(engine.clone(), listener));
    Server {
        addr,
        engine,
        events,
        stop: Arc::default(),
    }
}

impl Server {
    /// The next event, whatever the session.
    pub(crate) async fn next(&mut self) -> Seen {
        self.next_with_session().await.1
    }

    pub(crate) async fn next_with_session(&mut self) -> (SessionHandle, Seen) {
        sala_testkit::within("an event of the server", self.events.recv())
            .await
            .expect("the server lives")
    }
}
