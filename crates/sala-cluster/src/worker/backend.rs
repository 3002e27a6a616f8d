//! The cluster adapter's backend: messages go through the primary.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sala_adapter::backend::{
    Backend, BackendError, BackendErrorKind, Context, Delivery, Follow, Inlet, Link, Members,
    Outlet, Parcel, Profile, State,
};
use sala_adapter::codec::{self, Form};
use sala_adapter::recovery::Offset;
use sala_adapter::target::RoomSet;
use sala_adapter::{Envelope, Message, ServerId};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::bus::{Bus, Gone, Inbound, Logged};
use super::store::Store;
use crate::channel::MAX_FRAME;
use crate::channel::bus::{self as frames, Publish, Upstream};
use crate::channel::wire::Text;

/// The longest message: what stands before it in its frame is shorter than the rest.
const MAX_MESSAGE: usize = MAX_FRAME - (1 << 20);
/// The primary tells the place of a broadcast as long as it lives. Delivering without it, because the
/// machine is busy, would let clients that come back receive it twice.
const OFFSET_PATIENCE: Duration = Duration::from_secs(30);
/// The kind of a message that only asks for its place: it could not be written.
pub(crate) const NOTHING: u8 = 0;

/// The workers of one primary as a cluster: made by [`Worker::backend`](super::Worker::backend).
///
/// The messages are those of the official cluster adapter. Servers know of each other by heartbeats
/// ([`heartbeat_interval`](Self::heartbeat_interval)); when a worker dies, the primary says goodbye in
/// its name at once.
#[derive(Debug)]
#[must_use]
pub struct WorkerBackend {
    bus: io::Result<(Arc<Bus>, Received)>,
    recovery: bool,
    interval: Duration,
    timeout: Duration,
}

impl WorkerBackend {
    pub(super) fn new(
        bus: io::Result<(Arc<Bus>, mpsc::Receiver<Inbound>)>,
        recovery: bool,
    ) -> Self {
        Self {
            bus: bus.map(|(bus, inbound)| (bus, Arc::new(Mutex::new(inbound)))),
            recovery,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
        }
    }

    /// How long this server may be silent before it says that it is there: the reference's
    /// `heartbeatInterval`. Default: 5 s.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// After which silence a server is taken for gone, so that requests no longer wait for it: the
    /// reference's `heartbeatTimeout`. Default: 10 s.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl Backend for WorkerBackend {
    type Outlet = BusOutlet;
    type Inlet = BusInlet;

    fn profile(&self) -> Profile {
        let members = Members::Heartbeats {
            interval: self.interval,
            timeout: self.timeout,
        };
        let mut profile = Profile::new("worker channel", members);
        profile.offset_patience = OFFSET_PATIENCE;
        if let (true, Ok((bus, _))) = (self.recovery, &self.bus) {
            profile.recovery = Some(Arc::new(Store::new(Arc::clone(bus))));
        }
        profile
    }

    async fn open(&mut self, _: &Context) -> Result<Link<Self::Outlet, Self::Inlet>, BackendError> {
        let (bus, inbound) = self.bus.as_ref().map_err(|error| {
            BackendError::new(
                BackendErrorKind::Misconfigured,
                format!("the worker's channel cannot be used: {error}"),
            )
        })?;
        bus.send(&Upstream::Open).await.map_err(gone)?;
        Ok(Link {
            outlet: BusOutlet {
                bus: Arc::clone(bus),
            },
            inlet: BusInlet {
                inbound: Arc::clone(inbound),
                applied: None,
            },
            counter: None,
        })
    }
}

fn gone(_: Gone) -> BackendError {
    BackendError::new(BackendErrorKind::Unreachable, "the primary has gone")
}

/// Goes from an inlet to the next, should the base open the backend again.
type Received = Arc<Mutex<mpsc::Receiver<Inbound>>>;

/// Sends messages to the primary.
#[derive(Debug)]
pub struct BusOutlet {
    bus: Arc<Bus>,
}

impl Outlet for BusOutlet {
    async fn send(&mut self, batch: &mut [Parcel]) -> Result<(), BackendError> {
        let mut placed = Vec::new();
        for (index, parcel) in batch.iter_mut().enumerate() {
            if !parcel.is_waiting() {
                continue;
            }
            let (publish, place) = self.publish(parcel);
            self.bus
                .send(&Upstream::Publish(publish))
                .await
                .map_err(gone)?;
            match place {
                Some(place) => placed.push((index, place)),
                None if parcel.is_waiting() => parcel.state = State::Sent(None),
                None => {}
            }
        }
        for (index, place) in placed {
            let offset = place.await.map_err(|_| gone(Gone))?;
            let state = &mut batch[index].state;
            if matches!(state, State::Waiting) {
                *state = State::Sent(offset);
            }
        }
        Ok(())
    }
}

