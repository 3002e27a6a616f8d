use sala_adapter::backend::{Delivery, Follow, Inlet, Outlet, State};
use sala_adapter::message::RequestId;
use sala_adapter::{Message, Target};
use sala_redis::Streams;
use sala_testkit::redis::Redis;
use sala_testkit::within;

use crate::support::{Node, event, event_of};
use crate::{are_in_order, named, numbered, server, streams};

#[tokio::test]
async fn broadcasts_and_commands_are_entries_and_their_ids_are_the_offsets_on_both_sides() {
    let redis = Redis::start().await;
    let (mut a, mut b) = (server("a", &redis).await, server("b", &redis).await);
    let target = || Target::all().to("room").except("other");
    let messages = vec![
        event("hello", target()),
        Message::Join {
            target: target(),
            rooms: ["x", "y"].into_iter().collect(),
        },
        Message::Leave {
            target: target(),
            rooms: ["x"].into_iter().collect(),
        },
        Message::Disconnect {
            target: target(),
            close: true,
        },
    ];
    let count = messages.len();
    let (offsets, _) = a.send_whatever_happens(messages).await;
    assert!(are_in_order(&offsets), "{offsets:?}");
    for offset in &offsets {
        match b.recv().await.expect("the link holds") {
            Delivery::Message {
                envelope,
                offset: got,
            } => {
                assert_eq!(got.as_ref(), Some(offset));
                assert_eq!(envelope.sender.expect("it has one"), "a");
                assert_eq!(envelope.namespace, "/");
            }
            other => panic!("{other:?}"),
        }
    }
    let entries = redis.run(&["XRANGE", "socket.io", "-", "+"]).await;
    let types = entries
        .items()
        .iter()
        .map(|entry| entry.items()[1].items()[5].text());
    assert_eq!(types.collect::<Vec<_>>(), ["3", "4", "5", "6"]);
    assert_eq!(entries.items().len(), count);
}

#[tokio::test]
async fn what_waits_for_an_answer_is_published_and_not_kept() {
    let redis = Redis::start().await;
    let (mut a, mut b) = (server("a", &redis).await, server("b", &redis).await);
    let request = RequestId::from("r1");
    let target = Target::all();
    a.send(vec![
        Message::FetchSockets {
            request: request.clone(),
            target: target.clone(),
        },
        Message::Broadcast {
            packet: sala_proto::RawArgs::new_event("ack", &1).expect("an event"),
            target,
            request: Some(request.clone()),
        },
        Message::ServerSideEmit {
            packet: sala_proto::RawArgs::new_event("sse", &1).expect("an event"),
            request: None,
        },
    ])
    .await;
    for number in [7, 3, 9] {
        assert_eq!(b.message().await.message.number(), Some(number));
    }
    b.answer(
        "a",
        Message::BroadcastClientCount {
            request,
            clients: 3,
        },
    )
    .await;
    assert_eq!(a.message().await.message.number(), Some(11));
    assert_eq!(redis.run(&["EXISTS", "socket.io"]).await.number(), 0);
    assert_eq!(a.count().await, 2);
}

/// The reference starts at `$` and asks for it again until the first entry comes: what is written between two
/// of its readings is lost.
#[tokio::test]
async fn nothing_is_missed_from_the_moment_on_that_a_namespace_is_followed() {
    let redis = Redis::start().await;
    let mut writer = server("writer", &redis).await;
    for round in 0..50 {
        let mut reader = server("reader", &redis).await;
        writer.send(vec![named(format!("first {round}"))]).await;
        assert_eq!(reader.event().await, format!("first {round}"));
    }
}

#[tokio::test]
async fn own_entries_and_those_of_other_namespaces_are_left_out() {
    let redis = Redis::start().await;
    let (mut a, mut b) = (server("a", &redis).await, server("b", &redis).await);
    a.send(vec![named("from a")]).await;
    let mut elsewhere = a.parcel(named("elsewhere"));
    elsewhere.envelope.namespace = "/elsewhere".into();
    a.outlet.send(&mut [elsewhere]).await.expect("sent");
    b.send(vec![named("from b")]).await;
    assert_eq!(event_of(&raw_message(&mut a).await), "from b");
    assert_eq!(event_of(&raw_message(&mut b).await), "from a");
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(50), b.inlet.recv());
    assert!(nothing.await.is_err(), "nothing else is for b");
}

