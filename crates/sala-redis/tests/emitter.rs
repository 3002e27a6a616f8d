//! Sala's emitter writes what the official ones wrote, byte for byte.
#![cfg(all(feature = "classic", feature = "sharded", feature = "streams"))]

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sala_emitter::Emitter;
use sala_redis::{Classic, Sharded, Streams, SubscriptionMode};
use sala_testkit::redis::Redis;
use sala_testkit::resp::Resp;
use serde_json::{Value, json};

use crate::support::{Node, event_of};

#[path = "support/mod.rs"]
mod support;

const CLASSIC: &str = include_str!("../../sala-adapter/tests/vectors/redis-classic.json");
const STREAMS: &str = include_str!("../../sala-adapter/tests/vectors/redis-streams.json");

/// The rows of emitters that send something.
fn rows(file: &str) -> Vec<Value> {
    let rows: Vec<Value> = serde_json::from_str(file).expect("a list of rows");
    let by_emitter = |row: &Value| {
        row["call"]
            .as_str()
            .is_some_and(|call| call.starts_with("emitter: "))
    };
    rows.into_iter()
        .filter(|row| by_emitter(row) && row["command"].is_string())
        .collect()
}

fn payload(row: &Value) -> Bytes {
    let raw = row["raw_base64"].as_str().expect("a payload");
    STANDARD.decode(raw).expect("base64").into()
}

/// Makes a call of the vectors. `None` for one that is made of an emitter with options.
async fn call(emitter: &Emitter, call: &str) -> Option<()> {
    let one = Bytes::from_static(&[1]);
    let done = match call.trim_start_matches("emitter: ") {
        r#"emitter.emit("hello", 1, {a:1})"# => emitter.emit("hello", &(1, json!({"a": 1}))).await,
        r#"emitter.to("room1").emit("r1")"# => emitter.to("room1").emit("r1", &()).await,
        r#"emitter.to(["room1","room2"]).except("room2").emit("r2")"# => {
            emitter
                .to(["room1", "room2"])
                .except("room2")
                .emit("r2", &())
                .await
        }
        r#"emitter.volatile.compress(true).emit("v", Buffer.from([1]))"# => {
            emitter.volatile().compress(true).emit("v", &one).await
        }
        r#"emitter.of("chat").emit("c")"# => emitter.of("chat").emit("c", &()).await,
        r#"emitter.of("/chat").emit("c")"# => emitter.of("/chat").emit("c", &()).await,
        r#"emitter.in("room1").socketsJoin("room8")"# => {
            emitter.in_("room1").sockets_join("room8").await
        }
        r#"emitter.in("room1").socketsLeave(["room8","x"])"# => {
            emitter.in_("room1").sockets_leave(["room8", "x"]).await
        }
        r#"emitter.serverSideEmit("sse", 1, "2")"# => {
            emitter.server_side_emit("sse", &(1, "2")).await
        }
        r#"emitter.serverSideEmit("sse", Buffer.from([1]))"# => {
            emitter.server_side_emit("sse", &one).await
        }
        r#"emitter.in("no-such").disconnectSockets()"# => {
            emitter.in_("no-such").disconnect_sockets(false).await
        }
        r#"emitter.in("no-such").disconnectSockets(true)"# => {
            emitter.in_("no-such").disconnect_sockets(true).await
        }
        other if other.starts_with("new Emitter(") => return None,
        other => panic!("the vectors have a new call: {other}"),
    };
    done.expect("sent");
    Some(())
}

/// The newest entry: its fields by turns.
async fn newest(redis: &Redis, stream: &str) -> Vec<String> {
    let newest = redis
        .run(&["XREVRANGE", stream, "+", "-", "COUNT", "1"])
        .await;
    let fields = newest.items()[0].items()[1].items();
    fields.iter().map(|field| field.text()).collect()
}

