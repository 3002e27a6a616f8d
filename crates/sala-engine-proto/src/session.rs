//! The life of one session: heartbeat, upgrade, close.
//!
//! [`Session`] decides; it does nothing itself. Its driver tells it what happened, with the time,
//! and carries out the one [`Action`] that comes back. Messages are not kept here: the machine
//! only says that one may be delivered, so that the hot path stays short.

use std::time::{Duration, Instant};

use crate::{CloseReason, PacketType, Revision, Transport};

#[cfg(test)]
mod tests;

/// The clocks of a session, with the reference's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Revision 4: how long after the handshake or a pong the server pings. Default 25 s.
    pub ping_interval: Duration,
    /// How long the peer may take to answer a ping (revision 4), or to be late with its own
    /// (revision 3). Default 20 s.
    pub ping_timeout: Duration,
    /// How long a probing WebSocket may take to commit. Default 10 s.
    pub upgrade_timeout: Duration,
    /// How long a closing session waits for the client to fetch what is queued. Default 30 s.
    pub close_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
        }
    }
}

/// While a WebSocket probes, a waiting poll is let go this often, so that the client can stop
/// polling.
const RELEASE_INTERVAL: Duration = Duration::from_millis(100);

/// The state machine of one session.
///
/// The driver calls [`packet`](Self::packet) for each packet of the current transport,
/// [`probe_packet`](Self::probe_packet) for each of a probing one, and
/// [`timeout`](Self::timeout), until it answers [`Action::None`], when
/// [`next_timeout`](Self::next_timeout) has passed.
#[derive(Debug)]
pub struct Session {
    timing: Timing,
    revision: Revision,
    state: State,
    upgrade: Upgrade,
    heartbeat: Heartbeat,
    closing: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Closing,
    Closed,
}

#[derive(Clone, Copy, Debug)]
enum Upgrade {
    /// On polling; an upgrade may come.
    Possible,
    /// A WebSocket is attached and has until `deadline` to commit.
    Probing {
        deadline: Instant,
        /// When a waiting poll is to be let go; set once the probe was answered.
        release: Option<Instant>,
    },
    /// On a WebSocket, from the start or by an upgrade.
    Done,
}

#[derive(Clone, Copy, Debug)]
enum Heartbeat {
    /// Revision 4: ping the client at this time.
    Ping(Instant),
    /// Revision 4: the client has until then to answer.
    Pong {
        deadline: Instant,
        /// Another packet has already moved the deadline in this cycle.
        extended: bool,
    },
    /// Revision 3: the client has until then to ping.
    Client(Instant),
}

/// What the driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Hand the packet to the application.
    Deliver,
    /// Send a ping.
    SendPing,
    /// Send a pong without data (revision 3).
    SendPong,
    /// A heartbeat came in; tell observers.
    Heartbeat,
    /// Answer the probe with `3probe` on the probing transport, and let a waiting poll go.
    AnswerProbe,
    /// Answer a waiting poll, if there is one, with a noop.
    ReleasePoll,
    /// Make the probing transport the session's transport.
    Upgrade,
    /// Close the probing transport; the session goes on.
    DropProbe,
    /// End the session.
    Close(CloseReason, Option<&'static str>),
}

impl Session {
    /// Starts the life of a session whose open packet is about to be sent.
    #[must_use]
    pub fn new(timing: Timing, revision: Revision, transport: Transport, now: Instant) -> Self {
        let heartbeat = match revision {
            Revision::V4 => Heartbeat::Ping(now + timing.ping_interval),
            Revision::V3 => Heartbeat::Client(now + timing.ping_interval + timing.ping_timeout),
        };
        let upgrade = match transport {
            Transport::Polling => Upgrade::Possible,
            Transport::WebSocket => Upgrade::Done,
        };
        Self {
            timing,
            revision,
            state: State::Open,
            upgrade,
            heartbeat,
            closing: None,
        }
    }

    /// A packet came over the session's transport.
    pub fn packet(&mut self, kind: PacketType, now: Instant) -> Action {
        if self.state == State::Closed {
            return Action::None;
        }
        match (kind, self.revision) {
            (PacketType::Pong, Revision::V4) => {
                self.heartbeat = Heartbeat::Ping(now + self.timing.ping_interval);
                return Action::Heartbeat;
            }
            (PacketType::Ping, Revision::V3) => {
                let grace = self.timing.ping_interval + self.timing.ping_timeout;
                self.heartbeat = Heartbeat::Client(now + grace);
                return Action::SendPong;
            }
            (PacketType::Ping | PacketType::Pong, _) => {
                return Action::Close(
                    CloseReason::TransportError,
                    Some("invalid heartbeat direction"),
                );
            }
            _ => {}
        }
        self.extend_deadline(now);
        match kind {
            // Once the server closes, the application hears nothing more.
            PacketType::Message if self.state == State::Open => Action::Deliver,
            PacketType::Close => Action::Close(CloseReason::TransportClose, None),
            _ => Action::None,
        }
    }

