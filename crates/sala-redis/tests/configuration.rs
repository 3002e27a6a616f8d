//! A wrong configuration fails at start-up, with a text that says what to do.

#![cfg(all(feature = "classic", feature = "sharded"))]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use sala_adapter::BackendErrorKind::{self, Misconfigured, Refused, Unreachable};
use sala_adapter::cluster::ClusterOptions;
use sala_redis::{Classic, Redis, Sharded};
use sala_testkit::redis::Redis as Server;

/// Neither backend connects; the errors are alike and say what is given.
async fn refused(redis: impl Into<Redis>, kind: BackendErrorKind, says: &[&str]) {
    let redis = redis.into();
    let sharded = Sharded::connect(redis.clone()).await.expect_err("an error");
    let classic = Classic::connect(redis).await.expect_err("an error");
    for error in [sharded, classic] {
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        for part in says {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn what_is_no_url() {
    refused("localhost", Misconfigured, &["redis://host:6379"]).await;
    refused(
        "http://:hunter2@localhost",
        Misconfigured,
        &["redis://host:6379"],
    )
    .await;
    refused(Vec::<String>::new(), Misconfigured, &["no URL"]).await;
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("redis://:hunter2@{addr}");
    refused(url, Unreachable, &[&addr.to_string(), "is Redis running?"]).await;
}

#[tokio::test]
async fn somebody_who_never_answers() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let redis = Redis::from(format!("redis://{addr}")).connect_timeout(Duration::from_millis(100));
    let begun = Instant::now();
    refused(redis, Unreachable, &["no answer in time"]).await;
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_wrong_password() {
    let server = Server::start().await;
    server
        .run(&["CONFIG", "SET", "requirepass", "secret"])
        .await;
    let addr = server.addr();
    let says = ["check the user and the password"];
    refused(format!("redis://:hunter2@{addr}"), Refused, &says).await;
    refused(format!("redis://{addr}"), Refused, &says).await;
    Classic::connect(format!("redis://:secret@{addr}"))
        .await
        .unwrap();
}

/// A user that may publish and not subscribe could log in, and so the start was told to have gone well; the server then
/// waited to hear of the others until it gave up, without a reason.
#[tokio::test]
async fn a_user_who_may_not_subscribe() {
    let server = Server::start().await;
    let rules = "resetchannels -@all +hello +ping +client +publish +spublish +pubsub";
    let mut acl = vec!["ACL", "SETUSER", "limited", "on", ">hunter2"];
    acl.extend(rules.split(' '));
    server.run(&acl).await;
    let url = format!("redis://limited:hunter2@{}", server.addr());
    let start = |backend| {
        let options = ClusterOptions::default();
        sala_testkit::cluster::Node::start_at_once(backend, options, "/", vec![])
    };
    let node = start(Classic::connect(url.as_str()).await.unwrap());
    let error = node.cluster.started().await.expect_err("it is refused");
    assert_eq!(error.kind(), Refused);
    assert!(error.to_string().contains("give this user"), "{error}");
}

#[cfg(feature = "cluster")]
#[tokio::test]
async fn a_cluster_that_is_none_and_the_other_way_round() {
    let server = Server::start().await;
    let addr = server.addr();
    let says = ["is no Redis Cluster", &format!("write redis://{addr}")];
    refused(format!("redis+cluster://{addr}"), Misconfigured, &says).await;

    let node = Server::with(&["--cluster-enabled", "yes"]).await;
    let says = [&*format!("write redis+cluster://{}", node.addr())];
    refused(node.url(), Misconfigured, &says).await;
}

#[cfg(feature = "cluster")]
#[tokio::test]
async fn a_sentinel_that_knows_no_such_master() {
    let group = sala_testkit::redis::RedisSentinel::start().await;
    let addr = group.addresses()[0];
    refused(
        format!("redis+sentinel://{addr}/nobody"),
        Misconfigured,
        &["knows no master `nobody`"],
    )
    .await;
    refused(format!("redis://{addr}"), Misconfigured, &["is a sentinel"]).await;
    // One that answers is enough.
    let url = format!("redis+sentinel://127.0.0.1:1,{addr}/{}", group.name());
    Classic::connect(url).await.unwrap();
}

#[cfg(not(feature = "cluster"))]
#[tokio::test]
async fn what_was_not_compiled_in() {
    refused("redis+cluster://a", Misconfigured, &["feature `cluster`"]).await;
    refused(
        "redis+sentinel://a/b",
        Misconfigured,
        &["feature `cluster`"],
    )
    .await;
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn tls_that_was_not_compiled_in() {
    refused("rediss://a", Misconfigured, &["feature `tls`"]).await;
}

/// A server that only says hello, as the version that is asked for.
async fn of_version(version: &'static str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let hello = format!(
                    "%3\r\n$7\r\nversion\r\n${}\r\n{version}\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n",
                    version.len()
                );
                let mut buffer = [0; 4096];
                while let Ok(n) = stream.read(&mut buffer).await
                    && n > 0
                {
                    let asked = String::from_utf8_lossy(&buffer[..n]);
                    for command in asked.split('*').skip(1) {
                        let reply = if command.contains("HELLO") {
                            &*hello
                        } else {
                            "+OK\r\n"
                        };
                        stream.write_all(reply.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_redis_that_is_too_old_for_sharded_pub_sub() {
    let url = of_version("6.2.14").await;
    let error = Sharded::connect(&url).await.expect_err("an error");
    assert_eq!(error.kind(), Refused);
    let text = error.to_string();
    for part in ["needs Redis 7.0", "6.2.14", "classic"] {
        assert!(text.contains(part), "{text}");
    }
    Classic::connect(&url).await.unwrap();
    // A fork that counts in its own way is believed.
    Sharded::connect(of_version("garnet").await).await.unwrap();
}

/// Rules of access as the documentation gives them are enough.
#[tokio::test]
async fn a_user_with_the_documented_rights_is_enough() {
    let server = Server::start().await;
    let sharded = "ACL SETUSER sharded on >p resetchannels &socket.io#* -@all +hello +ping +ssubscribe +sunsubscribe +spublish +pubsub|shardnumsub";
    let classic = "ACL SETUSER classic on >p allchannels -@all +hello +ping +subscribe +unsubscribe +psubscribe +punsubscribe +publish +pubsub|numsub";
    let nothing = "ACL SETUSER nothing on >p resetchannels -@all +hello +ping";
    for rule in [sharded, classic, nothing] {
        server.run(&rule.split(' ').collect::<Vec<_>>()).await;
    }
    let url = |user: &str| format!("redis://{user}:p@{}", server.addr());
    use sala_adapter::backend::{Backend, Context, Follow, Inlet};
    let context = Context {
        server: "a".into(),
        rooms: std::sync::Arc::new(support::Rooms::default()),
    };
    let follow = Follow::Namespace("/".into());

    let mut backend = Sharded::connect(url("sharded")).await.unwrap();
    let mut link = backend.open(&context).await.unwrap();
    link.inlet.follow(&follow).await.unwrap();
    assert_eq!(link.counter.unwrap().count("/").await.unwrap(), 1);

    let mut backend = Classic::connect(url("classic")).await.unwrap();
    let mut link = backend.open(&context).await.unwrap();
    link.inlet.follow(&follow).await.unwrap();
    assert_eq!(link.counter.unwrap().count("/").await.unwrap(), 1);

    let mut backend = Classic::connect(url("nothing")).await.unwrap();
    let mut link = backend.open(&context).await.unwrap();
    let error = link.inlet.follow(&follow).await.unwrap_err();
    assert_eq!(error.kind(), Refused);
    assert!(error.to_string().contains("give this user"), "{error}");
}
