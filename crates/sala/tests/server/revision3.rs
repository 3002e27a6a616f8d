//! Clients of Socket.IO 2: revision 3 of Engine.IO, revision 4 of Socket.IO.

use sala::{Attempt, Bytes, RawArgs, Refused, Server, Socket, Value};
use sala_testkit::ws::Ws;

use super::{serve, start};

const WS: &str = "/socket.io/?EIO=3&transport=websocket&x=1";

/// Opens a connection; the session id.
async fn open(addr: std::net::SocketAddr) -> (Ws, String) {
    let mut ws = Ws::open(addr, WS).await;
    let sid = ws.expect_json("0").await["sid"]
        .as_str()
        .expect("it has one")
        .to_owned();
    (ws, sid)
}

#[tokio::test]
async fn they_are_in_the_main_namespace_unasked_b061_to_b063() {
    let io = Server::builder().allow_revision_3(true).build();
    io.on("id", async |socket: Socket| socket.id().to_string());
    let ns = io.of("/ns");
    ns.on("id", async |socket: Socket| socket.id().to_string());
    let addr = serve(&io).await;
    let (mut ws, sid) = open(addr).await;
    ws.expect("40").await;
    ws.text(r#"421["id"]"#).await;
    ws.expect(&format!(r#"431["{sid}"]"#)).await;
    ws.text("40/ns,").await;
    ws.expect("40/ns,").await;
    ws.text(r#"42/ns,1["id"]"#).await;
    ws.expect(&format!(r#"43/ns,1["/ns#{sid}"]"#)).await;
}

#[tokio::test]
async fn the_query_of_a_namespace_is_its_auth_b064() {
    let io = Server::builder().allow_revision_3(true).build();
    io.of("/ns")
        .on_connect(async |socket: Socket, auth: Value| {
            assert_eq!(socket.handshake().query("x").as_deref(), Some("1"));
            socket.emit("auth", &auth)
        });
    let addr = serve(&io).await;
    let (mut ws, _) = open(addr).await;
    ws.expect("40").await;
    ws.text("40/ns?token=abc&b=c%20d,").await;
    ws.expect("40/ns,").await;
    ws.expect(r#"42/ns,["auth",{"token":"abc","b":"c d"}]"#)
        .await;
}

#[tokio::test]
async fn refusals_are_bare_b065_b066() {
    let io = Server::builder().allow_revision_3(true).build();
    io.of("/data").admit(async |_attempt: Attempt| {
        Err::<(), _>(Refused::new("no").with_data(&std::collections::BTreeMap::from([("a", 1)])))
    });
    io.of("/text")
        .admit(async |_attempt: Attempt| Err::<(), _>("no"));
    let addr = serve(&io).await;
    let (mut ws, _) = open(addr).await;
    ws.expect("40").await;
    for (packet, reply) in [
        ("40/data,", r#"44/data,{"a":1}"#),
        ("40/text,", r#"44/text,"no""#),
        ("40/nope,", r#"44/nope,{"message":"Invalid namespace"}"#),
    ] {
        ws.text(packet).await;
        ws.expect(reply).await;
    }
    io.admit(async |_attempt: Attempt| Err::<(), _>("not here"));
    let (mut ws, _) = open(addr).await;
    ws.expect(r#"44"not here""#).await;
}

#[tokio::test]
async fn events_acks_and_bytes_look_the_same_b067() {
    let io = Server::builder().allow_revision_3(true).build();
    io.on("echo", async |_socket: Socket, args: RawArgs| args);
    let addr = serve(&io).await;
    let (mut ws, sid) = open(addr).await;
    ws.expect("40").await;
    ws.text(r#"421["echo",1]"#).await;
    ws.expect("431[1]").await;
    // Binary messages of revision 3 begin with the type byte.
    ws.text(r#"451-2["echo",{"_placeholder":true,"num":0}]"#)
        .await;
    ws.binary([4, 7, 8]).await;
    ws.expect(r#"461-2[{"_placeholder":true,"num":0}]"#).await;
    ws.expect_binary(&[4, 7, 8]).await;
    let socket = io.socket(&sid.as_str().into()).expect("connected");
    let answer = socket.emit_with_ack::<Bytes>("question", &());
    ws.expect(r#"420["question"]"#).await;
    ws.text(r#"461-0[{"_placeholder":true,"num":0}]"#).await;
    ws.binary([4, 1]).await;
    assert_eq!(answer.await.unwrap(), &[1][..]);
    ws.text("41").await;
    ws.text(r#"42["late"]"#).await;
    ws.closed().await;
}

#[tokio::test]
async fn they_are_refused_by_default_b068() {
    let (_io, addr) = start(Server::builder()).await;
    assert!(Ws::attempt(addr, WS, &[]).await.is_err());
}
