//! Events between servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sala::{ErrorKind, Namespace, Reply, Server};
use sala_testkit::cluster::{FakeBackend, FakeBroker};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{counted, nodes, notes, until};

#[tokio::test]
async fn an_event_reaches_the_other_servers_and_not_its_sender_f041_d014() {
    let [a, b, c] = counted(&FakeBroker::new()).await;
    let (pen, mut heard) = notes();
    for (name, io) in [("a", &a), ("b", &b), ("c", &c)] {
        let pen = pen.clone();
        io.on_server_side(
            "hello",
            async move |nsp: Namespace, (text, list): (String, Vec<u8>)| {
                pen.write((name, nsp.name().to_owned(), text, list));
            },
        );
    }
    a.server_side_emit("hello", &("world", [1, 2].as_slice()))
        .unwrap();
    let mut names = Vec::new();
    for _ in 0..2 {
        let (name, nsp, text, list) = heard.next().await;
        assert_eq!(
            (nsp.as_str(), text.as_str(), &list[..]),
            ("/", "world", &[1, 2][..])
        );
        names.push(name);
    }
    names.sort_unstable();
    assert_eq!(names, ["b", "c"]);
    assert!(heard.so_far().is_empty());
}

#[tokio::test]
async fn the_answers_of_all_other_servers_are_collected_f042_d013() {
    let [a, b, c] = counted(&FakeBroker::new()).await;
    b.on_server_side("how many", async |_: Namespace| 2);
    c.on_server_side("how many", async |nsp: Namespace, (factor,): (i32,)| {
        Reply((
            nsp.sockets_count() as i32 + factor,
            "only the first argument travels",
        ))
    });
    let mut answers = a
        .server_side_emit_with_ack::<i32>("how many", &(3,))
        .await
        .unwrap();
    answers.sort_unstable();
    assert_eq!(answers, [2, 3]);
}

#[tokio::test]
async fn a_server_that_is_alone_gets_no_answer_at_once() {
    let [a] = counted(&FakeBroker::new()).await;
    a.on_server_side("hello", async |_: Namespace| 1);
    assert!(
        a.server_side_emit_with_ack::<i32>("hello", &())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_server_without_a_handler_does_not_answer_f043() {
    let broker = FakeBroker::new();
    let hasty = || FakeBackend::counted(&broker).request_timeout(Duration::from_millis(200));
    let [a, b, _c] = nodes(hasty, Server::builder).await;
    b.on_server_side("who", async |_: Namespace| "b");
    let error = a
        .server_side_emit_with_ack::<String>("who", &())
        .await
        .unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.responses(), ["b"]);
    assert!(
        error
            .to_string()
            .starts_with("timeout reached: only 1 responses received out of 2"),
        "{error}"
    );
}

#[tokio::test]
async fn of_several_handlers_the_first_that_has_an_answer_gives_it() {
    let [a, b] = counted(&FakeBroker::new()).await;
    b.on_server_side("who", async |_: Namespace| {});
    b.on_server_side("who", async |_: Namespace| {
        tokio::task::yield_now().await;
        "second"
    });
    b.on_server_side("nothing", async |_: Namespace| {});
    let answers = a.server_side_emit_with_ack::<String>("who", &()).await;
    assert_eq!(answers.unwrap(), ["second"]);
    let answers = a
        .server_side_emit_with_ack::<Option<u8>>("nothing", &())
        .await;
    assert_eq!(answers.unwrap(), [None]);
}

#[tokio::test]
async fn what_goes_wrong_in_a_handler_is_reported_and_not_answered() {
    let broker = FakeBroker::new();
    let (pen, mut errors) = notes();
    let options = move || {
        let pen = pen.clone();
        Server::builder().on_error(move |context| {
            let event = context.event.map(str::to_owned);
            pen.write((context.kind, event, context.error.to_string()));
        })
    };
    let hasty = || FakeBackend::counted(&broker).request_timeout(Duration::from_millis(100));
    let [a, b] = nodes(hasty, options).await;
    b.on_server_side("fails", async |_: Namespace| Err::<u8, _>("no luck"));
    b.on_server_side("panics", async |_: Namespace| -> u8 { panic!("oh") });
    b.on_server_side("typed", async |_: Namespace, _: u8| {});
    for (event, kind, text) in [
        ("fails", ErrorKind::Handler, "no luck"),
        ("panics", ErrorKind::Panic, "oh"),
        ("typed", ErrorKind::Arguments, ""),
    ] {
        let asked = a.server_side_emit_with_ack::<u8>(event, &"text").await;
        assert!(asked.unwrap_err().is_timeout());
        let (got, name, error) = errors.next().await;
        assert_eq!((got, name.as_deref()), (kind, Some(event)));
        assert!(error.contains(text), "{error}");
    }
}

/// Handlers start in the order of the events, overlap where they wait, and do not hold up broadcasts.
#[tokio::test]
async fn handlers_start_in_order_and_do_not_hold_up_what_else_arrives() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let mut far = b.client().await;
    let (pen, mut started) = notes();
    let gate = Arc::new(Semaphore::new(0));
    let ended = Arc::new(AtomicU32::new(0));
    let (opened, ends) = (gate.clone(), ended.clone());
    b.on_server_side("n", async move |_: Namespace, n: u32| {
        pen.write(n);
        opened.acquire().await.expect("it is never closed").forget();
        ends.fetch_add(1, Ordering::Relaxed);
    });
    for n in 0..100 {
        a.server_side_emit("n", &n).unwrap();
    }
    a.emit("after", &()).unwrap();
    far.expect(r#"42["after"]"#).await;
    for n in 0..100 {
        assert_eq!(started.next().await, n);
    }
    assert_eq!(ended.load(Ordering::Relaxed), 0);
    gate.add_permits(100);
    until("all to end", || ended.load(Ordering::Relaxed) == 100).await;
}

#[tokio::test]
async fn events_and_their_handlers_belong_to_namespaces() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let (pen, mut heard) = notes();
    for nsp in [b.of("/"), b.of("/chat")] {
        let pen = pen.clone();
        nsp.on_server_side("where", async move |nsp: Namespace| {
            pen.write(nsp.name().to_owned());
        });
    }
    b.cluster_ready().await.unwrap();
    a.of("/chat").server_side_emit("where", &()).unwrap();
    assert_eq!(heard.next().await, "/chat");
    b.off_server_side("where");
    a.server_side_emit("where", &()).unwrap();
    a.of("/chat").server_side_emit("where", &()).unwrap();
    assert_eq!(heard.next().await, "/chat");
}

#[tokio::test]
async fn reserved_names_are_refused_f044() {
    let [a] = counted(&FakeBroker::new()).await;
    for name in ["connect", "connection", "new_namespace"] {
        assert!(
            a.server_side_emit(name, &())
                .unwrap_err()
                .is_reserved_event()
        );
        let asked = a.server_side_emit_with_ack::<Value>(name, &json!({})).await;
        assert!(asked.unwrap_err().error().is_reserved_event());
    }
}