type Place = oneshot::Receiver<Option<Offset>>;

impl BusOutlet {
    /// What goes to the primary for a message. One that cannot be written takes its place in the log
    /// all the same, so that those behind it come in order.
    fn publish(&self, parcel: &mut Parcel) -> (Publish, Option<Place>) {
        let envelope = &parcel.envelope;
        let body = match encode(envelope) {
            Ok(body) => Some(body),
            Err(error) => {
                parcel.state = State::Failed(error);
                None
            }
        };
        let envelope = &parcel.envelope;
        let mut place = None;
        let logged = match (parcel.logged, &envelope.message) {
            (Some(base_number), Message::Broadcast { target, .. }) => {
                let number = self.bus.next_number();
                let (placed, waits) = oneshot::channel();
                place = Some(waits);
                let namespace = envelope.namespace.clone();
                self.bus.expect(
                    number,
                    Logged {
                        namespace,
                        number: base_number,
                        placed,
                    },
                );
                Some(frames::Logged {
                    number,
                    rooms: texts(&target.rooms),
                    except: texts(&target.except),
                })
            }
            _ => None,
        };
        let name = |server: &Option<ServerId>| {
            server
                .as_ref()
                .map_or_else(|| Text::from(""), |server| server.as_str().into())
        };
        let publish = Publish {
            kind: body
                .as_ref()
                .and_then(|_| envelope.message.number())
                .unwrap_or(NOTHING),
            namespace: envelope.namespace.as_str().into(),
            sender: name(&envelope.sender),
            recipient: name(&envelope.recipient),
            logged,
            body: body.unwrap_or_default(),
        };
        (publish, place)
    }
}

/// As the official cluster adapter does; as MessagePack where JSON would spoil bytes.
fn encode(envelope: &Envelope) -> Result<Bytes, BackendError> {
    let form = Form::for_message(&envelope.message, Form::MsgPack);
    let body = codec::encode(envelope, form)?;
    if body.len() > MAX_MESSAGE {
        return Err(BackendError::new(
            BackendErrorKind::TooLarge,
            format!(
                "a message of {} bytes, where {MAX_MESSAGE} are the most",
                body.len()
            ),
        ));
    }
    Ok(body.into())
}

pub(super) fn texts(rooms: &RoomSet) -> Vec<Text> {
    rooms.iter().map(|room| room.as_str().into()).collect()
}

/// Receives the messages of the other workers.
#[derive(Debug)]
pub struct BusInlet {
    inbound: Received,
    /// A broadcast of this server that has been delivered once the next message is asked for.
    applied: Option<(Logged, Option<Offset>)>,
}

impl Inlet for BusInlet {
    async fn follow(&mut self, _: &Follow) -> Result<(), BackendError> {
        // All messages come.
        Ok(())
    }

    async fn recv(&mut self) -> Result<Delivery, BackendError> {
        if let Some((logged, offset)) = self.applied.take() {
            // The outlet may have been given up.
            logged.placed.send(offset).ok();
        }
        let inbound = self
            .inbound
            .lock()
            .await
            .recv()
            .await
            .ok_or_else(|| gone(Gone))?;
        Ok(match inbound {
            Inbound::Message { offset, body } => match codec::decode(&body, None) {
                Ok(envelope) => Delivery::Message { envelope, offset },
                Err(error) => malformed(error.into()),
            },
            Inbound::Placed { logged, offset } => {
                let delivery = Delivery::Logged {
                    namespace: logged.namespace.clone(),
                    number: logged.number,
                    offset: offset.clone(),
                };
                self.applied = Some((logged, offset));
                delivery
            }
            Inbound::Lost(count) => Delivery::Lost {
                reason: format!(
                    "{count} messages of other workers were dropped because this one was too slow"
                )
                .into(),
            },
            Inbound::Malformed => malformed(BackendError::new(
                BackendErrorKind::Malformed,
                "a frame of the primary makes no sense",
            )),
        })
    }
}

fn malformed(error: BackendError) -> Delivery {
    Delivery::Malformed {
        source: "worker channel".into(),
        error,
    }
}
