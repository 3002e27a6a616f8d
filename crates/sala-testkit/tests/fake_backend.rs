//! The fake broker passes the suite in each of its forms, so that the suite itself is known to be right.

use sala_adapter::backend::RoomsFollowed;
use sala_testkit::cluster::suite::Factory;
use sala_testkit::cluster::{FakeBackend, FakeBroker};

struct Fake {
    broker: FakeBroker,
    backend: fn(&FakeBroker) -> FakeBackend,
}

impl Fake {
    fn new(backend: fn(&FakeBroker) -> FakeBackend) -> Self {
        let broker = FakeBroker::new();
        Self { broker, backend }
    }
}

impl Factory for Fake {
    type Backend = FakeBackend;

    fn backend(&self) -> FakeBackend {
        (self.backend)(&self.broker)
    }

    async fn stop(&self) -> bool {
        self.broker.stop();
        true
    }

    async fn start(&self) {
        self.broker.start();
    }
}

mod counted {
    use super::*;
    sala_testkit::backend_suite!(Fake::new(FakeBackend::counted));
}

mod heartbeats {
    use super::*;
    sala_testkit::backend_suite!(Fake::new(FakeBackend::heartbeats));
}

mod public_rooms {
    use super::*;
    sala_testkit::backend_suite!(Fake::new(|broker| {
        FakeBackend::counted(broker).rooms(RoomsFollowed::Public)
    }));
}

mod all_rooms {
    use super::*;
    sala_testkit::backend_suite!(Fake::new(|broker| {
        FakeBackend::heartbeats(broker).rooms(RoomsFollowed::All)
    }));
}

mod logged {
    use super::*;
    sala_testkit::backend_suite!(Fake::new(|broker| FakeBackend::counted(broker).logged()));
}
