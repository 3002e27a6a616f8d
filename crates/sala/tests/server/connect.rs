//! CONNECT packets.

use std::sync::Arc;
use std::time::Duration;

use sala::{Attempt, ErrorKind, RawArgs, Refused, Server, Socket, Value};
use sala_testkit::http;
use tokio::sync::Semaphore;

use super::{Client, join, notes, open, serve, start, sync};

#[tokio::test]
async fn every_form_of_connect_is_answered_with_an_id_b008_b013() {
    let io = Server::new();
    let ns = io.of("/ns");
    let addr = serve(&io).await;
    for packet in [
        "40",
        r#"40{"token":1}"#,
        "40/ns,",
        "40/ns",
        r#"40/ns,{"a":1}"#,
        "401",
    ] {
        let mut ws = open(addr).await;
        let id = join(&mut ws, packet).await;
        assert_eq!(id.len(), 20);
        let nsp = if packet.contains("ns") { &ns } else { &*io };
        assert!(
            nsp.socket(&id.as_str().into()).is_some(),
            "{packet}: in the namespace"
        );
    }
}

#[tokio::test]
async fn nobody_is_in_the_main_namespace_unasked_b009() {
    let io = Server::new();
    io.of("/ns");
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40/ns,").await;
    assert_eq!(io.sockets_count(), 0);
    assert_eq!(io.of("/ns").sockets_count(), 1);
}

