//! The same over HTTP long-polling.

use sala::{Bytes, RawArgs, Server, Socket};
use sala_testkit::polling::Polling;
use sala_testkit::ws::Ws;

use super::serve;

#[tokio::test]
async fn packets_of_one_body_keep_their_order_e032() {
    let io = Server::new();
    io.on("echo", async |_socket: Socket, args: RawArgs| args);
    let addr = serve(&io).await;
    let polling = Polling::open(addr, "/socket.io/").await;
    polling
        .send("40\x1e421[\"echo\",\"a\"]\x1e422[\"echo\",\"b\"]")
        .await;
    let packets = polling.poll().await;
    assert!(packets[0].starts_with("40{"), "{packets:?}");
    assert_eq!(packets[1..], [r#"431["a"]"#, r#"432["b"]"#]);
}

#[tokio::test]
async fn bytes_travel_as_base64_and_stay_behind_their_packet() {
    let io = Server::new();
    io.on("echo", async |_socket: Socket, args: RawArgs| args);
    let addr = serve(&io).await;
    let polling = Polling::open(addr, "/socket.io/").await;
    polling.send("40").await;
    polling.poll().await;
    polling
        .send("451-1[\"echo\",{\"_placeholder\":true,\"num\":0}]\x1ebAQID")
        .await;
    let packets = polling.poll().await;
    assert_eq!(
        packets,
        [r#"461-1[{"_placeholder":true,"num":0}]"#, "bAQID"]
    );
    io.emit("bin", &Bytes::from_static(&[4])).unwrap();
    io.emit("next", &()).unwrap();
    let packets = polling.poll().await;
    assert_eq!(
        packets,
        [
            r#"451-["bin",{"_placeholder":true,"num":0}]"#,
            "bBA==",
            r#"42["next"]"#
        ]
    );
}

#[tokio::test]
async fn a_socket_lives_on_when_its_transport_changes_e013() {
    let io = Server::new();
    io.on("transport", async |socket: Socket| {
        socket.conn().transport().name()
    });
    let addr = serve(&io).await;
    let polling = Polling::open(addr, "/socket.io/").await;
    polling.send("40\x1e421[\"transport\"]").await;
    let packets = polling.poll().await;
    assert_eq!(packets[1], r#"431["polling"]"#);
    let mut ws = Ws::open(addr, &polling.upgrade_target()).await;
    ws.text("2probe").await;
    ws.expect("3probe").await;
    ws.text("5").await;
    ws.text(r#"422["transport"]"#).await;
    ws.expect(r#"432["websocket"]"#).await;
    io.emit("hello", &()).unwrap();
    ws.expect(r#"42["hello"]"#).await;
    assert!(io.sockets()[0].conn().is_upgraded());
    assert_eq!(io.sockets_count(), 1);
}
