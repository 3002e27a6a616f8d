use std::sync::Arc;
use std::time::Duration;

use sala_adapter::adapter::{Adapter, AdapterError, Answers, Request, RoomChange};
use sala_adapter::backend::Backend;
use sala_adapter::cluster::{Cluster, ClusterOptions};
use sala_adapter::message::SocketSnapshot;
use sala_adapter::{Local, Room, Target};
use sala_proto::{PacketKind, RawArgs, Value, ValuePacket};

use super::Recorder;

/// One server of a cluster under test, with one namespace.
pub struct Node {
    /// Its place in the cluster.
    pub cluster: Cluster,
    /// What its namespace holds of the cluster.
    pub adapter: Arc<dyn Adapter>,
    /// What its namespace was asked.
    pub local: Arc<Recorder>,
}

impl Node {
    /// Starts a server with a namespace that has these sockets, and waits until the others can reach it.
    pub async fn start<B: Backend>(
        backend: B,
        options: ClusterOptions,
        namespace: &str,
        sockets: Vec<SocketSnapshot>,
    ) -> Self {
        let node = Self::start_at_once(backend, options, namespace, sockets);
        node.adapter.ready().await;
        node
    }

    /// The same without waiting.
    #[must_use]
    pub fn start_at_once<B: Backend>(
        backend: B,
        options: ClusterOptions,
        namespace: &str,
        sockets: Vec<SocketSnapshot>,
    ) -> Self {
        let cluster = Cluster::start(backend, options);
        let local = Recorder::new(sockets.clone());
        let adapter = cluster.join(namespace, local.clone() as Arc<dyn Local>);
        for socket in &sockets {
            socket.rooms.iter().for_each(|room| {
                adapter.interest(RoomChange {
                    room,
                    own: *room == Room::from(&socket.id),
                    occupied: true,
                });
            });
        }
        Self {
            cluster,
            adapter,
            local,
        }
    }

    /// Sends an event with a number to everybody.
    ///
    /// # Panics
    ///
    /// When the queue is full or closed.
    pub fn count_to_all(&self, number: i64) {
        let sent = self
            .adapter
            .broadcast(event("count", vec![number.into()]), &Target::all());
        sent.expect("the queue has room");
    }

    /// Asks the others.
    ///
    /// # Errors
    ///
    /// As [`Adapter::request`].
    pub async fn ask(
        &self,
        request: Request,
        target: &Target,
        timeout: Duration,
    ) -> Result<Answers, AdapterError> {
        self.adapter.request(request, target, Some(timeout)).await
    }

    /// The ids of all sockets that the others have, in order.
    ///
    /// # Errors
    ///
    /// As [`Adapter::request`].
    pub async fn sockets(&self, timeout: Duration) -> Result<Vec<String>, AdapterError> {
        let answers = self.ask(Request::Sockets, &Target::all(), timeout).await?;
        let Answers::Sockets(sockets) = answers else {
            panic!("asked for sockets, got {answers:?}");
        };
        let mut ids: Vec<_> = sockets.iter().map(|socket| socket.id.to_string()).collect();
        ids.sort_unstable();
        Ok(ids)
    }
}

/// An event as an emit makes it.
///
/// # Panics
///
/// When the name is reserved.
#[must_use]
pub fn event(name: &str, args: Vec<Value>) -> RawArgs {
    let packet = ValuePacket {
        kind: PacketKind::Event,
        nsp: "/".into(),
        id: None,
        data: Some(Value::Array([vec![name.into()], args].concat())),
    };
    let packet = packet.into_packet().expect("the event is valid");
    packet.data.expect("events have data").into_owned()
}

/// An event as it arrived: its name and its arguments.
#[must_use]
pub fn heard_event(packet: &RawArgs) -> Vec<Value> {
    let name = packet.event().map(|name| name.to_value());
    name.into_iter().chain(packet.to_values()).collect()
}
