//! What both pub/sub backends do on one private Redis.

#![cfg(all(feature = "classic", feature = "sharded"))]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use sala_adapter::backend::{Backend, Delivery, Inlet, Outlet, State};
use sala_adapter::{BackendErrorKind, Message, Target};
use sala_redis::{Classic, Redis, Sharded, SubscriptionMode};
use sala_testkit::cluster::socket;
use sala_testkit::redis::Redis as Server;
use support::{Node, event, within_seconds};

/// Runs a test for each backend.
macro_rules! for_each_backend {
    ($($name:ident => $test:ident;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn over_classic() {
                $test(async |redis: Redis| Classic::connect(redis).await.unwrap()).await;
            }

            #[tokio::test]
            async fn over_sharded() {
                $test(async |redis: Redis| Sharded::connect(redis).await.unwrap()).await;
            }
        }
    )*};
}

for_each_backend! {
    messages_arrive_in_the_order_in_which_they_were_sent => order;
    a_server_is_counted_from_its_first_to_its_last_subscription => counting;
    a_counter_outlives_the_connection_that_redis_closed => idle;
    a_message_that_is_too_large_is_refused_and_the_others_go => too_large;
    a_list_of_sockets_may_be_larger_than_other_messages => long_list;
    what_is_no_message_is_reported_with_its_channel => foreign;
    a_link_ends_when_redis_dies_and_hears_again_within_two_seconds => restart;
    a_server_that_is_too_slow_loses_its_link_and_is_told => slow;
}

async fn order<B: Backend>(backend: impl AsyncFn(Redis) -> B) {
    let server = Server::start().await;
    let mut a = Node::start("a", backend(server.url().into()).await).await;
    let mut b = Node::start("b", backend(server.url().into()).await).await;
    let events = (0..1000).map(|i| event(&i.to_string(), Target::all()));
    a.send(events.collect()).await;
    for i in 0..1000 {
        assert_eq!(b.event().await, i.to_string());
    }
}

async fn counting<B: Backend>(backend: impl AsyncFn(Redis) -> B) {
    let server = Server::start().await;
    let mut a = Node::start("a", backend(server.url().into()).await).await;
    assert_eq!(a.count().await, 1);
    let mut b = Node::start("b", backend(server.url().into()).await).await;
    assert_eq!(a.count().await, 2);
    b.inlet.close().await;
    assert_eq!(a.count().await, 1);
    a.inlet.close().await;
    assert_eq!(b.count().await, 0);
}

/// Redis closed connections that lay idle (`timeout`), and servers could not be counted any more, until the one for
/// messages broke as well: every question to the others failed.
async fn idle<B: Backend>(backend: impl AsyncFn(Redis) -> B) {
    let server = Server::start().await;
    let a = Node::start("a", backend(server.url().into()).await).await;
    let _b = Node::start("b", backend(server.url().into()).await).await;
    support::close_idle_connections(&server).await;
    assert_eq!(a.count().await, 2);
}

