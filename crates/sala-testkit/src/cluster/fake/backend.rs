use std::sync::Arc;
use std::time::Duration;

use sala_adapter::BoxFuture;
use sala_adapter::backend::{
    Backend, BackendError, Context, Counter, Delivery, Follow, Inlet, Link, Members, Outlet,
    Parcel, Profile, RoomsFollowed,
};
use tokio::sync::mpsc;

use super::broker::{FakeBroker, Item, gone};
use super::store::FakeStore;

/// A server's way to a [`FakeBroker`]. Use each for one cluster.
pub struct FakeBackend {
    broker: FakeBroker,
    members: Members,
    rooms: RoomsFollowed,
    store: Option<Arc<FakeStore>>,
    request_timeout: Duration,
    /// How much of the log was read, if there is one.
    place: Arc<Place>,
}

type Place = std::sync::Mutex<Option<usize>>;

impl FakeBackend {
    /// Servers are counted by the broker.
    #[must_use]
    pub fn counted(broker: &FakeBroker) -> Self {
        Self::new(broker, Members::Counted)
    }

    /// Servers send heartbeats every 5 s, and are gone after 10 s of silence.
    #[must_use]
    pub fn heartbeats(broker: &FakeBroker) -> Self {
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(10));
        Self::new(broker, Members::Heartbeats { interval, timeout })
    }

    fn new(broker: &FakeBroker, members: Members) -> Self {
        Self {
            broker: broker.clone(),
            members,
            rooms: RoomsFollowed::None,
            store: None,
            request_timeout: Duration::from_secs(5),
            place: Arc::default(),
        }
    }

    /// Which rooms are followed one by one. Default: none.
    #[must_use]
    pub fn rooms(mut self, rooms: RoomsFollowed) -> Self {
        self.rooms = rooms;
        self
    }

    /// Keeps a log of broadcasts, and sessions beside it.
    #[must_use]
    pub fn logged(mut self) -> Self {
        let broker = self.broker.clone();
        self.store = Some(Arc::new(FakeStore { broker }));
        self
    }

    /// How long answers are waited for if the caller does not say. Default: 5 s.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }
}

impl Backend for FakeBackend {
    type Outlet = FakeOutlet;
    type Inlet = FakeInlet;

    fn profile(&self) -> Profile {
        let mut profile = Profile::new("fake", self.members);
        profile.rooms = self.rooms;
        profile.request_timeout = self.request_timeout;
        profile.recovery = self.store.clone().map(|store| store as _);
        profile
    }

    async fn open(
        &mut self,
        context: &Context,
    ) -> Result<Link<FakeOutlet, FakeInlet>, BackendError> {
        let place = self.store.is_some().then(|| {
            let mut place = self.place.lock().expect("nobody panics with it");
            *place.get_or_insert_with(|| self.broker.log_len())
        });
        let (link, inbox) = self.broker.connect(&context.server, self.rooms, place)?;
        let broker = &self.broker;
        Ok(Link {
            outlet: FakeOutlet {
                broker: broker.clone(),
                link,
            },
            inlet: FakeInlet {
                broker: broker.clone(),
                link,
                inbox,
                place: self.place.clone(),
            },
            counter: (self.members == Members::Counted)
                .then(|| Arc::new(FakeCounter(broker.clone())) as _),
        })
    }
}

/// The half that sends.
pub struct FakeOutlet {
    broker: FakeBroker,
    link: u64,
}

impl Outlet for FakeOutlet {
    async fn send(&mut self, batch: &mut [Parcel]) -> Result<(), BackendError> {
        self.broker.send(self.link, batch).await
    }
}

/// The half that receives. When it is dropped the broker forgets the link.
pub struct FakeInlet {
    broker: FakeBroker,
    link: u64,
    inbox: mpsc::UnboundedReceiver<Item>,
    place: Arc<Place>,
}

impl Inlet for FakeInlet {
    async fn follow(&mut self, change: &Follow) -> Result<(), BackendError> {
        self.broker.follow(self.link, change)
    }

    async fn recv(&mut self) -> Result<Delivery, BackendError> {
        let (delivery, number) = self.inbox.recv().await.ok_or_else(gone)?;
        if let Some(number) = number {
            *self.place.lock().expect("nobody panics with it") = Some(number + 1);
        }
        Ok(delivery)
    }
}

impl Drop for FakeInlet {
    fn drop(&mut self) {
        self.broker.disconnect(self.link);
    }
}

struct FakeCounter(FakeBroker);

impl Counter for FakeCounter {
    fn count<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<usize, BackendError>> {
        Box::pin(async move { self.0.count(namespace) })
    }
}
