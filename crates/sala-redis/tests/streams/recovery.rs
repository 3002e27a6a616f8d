use std::sync::Arc;
use std::time::Duration;

use sala_adapter::backend::{Backend, Outlet};
use sala_adapter::recovery::{Offset, PrivateId, RecoveryStore, SavedSession};
use sala_adapter::{Message, RoomSet, Target};
use sala_proto::{RawArgs, Value};
use sala_testkit::redis::Redis;

use crate::support::event;
use crate::{Server, named, numbered, server, streams};

async fn store(redis: &Redis) -> Arc<dyn RecoveryStore> {
    streams(redis)
        .await
        .profile()
        .recovery
        .expect("streams can")
}

fn rooms(names: &[&str]) -> RoomSet {
    names.iter().copied().collect()
}

fn session(pid: &str) -> SavedSession<Value> {
    let mut data = sala_proto::Object::new();
    data.insert("name", "alice");
    data.insert("bytes", bytes::Bytes::from_static(&[1, 2, 3]));
    SavedSession {
        sid: "sid".into(),
        pid: pid.into(),
        rooms: rooms(&["sid", "room"]),
        data: data.into(),
    }
}

const LONG: Duration = Duration::from_secs(60);

/// Writes one event, which gives a client its first offset.
async fn first(server: &mut Server) -> Offset {
    server
        .send_whatever_happens(vec![named("first")])
        .await
        .0
        .remove(0)
}

fn names(missed: &[(RawArgs, Offset)]) -> Vec<String> {
    let name = |(packet, _): &(RawArgs, Offset)| packet.event().expect("an event").to_string();
    missed.iter().map(name).collect()
}

#[tokio::test]
async fn a_session_is_taken_back_with_what_it_missed() {
    let redis = Redis::start().await;
    let (mut a, store) = (server("a", &redis).await, store(&redis).await);
    let offset = first(&mut a).await;
    store.save("/", session("p"), LONG).await.expect("saved");
    let to = |room: &str| Target::all().to(room);
    let (offsets, _) = a
        .send_whatever_happens(vec![
            event("for all", Target::all()),
            event("for the room", to("room")),
            event("for the socket", to("sid")),
            event("for others", to("other")),
            event("not for it", Target::all().except("room")),
            event("volatile", Target::all().volatile()),
            Message::Join {
                target: Target::all(),
                rooms: rooms(&["x"]),
            },
            event("last", to("other").to("room")),
        ])
        .await;
    let mut elsewhere = a.parcel(named("elsewhere"));
    elsewhere.envelope.namespace = "/chat".into();
    a.outlet.send(&mut [elsewhere]).await.expect("sent");
    let taken = store.take("/", &"p".into(), &offset).await.expect("there");
    let restored = taken.expect("known");
    assert_eq!(restored.session, session("p"));
    let expected = ["for all", "for the room", "for the socket", "last"];
    assert_eq!(names(&restored.missed), expected);
    let got: Vec<_> = restored
        .missed
        .iter()
        .map(|(_, offset)| offset.clone())
        .collect();
    assert_eq!(got, [0, 1, 2, 7].map(|i: usize| offsets[i].clone()));

    let more = store
        .missed("/", &restored.session.rooms, &got[1])
        .await
        .expect("there");
    assert_eq!(names(&more), expected[2..]);
}

#[tokio::test]
async fn a_session_is_given_to_one_of_two_who_ask_at_once() {
    let redis = Redis::start().await;
    let (mut a, store) = (server("a", &redis).await, store(&redis).await);
    let offset = first(&mut a).await;
    for _ in 0..20 {
        store.save("/", session("p"), LONG).await.expect("saved");
        let pid = PrivateId::from("p");
        let take = || store.take("/", &pid, &offset);
        let (one, other) = tokio::join!(take(), take());
        let given = [one, other].map(|taken| taken.expect("there").is_some());
        assert_eq!(given.iter().filter(|given| **given).count(), 1);
    }
}

