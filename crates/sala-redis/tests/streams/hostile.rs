use sala_adapter::backend::Delivery;
use sala_testkit::redis::Redis;

use crate::{named, server};

const GOOD: &str =
    r#"{"packet":{"type":2,"data":["x"]},"opts":{"rooms":[],"except":[],"flags":{}}}"#;

/// Writes an entry past our own code.
async fn add(redis: &Redis, fields: &[&[u8]]) {
    let mut command: Vec<&[u8]> = vec![b"XADD", b"socket.io", b"*"];
    command.extend(fields);
    redis.client().await.run(command).await;
}

#[tokio::test]
async fn malformed_entries_are_reported_one_by_one_and_skipped() {
    let redis = Redis::start().await;
    let (mut a, mut b) = (server("a", &redis).await, server("b", &redis).await);
    let half = &GOOD.as_bytes()[..GOOD.len() / 2];
    let deep = format!("{{\"packet\":{}", "[".repeat(100_000));
    let bad: &[&[&[u8]]] = &[
        &[b"hello", b"world"],
        &[b"uid", b"x", b"type", b"3", b"data", GOOD.as_bytes()],
        &[b"uid", b"x", b"nsp", b"/", b"data", GOOD.as_bytes()],
        &[
            b"uid",
            b"x",
            b"nsp",
            b"/",
            b"type",
            b"three",
            b"data",
            GOOD.as_bytes(),
        ],
        &[
            b"uid",
            b"x",
            b"nsp",
            b"/",
            b"type",
            b"-3",
            b"data",
            GOOD.as_bytes(),
        ],
        &[b"uid", b"x", b"nsp", b"/", b"type", b"3"],
        &[b"uid", b"x", b"nsp", b"/", b"type", b"3", b"data", b""],
        &[b"uid", b"x", b"nsp", b"/", b"type", b"3", b"data", half],
        &[
            b"uid",
            b"x",
            b"nsp",
            b"/",
            b"type",
            b"3",
            b"data",
            b"not base64!",
        ],
        &[
            b"uid",
            b"x",
            b"nsp",
            b"/",
            b"type",
            b"3",
            b"data",
            b"gqZwYWNrZXQ=",
        ],
        &[b"uid", b"x", b"nsp", b"/", b"type", b"3", b"data", b"{}"],
        &[
            b"uid",
            b"x",
            b"nsp",
            b"/",
            b"type",
            b"3",
            b"data",
            b"{\"packet\":\xff}",
        ],
        &[
            b"uid",
            b"x",
            b"nsp",
            b"/",
            b"type",
            b"3",
            b"data",
            deep.as_bytes(),
        ],
        &[
            b"uid",
            b"\xff",
            b"nsp",
            b"/",
            b"type",
            b"3",
            b"data",
            GOOD.as_bytes(),
        ],
        &[
            b"uid",
            b"x",
            b"nsp",
            b"/",
            b"type",
            b"4",
            b"data",
            GOOD.as_bytes(),
        ],
        &[
            b"uid",
            b"x",
            b"nsp",
            b"/",
            b"type",
            b"9",
            b"data",
            b"{\"packet\":{}}",
        ],
    ];
    for fields in bad {
        add(&redis, fields).await;
    }
    a.send(vec![named("good")]).await;
    for fields in bad {
        match b.recv().await.expect("the link holds") {
            Delivery::Malformed { source, error } => {
                assert!(source.starts_with("socket.io "), "{source}");
                assert!(!error.to_string().is_empty());
            }
            other => panic!(
                "{:?}: {other:?}",
                fields
                    .iter()
                    .map(|f| String::from_utf8_lossy(f))
                    .collect::<Vec<_>>()
            ),
        }
    }
    assert_eq!(b.event().await, "good");
}

