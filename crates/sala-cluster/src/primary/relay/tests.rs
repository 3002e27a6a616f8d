use std::io::Write as _;
use std::os::unix::net::UnixStream as StdUnixStream;

use bytes::Bytes;
use tokio::time::timeout;

use super::*;
use crate::channel::Frame;
use crate::channel::bus::{Ask, Logged};

const BROADCAST: u8 = 3;

fn relay(share: usize) -> Arc<Relay> {
    let retention = Retention::default().max_packet_bytes(200 << 20);
    Arc::new(Relay::new(Some(retention), share))
}

fn open(relay: &Relay, id: u32) -> Arc<Route> {
    let route = relay.add(id, Arc::new(Queue::new(usize::MAX)), None);
    route.open.store(true, Relaxed);
    route
}

fn publish(kind: u8, sender: &str, body: Vec<u8>) -> Publish {
    Publish {
        kind,
        namespace: "/".into(),
        sender: sender.into(),
        recipient: "".into(),
        logged: Some(Logged {
            number: 7,
            rooms: Vec::new(),
            except: Vec::new(),
        }),
        body: body.into(),
    }
}

/// What is in the queue of a worker, in order.
fn received(route: &Route) -> Vec<Downstream> {
    let frame = |bytes: &Bytes| Frame {
        kind: bytes[HEAD - 1],
        body: bytes.slice(HEAD..),
    };
    let parcels = route.queue.drain();
    let decode = |parcel: &channel::Parcel| Downstream::decode(frame(&parcel.bytes)).unwrap();
    parcels.iter().map(decode).collect()
}

/// A client came to a worker that had started while a message waited for room at another worker. It
/// asked for what it had missed before the message was logged, and the message was then sent to those
/// workers only that were there when it came: the client never got it.
#[tokio::test(start_paused = true)]
async fn a_worker_that_comes_while_a_message_waits_gets_it_too() {
    let relay = relay(64);
    let (sender, slow) = (open(&relay, 1), open(&relay, 2));
    slow.queue.put(1, Bytes::from(vec![0; 200]).into());
    let waiting = tokio::spawn({
        let (relay, sender) = (Arc::clone(&relay), Arc::clone(&sender));
        async move {
            let message = publish(BROADCAST, "a", b"{}".to_vec());
            relay.publish(&sender, message).await;
        }
    });
    tokio::task::yield_now().await;
    let newcomer = open(&relay, 3);
    slow.queue.drain();
    slow.queue.progressed();
    waiting.await.unwrap();
    for route in [&slow, &newcomer] {
        let got = received(route);
        assert!(
            matches!(got.as_slice(), [Downstream::Deliver { .. }]),
            "{got:?}"
        );
    }
}

/// A worker was killed while much of what it had sent was still on the way. The others were told that
/// it had gone, then heard from it, and so waited ten seconds for its answers.
#[tokio::test]
async fn the_goodbye_of_a_worker_is_the_last_that_others_hear_of_it() {
    let relay = relay(1 << 20);
    let (gone, other) = (open(&relay, 1), open(&relay, 2));
    let message = || publish(BROADCAST, "a", b"{}".to_vec());
    relay.publish(&gone, message()).await;
    relay.detach(1);
    relay.publish(&gone, message()).await;
    let bodies: Vec<_> = received(&other);
    let [
        Downstream::Deliver { .. },
        Downstream::Deliver { body: goodbye, .. },
    ] = bodies.as_slice()
    else {
        panic!("{bodies:?}");
    };
    let goodbye: serde_json::Value = serde_json::from_slice(goodbye).unwrap();
    assert_eq!(goodbye["type"], ADAPTER_CLOSE);
    assert_eq!(relay.stats().dropped, 1);
}

/// A worker whose bus had broken was left as it was: it took clients whom no message reached.
#[tokio::test]
async fn a_broken_bus_is_told() {
    let relay = relay(1 << 20);
    let (near, mut far) = StdUnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let (broken, told) = tokio::sync::oneshot::channel();
    let near = UnixStream::from_std(near).unwrap();
    let bus = attach(&relay, 1, near, move || broken.send(()).unwrap());
    far.write_all(&[0xff; 100]).unwrap();
    let within = Duration::from_secs(10);
    timeout(within, told).await.unwrap().unwrap();
    timeout(within, bus).await.unwrap().unwrap();
}

/// An answer longer than any frame may be broke the bus of the worker that it was for.
#[tokio::test]
async fn more_missed_packets_than_a_frame_holds_are_not_told() {
    let relay = relay(usize::MAX);
    let (worker, other) = (open(&relay, 1), open(&relay, 2));
    let ask = |after: &Text| {
        let ask = Ask::Missed {
            namespace: "/".into(),
            rooms: Vec::new(),
            after: after.clone(),
        };
        Upstream::Ask(1, ask)
    };
    let mut offsets = Vec::new();
    for _ in 0..4 {
        let message = publish(BROADCAST, "a", vec![b'x'; 25 << 20]);
        relay.publish(&worker, message).await;
        let [Downstream::Sent { offset, .. }] = &received(&worker)[..] else {
            panic!("its place is told");
        };
        offsets.push(offset.clone());
    }
    relay.take(&worker, ask(&offsets[0])).await;
    relay.take(&worker, ask(&offsets[2])).await;
    let answers = received(&worker);
    let answer = |index: usize| match &answers[index] {
        Downstream::Answer { answer, .. } => answer,
        other => panic!("{other:?}"),
    };
    assert_eq!(*answer(0), Answer::Unknown);
    assert!(matches!(answer(1), Answer::Missed(packets) if packets.len() == 1));
    // Nor is a single message that no frame can carry.
    let message = publish(BROADCAST, "a", vec![b'x'; MAX_FRAME]);
    received(&other);
    relay.publish(&worker, message).await;
    assert!(received(&other).is_empty());
    assert!(relay.stats().dropped >= 1);
}
