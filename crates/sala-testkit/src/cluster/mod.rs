//! Clusters under test: a broker that misbehaves on demand ([`FakeBroker`]), a namespace that writes down what
//! it is asked ([`Recorder`]), and the suite that every backend has to pass ([`suite`]).

mod fake;
mod node;
mod recorder;
pub mod suite;

pub use fake::{FakeBackend, FakeBroker, Fate, Passage};
pub use node::{Node, event, heard_event};
pub use recorder::{Heard, Recorder, socket};
