//! What is to be done, as the options say.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::client::Transport;
use super::payload::Payload;

/// At a fixed rate: emits of one client that may wait for their answers, and the bytes in them.
const MOST_UNANSWERED: (usize, usize) = (1024, 16 << 20);

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scenario {
    /// connect, then stay idle and answer heartbeats
    Connect,
    /// every client emits a payload and gets it back in the acknowledgement
    Echo,
    /// one client sends to a room that all the others are in
    Broadcast,
    /// one client sends to many small rooms in turn
    Rooms,
    /// every client joins and leaves a room, over and over
    Churn,
}

impl Scenario {
    /// Whether one more client speaks to the others.
    pub(super) fn is_fan_out(self) -> bool {
        matches!(self, Self::Broadcast | Self::Rooms)
    }
}

/// The names of the events that the server offers.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) echo: String,
    pub(super) join: String,
    pub(super) leave: String,
    pub(super) broadcast: String,
    pub(super) message: String,
}

/// All choices of a run, checked.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) url: String,
    pub(super) scenario: Scenario,
    pub(super) transport: Transport,
    /// Clients, without the one that speaks.
    pub(super) connections: usize,
    pub(super) connect_concurrency: usize,
    pub(super) connect_timeout: Duration,
    pub(super) payload: Payload,
    pub(super) payload_bytes: usize,
    pub(super) binary: bool,
    pub(super) in_flight: usize,
    /// Emits per second, of all clients together.
    pub(super) rate: Option<f64>,
    pub(super) warmup: Duration,
    pub(super) duration: Duration,
    pub(super) answer_timeout: Duration,
    /// Rooms that listeners are in, or that are joined and left.
    pub(super) rooms: usize,
    pub(super) events: Events,
    pub(super) pid: Option<u32>,
    pub(super) json: Option<PathBuf>,
    pub(super) quiet: bool,
}

impl Plan {
    /// All clients.
    pub(super) fn clients(&self) -> usize {
        self.connections + usize::from(self.scenario.is_fan_out())
    }

    /// The name of the room of client number `index`. Two load generators at one server do not share rooms.
    pub(super) fn room(&self, index: usize) -> String {
        format!("bench-{}-{}", std::process::id(), index % self.rooms)
    }

    /// At a fixed rate: how many emits of one client may be unanswered before the next ones have to wait.
    pub(super) fn most_unanswered(&self) -> usize {
        let (count, bytes) = MOST_UNANSWERED;
        (bytes / self.payload_bytes.max(1)).clamp(1, count)
    }
}