    /// A client on a slow line may be busy sending: its first other packet after a ping gives it
    /// one more `ping_timeout`. Only the first, or it would never have to answer.
    fn extend_deadline(&mut self, now: Instant) {
        if let Heartbeat::Pong { deadline, extended } = &mut self.heartbeat
            && !*extended
        {
            *deadline = now + self.timing.ping_timeout;
            *extended = true;
        }
    }

    /// Whether a WebSocket may attach as a probe: the session is on polling and none probes.
    #[must_use]
    pub fn can_upgrade(&self) -> bool {
        self.state != State::Closed && matches!(self.upgrade, Upgrade::Possible)
    }

    /// A WebSocket attached to a session on polling.
    pub fn probe_attached(&mut self, now: Instant) {
        debug_assert!(self.can_upgrade());
        self.upgrade = Upgrade::Probing {
            deadline: now + self.timing.upgrade_timeout,
            release: None,
        };
    }

    /// The probing transport has gone.
    pub fn probe_detached(&mut self) {
        if matches!(self.upgrade, Upgrade::Probing { .. }) {
            self.upgrade = Upgrade::Possible;
        }
    }

    /// A packet came over the probing transport. `probe` tells whether its data is `probe`.
    pub fn probe_packet(&mut self, kind: PacketType, probe: bool, now: Instant) -> Action {
        let Upgrade::Probing { deadline, .. } = self.upgrade else {
            return Action::None;
        };
        match kind {
            PacketType::Ping if probe => {
                let release = Some(now + RELEASE_INTERVAL);
                self.upgrade = Upgrade::Probing { deadline, release };
                Action::AnswerProbe
            }
            PacketType::Upgrade => {
                self.upgrade = Upgrade::Done;
                // A ping that went out by polling may be answered on the new transport: give the
                // answer its full time from now.
                if let Heartbeat::Pong { deadline, .. } = &mut self.heartbeat {
                    *deadline = now + self.timing.ping_timeout;
                }
                Action::Upgrade
            }
            _ => {
                self.upgrade = Upgrade::Possible;
                Action::DropProbe
            }
        }
    }

    /// Whether a WebSocket is attached that has not committed.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        matches!(self.upgrade, Upgrade::Probing { .. })
    }

    /// The server wants to close, and the transport cannot be told yet.
    pub fn close_pending(&mut self, now: Instant) {
        if self.state == State::Open {
            self.state = State::Closing;
            self.closing = Some(now + self.timing.close_timeout);
        }
    }

    /// Whether the session waits for the transport in order to close.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.state == State::Closing
    }

    /// The session is over.
    pub fn closed(&mut self) {
        self.state = State::Closed;
    }

    /// When [`timeout`](Self::timeout) wants to be called.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.state == State::Closed {
            return None;
        }
        let heartbeat = match self.heartbeat {
            Heartbeat::Ping(at) | Heartbeat::Client(at) => at,
            Heartbeat::Pong { deadline, .. } => deadline,
        };
        let upgrade = match self.upgrade {
            Upgrade::Probing { deadline, release } => {
                Some(release.map_or(deadline, |release| release.min(deadline)))
            }
            _ => None,
        };
        [Some(heartbeat), upgrade, self.closing]
            .into_iter()
            .flatten()
            .min()
    }

    /// Time has passed. Call again until the answer is [`Action::None`].
    pub fn timeout(&mut self, now: Instant) -> Action {
        if self.state == State::Closed {
            return Action::None;
        }
        if self.closing.is_some_and(|at| at <= now) {
            return Action::Close(CloseReason::ForcedClose, None);
        }
        if let Upgrade::Probing { deadline, release } = &mut self.upgrade {
            if *deadline <= now {
                self.upgrade = Upgrade::Possible;
                return Action::DropProbe;
            }
            if release.is_some_and(|at| at <= now) {
                *release = Some(now + RELEASE_INTERVAL);
                return Action::ReleasePoll;
            }
        }
        match self.heartbeat {
            Heartbeat::Ping(at) if at <= now => {
                self.heartbeat = Heartbeat::Pong {
                    deadline: now + self.timing.ping_timeout,
                    extended: false,
                };
                Action::SendPing
            }
            Heartbeat::Pong { deadline: at, .. } | Heartbeat::Client(at) if at <= now => {
                Action::Close(CloseReason::PingTimeout, None)
            }
            _ => Action::None,
        }
    }
}