#[tokio::test]
async fn what_is_none_of_ours_is_passed_over_without_a_word() {
    let redis = Redis::start().await;
    let (mut a, mut b) = (server("a", &redis).await, server("b", &redis).await);
    let quiet: &[&[&[u8]]] = &[
        // Of a namespace that nobody here has; it is not even looked at.
        &[
            b"uid",
            b"x",
            b"nsp",
            b"/other",
            b"type",
            b"3",
            b"data",
            b"nonsense",
        ],
        &[
            b"uid",
            b"x",
            b"nsp",
            b"\xff",
            b"type",
            b"3",
            b"data",
            b"nonsense",
        ],
        // Our own.
        &[
            b"uid",
            b"b",
            b"nsp",
            b"/",
            b"type",
            b"3",
            b"data",
            GOOD.as_bytes(),
        ],
    ];
    for fields in quiet {
        add(&redis, fields).await;
    }
    // From a newer server: counted at least.
    add(
        &redis,
        &[b"uid", b"x", b"nsp", b"/", b"type", b"99", b"data", b"{}"],
    )
    .await;
    assert!(matches!(b.recv().await, Ok(Delivery::Foreign)));
    a.send(vec![named("good")]).await;
    assert_eq!(b.event().await, "good");
}

#[tokio::test]
async fn fields_in_another_order_among_others_and_without_padding_are_understood() {
    let redis = Redis::start().await;
    let mut b = server("b", &redis).await;
    let data = GOOD.as_bytes();
    add(
        &redis,
        &[b"data", data, b"more", b"x", b"type", b"3", b"nsp", b"/"],
    )
    .await;
    assert_eq!(b.event().await, "x");
    // `{packet: ["sse", <01>]}`, of type 9, as emitters write it.
    add(
        &redis,
        &[
            b"nsp",
            b"/",
            b"type",
            b"9",
            b"data",
            b"gaZwYWNrZXSSo3NzZcQBAQ",
            b"uid",
            b"emitter",
        ],
    )
    .await;
    let envelope = b.message().await;
    assert!(envelope.sender.expect("it has one").is_emitter());
    assert_eq!(envelope.message.number(), Some(9));
}

#[tokio::test]
async fn entries_that_are_too_large_are_reported_and_skipped() {
    let redis = Redis::start().await;
    let limited = sala_redis::Redis::from(redis.url()).max_message_bytes(1000);
    let backend = sala_redis::Streams::connect(limited)
        .await
        .expect("Redis is there");
    let mut b = crate::support::Node::start("b", backend).await;
    let large = GOOD.replace("x", &"x".repeat(2000));
    add(
        &redis,
        &[
            b"uid",
            b"x",
            b"nsp",
            b"/",
            b"type",
            b"3",
            b"data",
            large.as_bytes(),
        ],
    )
    .await;
    add(
        &redis,
        &[
            b"uid",
            b"x",
            b"nsp",
            b"/",
            b"type",
            b"3",
            b"data",
            GOOD.as_bytes(),
        ],
    )
    .await;
    match b.recv().await.expect("the link holds") {
        Delivery::Malformed { error, .. } => {
            assert_eq!(error.kind(), sala_adapter::BackendErrorKind::TooLarge);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(b.event().await, "x");
}

#[tokio::test]
async fn malformed_messages_on_the_channels_are_reported() {
    let redis = Redis::start().await;
    let (mut a, mut b) = (server("a", &redis).await, server("b", &redis).await);
    let bad: &[&[u8]] = &[
        b"",
        b"\xc1",
        b"\x81",
        b"{}",
        b"\x84\xa4type\x07",
        b"\xff\xff\xff\xff",
    ];
    for channel in ["socket.io#/#", "socket.io#/#b#"] {
        for payload in bad {
            let command: [&[u8]; 3] = [b"PUBLISH", channel.as_bytes(), payload];
            redis.client().await.run(command).await;
            match b.recv().await.expect("the link holds") {
                Delivery::Malformed { source, .. } => assert_eq!(&*source, channel),
                other => panic!("{payload:?}: {other:?}"),
            }
        }
    }
    a.send(vec![named("good")]).await;
    assert_eq!(b.event().await, "good");
}