#[tokio::test]
async fn a_session_lives_as_long_as_was_said() {
    let redis = Redis::start().await;
    let store = store(&redis).await;
    store
        .save("/", session("p"), Duration::from_millis(120_000))
        .await
        .expect("saved");
    let left = redis.run(&["PTTL", "sio:session:p"]).await.number();
    assert!((110_000..=120_000).contains(&left), "{left} ms");
    store
        .save("/", session("q"), Duration::ZERO)
        .await
        .expect("saved");
    redis
        .until(&["EXISTS", "sio:session:q"], |reply| reply.number() == 0)
        .await;
}

#[tokio::test]
async fn what_is_unknown_gives_no_session() {
    let redis = Redis::start().await;
    let (mut a, store) = (server("a", &redis).await, store(&redis).await);
    let offset = first(&mut a).await;
    let take = async |pid: &str, offset: &Offset| {
        store
            .take("/", &pid.into(), offset)
            .await
            .expect("there")
            .is_some()
    };
    assert!(!take("nobody", &offset).await);
    store.save("/", session("p"), LONG).await.expect("saved");
    // No offset of ours: the session is not even looked for.
    for wrong in [
        "",
        "$",
        "+",
        "-",
        "1",
        "x-y",
        "18446744073709551616-0",
        "1-1 COUNT 1",
    ] {
        assert!(!take("p", &wrong.into()).await, "{wrong}");
    }
    assert!(take("p", &offset).await);
    // An offset that is not in the stream: the session is used up all the same, as in the reference.
    store.save("/", session("p"), LONG).await.expect("saved");
    assert!(!take("p", &"1-1".into()).await);
    assert!(!take("p", &offset).await);
}

#[tokio::test]
async fn a_client_whose_offset_was_trimmed_away_is_not_recovered() {
    let redis = Redis::start().await;
    let store = store(&redis).await;
    let options = sala_redis::Streams::options().max_len(100);
    let backend = options.connect(redis.url()).await.expect("Redis is there");
    let mut a = crate::support::Node::start("a", backend).await;
    let offset = first(&mut a).await;
    store.save("/", session("p"), LONG).await.expect("saved");
    a.send_whatever_happens(numbered(0, 500)).await;
    assert!(
        store
            .take("/", &"p".into(), &offset)
            .await
            .expect("there")
            .is_none()
    );
    store
        .missed("/", &rooms(&["sid"]), &offset)
        .await
        .expect_err("trimmed");
}

#[tokio::test]
async fn thousands_of_missed_packets_come_in_order_and_once() {
    let redis = Redis::start().await;
    let (mut a, store) = (server("a", &redis).await, store(&redis).await);
    let offset = first(&mut a).await;
    for count in [0, 1, 248, 249, 250, 251, 499, 3000] {
        let (offsets, _) = a.send_whatever_happens(numbered(0, count)).await;
        let since = store
            .missed("/", &rooms(&["sid"]), &offset)
            .await
            .expect("there");
        let missed = &since[since.len() - count..];
        let got: Vec<_> = missed.iter().map(|(_, offset)| offset.clone()).collect();
        assert_eq!(got, offsets);
    }
}

#[tokio::test]
async fn a_client_that_missed_too_much_is_not_recovered() {
    let redis = Redis::start().await;
    let (mut a, store) = (server("a", &redis).await, store(&redis).await);
    let offset = first(&mut a).await;
    store.save("/", session("p"), LONG).await.expect("saved");
    // 40 MiB.
    for _ in 0..40 {
        let packet = RawArgs::new_event("large", &"x".repeat(1 << 20)).expect("an event");
        let target = Target::all();
        a.send(vec![Message::Broadcast {
            packet,
            target,
            request: None,
        }])
        .await;
    }
    assert!(
        store
            .take("/", &"p".into(), &offset)
            .await
            .expect("there")
            .is_none()
    );
}

