//! C.5: closing a server.

use sala_interop::{Probe, Sio};
use sala_testkit::http::{self, Connection};
use sala_testkit::polling::Polling;
use sala_testkit::within;
use sala_testkit::ws::Message;
use serde_json::json;

#[tokio::test]
async fn closing_tells_everyone_without_a_disconnect_packet() {
    // C040, E075
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let (mut client, _) = Sio::connect(probe.addr()).await;
    client.join("/ns").await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    session.poll().await;
    let mut pending = session.start_get().await;
    probe.run(json!({"do": "close"})).await;
    assert_eq!(client.next().await, Message::Close(None, String::new()));
    assert_eq!(pending.packets().await, ["1"]);
    for _ in 0..3 {
        assert_eq!(
            probe.event("disconnect").await["reason"],
            "server shutting down"
        );
    }
    probe.expect_none("disconnect").await;
}

#[tokio::test]
async fn a_closed_server_listens_no_more() {
    // C040
    let mut probe = Probe::start(json!({"standalone": true})).await;
    let addr = probe.addr();
    probe.run(json!({"do": "close"})).await;
    let refused = async {
        while tokio::net::TcpStream::connect(addr).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    within("connections to be refused", refused).await;
}

#[tokio::test]
async fn clients_that_were_disconnected_first_are_told_so() {
    // C044
    let mut probe = Probe::start(json!({})).await;
    let (mut client, _) = Sio::connect(probe.addr()).await;
    probe.event("connection").await;
    probe.run(json!({"do": "disconnect", "close": true})).await;
    client.expect("41").await;
    client.expect_close(None).await;
    assert_eq!(
        probe.event("disconnect").await["reason"],
        "server namespace disconnect"
    );
}

#[tokio::test]
async fn a_process_ends_after_closing() {
    // C043, C046, A137: no timer, no socket, no idle connection keeps it
    let mut probe = Probe::start(json!({"standalone": true})).await;
    let (_client, _) = Sio::connect(probe.addr()).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    let mut idle = Connection::open(probe.addr()).await;
    idle.request("GET", "/nothing", &[], b"").await;
    drop(session);
    probe.process().terminate().await;
    let status = within("the end of the process", probe.process().exit()).await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn connections_are_counted() {
    // A149, A165, C013
    let mut probe = Probe::start(json!({})).await;
    assert_eq!(probe.run(json!({"do": "count"})).await, 0);
    let (client, _) = Sio::connect(probe.addr()).await;
    http::get(probe.addr(), "/socket.io/?EIO=4&transport=polling").await;
    assert_eq!(probe.run(json!({"do": "count"})).await, 2);
    drop(client);
    probe.event("disconnect").await;
    assert_eq!(probe.run(json!({"do": "count"})).await, 1);
}