/// Without the harness, which would leave own messages out.
async fn raw_message(node: &mut crate::Server) -> sala_adapter::Envelope {
    match node.recv().await.expect("the link holds") {
        Delivery::Message { envelope, .. } => envelope,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_namespace_that_is_left_is_heard_no_more_and_one_that_comes_later_begins_at_the_end() {
    let redis = Redis::start().await;
    let (mut a, mut b) = (server("a", &redis).await, server("b", &redis).await);
    b.follow("/later").await;
    let leave = Follow::LeaveNamespace("/".into());
    b.inlet.follow(&leave).await.expect("left");
    assert_eq!(a.count().await, 1);
    a.send(vec![named("unheard")]).await;
    b.follow("/").await;
    a.send(vec![named("heard")]).await;
    assert_eq!(b.event().await, "heard");
}

#[tokio::test]
async fn the_options_are_what_the_commands_say() {
    let redis = Redis::start().await;
    let options = || {
        Streams::options()
            .stream_name("st")
            .stream_count(4)
            .channel_prefix("pre")
            .max_len(200)
            .read_count(7)
            .block_time(std::time::Duration::from_millis(50))
            .sharded_pubsub(true)
            .only_plaintext(true)
    };
    let open =
        async |id| Node::start(id, options().connect(redis.url()).await.expect("there")).await;
    let (mut a, mut b) = (open("a").await, open("b").await);
    a.until_count(2).await;
    let channels = redis.run(&["PUBSUB", "SHARDCHANNELS"]).await;
    let mut channels: Vec<_> = channels.items().iter().map(|name| name.text()).collect();
    channels.sort();
    assert_eq!(channels, ["pre#/#", "pre#/#a#", "pre#/#b#"]);
    // `/` has the hash 47.
    for from in (0..1000).step_by(100) {
        a.send(numbered(from, 100)).await;
        for i in from..from + 100 {
            assert_eq!(b.event().await, i.to_string());
        }
    }
    let length = redis.run(&["XLEN", "st-3"]).await.number();
    assert!(
        (200..=300).contains(&length),
        "{length} entries of about 200"
    );
    let bytes = sala_proto::Value::from(bytes::Bytes::from_static(&[1]));
    let packet = sala_proto::RawArgs::new_event("bytes", &bytes).expect("an event");
    a.send(vec![Message::Broadcast {
        packet,
        target: Target::all(),
        request: None,
    }])
    .await;
    let last = redis
        .run(&["XREVRANGE", "st-3", "+", "-", "COUNT", "1"])
        .await;
    let data = last.items()[0].items()[1].items()[7].text();
    assert!(
        data.contains(r#"["bytes",{"type":"Buffer","data":[1]}]"#),
        "{data}"
    );
}

/// `/zzzzzz` has a negative hash: Node.js servers write to `st--1`, and none of them reads it.
#[tokio::test]
async fn servers_hear_each_other_in_namespaces_whose_stream_the_reference_does_not_read() {
    let redis = Redis::start().await;
    let open = async |id| {
        let streams = Streams::options().stream_name("st").stream_count(4);
        Node::start(id, streams.connect(redis.url()).await.expect("there")).await
    };
    let (mut a, mut b) = (open("a").await, open("b").await);
    b.follow("/zzzzzz").await;
    let mut parcel = a.parcel(named("heard"));
    parcel.envelope.namespace = "/zzzzzz".into();
    let mut batch = [parcel];
    a.outlet.send(&mut batch).await.expect("sent");
    assert_eq!(b.event().await, "heard");
    assert_eq!(redis.run(&["XLEN", "st--1"]).await.number(), 1);
}

#[tokio::test]
async fn one_refused_message_does_not_hold_up_the_others() {
    let redis = Redis::start().await;
    let small = sala_redis::Redis::from(redis.url()).max_message_bytes(300);
    let mut a = Node::start("a", Streams::connect(small).await.expect("there")).await;
    let mut b = server("b", &redis).await;
    let large = "x".repeat(400);
    let mut batch = [named("before"), named(large), named("after")].map(|m| a.parcel(m));
    a.outlet.send(&mut batch).await.expect("the link holds");
    assert!(
        matches!(batch[1].state, State::Failed(_)),
        "{:?}",
        batch[1].state
    );
    assert_eq!(b.event().await, "before");
    assert_eq!(b.event().await, "after");
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_with_a_text_that_says_why() {
    let refused = async |options: sala_redis::StreamsOptions, says: &str| {
        let error = options
            .connect("redis://127.0.0.1:1")
            .await
            .err()
            .expect("refused");
        assert!(error.to_string().contains(says), "{error}");
    };
    let options = Streams::options;
    refused(options().stream_name(""), "name").await;
    refused(options().stream_count(0), "stream_count").await;
    refused(options().max_len(0), "max_len").await;
    refused(options().read_count(0), "read_count").await;
    refused(
        options().block_time(std::time::Duration::ZERO),
        "block time",
    )
    .await;
    refused(options(), "is Redis running").await;
}

#[tokio::test]
async fn a_stream_that_is_no_stream_is_reported() {
    let redis = Redis::start().await;
    redis.run(&["SET", "socket.io", "text"]).await;
    let mut backend = streams(&redis).await;
    let context = sala_adapter::backend::Context {
        server: "a".into(),
        rooms: std::sync::Arc::new(crate::support::Rooms::default()),
    };
    let mut link = sala_adapter::backend::Backend::open(&mut backend, &context)
        .await
        .expect("open");
    let follow = Follow::Namespace("/".into());
    let error = within("an answer", link.inlet.follow(&follow))
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
}