#[tokio::test]
async fn a_session_survives_a_restart_of_server_and_redis() {
    let mut redis = Redis::durable().await;
    let mut a = server("a", &redis).await;
    let offset = first(&mut a).await;
    let before = store(&redis).await;
    before.save("/", session("p"), LONG).await.expect("saved");
    before.save("/", session("q"), LONG).await.expect("saved");
    a.send(vec![named("missed")]).await;
    drop(a);
    redis.kill().await;
    redis.start_again().await;
    // Another process, and the same with a connection that broke meanwhile.
    for (store, pid) in [(store(&redis).await, "p"), (before, "q")] {
        let taken = store.take("/", &pid.into(), &offset).await.expect("there");
        assert_eq!(names(&taken.expect("known").missed), ["missed"]);
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_an_error_that_says_so() {
    let mut redis = Redis::start().await;
    let store = store(&redis).await;
    redis.kill().await;
    let error = store.save("/", session("p"), LONG).await.expect_err("gone");
    let cause = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert!(cause.contains("is Redis running"), "{cause}");
    redis.start_again().await;
    store
        .save("/", session("p"), LONG)
        .await
        .expect("there again");
}

/// As Node.js saved it: the bytes are of `redis-streams-csr.json`.
#[tokio::test]
async fn a_session_of_the_reference_is_taken_back() {
    let redis = Redis::start().await;
    let (mut a, store) = (server("a", &redis).await, store(&redis).await);
    let offset = first(&mut a).await;
    let saved = "hKNzaWS0eFRqRy13WHZJSWd2WUJ2WkFBQUGjcGlktGV1cURORFFPNmd4MEJrR1BBQUFCpXJvb21zk7R4VGpHLXdYdklJZ3ZZQnZaQUFBQaVyb29tMaVyb29tQaRkYXRhhKR1c2VypWFsaWNlomF01v8AAAAAo2J1ZsQBBaF1wA==";
    let pid = "euqDNDQO6gx0BkGPAAAB";
    let key = format!("sio:session:{pid}");
    redis.run(&["SET", &key, saved, "PX", "120000"]).await;
    a.send(vec![event("missed", Target::all().to("room1"))])
        .await;
    let taken = store.take("/", &pid.into(), &offset).await.expect("there");
    let restored = taken.expect("known");
    assert_eq!(restored.session.sid, "xTjG-wXvIIgvYBvZAAAA");
    assert_eq!(
        restored.session.rooms,
        rooms(&["xTjG-wXvIIgvYBvZAAAA", "room1", "roomA"])
    );
    let user = restored.session.data.get("user").and_then(Value::as_str);
    assert_eq!(user, Some("alice"));
    assert_eq!(names(&restored.missed), ["missed"]);
}

#[tokio::test]
async fn a_hostile_session_gives_no_session_and_no_panic() {
    let redis = Redis::start().await;
    let (mut a, store) = (server("a", &redis).await, store(&redis).await);
    let offset = first(&mut a).await;
    // {sid: 1}, {sid: "a"}, an array, rooms that are no list, truncated, trailing bytes, depth.
    let deep = format!("{}wA==", "kZGR".repeat(30_000));
    let hostile = [
        "",
        "!",
        "gaNzaWQB",
        "gaNzaWShYQ==",
        "kA==",
        "g6NzaWShYaNwaWShcKVyb29tc6F4",
        "hKNzaWS0",
        "g6NzaWShYaNwaWShcKVyb29tc5AA",
        "3/////8=",
        &deep,
    ];
    for text in hostile {
        redis.run(&["SET", "sio:session:p", text]).await;
        let taken = store.take("/", &"p".into(), &offset).await;
        assert!(!matches!(taken, Ok(Some(_))), "{text}");
    }
    // A session that was saved under the key of another.
    let other = "g6NzaWShYaNwaWShcaVyb29tc5A=";
    redis.run(&["SET", "sio:session:p", other]).await;
    assert!(
        store
            .take("/", &"p".into(), &offset)
            .await
            .expect("there")
            .is_none()
    );
}