#[tokio::test]
async fn auth_is_what_the_client_sent_or_an_empty_object_b010_e004() {
    let io = Server::new();
    io.on_connect(async |socket: Socket, auth: Value| socket.emit("auth", &auth));
    let addr = serve(&io).await;
    for (packet, auth) in [("40", "{}"), (r#"40{"a":[1,"b"]}"#, r#"{"a":[1,"b"]}"#)] {
        let mut ws = open(addr).await;
        join(&mut ws, packet).await;
        ws.expect(&format!(r#"42["auth",{auth}]"#)).await;
    }
}

#[tokio::test]
async fn what_is_no_object_closes_the_connection_b011() {
    let (_io, addr) = start(Server::builder()).await;
    for packet in ["40null", "40[]", r#"40"x""#, "401[]", "401null"] {
        let mut ws = open(addr).await;
        ws.text(packet).await;
        ws.expect_close(None).await;
    }
}

#[tokio::test]
async fn the_reply_holds_the_private_id_only_with_recovery_b012() {
    let (_io, addr) = start(Server::builder()).await;
    let mut ws = open(addr).await;
    ws.text("40").await;
    assert_eq!(
        ws.expect_json("40")
            .await
            .as_object()
            .map(|reply| reply.len()),
        Some(1)
    );

    let (_io, addr) = start(Server::builder().recovery(Default::default())).await;
    let mut ws = open(addr).await;
    ws.text("40").await;
    let text = ws.next_text().await;
    assert!(
        text.starts_with(r#"40{"sid":""#) && text.contains(r#"","pid":""#),
        "{text}"
    );
}

#[tokio::test]
async fn an_unknown_namespace_is_refused_and_the_connection_stays_b013_b014_e085() {
    let io = Server::new();
    io.of("/ns");
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    for name in ["/nope", "/NS", "/ns?x=1", "/constructor", "/__proto__"] {
        ws.text(format!("40{name},")).await;
        ws.expect(&format!(r#"44{name},{{"message":"Invalid namespace"}}"#))
            .await;
    }
    join(&mut ws, "40").await;
    sync(&mut ws).await;
}

#[tokio::test]
async fn a_second_connect_closes_the_whole_connection_b016() {
    let io = Server::new();
    let (note, mut notes) = notes();
    io.on_disconnect(
        async move |_socket: Socket, reason: sala::DisconnectReason| {
            note.write(reason.as_str());
        },
    );
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text("40").await;
    client.expect_close(None).await;
    assert_eq!(notes.next().await, "forced close");
}

#[tokio::test]
async fn a_second_connect_while_a_middleware_waits_is_refused_too_b017() {
    let io = Server::new();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    io.admit(async move |_attempt: Attempt| drop(waiting.acquire().await));
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    ws.text("40").await;
    ws.text("40").await;
    ws.expect_close(None).await;
    gate.add_permits(1);
    assert_eq!(io.sockets_count(), 0);
}

#[tokio::test]
async fn packets_before_connect_close_the_connection_b018_b019() {
    let (_io, addr) = start(Server::builder()).await;
    for packet in [
        r#"42["a"]"#,
        "430[]",
        "41",
        r#"44{"message":"x"}"#,
        r#"42/ns,["a"]"#,
    ] {
        let mut ws = open(addr).await;
        ws.text(packet).await;
        ws.expect_close(None).await;
    }
    let mut client = Client::new(addr).await;
    client.text(r#"44{"message":"x"}"#).await;
    client.expect_close(None).await;
}

#[tokio::test]
async fn whoever_joins_nothing_is_closed_after_the_timeout_b020_c006_j123() {
    let options = Server::builder().connect_timeout(Duration::from_millis(50));
    let (_io, addr) = start(options).await;
    let mut idle = open(addr).await;
    let mut refused = open(addr).await;
    refused.text("40/nope,").await;
    refused.next_text().await;
    let mut joined = Client::new(addr).await;
    idle.expect_close(None).await;
    refused.expect_close(None).await;
    // It had its chance when it joined, and keeps it after it left.
    joined.text("41").await;
    joined.quiet(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn a_middleware_that_never_ends_is_cut_off_by_the_timeout_c081() {
    let options = Server::builder().connect_timeout(Duration::from_millis(50));
    let (io, addr) = start(options).await;
    io.admit(async |_attempt: Attempt| std::future::pending::<()>().await);
    let mut ws = open(addr).await;
    ws.text("40").await;
    ws.expect_close(None).await;
}

#[tokio::test]
async fn the_reply_comes_before_what_connect_handlers_send_b021_c057_d005() {
    let io = Server::new();
    io.on_connect(async |socket: Socket| {
        assert!(socket.is_connected());
        assert!(socket.is_in(socket.id()));
        assert!(socket.nsp().socket(socket.id()).is_some());
        socket.emit("first", &())?;
        socket.nsp().emit("second", &())
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.expect(r#"42["first"]"#).await;
    client.expect(r#"42["second"]"#).await;
}

/// A peer lost 19 of 300 events that were sent right after the CONNECT reply, because its listeners
/// were attached later.
#[tokio::test]
async fn nothing_sent_right_after_connect_is_lost() {
    let io = Server::new();
    io.on_connect(async |socket: Socket| {
        socket.on("hello", async |_socket: Socket, n: u32| n);
    });
    let addr = serve(&io).await;
    for n in 0..300 {
        let mut ws = open(addr).await;
        // In one write: nothing waits for the reply.
        ws.texts(&["40", &format!(r#"421["hello",{n}]"#)]).await;
        ws.expect_json("40").await;
        ws.expect(&format!("431[{n}]")).await;
    }
}

#[tokio::test]
async fn the_public_id_is_no_credential() {
    let (io, addr) = start(Server::builder()).await;
    let client = Client::new(addr).await;
    let socket = io
        .socket(&client.id.as_str().into())
        .expect("it is connected");
    assert_ne!(socket.conn().id().as_str(), client.id);
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", client.id);
    let reply = http::post(addr, &target, r#"42["sync"]"#).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.text(), r#"{"code":1,"message":"Session ID unknown"}"#);
}

#[tokio::test]
async fn namespaces_of_one_connection_are_apart_c025_d004_d018_e010_e017() {
    let io = Server::new();
    let (a, b) = (io.of("/a"), io.of("/b"));
    for nsp in [&a, &b] {
        // D004, E017: each knows where it belongs.
        let name = nsp.name().to_owned();
        nsp.on_connect(async move |socket: Socket| {
            assert_eq!(socket.nsp().name(), name);
            let own = socket.nsp().server().of(&name).socket(socket.id());
            assert!(own.is_some_and(|own| own.server().of(&name).sockets_count() > 0));
            socket.extensions().insert("checked");
        });
        nsp.on("echo", async |_socket: Socket, args: RawArgs| args);
        nsp.on("join", async |socket: Socket, room: String| {
            socket.join(room)
        });
    }
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    let first = join(&mut ws, r#"40/a,{"n":1}"#).await;
    let second = join(&mut ws, r#"40/b,{"n":2}"#).await;
    assert_ne!(first, second);
    ws.text(r#"42/a,0["join","room"]"#).await;
    ws.expect("43/a,0[]").await;
    b.to("room").emit("for b", &()).expect("it encodes");
    a.to("room").emit("for a", &()).expect("it encodes");
    ws.expect(r#"42/a,["for a"]"#).await;
    ws.text(r#"42/b,0["echo",1]"#).await;
    ws.expect("43/b,0[1]").await;

    let sockets = [
        a.socket(&first.as_str().into()).expect("connected"),
        b.socket(&second.as_str().into()).expect("connected"),
    ];
    let [n, m] = sockets.each_ref().map(|socket| {
        socket
            .handshake()
            .auth::<Value>()
            .expect("an object")
            .get("n")
            .cloned()
    });
    assert_ne!(n, m);
    for socket in &sockets {
        assert_eq!(socket.extensions().get(), Some("checked"));
    }
    assert_eq!(sockets[0].conn().id(), sockets[1].conn().id());
}

#[tokio::test]
async fn the_handshake_tells_how_the_client_came_e002_to_e010_e015() {
    let io = Server::new();
    io.on("handshake", async |socket: Socket| {
        let handshake = socket.handshake();
        assert_eq!(handshake.header("X-Custom"), Some("yes"));
        assert_eq!(handshake.query("token").as_deref(), Some("a b"));
        assert_eq!(
            handshake.url(),
            "/socket.io/?EIO=4&transport=websocket&token=a%20b"
        );
        assert_eq!(handshake.address(), "127.0.0.1");
        assert!(handshake.is_xdomain());
        assert!(!handshake.is_secure());
        assert!(
            handshake
                .time()
                .elapsed()
                .is_ok_and(|age| age < Duration::from_secs(60))
        );
        assert_eq!(socket.request().header("x-custom"), Some("yes"));
        socket.emit("handshake", &handshake)
    });
    let addr = serve(&io).await;
    let target = "/socket.io/?EIO=4&transport=websocket&token=a%20b";
    let headers = [("X-Custom", "yes"), ("Origin", "http://a.example")];
    let mut ws = sala_testkit::ws::Ws::open_with(addr, target, &headers).await;
    ws.expect_json("0").await;
    join(&mut ws, r#"40{"key":"value"}"#).await;
    ws.text(r#"42["handshake"]"#).await;
    let packet = ws.expect_json("42").await;
    let handshake = &packet[1];
    assert_eq!(handshake["headers"]["x-custom"], "yes");
    assert_eq!(handshake["query"]["transport"], "websocket");
    assert_eq!(handshake["query"]["token"], "a b");
    assert_eq!(handshake["auth"]["key"], "value");
    assert_eq!(handshake["xdomain"], true);
    assert_eq!(handshake["secure"], false);
    assert_eq!(handshake["address"], "127.0.0.1");
    assert!(handshake["issued"].is_u64());
    assert!(
        handshake["time"]
            .as_str()
            .is_some_and(|time| time.contains("GMT+0000"))
    );
    assert_eq!(handshake.as_object().map(|object| object.len()), Some(9));
}

#[tokio::test]
async fn a_client_without_what_a_connect_handler_takes_is_reported() {
    let (note, mut notes) = notes();
    let io = Server::builder()
        .on_error(move |context| note.write((context.kind, context.event.map(str::to_owned))))
        .build();
    #[derive(serde::Deserialize)]
    struct Auth {
        _token: String,
    }
    io.on_connect(async |_socket: Socket, _auth: Auth| {});
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    assert_eq!(
        notes.next().await,
        (ErrorKind::Arguments, Some("connection".to_owned()))
    );
    client.nothing_more().await;
}

#[tokio::test]
async fn refusals_are_counted() {
    let io = Server::new();
    io.admit(async |_attempt: Attempt| Err::<(), _>(Refused::new("no")));
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    ws.text("40").await;
    ws.expect(r#"44{"message":"no"}"#).await;
    assert_eq!(io.stats().refused, 1);
    assert_eq!(io.stats().sockets, 0);
    assert_eq!(io.stats().engine.sessions, 1);
}
