//! The backend over Redis Streams, against real Redis servers.
#![cfg(feature = "streams")]

#[path = "../support/mod.rs"]
mod support;

mod conformance;
mod delivery;
mod hostile;
mod once;
mod order;
mod outage;
mod recovery;
#[cfg(feature = "cluster")]
mod topologies;

use std::time::Duration;

use sala_adapter::backend::{Backend, Delivery, Inlet, Outlet, Parcel, State};
use sala_adapter::recovery::Offset;
use sala_adapter::{Message, Target};
use sala_redis::{Redis as Named, Streams};
use sala_testkit::redis::Redis;

use crate::support::{Node, event, event_of};

type Server = Node<Streams>;

async fn streams(redis: &Redis) -> Streams {
    let named = Named::from(redis.url()).command_timeout(Duration::from_millis(500));
    Streams::connect(named).await.expect("Redis is there")
}

async fn server(id: &str, redis: &Redis) -> Server {
    Node::start(id, streams(redis).await).await
}

fn named(name: impl AsRef<str>) -> Message {
    event(name.as_ref(), Target::all())
}

/// Events `from`, `from + 1`, and so on.
fn numbered(from: usize, count: usize) -> Vec<Message> {
    (from..from + count).map(|i| named(i.to_string())).collect()
}

/// Whether offsets come in the order of the stream: as numbers, not as text.
fn are_in_order(offsets: &[Offset]) -> bool {
    let parts = |offset: &Offset| {
        let (ms, seq) = offset.as_str().split_once('-').expect("two numbers");
        (
            ms.parse::<u64>().expect("a number"),
            seq.parse::<u64>().expect("a number"),
        )
    };
    offsets.is_sorted_by(|one, other| parts(one) < parts(other))
}

impl Server {
    /// Sends as the base does: what still waits when the link fails goes to the next outlet. Returns the offsets,
    /// and how often the link failed.
    async fn send_whatever_happens(&mut self, messages: Vec<Message>) -> (Vec<Offset>, usize) {
        let mut batch: Vec<Parcel> = messages.into_iter().map(|m| self.parcel(m)).collect();
        let mut failures = 0;
        while self.outlet.send(&mut batch).await.is_err() {
            failures += 1;
            self.open_again().await;
        }
        let offset = |parcel: Parcel| match parcel.state {
            State::Sent(Some(offset)) => offset,
            other => panic!("not written: {other:?}"),
        };
        (batch.into_iter().map(offset).collect(), failures)
    }

    /// Opens the backend again, and follows nothing.
    async fn open_again(&mut self) {
        loop {
            match self.backend.open(&self.context).await {
                Ok(link) => {
                    self.outlet = link.outlet;
                    self.inlet = link.inlet;
                    return;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// The next event with its offset, whatever happens to the link meanwhile.
    async fn event_whatever_happens(&mut self) -> (String, Offset) {
        loop {
            match self.inlet.recv().await {
                Ok(Delivery::Message { envelope, offset }) => {
                    return (event_of(&envelope), offset.expect("entries have an offset"));
                }
                Ok(other) => panic!("no message: {other:?}"),
                Err(_) => self.follow_again().await,
            }
        }
    }

    async fn follow_again(&mut self) {
        loop {
            self.open_again().await;
            let change = sala_adapter::backend::Follow::Namespace("/".into());
            if self.inlet.follow(&change).await.is_ok() {
                return;
            }
        }
    }
}
