//! The three conformance servers, as the public suites and the official clients' own suites expect them.

use std::time::{Duration, Instant};

use sala_interop::fixture;
use sala_testkit::Child;
use sala_testkit::http;
use sala_testkit::polling::Polling;
use sala_testkit::within;
use sala_testkit::ws::Ws;
use serde_json::{Value, json};

use crate::support::{POLLING, WEBSOCKET};

const TARGET: &str = "/socket.io/?EIO=4&transport=websocket";

async fn join(server: &Child, packet: &str, prefix: &str) -> (Ws, Value) {
    let mut ws = Ws::open(server.addr(), TARGET).await;
    ws.expect_json("0").await;
    ws.text(packet).await;
    let reply = ws.expect_json(prefix).await;
    (ws, reply)
}

/// The next text that is no ping; pings are answered.
async fn past_pings(ws: &mut Ws) -> String {
    loop {
        let text = ws.next_text().await;
        if text != "2" {
            return text;
        }
        ws.text("3").await;
    }
}

// --- protocol-engine ----------------------------------------------------------------------------

#[tokio::test]
async fn protocol_engine_opens_sessions() {
    // J173
    let server = fixture("protocol-engine").start().await;
    for (open, upgrades) in [
        (
            Polling::open(server.addr(), "/engine.io/").await.open,
            json!(["websocket"]),
        ),
        (
            Ws::open(server.addr(), WEBSOCKET)
                .await
                .expect_json("0")
                .await,
            json!([]),
        ),
    ] {
        let mut keys: Vec<&String> = open.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(
            keys,
            [
                "maxPayload",
                "pingInterval",
                "pingTimeout",
                "sid",
                "upgrades"
            ]
        );
        assert_eq!(
            (&open["pingInterval"], &open["pingTimeout"]),
            (&json!(300), &json!(200))
        );
        assert_eq!(
            (&open["maxPayload"], &open["upgrades"]),
            (&json!(1_000_000), &upgrades)
        );
    }
}

#[tokio::test]
async fn protocol_engine_refuses_what_is_wrong() {
    // J173
    let server = fixture("protocol-engine").start().await;
    for (method, query) in [
        ("GET", "EIO=4"),
        ("GET", "EIO=4&transport=abc"),
        ("POST", "EIO=4&transport=polling"),
        ("PUT", "EIO=4&transport=polling"),
    ] {
        let reply = http::send(
            server.addr(),
            method,
            &format!("/engine.io/?{query}"),
            &[],
            b"",
        )
        .await;
        assert_eq!(reply.status, 400, "{method} {query}");
    }
    for target in ["/engine.io/?EIO=4&transport=abc", "/engine.io/?EIO=4"] {
        assert!(
            Ws::attempt(server.addr(), target, &[]).await.is_err(),
            "{target}"
        );
    }
    // Revision 3 is allowed, so anything that is not 4 is served as 3.
    for query in ["transport=polling", "EIO=abc&transport=polling"] {
        assert!(
            http::get(server.addr(), &format!("/engine.io/?{query}"))
                .await
                .text()
                .contains(":0{")
        );
    }
}

#[tokio::test]
async fn protocol_engine_echoes_by_polling() {
    // J174
    let server = fixture("protocol-engine").start().await;
    let session = Polling::open(server.addr(), "/engine.io/").await;
    session.send("4hello").await;
    assert_eq!(session.poll().await, ["4hello"]);
    session.send("4test1\u{1e}4test2\u{1e}4test3").await;
    let mut got = vec![];
    while got.len() < 3 {
        got.extend(session.poll_past_pings().await);
    }
    assert_eq!(got, ["4test1", "4test2", "4test3"]);
    session.send("4a\u{1e}bAQIDBA==").await;
    let mut got = vec![];
    while got.len() < 2 {
        got.extend(session.poll_past_pings().await);
    }
    assert_eq!(got, ["4a", "bAQIDBA=="]);
    session.send("abc").await;
    session.expect_gone().await;
}

