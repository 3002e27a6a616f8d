//! What happens while the broker is away.

use sala::{ErrorKind, Namespace, Server, ServerBuilder};
use sala_adapter::backend::{BackendError, BackendErrorKind, Delivery};
use sala_testkit::cluster::{FakeBackend, FakeBroker};

use super::{Node, Notes, nodes, notes, until};

/// Options that write down what is reported.
fn reporting() -> (impl Fn() -> ServerBuilder, Notes<(ErrorKind, String)>) {
    let (pen, errors) = notes();
    let options = move || {
        let pen = pen.clone();
        Server::builder().on_error(move |context| pen.write((context.kind, context.to_string())))
    };
    (options, errors)
}

#[tokio::test]
async fn local_delivery_goes_on_and_the_others_get_the_rest_later_f022_f031() {
    let broker = FakeBroker::new();
    let (options, mut errors) = reporting();
    let [a, b] = nodes(|| FakeBackend::counted(&broker), options).await;
    let (mut near, mut far) = (a.client().await, b.client().await);
    broker.stop();
    until("both to notice", || {
        [&a, &b].iter().all(|io| !io.link().connected)
    })
    .await;
    for _ in 0..2 {
        let (kind, text) = errors.next().await;
        assert_eq!(kind, ErrorKind::Cluster);
        assert!(text.contains("the fake broker is down"), "{text}");
        assert!(text.contains("look at the broker"), "{text}");
    }
    for n in 0..50 {
        a.emit("n", &n).unwrap();
    }
    for n in 0..50 {
        near.expect(&format!(r#"42["n",{n}]"#)).await;
    }

    // What needs an answer fails at once, says so, and gives what this server knows.
    let error = a.fetch_sockets().await.unwrap_err();
    assert!(error.is_unreachable() && !error.is_timeout(), "{error}");
    assert_eq!(error.responses().len(), 1);
    let error = a
        .server_side_emit_with_ack::<u8>("hello", &())
        .await
        .unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    let asked = a.emit_with_ack::<u8>("ask", &());
    let question = near.next_text().await;
    near.text(near_answer(&question)).await;
    let error = asked.await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert_eq!(error.responses(), [1]);
    assert!(a.server_count().await.unwrap_err().is_unreachable());
    // Local answers need nobody.
    assert_eq!(a.local().fetch_sockets().await.unwrap().len(), 1);

    broker.start();
    for n in 0..50 {
        far.expect(&format!(r#"42["n",{n}]"#)).await;
    }
    assert!(errors.so_far().is_empty(), "each outage is reported once");
    assert_eq!(a.link().outages, 1);
}

fn near_answer(question: &str) -> String {
    let id = question
        .trim_start_matches("42")
        .trim_end_matches(r#"["ask"]"#);
    format!("43{id}[1]")
}

#[tokio::test]
async fn a_full_queue_is_an_error_after_local_delivery() {
    let broker = FakeBroker::new();
    let (pen, mut errors) = notes();
    let options = Server::builder()
        .on_error(move |context| pen.write((context.kind, context.namespace.to_owned())));
    let cluster = sala::ClusterOptions::default().max_queued_bytes(20_000);
    let io = options
        .cluster(cluster)
        .adapter(FakeBackend::counted(&broker))
        .build();
    let addr = super::serve(&io).await;
    io.cluster_ready().await.unwrap();
    let mut near = super::Client::new(addr).await;
    broker.stall(true);
    let mut refused = 0;
    for n in 0..100 {
        if let Err(error) = io.emit("n", &(n, "x".repeat(1000))) {
            assert!(error.is_backlogged(), "{error}");
            refused += 1;
        }
    }
    assert!(refused > 50, "{refused}");
    for n in 0..100 {
        assert_eq!(near.expect_json("42").await[1], n);
    }
    assert_eq!(errors.next().await, (ErrorKind::Cluster, "/".to_owned()));
    assert!(errors.so_far().is_empty(), "a row is reported once");
    assert_eq!(io.stats().cluster.unwrap().backlogged, refused);
    // Commands are refused too, and done here.
    let socket = io.socket(&near.id.as_str().into()).unwrap();
    io.sockets_join("room".repeat(250));
    assert!(socket.is_in("room".repeat(250)));
    let error = io.server_side_emit("n", &"x".repeat(20_000)).unwrap_err();
    assert!(error.is_backlogged());
    broker.stall(false);
}

#[tokio::test]
async fn a_malformed_message_is_reported_once_and_does_no_harm() {
    let broker = FakeBroker::new();
    let (options, mut errors) = reporting();
    let [a, b] = nodes(|| FakeBackend::counted(&broker), options).await;
    let mut far = b.client().await;
    for _ in 0..10 {
        broker.inject(|| Delivery::Malformed {
            source: "a channel".into(),
            error: BackendError::new(BackendErrorKind::Malformed, "no message"),
        });
    }
    a.emit("after", &()).unwrap();
    far.expect(r#"42["after"]"#).await;
    assert_eq!(b.link().malformed, 10);
    for _ in 0..2 {
        let (kind, text) = errors.next().await;
        assert!(
            kind == ErrorKind::Cluster && text.contains("a channel"),
            "{text}"
        );
    }
    assert!(errors.so_far().is_empty());
}

#[tokio::test]
async fn what_the_broker_refuses_for_good_ends_the_start() {
    let broker = FakeBroker::new();
    broker.refuse();
    let io = Server::builder()
        .adapter(FakeBackend::counted(&broker))
        .build();
    let error = io.cluster_ready().await.unwrap_err();
    assert!(error.to_string().contains("give one"), "{error}");
    let error = io.listen("127.0.0.1:0").await.unwrap_err();
    assert!(
        error.to_string().contains("the broker wants a password"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_begins_to_serve_though_the_broker_is_away() {
    let broker = FakeBroker::new();
    broker.stop();
    let io = Server::builder()
        .adapter(FakeBackend::counted(&broker))
        .build();
    let addr = super::serve(&io).await;
    // Ten seconds are waited for the broker; the rest of the test is no game with the clock.
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    tokio::time::resume();
    let mut near = super::Client::new(addr).await;
    io.emit("alone", &()).unwrap();
    near.expect(r#"42["alone"]"#).await;
    broker.start();
    io.cluster_ready().await.unwrap();
}

#[tokio::test]
async fn a_server_that_dies_is_no_longer_counted() {
    let broker = FakeBroker::new();
    let [a, b, c]: [Node; 3] = nodes(|| FakeBackend::counted(&broker), Server::builder).await;
    c.on_server_side("who", async |_: Namespace| "c");
    broker.kill(&b.id);
    let answers = a.server_side_emit_with_ack::<String>("who", &()).await;
    assert_eq!(answers.unwrap(), ["c"]);
}
