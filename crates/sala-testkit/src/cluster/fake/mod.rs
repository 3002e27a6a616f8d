//! A broker within this process, for several servers, that does what a test tells it to.

mod backend;
mod broker;
mod store;

pub use backend::FakeBackend;
pub use broker::{FakeBroker, Fate, Passage};
