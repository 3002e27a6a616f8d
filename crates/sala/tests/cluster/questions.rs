//! Asking the clients of all servers, and who they are.

use std::time::Duration;

use sala::{Bytes, Server};
use sala_testkit::cluster::{FakeBackend, FakeBroker, Fate};
use serde_json::{Value, json};

use super::{Client, Node, counted, nodes, until};

const SHORT: Duration = Duration::from_millis(200);

/// Answers the next question of the server.
async fn answer(client: &mut Client, event: &str, answer: &str) {
    let question = client.next_text().await;
    let id = question
        .strip_prefix("42")
        .and_then(|rest| rest.strip_suffix(&format!(r#"["{event}"]"#)));
    let id = id.unwrap_or_else(|| panic!("another question: {question}"));
    client.text(format!("43{id}[{answer}]")).await;
}

#[tokio::test]
async fn a_broadcast_with_acknowledgements_collects_those_of_all_servers_f013() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let mut clients = [a.client().await, b.client().await, b.client().await];
    let answers = a
        .timeout(Duration::from_secs(5))
        .emit_with_ack::<Option<Value>>("who", &());
    answer(&mut clients[1], "who", r#"{"name":"far"},2"#).await;
    answer(&mut clients[2], "who", "").await;
    answer(&mut clients[0], "who", r#""near""#).await;
    let answers = answers.await.unwrap_or_else(|error| panic!("{error}"));
    let near = Some("near".into());
    assert_eq!(answers[0], near, "those of this server come first");
    assert_eq!(answers.len(), 3);
    assert!(answers.contains(&Some(json!({ "name": "far" }))) && answers.contains(&None));
}

#[tokio::test]
async fn with_nobody_to_ask_there_is_no_answer_at_once() {
    let [a, _b] = counted(&FakeBroker::new()).await;
    let answers = a.emit_with_ack::<Value>("who", &()).await;
    assert!(answers.expect("nobody is missing").is_empty());
}

#[tokio::test]
async fn an_acknowledgement_may_be_bytes() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let mut far = b.client().await;
    let answers = a.emit_with_ack::<Bytes>("bytes", &());
    let question = far.next_text().await;
    let id = question
        .trim_start_matches("42")
        .trim_end_matches(r#"["bytes"]"#);
    far.text(format!(r#"461-{id}[{{"_placeholder":true,"num":0}}]"#))
        .await;
    far.binary(*b"abc").await;
    assert_eq!(answers.await.unwrap(), [Bytes::from_static(b"abc")]);
}

#[tokio::test]
async fn local_acknowledgements_are_of_this_server_only() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let (mut near, mut far) = (a.client().await, b.client().await);
    let answers = a.local().emit_with_ack::<u8>("who", &());
    answer(&mut near, "who", "1").await;
    assert_eq!(answers.await.unwrap(), [1]);
    far.nothing_more().await;
}

#[tokio::test]
async fn a_timeout_keeps_the_answers_and_names_clients_and_servers_that_are_missing() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let mut clients = [
        a.client().await,
        a.client().await,
        b.client().await,
        b.client().await,
    ];
    let answers = a.timeout(SHORT).emit_with_ack::<u8>("who", &());
    answer(&mut clients[0], "who", "1").await;
    answer(&mut clients[2], "who", "2").await;
    let error = answers.await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(error.responses(), [1, 2]);
    let missing: Vec<_> = error.missing().iter().map(ToString::to_string).collect();
    assert_eq!(missing, [clients[1].id.clone()]);
    // The questions are forgotten on both servers; late answers go nowhere.
    for client in [1, 3] {
        answer(&mut clients[client], "who", "9").await;
        clients[client].nothing_more().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_waited_for_only_on_another_server() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let (mut near, mut far) = (a.client().await, b.client().await);
    let answers = a.timeout(SHORT).emit_with_ack::<u8>("who", &());
    near.next_text().await;
    far.next_text().await;
    near.text("41").await;
    far.text("41").await;
    let error = answers.await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(error.missing().len(), 1);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named_e088() {
    let broker = FakeBroker::new();
    let [a, b] = nodes(|| FakeBackend::heartbeats(&broker), Server::builder).await;
    let (mut near, _far) = (a.client().await, b.client().await);
    until("the servers to meet", || a.link().members == 1).await;
    let mute = b.id.clone();
    broker.decide(move |passage| match passage.from {
        Some(from) if *from == mute => Fate::Lost,
        _ => Fate::Arrives,
    });
    let answers = a.timeout(SHORT).emit_with_ack::<u8>("who", &());
    answer(&mut near, "who", "1").await;
    let error = answers.await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.responses(), [1]);
    assert_eq!(error.missing_servers(), std::slice::from_ref(&b.id));

    let error = a.timeout(SHORT).fetch_sockets().await.unwrap_err();
    assert!(error.is_timeout());
    let found: Vec<_> = error
        .responses()
        .iter()
        .map(|it| it.id().to_string())
        .collect();
    assert_eq!(found, [near.id.clone()], "its own are there");
    assert_eq!(error.missing_servers(), std::slice::from_ref(&b.id));
    assert!(error.to_string().contains("node 2"), "{error}");
}

/// A server that dies between question and answer is not waited for once the others notice.
#[tokio::test(start_paused = true)]
async fn a_server_that_dies_before_it_answers_does_not_keep_the_others_waiting_for_ever() {
    let broker = FakeBroker::new();
    let [a, b] = nodes(|| FakeBackend::heartbeats(&broker), Server::builder).await;
    until("the servers to meet", || a.link().members == 1).await;
    broker.kill(&b.id);
    let asked = a.timeout(Duration::from_secs(60)).fetch_sockets();
    let found = asked.await.expect("nobody who lives is missing");
    assert!(found.is_empty());
}

#[tokio::test]
async fn sockets_are_found_on_all_servers_with_handshake_rooms_and_data_e094() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let near = a.client().await;
    let mut ws = sala_testkit::ws::Ws::open_with(
        b.addr,
        "/socket.io/?EIO=4&transport=websocket&color=red",
        &[("X-Test", "yes"), ("Origin", "http://example.org")],
    )
    .await;
    ws.expect_json("0").await;
    let id = super::join(&mut ws, r#"40{"token":"secret"}"#).await;
    let far = Client { ws, id };
    let socket = b.socket(&far);
    socket.join("news");
    socket.data().set("name", "Ada").unwrap();
    socket
        .data()
        .set("photo", &Bytes::from_static(b"\x89PNG"))
        .unwrap();

    assert_eq!(a.fetch_sockets().await.unwrap().len(), 2);
    let found = a.in_("news").fetch_sockets().await.unwrap();
    let [found] = &found[..] else {
        panic!("one socket is in the room: {found:?}");
    };
    assert_eq!(found.id().as_str(), far.id);
    assert!(!found.is_local());
    assert!(found.rooms().contains(&"news".into()) && found.rooms().contains(&found.id().into()));
    assert_eq!(found.data().get::<String>("name").as_deref(), Some("Ada"));
    assert_eq!(
        found.data().get::<Bytes>("photo").as_deref(),
        Some(&b"\x89PNG"[..])
    );
    let handshake = found.handshake();
    assert_eq!(handshake.header("x-test"), Some("yes"));
    assert_eq!(handshake.header("X-Test"), Some("yes"));
    assert!(handshake.headers().any(|pair| pair == ("x-test", "yes")));
    assert_eq!(handshake.query("color").as_deref(), Some("red"));
    assert_eq!(handshake.queries()["EIO"], "4");
    let auth: Value = handshake.auth().unwrap();
    assert_eq!(auth["token"], "secret");
    assert_eq!(handshake.issued(), socket.handshake().issued());
    assert_eq!(handshake.time(), socket.handshake().time());
    assert_eq!(handshake.url(), socket.handshake().url());
    assert_eq!(handshake.address(), "127.0.0.1");
    assert!(handshake.is_xdomain() && !handshake.is_secure());
    let (theirs, ours) = (json(&handshake), json(&socket.handshake()));
    assert_eq!(theirs, ours, "both describe it in the same way");

    let local = a.local().fetch_sockets().await.unwrap();
    assert_eq!(local.len(), 1);
    assert!(local[0].is_local() && local[0].id().as_str() == near.id);
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("it is an object")
}

#[tokio::test]
async fn a_found_socket_can_be_used_wherever_it_is() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let clients = [a.client().await, b.client().await];
    for mut client in clients {
        let found = a.to(client.id.as_str()).fetch_sockets().await.unwrap();
        let found = &found[0];
        found.emit("hello", &1).unwrap();
        client.expect(r#"42["hello",1]"#).await;
        let asked = found
            .timeout(Duration::from_secs(5))
            .emit_with_ack::<u8>("ask", &());
        answer(&mut client, "ask", "7").await;
        assert_eq!(asked.await.unwrap(), 7);
        let asked = found.timeout(SHORT).emit_with_ack::<u8>("ask", &());
        client.next_text().await;
        assert!(asked.await.unwrap_err().is_timeout());

        found.join(["x", "y"]);
        found.leave("y");
        a.to("x").emit("in x", &()).unwrap();
        a.to("y").emit("in y", &()).unwrap();
        client.expect(r#"42["in x"]"#).await;
        client.nothing_more().await;
        found.disconnect(true);
        client.expect("41").await;
        client.closed().await;
    }
}

#[tokio::test]
async fn what_is_sent_from_a_found_socket_to_others_leaves_it_out() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let (mut near, mut far) = (a.client().await, b.client().await);
    let found = a.to(far.id.as_str()).fetch_sockets().await.unwrap();
    let others = found[0].timeout(SHORT).broadcast();
    others.emit("others", &()).unwrap();
    a.emit("end", &()).unwrap();
    near.expect(r#"42["others"]"#).await;
    near.expect(r#"42["end"]"#).await;
    far.expect(r#"42["end"]"#).await;
}

#[tokio::test]
async fn asking_a_found_socket_that_has_left_ends_at_once() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let mut far = b.client().await;
    let found = a.fetch_sockets().await.unwrap();
    far.text("41").await;
    until("it to leave", || b.sockets_count() == 0).await;
    let asked = found[0].emit_with_ack::<u8>("ask", &()).await;
    assert!(asked.unwrap_err().is_closed());
}

#[tokio::test]
async fn servers_are_counted_f006() {
    let broker = FakeBroker::new();
    let [a, _b] = counted(&broker).await;
    assert_eq!(a.server_count().await.unwrap(), 2);
    let _c = Node::new("third", FakeBackend::counted(&broker), Server::builder()).await;
    assert_eq!(a.server_count().await.unwrap(), 3);
    assert_eq!(Server::new().server_count().await.unwrap(), 1);
}

/// A server kept a task and a list of all clients that were asked on behalf of another one, until the time for answers
/// was over: for ten minutes, after all had answered in a millisecond.
#[tokio::test]
async fn nothing_is_kept_of_a_question_that_all_have_answered() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let mut far = b.client().await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let mut ask = async || {
        let answers = a
            .timeout(Duration::from_secs(500))
            .emit_with_ack::<u8>("who", &());
        answer(&mut far, "who", "1").await;
        assert_eq!(answers.await.expect("all have answered"), [1]);
    };
    ask().await;
    let before = tasks();
    for _ in 0..5 {
        ask().await;
    }
    until("the tasks to end", || tasks() <= before).await;
}
