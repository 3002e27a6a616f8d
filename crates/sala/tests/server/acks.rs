//! Acknowledgements of clients.

use std::time::Duration;

use sala::{Bytes, Server, Socket};

use super::{Client, serve, start};

const SOON: Duration = Duration::from_millis(50);

fn socket(io: &Server, client: &Client) -> Socket {
    io.socket(&client.id.as_str().into())
        .expect("it is connected")
}

#[tokio::test]
async fn one_counter_serves_all_sockets_of_a_namespace_b025_d017() {
    let (io, addr) = start(Server::builder()).await;
    let [mut a, mut b] = Client::several(addr).await;
    let (first, second) = (socket(&io, &a), socket(&io, &b));
    let _one = first.emit_with_ack::<()>("x", &());
    let _two = second.emit_with_ack::<()>("x", &());
    let _three = io.emit_with_ack::<()>("x", &());
    a.expect(r#"420["x"]"#).await;
    b.expect(r#"421["x"]"#).await;
    a.expect(r#"422["x"]"#).await;
    b.expect(r#"422["x"]"#).await;
    let _other = io.of("/ns").emit_with_ack::<()>("x", &());
}

#[tokio::test]
async fn the_answer_is_read_as_any_type_b024_e039_e042() {
    let (io, addr) = start(Server::builder()).await;
    let mut client = Client::new(addr).await;
    let socket = socket(&io, &client);

    let answer = socket.emit_with_ack::<String>("hi", &(1, 2));
    client.expect(r#"420["hi",1,2]"#).await;
    client.text(r#"430["ok","ignored"]"#).await;
    assert_eq!(answer.await.unwrap(), "ok");

    let answer = socket.emit_with_ack::<(u8, bool)>("hi", &());
    client.text("431[7,true]").await;
    assert_eq!(answer.await.unwrap(), (7, true));

    let answer = socket.emit_with_ack::<Bytes>("hi", &());
    client.text(r#"461-2[{"_placeholder":true,"num":0}]"#).await;
    client.binary([1, 2]).await;
    assert_eq!(answer.await.unwrap(), &[1, 2][..]);

    let answer = socket.emit_with_ack::<()>("hi", &());
    client.text("433").await;
    answer.await.unwrap();

    let answer = socket.emit_with_ack::<u8>("hi", &());
    client.text(r#"434["no number"]"#).await;
    assert!(answer.await.unwrap_err().is_deserialization());
}

#[tokio::test]
async fn an_answer_counts_once_and_late_ones_are_ignored_b026_e040_e083_j132() {
    let (io, addr) = start(Server::builder()).await;
    let mut client = Client::new(addr).await;
    let socket = socket(&io, &client);
    let error = socket
        .timeout(SOON)
        .emit_with_ack::<u8>("hi", &())
        .await
        .unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.to_string(), "operation has timed out");
    client.expect(r#"420["hi"]"#).await;
    client.text("430[1]").await;

    let answer = socket
        .timeout(Duration::from_secs(60))
        .emit_with_ack::<u8>("hi", &());
    client.expect(r#"421["hi"]"#).await;
    client.text("431[2]").await;
    client.text("431[3]").await;
    assert_eq!(answer.await.unwrap(), 2);
    client.nothing_more().await;
}

#[tokio::test]
async fn a_timeout_too_long_for_the_clock_is_no_timeout() {
    let (io, addr) = start(Server::builder()).await;
    let mut client = Client::new(addr).await;
    let answer = socket(&io, &client)
        .timeout(Duration::MAX)
        .emit_with_ack::<u8>("hi", &());
    client.text("430[1]").await;
    assert_eq!(answer.await.unwrap(), 1);
}

#[tokio::test]
async fn whoever_leaves_does_not_answer_b027_e041() {
    let (io, addr) = start(Server::builder()).await;
    let mut client = Client::new(addr).await;
    let socket = socket(&io, &client);
    let answer = socket.emit_with_ack::<u8>("hi", &());
    client.text("41").await;
    let error = answer.await.unwrap_err();
    assert!(error.is_closed() && !error.is_timeout(), "{error}");
    // And there is nobody to ask any more.
    assert!(
        socket
            .emit_with_ack::<u8>("hi", &())
            .await
            .unwrap_err()
            .is_closed()
    );
}

#[tokio::test]
async fn a_handler_may_wait_for_an_answer_of_its_own_client() {
    let io = Server::new();
    io.on("ask", async |socket: Socket, n: u32| {
        let m: u32 = socket.emit_with_ack("what", &n).await?;
        Ok::<_, sala::Error>(n + m)
    });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.text(r#"427["ask",1]"#).await;
    client.expect(r#"420["what",1]"#).await;
    client.text("430[10]").await;
    client.expect("437[11]").await;
}

#[tokio::test]
async fn no_more_answers_than_allowed_are_awaited() {
    let (io, addr) = start(Server::builder().max_pending_acks(2)).await;
    let mut client = Client::new(addr).await;
    let socket = socket(&io, &client);
    let first = socket.emit_with_ack::<u8>("hi", &());
    let second = socket.emit_with_ack::<u8>("hi", &());
    let third = socket.emit_with_ack::<u8>("hi", &());
    assert!(third.await.unwrap_err().is_backlogged());
    let error = io.emit_with_ack::<u8>("hi", &()).await.unwrap_err();
    assert!(error.error().is_backlogged());
    assert_eq!(error.missing(), [socket.id().clone()]);
    // A question that nobody waits for any more makes room.
    drop(first);
    let fourth = socket.emit_with_ack::<u8>("hi", &());
    for _ in 0..3 {
        client.next_text().await;
    }
    client.expect(r#"424["hi"]"#).await;
    client.text("431[1]").await;
    client.text("434[4]").await;
    assert_eq!((second.await.unwrap(), fourth.await.unwrap()), (1, 4));
}

#[tokio::test]
async fn a_broadcast_collects_one_answer_of_each_c095_c101_e061_j112() {
    let (io, addr) = start(Server::builder()).await;
    let [mut a, mut b, mut c] = Client::several(addr).await;
    let answers = io.emit_with_ack::<String>("who", &());
    for (client, name) in [(&mut a, "a"), (&mut c, "c"), (&mut b, "b")] {
        client.expect(r#"420["who"]"#).await;
        client.text(format!(r#"430["{name}",1]"#)).await;
        client.text(r#"430["twice"]"#).await;
        client.nothing_more().await;
    }
    assert_eq!(answers.await.unwrap(), ["a", "c", "b"]);

    // From a socket: to the others.
    let sender = socket(&io, &a);
    let answers = sender
        .timeout(Duration::from_secs(60))
        .broadcast()
        .emit_with_ack::<u8>("n", &());
    for client in [&mut b, &mut c] {
        client.expect(r#"421["n"]"#).await;
        client.text("431[5]").await;
    }
    assert_eq!(answers.await.unwrap(), [5, 5]);
    a.nothing_more().await;
}

#[tokio::test]
async fn a_broadcast_tells_who_did_not_answer_c093_c096_c099_c100() {
    let (io, addr) = start(Server::builder()).await;
    let [mut a, mut b, mut c] = Client::several(addr).await;
    let answers = io.timeout(SOON).emit_with_ack::<u8>("n", &());
    a.text("430[1]").await;
    b.text(r#"430["no number"]"#).await;
    b.nothing_more_after(r#"420["n"]"#).await;
    let error = answers.await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.to_string(), "operation has timed out");
    assert_eq!(error.responses(), [1]);
    let missing: Vec<&str> = error.missing().iter().map(|id| id.as_str()).collect();
    assert_eq!(missing, [&b.id, &c.id]);

    // Whoever leaves is not waited for.
    let answers = io
        .timeout(Duration::from_secs(60))
        .emit_with_ack::<u8>("n", &());
    a.text("431[1]").await;
    b.text("431[2]").await;
    c.close(None).await;
    let error = answers.await.unwrap_err();
    assert!(error.error().is_closed() && !error.is_timeout());
    assert_eq!(error.responses(), [1, 2]);
    assert_eq!(error.missing().len(), 1);
}

#[tokio::test]
async fn a_broadcast_to_nobody_is_answered_at_once_c098() {
    let (io, addr) = start(Server::builder()).await;
    let client = Client::new(addr).await;
    assert!(
        io.to("nobody")
            .emit_with_ack::<u8>("n", &())
            .await
            .unwrap()
            .is_empty()
    );
    let all = io
        .except(client.id.as_str())
        .emit_with_ack::<u8>("n", &())
        .await;
    assert!(all.unwrap().is_empty());
}

#[tokio::test]
async fn questions_that_are_over_are_forgotten_i007() {
    let (io, addr) = start(Server::builder().max_pending_acks(1)).await;
    let _client = Client::new(addr).await;
    // With one place, the second would fail if the first were still there.
    for _ in 0..100 {
        let error = io
            .timeout(Duration::ZERO)
            .emit_with_ack::<u8>("n", &())
            .await
            .unwrap_err();
        assert!(error.is_timeout(), "{error}");
    }
}

#[tokio::test]
async fn remote_sockets_answer_with_one_value_e089_to_e091() {
    let (io, addr) = start(Server::builder()).await;
    let mut client = Client::new(addr).await;
    let sockets = io.fetch_sockets().await.unwrap();
    let [socket] = &sockets[..] else {
        panic!("one client")
    };
    let answer = socket
        .timeout(Duration::from_secs(60))
        .emit_with_ack::<u8>("n", &1);
    client.expect(r#"420["n",1]"#).await;
    client.text("430[9]").await;
    assert_eq!(answer.await.unwrap(), 9);
    let error = socket
        .timeout(SOON)
        .emit_with_ack::<u8>("n", &())
        .await
        .unwrap_err();
    assert!(error.is_timeout());
}

#[tokio::test]
async fn server_side_emits_reach_nobody_on_one_server_d012_d013_f015() {
    let (io, addr) = start(Server::builder()).await;
    let mut client = Client::new(addr).await;
    io.server_side_emit("hello", &"world").unwrap();
    assert!(
        io.server_side_emit_with_ack::<u8>("hello", &())
            .await
            .unwrap()
            .is_empty()
    );
    client.nothing_more().await;
}
