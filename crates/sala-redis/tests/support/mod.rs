//! Two servers and no base: the halves of a backend, driven by hand.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test takes what it needs"
)]
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sala_adapter::backend::{
    Backend, Context, Counter, Delivery, Follow, Inlet, Link, Outlet, Parcel, RoomIndex, State,
};
use sala_adapter::{BackendError, Envelope, Message, Room, ServerId, Target};
use sala_proto::RawArgs;
use sala_testkit::redis::Redis;
use sala_testkit::within;

/// The rooms that exist on a server, by namespace and name.
#[derive(Clone, Default)]
pub struct Rooms(pub HashSet<(String, String)>);

impl RoomIndex for Rooms {
    fn has_room(&self, namespace: &str, room: &Room) -> bool {
        let key = (namespace.to_owned(), room.as_str().to_owned());
        self.0.contains(&key)
    }
}

/// One server of a cluster.
pub struct Node<B: Backend> {
    pub backend: B,
    pub context: Context,
    pub outlet: B::Outlet,
    pub inlet: B::Inlet,
    pub counter: Arc<dyn Counter>,
}

impl<B: Backend> Node<B> {
    /// Opens a backend and follows the main namespace.
    pub async fn start(id: &str, backend: B) -> Self {
        Self::with_rooms(id, backend, &[]).await
    }

    /// The same on a server that has these rooms.
    pub async fn with_rooms(id: &str, mut backend: B, rooms: &[&str]) -> Self {
        let rooms = rooms
            .iter()
            .map(|room| ("/".to_owned(), (*room).to_owned()));
        let context = Context {
            server: id.into(),
            rooms: Arc::new(Rooms(rooms.collect())),
        };
        let link = backend.open(&context).await.expect("the backend opens");
        let mut node = Self::of(backend, context, link);
        node.follow("/").await;
        node
    }

    fn of(backend: B, context: Context, link: Link<B::Outlet, B::Inlet>) -> Self {
        Self {
            backend,
            context,
            outlet: link.outlet,
            inlet: link.inlet,
            counter: link.counter.expect("the broker counts"),
        }
    }

    /// Opens the backend again until it works, as the base does, and follows the main namespace.
    pub async fn reopen(&mut self) {
        let link = loop {
            match self.backend.open(&self.context).await {
                Ok(link) => break link,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.outlet = link.outlet;
        self.inlet = link.inlet;
        self.counter = link.counter.expect("the broker counts");
        self.follow("/").await;
    }

    pub async fn follow(&mut self, namespace: &str) {
        let change = Follow::Namespace(namespace.into());
        self.inlet.follow(&change).await.expect("subscribed");
    }

    pub async fn follow_room(&mut self, room: &str) {
        let (namespace, room) = ("/".into(), room.into());
        let change = Follow::Room { namespace, room };
        self.inlet.follow(&change).await.expect("subscribed");
    }

    /// Sends messages, all of which must leave.
    pub async fn send(&mut self, messages: Vec<Message>) {
        let mut batch: Vec<_> = messages.into_iter().map(|m| self.parcel(m)).collect();
        self.outlet.send(&mut batch).await.expect("sent");
        for parcel in batch {
            assert!(matches!(parcel.state, State::Sent(_)), "{:?}", parcel.state);
        }
    }

    pub fn parcel(&self, message: Message) -> Parcel {
        Parcel::new(Envelope {
            namespace: "/".into(),
            sender: Some(self.context.server.clone()),
            recipient: None,
            message,
        })
    }

    /// Sends an answer to one server.
    pub async fn answer(&mut self, to: &str, message: Message) {
        let mut parcel = self.parcel(message);
        parcel.envelope.recipient = Some(ServerId::from(to));
        let mut batch = [parcel];
        self.outlet.send(&mut batch).await.expect("sent");
        assert!(
            matches!(batch[0].state, State::Sent(_)),
            "{:?}",
            batch[0].state
        );
    }

    pub async fn recv(&mut self) -> Result<Delivery, BackendError> {
        within_seconds("something to arrive", self.inlet.recv()).await
    }

    /// The next message of another server: as the base does, own ones are left out.
    pub async fn message(&mut self) -> Envelope {
        loop {
            match self.recv().await.expect("the link holds") {
                Delivery::Message { envelope, .. } => {
                    if envelope.sender.as_ref() != Some(&self.context.server) {
                        return envelope;
                    }
                }
                other => panic!("no message: {other:?}"),
            }
        }
    }

    /// The name of the event that is the next message.
    pub async fn event(&mut self) -> String {
        event_of(&self.message().await)
    }

    /// How many servers follow the main namespace.
    pub async fn count(&self) -> usize {
        self.counter.count("/").await.expect("counted")
    }

    /// Waits until so many servers follow the main namespace.
    pub async fn until_count(&self, count: usize) {
        within_seconds("the servers to be counted", async {
            while self.counter.count("/").await.ok() != Some(count) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

/// Waits at most some seconds.
pub async fn within_seconds<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(what, future).await
}

/// The name of the event of a broadcast.
pub fn event_of(envelope: &Envelope) -> String {
    match &envelope.message {
        Message::Broadcast { packet, .. } | Message::ServerSideEmit { packet, .. } => {
            packet.event().expect("an event").to_string()
        }
        other => panic!("no event: {other:?}"),
    }
}

/// A broadcast without arguments.
pub fn event(name: &str, target: Target) -> Message {
    Message::Broadcast {
        packet: RawArgs::new_event(name, &()).expect("an event"),
        target,
        request: None,
    }
}

/// Has Redis close all connections that only sent commands, and waits for it.
pub async fn close_idle_connections(redis: &Redis) {
    redis.run(&["CONFIG", "SET", "timeout", "1"]).await;
    let is_idle =
        |client: &str| !client.contains("cmd=client|list") && !client.contains("cmd=xread ");
    let clients = ["CLIENT", "LIST", "TYPE", "normal"];
    redis
        .until(&clients, |reply| !reply.text().lines().any(is_idle))
        .await;
}
