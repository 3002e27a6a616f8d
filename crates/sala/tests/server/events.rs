//! Events and acknowledgements from the client.

use std::sync::Arc;

use sala::{Ack, Bytes, ErrorKind, Incoming, RawArgs, Server, Socket, Value};
use tokio::sync::Semaphore;

use super::{Client, join, notes, open, serve, start, sync};

#[tokio::test]
async fn names_are_text_or_numbers_b005() {
    let io = Server::new();
    io.on("", async |_socket: Socket| "empty")
        .on("1", async |_socket: Socket| "one")
        .on("é\"\n", async |_socket: Socket| "odd")
        .on("error", async |_socket: Socket, text: String| text);
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    for (event, answer) in [
        (r#"420[""]"#, "empty"),
        (r#"420[1,"a"]"#, "one"),
        (r#"420["\u00e9\"\n"]"#, "odd"),
        // Allowed, and an ordinary event: E030, I004.
        (r#"420["error","x"]"#, "x"),
    ] {
        client.text(event).await;
        client.expect(&format!(r#"430["{answer}"]"#)).await;
    }
}

/// A peer that ran one task per event let 230 of 20,000 events overtake others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_thousand_events_of_a_client_are_handled_in_order_b022() {
    let io = Server::new();
    let (note, mut notes) = notes();
    io.on("n", async move |_socket: Socket, n: u32| {
        note.write(n);
        if n.is_multiple_of(3) {
            tokio::task::yield_now().await;
        }
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    let texts: Vec<String> = (0..20_000).map(|n| format!(r#"42["n",{n}]"#)).collect();
    for chunk in texts.chunks(500) {
        client
            .texts(&chunk.iter().map(String::as_str).collect::<Vec<_>>())
            .await;
    }
    for n in 0..20_000 {
        assert_eq!(notes.next().await, n);
    }
}

#[tokio::test]
async fn an_event_with_an_id_is_answered_once_with_it_b023() {
    let io = Server::new();
    io.on("all", async |_socket: Socket, args: RawArgs| args)
        .on("none", async |_socket: Socket| {})
        .on("later", async |_socket: Socket, n: u32, ack: Ack<u32>| {
            tokio::spawn(async move { ack.send(&n) });
        });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"4217["all",1,[2],{"a":null}]"#).await;
    client.expect(r#"4317[1,[2],{"a":null}]"#).await;
    client.text(r#"4201["none"]"#).await;
    client.expect("431[]").await;
    client.text(r#"429007199254740991["later",5]"#).await;
    client.expect("439007199254740991[5]").await;
    client.text(r#"42["all",1]"#).await;
    client.nothing_more().await;
}

#[tokio::test]
async fn bytes_come_and_go_at_any_depth_b024_b033_b034_e035() {
    let io = Server::new();
    io.on("all", async |_socket: Socket, args: RawArgs| args)
        .on(
            "typed",
            async |_socket: Socket, (name, data): (String, Bytes)| {
                assert_eq!(name, "x");
                (data.len(), data)
            },
        );
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    let event =
        r#"452-3["all",{"a":[{"_placeholder":true,"num":0}]},{"_placeholder":true,"num":1}]"#;
    client.text(event).await;
    client.binary([1, 2, 3]).await;
    client.binary([]).await;
    client
        .expect(r#"462-3[{"a":[{"_placeholder":true,"num":0}]},{"_placeholder":true,"num":1}]"#)
        .await;
    client.expect_binary(&[1, 2, 3]).await;
    client.expect_binary(&[]).await;

    client
        .text(r#"451-4["typed","x",{"_placeholder":true,"num":0}]"#)
        .await;
    client.binary([9, 8]).await;
    client
        .expect(r#"461-4[2,{"_placeholder":true,"num":0}]"#)
        .await;
    client.expect_binary(&[9, 8]).await;
}

#[tokio::test]
async fn acks_that_nobody_waits_for_are_ignored_b026() {
    let (_io, addr) = start(Server::builder()).await;
    let mut client = Client::new(addr).await;
    for packet in [r#"43999["a"]"#, r#"43["a"]"#, "430", "43"] {
        client.text(packet).await;
    }
    client.nothing_more().await;
}

#[tokio::test]
async fn reserved_names_from_a_client_close_the_connection_b029() {
    let (_io, addr) = start(Server::builder()).await;
    for name in sala_proto_names() {
        let mut client = Client::new(addr).await;
        client.text(format!(r#"42["{name}"]"#)).await;
        client.expect_close(None).await;
    }
}

fn sala_proto_names() -> [&'static str; 6] {
    [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ]
}

#[tokio::test]
async fn an_event_without_data_fires_nothing_and_others_close_b030() {
    let io = Server::new();
    let (note, mut notes) = notes();
    io.on_any(move |_, event| note.write(event.name().to_owned()));
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text("42").await;
    client.nothing_more().await;
    assert_eq!(notes.so_far(), ["sync"]);
    for packet in [
        "42[]",
        "42{}",
        "42[null]",
        "42[{}]",
        r#"42[{"toString":"foo"}]"#,
    ] {
        let mut client = Client::new(addr).await;
        client.text(packet).await;
        client.expect_close(None).await;
    }
}

#[tokio::test]
async fn bad_packets_close_every_namespace_and_tell_each_socket_b045_b046_b047_e029() {
    for (packet, text) in [
        ("4abc", "unknown packet type NaN"),
        ("49", "unknown packet type 9"),
        ("4", "Unknown type: undefined"),
        (r#"42abc["x"]"#, "invalid payload"),
        (r#"42["a"]x"#, "invalid payload"),
        ("431{}", "invalid payload"),
        ("41{}", "invalid payload"),
        (r#"451["hi"]"#, "Illegal attachments"),
        (r#"450-["hi"]"#, "Illegal attachments"),
        ("4511-[\"hi\"]", "too many attachments"),
    ] {
        let (note, mut notes) = notes();
        let reports = note.clone();
        let io = Server::builder()
            .on_error(move |context| {
                assert_eq!(context.kind, ErrorKind::Protocol);
                reports.write(format!("{} {}", context.namespace, context.error));
            })
            .build();
        for nsp in [&*io, &io.of("/ns")] {
            let note = note.clone();
            nsp.on_disconnect(
                async move |socket: Socket, reason: sala::DisconnectReason| {
                    note.write(format!("{} {reason}", socket.nsp().name()));
                },
            );
        }
        let addr = serve(&io).await;
        let mut client = Client::new(addr).await;
        join(&mut client, "40/ns,").await;
        client.text(packet).await;
        client.expect_close(None).await;
        assert_eq!(notes.next().await, format!("/ {text}"), "{packet}");
        assert_eq!(notes.next().await, format!("/ns {text}"));
        assert_eq!(notes.next().await, "/ forced close");
        assert_eq!(notes.next().await, "/ns forced close");
        assert_eq!(io.stats().violations, 2);
    }
}

#[tokio::test]
async fn placeholders_that_name_nothing_close_the_connection_b039_b040_b041_i022() {
    let (_io, addr) = start(Server::builder()).await;
    for num in [r#""splice""#, "-1", "1", "0.5", "null"] {
        let mut client = Client::new(addr).await;
        client
            .text(format!(r#"451-["a",{{"_placeholder":true,"num":{num}}}]"#))
            .await;
        client.binary([1]).await;
        client.expect_close(None).await;
    }
    let mut client = Client::new(addr).await;
    client
        .text(r#"451-["a",{"_placeholder":true,"num":0}]"#)
        .await;
    client.text(r#"42["b"]"#).await;
    client.expect_close(None).await;
    let mut client = Client::new(addr).await;
    client.binary([1]).await;
    client.expect_close(None).await;
}

#[tokio::test]
async fn handlers_of_one_event_run_in_the_order_they_were_added_e020() {
    let io = Server::new();
    let (note, mut notes) = notes();
    for n in [1, 2] {
        let note = note.clone();
        io.on("e", async move |_socket: Socket| note.write(n));
    }
    io.on_connect(async move |socket: Socket| {
        for n in [3, 4] {
            let note = note.clone();
            socket.on("e", async move |_socket: Socket| note.write(n));
        }
        let note = note.clone();
        socket.once("e", async move |_socket: Socket| note.write(5));
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"42["e"]"#).await;
    client.text(r#"42["e"]"#).await;
    client.nothing_more().await;
    assert_eq!(notes.so_far(), [1, 2, 3, 4, 5, 1, 2, 3, 4]);
}

#[tokio::test]
async fn handlers_added_or_removed_later_count_for_connected_clients() {
    let io = Server::new();
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"421["late"]"#).await;
    client.nothing_more().await;
    io.on("late", async |_socket: Socket| "now");
    client.text(r#"422["late"]"#).await;
    client.expect(r#"432["now"]"#).await;
    io.off("late");
    client.text(r#"423["late"]"#).await;
    client.nothing_more().await;
}

#[tokio::test]
async fn of_several_handlers_the_one_with_an_answer_answers() {
    let io = Server::new();
    io.on("e", async |_socket: Socket| {})
        .on("e", async |_socket: Socket| {
            tokio::task::yield_now().await;
            17
        })
        .on("e", async |_socket: Socket| {})
        .on("quiet", async |_socket: Socket| {})
        .on("quiet", async |_socket: Socket| {});
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"421["e"]"#).await;
    client.expect("431[17]").await;
    client.text(r#"422["quiet"]"#).await;
    client.expect("432[]").await;
    client.nothing_more().await;
}

#[tokio::test]
async fn listeners_of_one_socket_can_be_removed_e020() {
    let io = Server::new();
    io.on_connect(async |socket: Socket| {
        let first = socket.on("e", async |_socket: Socket| 1);
        socket.on("e", async |_socket: Socket| 2);
        socket.on("f", async |_socket: Socket| 3);
        assert!(socket.remove_listener(first));
        assert!(!socket.remove_listener(first));
        assert!(socket.off("f"));
        assert!(!socket.off("f"));
        assert_eq!(socket.event_names(), ["e"]);
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"421["e"]"#).await;
    client.expect("431[2]").await;
    client.text(r#"422["f"]"#).await;
    client.nothing_more().await;
}

#[tokio::test]
async fn catch_all_listeners_see_every_event_first_e022_to_e026() {
    let io = Server::new();
    let (note, mut notes) = notes();
    let say = move |text: &str| note.write(text.to_owned());
    let (any, first, handler) = (say.clone(), say.clone(), say.clone());
    io.on("handled", async move |_socket: Socket| handler("handler"));
    io.on_connect(async move |socket: Socket| {
        let (any, first, gone) = (any.clone(), first.clone(), first.clone());
        let any = socket.on_any(move |_, event: &Incoming<'_>| {
            any(&format!(
                "any {} {} {}",
                event.name(),
                event.args().len(),
                event.wants_ack()
            ));
        });
        let first = socket.prepend_any(move |_, _| first("first"));
        let removed = socket.on_any(move |_, _| gone("removed"));
        assert!(socket.remove_listener(removed));
        assert_eq!(socket.listeners_any(), [first, any]);
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"42["handled",1,2]"#).await;
    client.text(r#"420["nobody"]"#).await;
    client.text("430[]").await;
    client.text("41").await;
    let expected = [
        "first",
        "any handled 2 false",
        "handler",
        "first",
        "any nobody 0 true",
    ];
    for text in expected {
        assert_eq!(notes.next().await, text);
    }
    assert!(
        notes.so_far().is_empty(),
        "neither acks nor the disconnection are seen"
    );
}

#[tokio::test]
async fn off_any_removes_all_e023() {
    let io = Server::new();
    let (note, mut notes) = notes();
    io.on_connect(async move |socket: Socket| {
        for n in [1, 2] {
            let note = note.clone();
            socket.on_any(move |_, _| note.write(n));
        }
        socket.on("stop", async |socket: Socket| socket.off_any());
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"42["stop"]"#).await;
    client.nothing_more().await;
    assert_eq!(notes.so_far(), [1, 2]);
}

#[tokio::test]
async fn events_after_a_disconnection_are_ignored_e031() {
    let io = Server::new();
    let (note, mut notes) = notes();
    io.on("e", async move |socket: Socket, n: u32| {
        note.write(n);
        socket.disconnect(false);
    });
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    ws.texts(&["40", r#"42["e",1]"#]).await;
    ws.expect_json("40").await;
    ws.expect("41").await;
    // Under way when the server decided: ignored, and the connection lives on.
    ws.texts(&[r#"42["e",2]"#, "41", "40"]).await;
    ws.expect_json("40").await;
    assert_eq!(notes.so_far(), [1]);
    // A namespace that the client left by itself is another matter.
    ws.texts(&["41", r#"42["e",3]"#]).await;
    ws.expect_close(None).await;
    assert!(notes.so_far().is_empty());
}

#[tokio::test]
async fn a_handler_may_wait_for_a_later_event_of_the_same_client() {
    let io = Server::new();
    let semaphore = Arc::new(Semaphore::new(0));
    let waiting = semaphore.clone();
    io.on("wait", async move |_socket: Socket| {
        waiting
            .acquire()
            .await
            .map(|permit| permit.forget())
            .is_ok()
    })
    .on("go", async move |_socket: Socket| semaphore.add_permits(1));
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"421["wait"]"#).await;
    client.text(r#"422["go"]"#).await;
    client.expect("432[]").await;
    client.expect("431[true]").await;
}

#[tokio::test]
async fn a_panic_closes_one_connection_and_nothing_else_c060() {
    let (note, mut notes) = notes();
    let io = Server::builder()
        .on_error(move |context| note.write((context.kind, context.error.to_string())))
        .build();
    io.on("panic", async |_socket: Socket| -> () { panic!("oh no") })
        .on("later", async |_socket: Socket| -> () {
            tokio::task::yield_now().await;
            panic!("oh yes")
        });
    io.on_any(|_, event| assert_ne!(event.name(), "any"));
    let addr = serve(&io).await;
    let mut other = Client::new(addr).await;
    for (event, text) in [("panic", "oh no"), ("later", "oh yes"), ("any", "any")] {
        let mut client = Client::new(addr).await;
        client.text(format!(r#"42["{event}"]"#)).await;
        client.expect_close(None).await;
        let (kind, error) = notes.next().await;
        assert_eq!(kind, ErrorKind::Panic);
        assert!(error.contains(text), "{error}");
    }
    sync(&mut other.ws).await;
    assert_eq!(io.stats().panics, 3);
}

#[tokio::test]
async fn big_messages_pass_both_ways_b007_j139() {
    let options = Server::builder().max_payload(10_000_000);
    let (io, addr) = start(options).await;
    io.on("echo", async |_socket: Socket, value: Value| value);
    let mut client = Client::new(addr).await;
    let text = "x".repeat(1_000_000);
    client.text(format!(r#"421["echo","{text}"]"#)).await;
    client.expect(&format!(r#"431["{text}"]"#)).await;
    let bytes = vec![7; 4_000_000];
    client
        .text(r#"451-2["echo",{"_placeholder":true,"num":0}]"#)
        .await;
    client.binary(bytes.clone()).await;
    client
        .expect(r#"461-2[{"_placeholder":true,"num":0}]"#)
        .await;
    client.expect_binary(&bytes).await;
}

/// Events do not wait for a connect handler that waits: what it listens to later, it missed.
#[tokio::test]
async fn handlers_added_after_waiting_miss_what_came_before_c061() {
    let io = Server::new();
    let gate = Arc::new(Semaphore::new(0));
    let opens = gate.clone();
    io.on_connect(async move |socket: Socket| {
        socket.on("early", async |_socket: Socket| "early");
        opens.acquire().await.expect("it stays open").forget();
        socket.on("late", async |_socket: Socket| "late");
        socket.emit("listening", &())
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"421["late"]"#).await;
    client.text(r#"422["early"]"#).await;
    client.expect(r#"432["early"]"#).await;
    gate.add_permits(1);
    client.expect(r#"42["listening"]"#).await;
    client.text(r#"423["late"]"#).await;
    client.expect(r#"433["late"]"#).await;
}