#[tokio::test]
async fn protocol_engine_echoes_over_a_websocket() {
    // J174
    let server = fixture("protocol-engine").start().await;
    let mut ws = Ws::open(server.addr(), WEBSOCKET).await;
    ws.expect_json("0").await;
    ws.text("4hello").await;
    ws.expect("4hello").await;
    ws.binary([1, 2, 3, 4]).await;
    ws.expect_binary(&[1, 2, 3, 4]).await;
    ws.text("abc").await;
    ws.expect_close(None).await;
}

#[tokio::test]
async fn protocol_engine_beats_three_times_and_times_out() {
    // J175
    let server = fixture("protocol-engine").start().await;
    let polling = async {
        let session = Polling::open(server.addr(), "/engine.io/").await;
        for _ in 0..3 {
            assert_eq!(session.poll().await, ["2"]);
            session.send("3").await;
        }
        tokio::time::sleep(Duration::from_millis(600)).await;
        session.expect_gone().await;
    };
    let websocket = async {
        let mut ws = Ws::open(server.addr(), WEBSOCKET).await;
        let opened = Instant::now();
        ws.expect_json("0").await;
        for _ in 0..3 {
            ws.expect("2").await;
            ws.text("3").await;
        }
        assert!(
            opened.elapsed() >= Duration::from_millis(880),
            "{:?}",
            opened.elapsed()
        );
        ws.expect("2").await;
        ws.expect_close(None).await;
    };
    tokio::join!(polling, websocket);
}

#[tokio::test]
async fn protocol_engine_upgrades() {
    // J175
    let server = fixture("protocol-engine").start().await;
    let session = Polling::open(server.addr(), "/engine.io/").await;
    let mut ws = Ws::open(server.addr(), &session.upgrade_target()).await;
    ws.text("2probe").await;
    ws.expect("3probe").await;
    assert_eq!(session.poll_past_pings().await, ["6"]);
    ws.text("5").await;
    ws.text("4hello").await;
    assert_eq!(past_pings(&mut ws).await, "4hello");
    assert_eq!(session.get().await.status, 400);
    let mut second = Ws::open(server.addr(), &session.upgrade_target()).await;
    second.text("2probe").await;
    assert_eq!(second.closed().await, None);
    ws.text("4still").await;
    assert_eq!(past_pings(&mut ws).await, "4still");
}

#[tokio::test]
async fn protocol_engine_closes_by_polling() {
    // J175
    let server = fixture("protocol-engine").start().await;
    let session = Polling::open(server.addr(), "/engine.io/").await;
    let mut pending = session.start_get().await;
    session.send("1").await;
    assert_eq!(pending.packets().await, ["6"]);
    session.expect_gone().await;
}

#[tokio::test]
async fn protocol_engine_speaks_revision_three() {
    // J176
    let server = fixture("protocol-engine").start().await;
    let reply = http::get(server.addr(), &POLLING.replace("EIO=4", "EIO=3")).await;
    let open: Value = serde_json::from_str(reply.text().split_once(":0").unwrap().1).unwrap();
    let target = format!(
        "{}&sid={}",
        POLLING.replace("EIO=4", "EIO=3"),
        open["sid"].as_str().unwrap()
    );
    assert_eq!(
        http::post(server.addr(), &target, "6:4hello2:4€")
            .await
            .text(),
        "ok"
    );
    assert_eq!(
        http::get(server.addr(), &target).await.text(),
        "6:4hello2:4€"
    );
    assert_eq!(http::post(server.addr(), &target, "1:2").await.text(), "ok");
    assert_eq!(http::get(server.addr(), &target).await.text(), "1:3");
}

// --- protocol-socket ----------------------------------------------------------------------------

