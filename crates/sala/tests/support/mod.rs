//! Servers and clients for tests over real connections.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use sala::{Server, Socket};
use sala_testkit::within;
use sala_testkit::ws::Ws;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub(crate) const WS: &str = "/socket.io/?EIO=4&transport=websocket";

/// Serves on a free port for the rest of the test.
pub(crate) async fn serve(io: &Server) -> SocketAddr {
    io.on("sync", async |_socket: Socket| {});
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let io = io.clone();
    tokio::spawn(async move { io.serve(listener).await });
    addr
}

/// A WebSocket client of the main namespace.
pub(crate) struct Client {
    pub(crate) ws: Ws,
    /// The id of its socket.
    pub(crate) id: String,
}

impl Client {
    /// Connects to the main namespace.
    pub(crate) async fn new(addr: SocketAddr) -> Self {
        let mut ws = open(addr).await;
        let id = join(&mut ws, "40").await;
        Self { ws, id }
    }

    /// Asserts that nothing else has been sent to this client until now.
    #[track_caller]
    pub(crate) fn nothing_more(&mut self) -> impl Future<Output = ()> {
        sync(&mut self.ws)
    }
}

impl Deref for Client {
    type Target = Ws;

    fn deref(&self) -> &Ws {
        &self.ws
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Ws {
        &mut self.ws
    }
}

/// An Engine.IO connection.
pub(crate) async fn open(addr: SocketAddr) -> Ws {
    let mut ws = Ws::open(addr, WS).await;
    ws.expect_json("0").await;
    ws
}

/// Sends a CONNECT packet and returns the socket's id.
pub(crate) async fn join(ws: &mut Ws, packet: &str) -> String {
    ws.text(packet).await;
    let head: String = match packet.split_once(['{', ',']) {
        Some((head, _)) if head.starts_with("40/") => format!("{head},"),
        None if packet.starts_with("40/") => format!("{packet},"),
        _ => "40".to_owned(),
    };
    let reply = ws.expect_json(&head).await;
    reply["sid"]
        .as_str()
        .expect("the reply holds the id")
        .to_owned()
}

/// Asserts that the answer to a question is the next thing that comes on `/`.
#[track_caller]
pub(crate) fn sync(ws: &mut Ws) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        ws.text(r#"42999["sync"]"#).await;
        let got = ws.next_text().await;
        assert_eq!(got, "43999[]", "something else came first ({place})");
    }
}

/// What handlers write down, and tests read.
pub(crate) fn notes<T: Debug>() -> (Pen<T>, Notes<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Pen(sender), Notes(receiver))
}

pub(crate) struct Pen<T>(mpsc::UnboundedSender<T>);

impl<T> Clone for Pen<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Pen<T> {
    pub(crate) fn write(&self, note: T) {
        self.0.send(note).ok(); // a test that has ended reads no more
    }
}

pub(crate) struct Notes<T>(mpsc::UnboundedReceiver<T>);

impl<T: Debug> Notes<T> {
    #[track_caller]
    pub(crate) fn next(&mut self) -> impl Future<Output = T> {
        let next = within("a note of a handler", self.0.recv());
        async { next.await.expect("somebody still writes") }
    }

    /// What has been written by now.
    pub(crate) fn so_far(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}