fn fields(row: &Value) -> Vec<String> {
    let names = row["field_order"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let pair = |name: &Value| [text(name), text(&row["fields"][text(name)])];
    names.iter().flat_map(pair).collect()
}

#[tokio::test]
async fn over_streams_every_call_writes_what_the_official_emitter_wrote() {
    let redis = Redis::start().await;
    let outlet = Streams::options()
        .outlet(redis.url())
        .await
        .expect("Redis is there");
    let emitter = Emitter::new(outlet);
    let mut compared = 0;
    for row in rows(STREAMS) {
        let name = row["call"].as_str().expect("a text");
        let mut expected = fields(&row);
        if call(&emitter, name).await.is_none() {
            let options = Streams::options().stream_name("other").max_len(5);
            let outlet = options.outlet(redis.url()).await.expect("Redis is there");
            let other = Emitter::new(outlet).of("/chat");
            other.to("r").emit("k", &()).await.expect("sent");
        } else if name.contains(r#"of("chat")"#) {
            // The official emitter for streams adds no slash and so reaches nobody.
            for field in &mut expected {
                *field = field
                    .replace("\"chat\"", "\"/chat\"")
                    .replace("chat", "/chat")
                    .replace("//", "/");
            }
        }
        assert_eq!(
            newest(&redis, row["channel"].as_str().expect("a stream")).await,
            expected,
            "{name}"
        );
        compared += 1;
    }
    assert!(compared >= 13, "{compared} calls");
}

/// Everything that is published.
async fn listen(redis: &Redis) -> Resp {
    let mut listener = redis.client().await;
    listener.run(["PSUBSCRIBE", "*"]).await;
    listener
}

#[tokio::test]
async fn over_the_classic_adapter_every_call_publishes_what_the_official_emitter_published() {
    let redis = Redis::start().await;
    let mut listener = listen(&redis).await;
    let outlet = Classic::options()
        .outlet(redis.url())
        .await
        .expect("Redis is there");
    let emitter = Emitter::new(outlet);
    let mut compared = 0;
    for row in rows(CLASSIC) {
        let name = row["call"].as_str().expect("a text");
        if call(&emitter, name).await.is_none() {
            let outlet = Classic::options().key("custom").outlet(redis.url()).await;
            let other = Emitter::new(outlet.expect("Redis is there")).of("/chat");
            other.to("r").emit("k", &()).await.expect("sent");
        }
        let message = listener.message().await;
        let [_, _, channel, published] = message.items() else {
            panic!("{message:?}");
        };
        assert_eq!(
            channel.text(),
            row["channel"].as_str().expect("a channel"),
            "{name}"
        );
        let sala_testkit::resp::Reply::Bytes(published) = published else {
            panic!("{published:?}");
        };
        assert_eq!(
            published.escape_ascii().to_string(),
            payload(&row).escape_ascii().to_string(),
            "{name}"
        );
        compared += 1;
    }
    assert!(compared >= 10, "{compared} calls");
}

#[tokio::test]
async fn an_emitter_that_lay_idle_while_redis_was_restarted_works_at_once() {
    let mut redis = Redis::start().await;
    let streams = Streams::options()
        .outlet(redis.url())
        .await
        .expect("Redis is there");
    let classic = Classic::options()
        .outlet(redis.url())
        .await
        .expect("Redis is there");
    let emitters = [Emitter::new(streams), Emitter::new(classic)];
    for emitter in &emitters {
        emitter.emit("before", &()).await.expect("sent");
    }
    redis.kill().await;
    redis.start_again().await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for emitter in &emitters {
        emitter
            .emit("after", &())
            .await
            .expect("sent over a new connection");
    }
}

#[tokio::test]
async fn an_emitter_without_redis_says_so_and_goes_on_when_it_is_back() {
    let mut redis = Redis::start().await;
    let streams = Streams::options()
        .outlet(redis.url())
        .await
        .expect("Redis is there");
    let emitter = Emitter::new(streams);
    redis.kill().await;
    let error = emitter.emit("x", &()).await.expect_err("nobody is there");
    assert!(error.is_unreachable(), "{error}");
    redis.start_again().await;
    emitter.emit("x", &()).await.expect("sent");
    assert_eq!(redis.run(&["XLEN", "socket.io"]).await.number(), 1);
}

/// There is no official emitter for the sharded adapter; its servers understand ours.
#[tokio::test]
async fn over_the_sharded_adapter_servers_hear_an_emitter() {
    let redis = Redis::start().await;
    let backend = Sharded::connect(redis.url()).await.expect("Redis is there");
    let mut server = Node::with_rooms("a", backend, &["room"]).await;
    server.follow_room("room").await;
    let outlet = Sharded::options()
        .outlet(redis.url())
        .await
        .expect("Redis is there");
    let emitter = Emitter::new(outlet);
    emitter.emit("to all", &()).await.expect("sent");
    assert_eq!(server.event().await, "to all");
    emitter
        .to("room")
        .emit("to the room", &())
        .await
        .expect("sent");
    let envelope = server.message().await;
    assert_eq!(event_of(&envelope), "to the room");
    assert!(envelope.sender.expect("it has one").is_emitter());
}

/// The emitter published what was for one room in the channel of that room, which servers in the mode `static` do not
/// follow: the event was lost, and the emitter told of success.
#[tokio::test]
async fn over_the_sharded_adapter_servers_in_every_mode_hear_an_emitter() {
    use SubscriptionMode::{Dynamic, DynamicPrivate, Static};
    for mode in [Static, Dynamic, DynamicPrivate] {
        let redis = Redis::start().await;
        let options = Sharded::options().subscription_mode(mode);
        let backend = options.connect(redis.url()).await.expect("Redis is there");
        let mut server = Node::with_rooms("a", backend, &["room"]).await;
        let outlet = Sharded::options().outlet(redis.url()).await;
        let emitter = Emitter::new(outlet.expect("Redis is there"));
        for room in ["room", "abcdefghij0123456789"] {
            emitter.to(room).emit(room, &()).await.expect("sent");
            assert_eq!(server.event().await, room, "{mode:?}");
        }
    }
}
