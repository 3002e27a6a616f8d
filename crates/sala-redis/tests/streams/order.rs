//! Own sockets and those of others see the stream in one order.

use std::time::Duration;

use sala_adapter::Target;
use sala_adapter::cluster::ClusterOptions;
use sala_adapter::recovery::{Offset, PrivateId, SavedSession};
use sala_redis::Streams;
use sala_testkit::cluster::{Heard, Node, event, heard_event};
use sala_testkit::redis::Redis;
use tokio::time::{Instant, sleep};

use crate::are_in_order;
use sala_testkit::redis::Proxy;

const PATIENCE: Duration = Duration::from_secs(20);

/// Two servers, the first of them over a cable that can be slow.
struct Story {
    redis: Redis,
    proxy: Proxy,
    a: Node,
    b: Node,
}

impl Story {
    async fn begin() -> Self {
        Self::with(ClusterOptions::default().offset_patience(PATIENCE)).await
    }

    async fn with(options: ClusterOptions) -> Self {
        let redis = Redis::start().await;
        let proxy = Proxy::to(redis.addr()).await;
        let a = Node::start(
            connect(&proxy.url()).await,
            options.clone(),
            "/",
            Vec::new(),
        )
        .await;
        let b = Node::start(connect(&redis.url()).await, options, "/", Vec::new()).await;
        let story = Self { redis, proxy, a, b };
        log(&story.a, 0);
        story.a.local.wait(1, PATIENCE).await;
        story.b.local.wait(1, PATIENCE).await;
        story
    }

    /// Waits until so many entries are in the stream.
    async fn written(&self, count: i64) {
        self.redis
            .until(&["XLEN", "socket.io"], |reply| reply.number() == count)
            .await;
    }

    /// Both servers gave their sockets all events, in the order of the stream; and a client of the first one, at
    /// whatever moment it loses its connection, gets each event once.
    async fn ends_well(&self, count: usize) {
        let own = seen(&self.a.local.wait(count, PATIENCE).await);
        let other = seen(&self.b.local.wait(count, PATIENCE).await);
        assert_eq!(own, other);
        let offsets: Vec<_> = own.iter().map(|(_, offset)| offset.clone()).collect();
        assert!(are_in_order(&offsets), "{offsets:?}");
        let store = self.b.adapter.recovery().expect("streams can");
        for seen in 1..=count {
            let pid = PrivateId::random();
            let session = SavedSession {
                sid: "sid".into(),
                pid: pid.clone(),
                rooms: ["sid"].into_iter().collect(),
                data: sala_proto::Value::Null,
            };
            store.save("/", session, PATIENCE).await.expect("saved");
            let (mut got, last) = (own[..seen].to_vec(), &own[seen - 1].1);
            let taken = store.take("/", &pid, last).await.expect("there");
            let missed = taken.expect("known").missed.into_iter();
            got.extend(missed.map(|(packet, offset)| {
                let number = Heard::ServerSide(heard_event(&packet)).number();
                (number.expect("only numbers are sent"), offset)
            }));
            assert_eq!(got, own, "a client that saw {seen}");
        }
    }
}

async fn connect(url: &str) -> Streams {
    Streams::connect(url).await.expect("Redis is there")
}

fn log(node: &Node, number: i64) {
    let packet = event("count", vec![number.into()]);
    let logged = node.adapter.broadcast_logged(packet, &Target::all());
    logged.expect("the queue has room");
}

fn seen(heard: &[Heard]) -> Vec<(i64, Offset)> {
    let seen = |it: &Heard| match it {
        Heard::Event {
            offset: Some(offset),
            ..
        } => (it.number().expect("a number"), offset.clone()),
        other => panic!("without an offset: {other:?}"),
    };
    heard.iter().map(seen).collect()
}

/// The answer to `XADD` came with offset 2 while the entry before it, of another server, was still on its way over the connection
/// that reads. The server's own client saw 2, then 1; it lost its connection in between, came back with 2, and never got 1.
#[tokio::test]
async fn what_others_wrote_before_comes_before_what_this_server_wrote() {
    let story = Story::begin().await;
    story.proxy.hold("XREAD");
    log(&story.b, 1);
    story.written(2).await;
    log(&story.a, 2);
    story.written(3).await;
    story.b.local.wait(3, PATIENCE).await;
    assert_eq!(story.a.local.heard().len(), 1, "nothing overtakes");
    story.proxy.release();
    story.ends_well(3).await;
}

/// The other way round: the entry of another server was read while the answer about the one before it, which is ours, was still on
/// its way. The client saw 2, then 1, lost its connection, came back with 1, and got 2 again.
#[tokio::test]
async fn what_this_server_wrote_before_comes_before_what_others_wrote() {
    let story = Story::begin().await;
    story.proxy.hold("XADD");
    log(&story.a, 1);
    story.written(2).await;
    log(&story.b, 2);
    story.b.local.wait(3, PATIENCE).await;
    assert_eq!(story.a.local.heard().len(), 1, "nothing overtakes");
    story.proxy.release();
    story.ends_well(3).await;
}

#[tokio::test]
async fn two_servers_that_write_at_once_see_one_order() {
    let story = Story::begin().await;
    for number in 0..500 {
        log(&story.a, 1 + 2 * number);
        log(&story.b, 2 + 2 * number);
        if number % 10 == 0 {
            tokio::task::yield_now().await;
        }
    }
    story.a.local.wait(1001, PATIENCE).await;
    let own = seen(&story.a.local.heard());
    let other = seen(&story.b.local.wait(1001, PATIENCE).await);
    assert_eq!(own, other);
}

/// Nobody waits where no offset is needed: a broadcast that cannot be recovered is not even in the lane, and one that
/// can waits as long as was said.
#[tokio::test]
async fn a_stream_that_is_not_read_delays_own_sockets_no_longer_than_was_said() {
    let patience = Duration::from_millis(200);
    let story = Story::with(ClusterOptions::default().offset_patience(patience)).await;
    story.proxy.hold("XREAD");
    let begun = Instant::now();
    log(&story.a, 1);
    let heard = story.a.local.wait(2, PATIENCE).await;
    let waited = begun.elapsed();
    assert!(
        waited >= patience && waited < Duration::from_secs(2),
        "{waited:?}"
    );
    assert!(
        matches!(&heard[1], Heard::Event { offset: None, .. }),
        "{heard:?}"
    );
    story.proxy.release();
    log(&story.b, 2);
    story.a.local.wait(3, PATIENCE).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(story.a.local.heard().len(), 3, "not again");
}

/// The link breaks while a broadcast waits: it is delivered at once, once, and the next ones have offsets again.
#[tokio::test]
async fn a_link_that_breaks_lets_go_of_what_waits() {
    let story = Story::begin().await;
    story.proxy.hold("XREAD");
    log(&story.a, 1);
    story.written(2).await;
    story.proxy.cut_after(sala_testkit::redis::Way::ToRedis, 1);
    log(&story.a, 2);
    story.a.local.wait(3, PATIENCE).await;
    story.proxy.release();
    story.b.local.wait(3, PATIENCE).await;
    log(&story.a, 3);
    log(&story.b, 4);
    let own = story.a.local.wait(5, PATIENCE).await;
    let other = story.b.local.wait(5, PATIENCE).await;
    assert_eq!(seen(&own[3..]), seen(&other[3..]));
}