#[tokio::test]
async fn protocol_socket_welcomes_with_the_auth_object() {
    // J177
    let server = fixture("protocol-socket").start().await;
    for (packet, prefix, auth) in [
        ("40", "40", r#"42["auth",{}]"#),
        (
            r#"40{"token":"123"}"#,
            "40",
            r#"42["auth",{"token":"123"}]"#,
        ),
        ("40/custom", "40/custom,", r#"42/custom,["auth",{}]"#),
        (
            r#"40/custom,{"token":"abc"}"#,
            "40/custom,",
            r#"42/custom,["auth",{"token":"abc"}]"#,
        ),
    ] {
        let (mut ws, reply) = join(&server, packet, prefix).await;
        let keys: Vec<&String> = reply.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["sid"]);
        ws.expect(auth).await;
    }
    let (_, reply) = join(&server, "40/random", "44/random,").await;
    assert_eq!(reply, json!({"message": "Invalid namespace"}));
}

#[tokio::test]
async fn protocol_socket_closes_on_what_is_wrong() {
    // J177
    let server = fixture("protocol-socket").start().await;
    for packet in ["4abc", "42{}", r#"42abc["message-with-ack",1]"#] {
        let (mut ws, _) = join(&server, "40", "40").await;
        ws.next_text().await;
        ws.text(packet).await;
        assert_eq!(ws.closed().await, None, "{packet}");
    }
    let mut ws = Ws::open(server.addr(), TARGET).await;
    ws.text("4abc").await;
    assert_eq!(ws.closed().await, None);
}

#[tokio::test]
async fn protocol_socket_closes_who_joins_nothing() {
    // J177
    let server = fixture("protocol-socket").start().await;
    let opened = Instant::now();
    let mut ws = Ws::open(server.addr(), TARGET).await;
    ws.expect_json("0").await;
    loop {
        match ws.next().await {
            sala_testkit::ws::Message::Text(ping) if ping == "2" => ws.text("3").await,
            sala_testkit::ws::Message::Close(None, _) => break,
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(
        opened.elapsed() >= Duration::from_millis(950),
        "{:?}",
        opened.elapsed()
    );
}

#[tokio::test]
async fn protocol_socket_lets_clients_leave_and_return() {
    // J177
    let server = fixture("protocol-socket").start().await;
    for (leave, join_again, prefix) in
        [("41", "40", "40"), ("41/custom", "40/custom", "40/custom,")]
    {
        let (mut ws, first) = join(&server, join_again, prefix).await;
        ws.next_text().await;
        ws.text(leave).await;
        ws.expect("2").await;
        ws.text("3").await;
        ws.text(join_again).await;
        assert_ne!(ws.expect_json(prefix).await["sid"], first["sid"]);
    }
}

#[tokio::test]
async fn protocol_socket_echoes_events_and_acks() {
    // J177
    let server = fixture("protocol-socket").start().await;
    let (mut ws, _) = join(&server, "40", "40").await;
    ws.next_text().await;
    ws.text(r#"42["message",1,"2",{"3":[true]}]"#).await;
    ws.expect(r#"42["message-back",1,"2",{"3":[true]}]"#).await;
    ws.text(r#"452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
        .await;
    ws.binary([1, 2, 3]).await;
    ws.binary([4, 5, 6]).await;
    ws.expect(
        r#"452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
    )
    .await;
    ws.expect_binary(&[1, 2, 3]).await;
    ws.expect_binary(&[4, 5, 6]).await;
    ws.text(r#"42456["message-with-ack",1,"2",{"3":[false]}]"#)
        .await;
    ws.expect(r#"43456[1,"2",{"3":[false]}]"#).await;
    ws.text(r#"452-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#).await;
    ws.binary([1]).await;
    ws.binary([2]).await;
    ws.expect(r#"462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
        .await;
    ws.expect_binary(&[1]).await;
    ws.expect_binary(&[2]).await;
}

// --- client-fixture -----------------------------------------------------------------------------

#[tokio::test]
async fn client_fixture_refuses_where_it_should() {
    // J28
    let server = fixture("client-fixture").listeners(2).start().await;
    let (_, reply) = join(&server, "40/no,", "44/no,").await;
    assert_eq!(reply, json!({"message": "Auth failed (custom namespace)"}));
    let (_, reply) = join(&server, "40/nowhere,", "44/nowhere,").await;
    assert_eq!(reply, json!({"message": "Invalid namespace"}));
    let mut ws = Ws::open(server.addr(), &format!("{TARGET}&fail=true")).await;
    ws.expect_json("0").await;
    ws.text("40").await;
    ws.expect(r#"44{"message":"Auth failed (main namespace)"}"#)
        .await;
    ws.text("40/foo,").await;
    ws.expect_json("40/foo,").await;
}

#[tokio::test]
async fn client_fixture_answers_every_event() {
    // J28; every event carries an offset because recovery is on
    let server = fixture("client-fixture").listeners(2).start().await;
    let (mut ws, reply) = join(&server, "40", "40").await;
    assert!(reply["pid"].is_string());
    ws.quiet(Duration::from_millis(100)).await;
    let expect = async |ws: &mut Ws, args: Value| {
        let got = ws.expect_json("42").await;
        let (_, sent) = got.as_array().unwrap().split_last().unwrap();
        assert_eq!(json!(sent), args);
    };
    ws.text(r#"42["hi"]"#).await;
    expect(&mut ws, json!(["hi"])).await;
    ws.text(r#"421["echo",{"a":[null]}]"#).await;
    ws.expect(r#"431[{"a":[null]}]"#).await;
    ws.text(r#"42["ack"]"#).await;
    ws.expect(r#"420["ack"]"#).await;
    ws.text(r#"430[5,{"test":true}]"#).await;
    expect(&mut ws, json!(["got it"])).await;
    ws.text(r#"42["getUtf8"]"#).await;
    for text in [
        "てすと",
        "Я Б Г Д Ж Й",
        "Ä ä Ü ü ß",
        "utf8 — string",
        "utf8 — string",
    ] {
        expect(&mut ws, json!(["takeUtf8", text])).await;
    }
    ws.text(r#"42["false"]"#).await;
    expect(&mut ws, json!(["false", false])).await;
    ws.text(r#"422["getId"]"#).await;
    assert_eq!(ws.expect_json("432").await, json!([reply["sid"]]));
    ws.text(r#"423["getHandshake"]"#).await;
    assert_eq!(
        ws.expect_json("433").await[0]["query"]["transport"],
        "websocket"
    );
    for (ask, answer) in [("getDate", "takeDate"), ("getDateObj", "takeDateObj")] {
        ws.text(format!(r#"42["{ask}"]"#)).await;
        let got = ws.expect_json("42").await;
        let date = got[1]
            .as_str()
            .or_else(|| got[1]["date"].as_str())
            .unwrap()
            .to_owned();
        assert_eq!(
            (got[0].as_str(), date.len(), date.ends_with('Z')),
            (Some(answer), 24, true),
            "{date}"
        );
    }
    for (ask, answer) in [("doge", "doge"), ("getbin", "takebin")] {
        ws.text(format!(r#"42["{ask}"]"#)).await;
        let got = ws.expect_json("451-").await;
        assert_eq!(
            (&got[0], &got[1]),
            (&json!(answer), &json!({"_placeholder": true, "num": 0}))
        );
        ws.expect_binary(b"asdfasdf").await;
    }
}

#[tokio::test]
async fn client_fixture_takes_bytes() {
    // J28
    let server = fixture("client-fixture").listeners(2).start().await;
    let (mut ws, _) = join(&server, "40", "40").await;
    let bytes = r#"{"_placeholder":true,"num":0}"#;
    let steps = [
        (vec![format!(r#"51-["buffa",{bytes}]"#)], "buffack"),
        (
            vec![format!(
                r#"51-["jsonbuff",{{"hello":"lol","message":{bytes},"goodbye":"gotcha"}}]"#
            )],
            "jsonbuff-ack",
        ),
        (
            vec![
                format!(r#"51-["abuff1",{bytes}]"#),
                r#"2["abuff2","please arrive second"]"#.into(),
            ],
            "abuff2-ack",
        ),
        (vec![format!(r#"51-["blob",{bytes}]"#)], "back"),
        (
            vec![format!(
                r#"51-["jsonblob",{{"hello":"lol","message":{bytes},"goodbye":"gotcha"}}]"#
            )],
            "jsonblob-ack",
        ),
        (
            vec![
                format!(r#"51-["blob1",{bytes}]"#),
                r#"2["blob2","second"]"#.into(),
                format!(r#"51-["blob3",{bytes}]"#),
            ],
            "blob3-ack",
        ),
    ];
    for (packets, answer) in steps {
        for packet in packets {
            ws.text(format!("4{packet}")).await;
            if packet.starts_with('5') {
                ws.binary(*b"asdfasdf").await;
            }
        }
        assert_eq!(ws.expect_json("42").await[0], answer);
    }
}

#[tokio::test]
async fn client_fixture_recovers() {
    // J28
    let server = fixture("client-fixture").listeners(2).start().await;
    let (mut ws, first) = join(&server, "40", "40").await;
    ws.text(r#"42["hi"]"#).await;
    let offset = ws.expect_json("42").await[1].clone();
    drop(ws);
    // The server may need a moment to see the end of the connection.
    let recovered = within("recovery", async {
        loop {
            let (_ws, again) = join(
                &server,
                &format!("40{}", json!({"pid": first["pid"], "offset": offset})),
                "40",
            )
            .await;
            if again["sid"] == first["sid"] {
                return again;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(recovered.await["pid"], first["pid"]);
}

#[tokio::test]
async fn client_fixture_has_a_talking_engine() {
    // J27
    let server = fixture("client-fixture").listeners(2).start().await;
    let addr = server.addresses()[1];
    let reply = http::get(addr, POLLING).await;
    let cookies = reply.header_all("set-cookie");
    assert_eq!(
        cookies[..3],
        [
            "1=1; Max-Age=86400",
            "2=2; Path=/; HttpOnly; Secure; SameSite=Strict",
            "3=3; Max-Age=0"
        ]
    );
    assert!(
        cookies[3].starts_with("4=4; Expires=") && cookies[3].ends_with(" GMT"),
        "{}",
        cookies[3]
    );
    let session = Polling::from_reply(addr, POLLING, &reply);
    assert_eq!(
        (&session.open["pingInterval"], &session.open["maxPayload"]),
        (&json!(500), &json!(100))
    );
    if session.early.is_empty() {
        assert_eq!(session.poll_past_pings().await, ["4hi"]);
    }
    session.send("4give utf8").await;
    assert_eq!(
        session.poll_past_pings().await,
        ["4пойду спать всем спокойной ночи"]
    );
    session.send("4give binary").await;
    assert_eq!(session.poll_past_pings().await, ["bAAECAwQ="]);
    session.send("4sendHeaders").await;
    assert!(session.poll_past_pings().await[0].contains(r#""host":"127.0.0.1""#));
    let too_much = session.post("4".repeat(101)).await;
    assert_eq!((too_much.status, too_much.text()), (413, ""));
    assert_eq!(
        http::get(addr, &format!("{POLLING}&deny=1")).await.status,
        403
    );

    let mut ws = Ws::open(addr, WEBSOCKET).await;
    ws.expect_json("0").await;
    ws.expect("4hi").await;
    ws.text("4echo").await;
    ws.expect("4echo").await;
    ws.text("4".repeat(101)).await;
    ws.expect_close(Some(1009)).await;
}

#[tokio::test]
async fn the_fixtures_stop_on_sigterm() {
    for (name, listeners) in [
        ("protocol-engine", 1),
        ("protocol-socket", 1),
        ("client-fixture", 2),
    ] {
        let mut server = fixture(name).listeners(listeners).start().await;
        server.terminate().await;
        assert!(
            within("the end of the server", server.exit())
                .await
                .success(),
            "{name}"
        );
    }
}
