//! Small things that several groups of rows need.

use std::net::SocketAddr;
use std::time::Duration;

use sala_interop::{Probe, Sio};
use sala_testkit::http::{self, Connection, End, Response};
use sala_testkit::ws::Ws;
use serde_json::{Value, json};

/// The request target of a polling handshake.
pub(crate) const POLLING: &str = "/engine.io/?EIO=4&transport=polling";
/// The request target of a WebSocket handshake.
pub(crate) const WEBSOCKET: &str = "/engine.io/?EIO=4&transport=websocket";

/// Long enough for something wrong to show, short enough for a test.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(150);

/// Asserts the refusal of a plain request: status, type and exact body.
#[track_caller]
pub(crate) fn assert_refused(reply: &Response, code: u8, message: &str) {
    let status = if code == 4 { 403 } else { 400 };
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(
        reply.header("content-type"),
        Some("application/json"),
        "{reply:?}"
    );
    assert_eq!(
        reply.text(),
        format!(r#"{{"code":{code},"message":"{message}"}}"#)
    );
}

/// Asserts that a GET of `target` is refused.
#[track_caller]
pub(crate) fn refused(
    addr: SocketAddr,
    target: &str,
    code: u8,
    message: &str,
) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let reply = http::get(addr, target).await;
        let expected = json!({"code": code, "message": message});
        assert!(
            reply.status >= 400 && reply.json() == expected,
            "GET {target}: expected {expected}, got {reply:?} ({place})"
        );
    }
}

/// Asserts that a WebSocket handshake is refused with this status and text and that the connection ends.
#[track_caller]
pub(crate) fn upgrade_refused(
    addr: SocketAddr,
    target: &str,
    status: u16,
    text: &str,
) -> impl Future<Output = Response> {
    let place = std::panic::Location::caller();
    async move {
        let Err((reply, mut connection)) = Ws::attempt(addr, target, &[]).await else {
            panic!("{target} must be refused ({place})");
        };
        assert!(
            reply.status == status && reply.text() == text,
            "{target}: {status} {text}, got {reply:?} ({place})"
        );
        let (rest, _) = connection.rest().await;
        assert!(
            rest.is_empty(),
            "nothing follows the refusal: {rest:?} ({place})"
        );
        reply
    }
}

/// Sends a WebSocket handshake and waits for the end of the connection; everything that came back.
pub(crate) async fn upgrade_and_wait(addr: SocketAddr, target: &str) -> (Vec<u8>, End) {
    let mut connection = Connection::open(addr).await;
    connection
        .send(sala_testkit::ws::handshake_bytes(target, &[]))
        .await;
    connection.rest().await
}

/// The `sid` of a handshake reply.
pub(crate) fn sid(reply: &Response) -> String {
    let open = reply
        .text()
        .strip_prefix('0')
        .unwrap_or_else(|| panic!("not an open packet: {}", reply.text()));
    let open: Value = serde_json::from_str(open.split('\u{1e}').next().unwrap()).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

/// A Socket.IO probe, a client that has joined `/`, and its socket id.
pub(crate) async fn connect(options: Value) -> (Probe, Sio, String) {
    let mut probe = Probe::start(options).await;
    let (client, id) = Sio::connect(probe.addr()).await;
    probe.event("connection").await;
    (probe, client, id)
}

/// Asserts the reason with which the next socket ends.
#[track_caller]
pub(crate) fn gone(probe: &mut Probe, reason: &str) -> impl Future<Output = Value> {
    let place = std::panic::Location::caller();
    async move {
        let gone = probe.event("disconnect").await;
        assert!(
            gone["reason"] == reason,
            "expected {reason}, got {gone} ({place})"
        );
        gone
    }
}

/// Asserts that the server closes the connection and that the socket's reason is `forced close`.
#[track_caller]
pub(crate) fn forced_close(
    probe: &mut Probe,
    client: &mut Sio,
    what: &str,
) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let code = client.closed().await;
        assert!(
            code.is_none(),
            "{what}: the close frame is empty, not {code:?} ({place})"
        );
        let gone = probe.event("disconnect").await;
        assert!(gone["reason"] == "forced close", "{what}: {gone} ({place})");
    }
}