async fn too_large<B: Backend>(backend: impl AsyncFn(Redis) -> B) {
    let server = Server::start().await;
    let redis = Redis::from(server.url()).max_message_bytes(1000);
    let mut small = Node::start("small", backend(redis).await).await;
    let large = event(&"x".repeat(2000), Target::all());
    let mut batch = [
        small.parcel(event("before", Target::all())),
        small.parcel(large.clone()),
        small.parcel(event("after", Target::all())),
    ];
    small.outlet.send(&mut batch).await.unwrap();
    assert!(matches!(batch[0].state, State::Sent(_)));
    assert!(
        matches!(&batch[1].state, State::Failed(error) if error.kind() == BackendErrorKind::TooLarge)
    );
    assert!(matches!(batch[2].state, State::Sent(_)));

    let mut generous = Node::start("generous", backend(server.url().into()).await).await;
    generous
        .send(vec![large, event("last", Target::all())])
        .await;
    loop {
        match small.recv().await.unwrap() {
            Delivery::Malformed { source, error } => {
                assert_eq!(error.kind(), BackendErrorKind::TooLarge);
                assert!(source.starts_with("socket.io"), "{source}");
                assert!(error.to_string().contains("max_message_bytes"), "{error}");
                break;
            }
            Delivery::Message { envelope, .. } => assert!(envelope.sender.unwrap() == *"small"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(small.event().await, "last");
}

/// The limit for messages was the limit for `fetch_sockets` as well: a server with more than 12,000 sockets could not
/// answer.
async fn long_list<B: Backend>(backend: impl AsyncFn(Redis) -> B) {
    let server = Server::start().await;
    let redis = || {
        let redis = Redis::from(server.url()).max_message_bytes(1000);
        redis.max_socket_list_bytes(20_000)
    };
    let mut a = Node::start("a", backend(redis()).await).await;
    let mut b = Node::start("b", backend(redis()).await).await;
    let list = |sockets: usize| Message::FetchSocketsResponse {
        request: "id".into(),
        sockets: (0..sockets).map(|i| socket(&format!("{i}"), &[])).collect(),
    };
    b.answer("a", list(20)).await;
    let Message::FetchSocketsResponse { sockets, .. } = a.message().await.message else {
        panic!("a list was sent");
    };
    assert_eq!(sockets.len(), 20);
    let mut long = [b.parcel(list(1000))];
    long[0].envelope.recipient = Some("a".into());
    b.outlet.send(&mut long).await.unwrap();
    let State::Failed(error) = &long[0].state else {
        panic!("it is too long: {:?}", long[0].state);
    };
    assert_eq!(error.kind(), BackendErrorKind::TooLarge);
    assert!(
        error.to_string().contains("max_socket_list_bytes"),
        "{error}"
    );
}

async fn foreign<B: Backend>(backend: impl AsyncFn(Redis) -> B) {
    let server = Server::start().await;
    let mut node = Node::start("a", backend(server.url().into()).await).await;
    let mut client = server.client().await;
    let channels = [
        ("PUBLISH", "socket.io#/#"),
        ("PUBLISH", "socket.io-request#/#"),
        ("PUBLISH", "socket.io-response#/#"),
        ("PUBLISH", "socket.io-response#/#a#"),
        ("SPUBLISH", "socket.io#/#"),
        ("SPUBLISH", "socket.io#/#a#"),
    ];
    let mut reported = 0;
    for (command, channel) in channels {
        for junk in [
            &b""[..],
            b"{",
            b"hello",
            b"\x93",
            b"\xc1",
            b"{}",
            b"[]",
            b"\x00\xff",
        ] {
            let heard = client
                .run([command.as_bytes(), channel.as_bytes(), junk])
                .await;
            for _ in 0..heard.number() {
                match node.recv().await.unwrap() {
                    Delivery::Malformed { source, .. } => assert_eq!(&*source, channel),
                    other => panic!("{other:?}"),
                }
                reported += 1;
            }
        }
    }
    assert!(reported >= 16, "{reported}");
    // And it still hears.
    let mut other = Node::start("b", backend(server.url().into()).await).await;
    other.send(vec![event("fine", Target::all())]).await;
    assert_eq!(node.event().await, "fine");
}

async fn restart<B: Backend>(backend: impl AsyncFn(Redis) -> B) {
    let mut server = Server::start().await;
    let mut a = Node::start("a", backend(server.url().into()).await).await;
    let mut b = Node::start("b", backend(server.url().into()).await).await;
    server.kill().await;
    let noticed = std::time::Instant::now();
    let lost = b.recv().await.unwrap_err();
    assert_eq!(lost.kind(), BackendErrorKind::Unreachable);
    eprintln!("noticed after {:?}: {lost}", noticed.elapsed());
    let mut batch = [a.parcel(event("during", Target::all()))];
    let failed = a.outlet.send(&mut batch).await.unwrap_err();
    assert_eq!(failed.kind(), BackendErrorKind::Unreachable);
    assert!(batch[0].is_waiting());

    server.start_again().await;
    let back = std::time::Instant::now();
    b.reopen().await;
    a.reopen().await;
    // The same message, as the base does it.
    a.outlet.send(&mut batch).await.unwrap();
    assert_eq!(b.event().await, "during");
    eprintln!("heard again {:?} after the return", back.elapsed());
    assert!(back.elapsed().as_secs() < 2);
}

async fn slow<B: Backend>(backend: impl AsyncFn(Redis) -> B) {
    let server = Server::start().await;
    let redis = Redis::from(server.url()).max_waiting_bytes(100_000);
    let mut slow = Node::start("slow", backend(redis).await).await;
    let mut fast = Node::start("fast", backend(server.url().into()).await).await;
    let name = "x".repeat(1000);
    for _ in 0..10 {
        fast.send((0..100).map(|_| event(&name, Target::all())).collect())
            .await;
    }
    // A node that sends its own, and so hears it, has had time to be given all.
    within_seconds("all to arrive", async {
        for _ in 0..1000 {
            while let Delivery::Message { envelope, .. } = fast.inlet.recv().await.unwrap() {
                if envelope.sender == Some("fast".into()) {
                    break;
                }
            }
        }
    })
    .await;
    let mut got = 0;
    let reason = loop {
        match slow.recv().await.unwrap() {
            Delivery::Message { .. } => got += 1,
            Delivery::Lost { reason } => break reason,
            other => panic!("{other:?}"),
        }
    };
    assert!((50..100).contains(&got), "{got}");
    assert!(reason.contains("max_waiting_bytes"), "{reason}");
    assert_eq!(
        slow.recv().await.unwrap_err().kind(),
        BackendErrorKind::Unreachable
    );
    slow.reopen().await;
    fast.send(vec![event("again", Target::all())]).await;
    assert_eq!(slow.event().await, "again");
}

/// A thousand rooms of a server that comes back are followed at once, not one round trip after the other.
#[tokio::test]
async fn many_rooms_are_followed_together() {
    use sala_adapter::backend::Follow;
    let server = Server::start().await;
    let backend = Sharded::connect(server.url()).await.unwrap();
    let mut node = Node::start("a", backend).await;
    let room = |i: usize| Follow::Room {
        namespace: "/".into(),
        room: format!("room {i}").into(),
    };
    let rooms: Vec<_> = (0..1000).map(room).collect();
    let begun = std::time::Instant::now();
    node.inlet.follow_all(&rooms).await.unwrap();
    eprintln!("1000 rooms in {:?}", begun.elapsed());
    let channels = server.run(&["PUBSUB", "SHARDCHANNELS"]).await;
    assert_eq!(channels.items().len(), 1002);
}

#[tokio::test]
async fn each_mode_follows_its_channels_and_sends_through_them() {
    use SubscriptionMode::{Dynamic, DynamicPrivate, Static};
    for (mode, through) in [
        (Static, "socket.io#/#"),
        (Dynamic, "socket.io#/#room#"),
        (DynamicPrivate, "socket.io#/#room#"),
    ] {
        let server = Server::start().await;
        let options = || Sharded::options().subscription_mode(mode);
        let mut a = Node::start("a", options().connect(server.url()).await.unwrap()).await;
        let mut watcher = server.client().await;
        watcher.run(["SSUBSCRIBE", through]).await;
        a.send(vec![event("e", Target::all().to("room"))]).await;
        assert_eq!(watcher.message().await.items()[1].text(), through);
    }
}

#[tokio::test]
async fn the_room_x_and_the_namespace_slash_hash_x_share_a_channel_and_no_message() {
    let server = Server::start().await;
    let mut a = Node::start("a", Sharded::connect(server.url()).await.unwrap()).await;
    let mut b = Node::start("b", Sharded::connect(server.url()).await.unwrap()).await;
    b.follow_room("x").await;
    a.send(vec![event("for the room", Target::all().to("x"))])
        .await;
    assert_eq!(b.event().await, "for the room");
    b.follow("/#x").await;
    let mut parcel = a.parcel(event("for the namespace", Target::all()));
    parcel.envelope.namespace = "/#x".into();
    let mut batch = [parcel, a.parcel(event("again", Target::all().to("x")))];
    a.outlet.send(&mut batch).await.unwrap();
    let first = b.message().await;
    assert_eq!(first.namespace, *"/#x");
    assert_eq!(b.event().await, "again");
    // Leaving the one leaves the other.
    use sala_adapter::backend::Follow;
    b.inlet
        .follow(&Follow::LeaveNamespace("/#x".into()))
        .await
        .unwrap();
    a.send(vec![event("still", Target::all().to("x"))]).await;
    assert_eq!(b.event().await, "still");
}

#[tokio::test]
async fn what_is_for_a_room_without_members_here_is_not_even_read() {
    let server = Server::start().await;
    let backend = Classic::connect(server.url()).await.unwrap();
    let mut node = Node::with_rooms("a", backend, &["here"]).await;
    let mut client = server.client().await;
    client
        .run(["PUBLISH", "socket.io#/#elsewhere#", "not even a message"])
        .await;
    client
        .run(["PUBLISH", "socket.io#/#here#", "no message"])
        .await;
    match node.recv().await.unwrap() {
        Delivery::Malformed { source, .. } => assert_eq!(&*source, "socket.io#/#here#"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_namespace_with_the_characters_of_patterns_hears_what_is_for_it_alone() {
    let server = Server::start().await;
    let names = ["/a*", "/a?", "/[ab]", "/a\\b", "/abc", "/a#"];
    let mut a = Node::start("a", Classic::connect(server.url()).await.unwrap()).await;
    let mut b = Node::start("b", Classic::connect(server.url()).await.unwrap()).await;
    for name in names {
        b.follow(name).await;
    }
    for name in names {
        let mut parcel = a.parcel(event(name, Target::all()));
        parcel.envelope.namespace = name.into();
        let mut batch = [parcel];
        a.outlet.send(&mut batch).await.unwrap();
        let envelope = b.message().await;
        assert_eq!(envelope.namespace, *name);
        assert_eq!(support::event_of(&envelope), name);
    }
    a.send(vec![event("end", Target::all())]).await;
    assert_eq!(b.event().await, "end");
}

#[tokio::test]
async fn answers_go_to_the_channel_of_whoever_asked_if_that_is_wanted() {
    let server = Server::start().await;
    let options = || Classic::options().publish_on_specific_response_channel(true);
    let mut a = Node::start("a", options().connect(server.url()).await.unwrap()).await;
    let mut watcher = server.client().await;
    watcher.run(["PSUBSCRIBE", "socket.io-response*"]).await;
    let none = || sala_proto::RawArgs::from_values(Vec::new());
    for (message, channel) in [
        (
            Message::BroadcastClientCount {
                request: "r".into(),
                clients: 3,
            },
            "socket.io-response#/#b#",
        ),
        (
            Message::ServerSideEmitResponse {
                request: "r".into(),
                answer: none(),
            },
            "socket.io-response#/#",
        ),
    ] {
        a.answer("b", message).await;
        assert_eq!(watcher.message().await.items()[2].text(), channel);
    }
}

#[tokio::test]
async fn an_outlet_without_subscription_sends_and_connects_again_by_itself() {
    let mut server = Server::start().await;
    let mut outlet = Classic::options().outlet(server.url()).await.unwrap();
    let mut node = Node::start("a", Classic::connect(server.url()).await.unwrap()).await;
    let parcel = || {
        let mut parcel = node.parcel(event("from outside", Target::all()));
        parcel.envelope.sender = Some(sala_adapter::ServerId::emitter());
        [parcel]
    };
    let mut batch = parcel();
    let mut second = parcel();
    outlet.send(&mut batch).await.unwrap();
    assert_eq!(node.event().await, "from outside");
    assert_eq!(node.count().await, 1);
    server.kill().await;
    server.start_again().await;
    node.reopen().await;
    within_seconds("the outlet to be back", async {
        while outlet.send(&mut second).await.is_err() {}
    })
    .await;
    assert_eq!(node.event().await, "from outside");
}
