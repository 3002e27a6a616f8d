//! Emitting to one client.

use sala::{Bytes, Outgoing, Server, Socket, Value};
use serde::Serialize;

use super::{Client, join, notes, open, serve, start};

/// The server's side of a client.
fn socket(io: &Server, client: &Client) -> Socket {
    io.socket(&client.id.as_str().into())
        .expect("it is connected")
}

#[tokio::test]
async fn data_of_every_kind_is_encoded_e034_e035_b004() {
    #[derive(Serialize)]
    struct Point {
        x: f64,
        y: Option<u8>,
    }
    let (io, addr) = start(Server::builder()).await;
    let mut client = Client::new(addr).await;
    let socket = socket(&io, &client);
    socket.emit("none", &()).unwrap();
    client.expect(r#"42["none"]"#).await;
    socket.emit("one", "x").unwrap();
    client.expect(r#"42["one","x"]"#).await;
    socket.emit("", &(1, "2", [3], true, None::<u8>)).unwrap();
    client.expect(r#"42["",1,"2",[3],true,null]"#).await;
    socket.emit("list", &vec![1, 2]).unwrap();
    client.expect(r#"42["list",[1,2]]"#).await;
    socket.emit("array", &([1, 2],)).unwrap();
    client.expect(r#"42["array",[1,2]]"#).await;
    socket.emit("point", &Point { x: 1.5, y: None }).unwrap();
    client.expect(r#"42["point",{"x":1.5,"y":null}]"#).await;
    socket.emit("text", "てすと Я Ä €").unwrap();
    client.expect(r#"42["text","てすと Я Ä €"]"#).await;
    socket
        .emit("bytes", &(Bytes::from_static(b"ab"), Bytes::new()))
        .unwrap();
    client
        .expect(r#"452-["bytes",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
        .await;
    client.expect_binary(b"ab").await;
    client.expect_binary(b"").await;
    // A peer sent [null] here.
    socket.emit("unit", &None::<()>).unwrap();
    client.expect(r#"42["unit",null]"#).await;
}

#[tokio::test]
async fn reserved_names_are_errors_c022_e084_f044() {
    let (io, addr) = start(Server::builder()).await;
    let client = Client::new(addr).await;
    let socket = socket(&io, &client);
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ] {
        for result in [
            socket.emit(name, &()),
            io.emit(name, &()),
            io.to("a").emit(name, &()),
            socket.broadcast().emit(name, &()),
        ] {
            let error = result.expect_err(name);
            assert!(error.is_reserved_event());
            assert_eq!(
                error.to_string(),
                format!("\"{name}\" is a reserved event name")
            );
        }
    }
    for name in ["connect", "connection", "new_namespace"] {
        assert!(
            io.server_side_emit(name, &())
                .expect_err(name)
                .is_reserved_event()
        );
    }
    assert!(io.emit("connection", &()).is_ok());
}

#[tokio::test]
async fn data_that_cannot_be_encoded_is_an_error_b006() {
    let (io, addr) = start(Server::builder()).await;
    let mut client = Client::new(addr).await;
    let map: std::collections::BTreeMap<(u8, u8), u8> = [((1, 2), 3)].into();
    let error = socket(&io, &client)
        .emit("x", &map)
        .expect_err("a key must be text");
    assert!(error.is_serialization(), "{error}");
    assert!(io.emit("x", &map).expect_err("here too").is_serialization());
    client.nothing_more().await;
}

#[tokio::test]
async fn emits_keep_their_order_over_namespaces_e036_j137() {
    let (io, addr) = start(Server::builder()).await;
    let ns = io.of("/ns");
    let mut client = Client::new(addr).await;
    let other = join(&mut client, "40/ns,").await;
    let first = socket(&io, &client);
    let second = ns.socket(&other.as_str().into()).expect("connected");
    first.emit("a", &1).unwrap();
    second.emit("b", &2).unwrap();
    first.emit("c", &3).unwrap();
    client.expect(r#"42["a",1]"#).await;
    client.expect(r#"42/ns,["b",2]"#).await;
    client.expect(r#"42["c",3]"#).await;
}

/// A peer delivered 128 of 1,000 emits of one handler, because its queue was counted in packets.
#[tokio::test]
async fn a_thousand_emits_of_one_handler_all_arrive() {
    let io = Server::new();
    io.on("many", async |socket: Socket| {
        (0..1000).try_for_each(|n| socket.emit("n", &n))
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"421["many"]"#).await;
    for n in 0..1000 {
        client.expect(&format!(r#"42["n",{n}]"#)).await;
    }
    client.expect("431[]").await;
}

#[tokio::test]
async fn a_socket_that_left_swallows_what_is_sent_b028_e037() {
    let io = Server::new();
    let (note, mut notes) = notes();
    io.on_disconnect(async move |socket: Socket, _: sala::DisconnectReason| {
        assert!(!socket.is_connected());
        note.write(socket.emit("too late", &()).is_ok());
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.close(None).await;
    assert!(notes.next().await);
}

#[tokio::test]
async fn outgoing_listeners_see_emits_and_broadcasts_e046_to_e048() {
    let io = Server::new();
    let (note, mut notes) = notes();
    let all = note.clone();
    io.on_any_outgoing(move |_, event| all.write(format!("all {}", event.name())));
    io.on_connect(async move |socket: Socket| {
        let (note, first, gone) = (note.clone(), note.clone(), note.clone());
        let own = socket.on_any_outgoing(move |socket, event: &Outgoing<'_>| {
            let args = event.args().expect("our own packet").to_values();
            note.write(format!(
                "{} {args:?} {}",
                event.name(),
                socket.is_connected()
            ));
        });
        let before = socket.prepend_any_outgoing(move |_, _| first.write("first".into()));
        let removed = socket.on_any_outgoing(move |_, _| gone.write("removed".into()));
        assert!(socket.remove_listener(removed));
        assert_eq!(socket.listeners_any_outgoing(), [before, own]);
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    let socket = socket(&io, &client);
    socket.emit("a", &(1, Bytes::from_static(b"x"))).unwrap();
    io.emit("b", "y").unwrap();
    let args = [Value::from(1), Value::Binary(Bytes::from_static(b"x"))];
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(notes.next().await);
    }
    assert_eq!(
        seen,
        [
            "all a".to_owned(),
            "first".to_owned(),
            format!("a {args:?} true"),
            "all b".to_owned(),
            "first".to_owned(),
            format!("b {:?} true", [Value::from("y")]),
        ]
    );
    client.next_text().await;
    client.next().await;
    client.next_text().await;
    client.nothing_more().await;
    assert!(
        notes.so_far().is_empty(),
        "an answer to the client is no event"
    );
    socket.off_any_outgoing();
    socket.emit("c", &()).unwrap();
    assert_eq!(notes.so_far(), ["all c"]);
}

#[tokio::test]
async fn volatile_is_dropped_while_anything_is_queued_e045_e065() {
    let io = Server::new();
    io.on("burst", async |socket: Socket| {
        socket.volatile().emit("v", &1)?;
        socket.volatile().emit("v", &2)?;
        socket.emit("r", &3)?;
        socket.volatile().emit("v", &4)
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"421["burst"]"#).await;
    client.expect(r#"42["v",1]"#).await;
    client.expect(r#"42["r",3]"#).await;
    client.expect("431[]").await;
    assert_eq!(io.stats().engine.volatile_dropped, 2);
}

#[tokio::test]
async fn volatile_over_polling_needs_an_open_poll_e064() {
    let (io, addr) = start(Server::builder()).await;
    let polling = sala_testkit::polling::Polling::open(addr, "/socket.io/").await;
    polling.send("40").await;
    polling.poll().await;
    io.volatile().emit("lost", &()).unwrap();
    let mut poll = polling.start_get().await;
    io.volatile().emit("v", &1).unwrap();
    io.volatile().emit("v", &2).unwrap();
    assert_eq!(poll.packets().await, [r#"42["v",1]"#]);
}

#[tokio::test]
async fn a_typed_map_and_json_data_go_with_the_socket_e012_e019() {
    let io = Server::builder().state(String::from("shared")).build();
    #[derive(Clone, PartialEq, Debug)]
    struct User(u32);
    io.on("set", async |socket: Socket| {
        socket.extensions().insert(User(1));
        socket.extensions().with(|user: &mut User| user.0 += 1);
        socket.data().set("name", "Ada")?;
        socket.data().set("n", &7)
    })
    .on("get", async |socket: Socket| {
        assert_eq!(socket.extensions().get(), Some(User(2)));
        assert_eq!(socket.extensions().get::<u8>(), None);
        assert_eq!(socket.state::<String>(), "shared");
        assert!(socket.try_state::<u8>().is_none());
        assert_eq!(socket.data().get::<u8>("n"), Some(7));
        assert_eq!(socket.data().get::<bool>("n"), None);
        assert!(socket.data().remove("n"));
        socket.data().get::<String>("name")
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"421["set"]"#).await;
    client.expect("431[]").await;
    client.text(r#"422["get"]"#).await;
    client.expect(r#"432["Ada"]"#).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40").await;
    ws.text(r#"423["get"]"#).await;
    ws.expect_close(None).await; // its assertion fails: nothing is shared between sockets
}

#[tokio::test]
async fn a_part_of_a_buffer_is_sent_as_exactly_its_bytes_a182() {
    let (io, addr) = start(Server::builder()).await;
    let mut client = Client::new(addr).await;
    let socket = socket(&io, &client);
    let whole = sala::Bytes::from_static(&[0, 1, 2, 3, 4, 5, 6, 7]);
    for part in [whole.slice(2..5), whole.slice(8..), whole.clone()] {
        socket.emit("bytes", &part).unwrap();
        client
            .expect(r#"451-["bytes",{"_placeholder":true,"num":0}]"#)
            .await;
        client.expect_binary(&part).await;
    }
}
