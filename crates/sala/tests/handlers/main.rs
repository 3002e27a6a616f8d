//! Handlers, over real connections: every shape, everything that can be returned, everything that
//! can go wrong.

mod answers;
mod failures;
mod order;
mod shapes;
mod typed;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sala::{ErrorKind, Server};
use sala_testkit::within;
use sala_testkit::ws::Ws;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Serves on a free port for the rest of the test.
async fn serve(io: &Server) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let io = io.clone();
    tokio::spawn(async move { io.serve(listener).await });
    addr
}

/// A client of the main namespace.
async fn connect(addr: SocketAddr) -> Ws {
    connect_with(addr, "40").await
}

/// A client that sends this CONNECT packet to the main namespace.
async fn connect_with(addr: SocketAddr, packet: &str) -> Ws {
    let mut ws = Ws::open(addr, "/socket.io/?EIO=4&transport=websocket").await;
    ws.expect_json("0").await;
    ws.text(packet).await;
    ws.expect_json("40").await;
    ws
}

/// A client of a server of its own.
async fn client(io: &Server) -> Ws {
    connect(serve(io).await).await
}

/// Sends an event and expects its answer.
async fn ask(ws: &mut Ws, event: &str, answer: &str) {
    ws.text(format!("427{event}")).await;
    ws.expect(&format!("437{answer}")).await;
}

/// What `on_error` was told: kind, namespace, event, text, whether there was a socket.
type Report = (ErrorKind, String, Option<String>, String, bool);

/// A server that hands on what `on_error` is told.
fn reporting() -> (Server, mpsc::UnboundedReceiver<Report>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let io = Server::builder()
        .on_error(move |context| {
            let report = (
                context.kind,
                context.namespace.to_owned(),
                context.event.map(str::to_owned),
                context.error.to_string(),
                context.socket.is_some(),
            );
            sender.send(report).ok(); // a test that has ended needs no reports
        })
        .build();
    (io, receiver)
}

/// The next report.
async fn report(reports: &mut mpsc::UnboundedReceiver<Report>) -> Report {
    within("a report to on_error", reports.recv())
        .await
        .expect("the server lives")
}

/// Something that handlers write down.
type Notes<T> = Arc<Mutex<Vec<T>>>;

fn note<T>(notes: &Notes<T>, value: T) {
    notes.lock().expect("nobody panicked").push(value);
}

fn take<T>(notes: &Notes<T>) -> Vec<T> {
    std::mem::take(&mut *notes.lock().expect("nobody panicked"))
}
