//! Which servers have a namespace, as far as this server has heard. No I/O: told the time.

use std::time::Duration;

use tokio::time::Instant;

use super::Map;
use crate::backend;
use crate::message::Message;
use crate::target::ServerId;

/// The most servers that are remembered for a namespace. More are not waited for: an honest cluster
/// is smaller, and a hostile peer can invent as many as it likes.
pub(super) const MAX_MEMBERS: usize = 1024;

/// The longest id that is remembered, in bytes. The reference's have 16.
pub(super) const MAX_ID: usize = 256;

/// Where the broker counts: for how long a server that said something counts as heard from lately.
const LATELY: Duration = Duration::from_secs(60);

/// The servers that were heard from in one namespace, this one left out.
pub(super) struct Members {
    /// How long this server may be silent, where servers send heartbeats.
    interval: Option<Duration>,
    /// Who has been silent for longer is gone.
    timeout: Duration,
    seen: Map<ServerId, Instant>,
    /// When this server last said something that counts as a heartbeat.
    spoke: Instant,
}

impl Members {
    pub(super) fn new(rule: backend::Members, now: Instant) -> Self {
        let (interval, timeout) = match rule {
            backend::Members::Counted => (None, LATELY),
            backend::Members::Heartbeats { interval, timeout } => (Some(interval), timeout),
        };
        Self {
            interval,
            timeout,
            seen: Map::default(),
            spoke: now,
        }
    }

    /// Somebody said something. Returns whether the server is new.
    pub(super) fn heard(&mut self, server: &ServerId, now: Instant) -> bool {
        if let Some(seen) = self.seen.get_mut(server) {
            *seen = now;
            return false;
        }
        let acceptable = !server.is_emitter() && server.as_bytes().len() <= MAX_ID;
        if acceptable && self.seen.len() < MAX_MEMBERS {
            self.seen.insert(server.clone(), now);
            return true;
        }
        false
    }

    /// A server said goodbye. Returns whether it was there.
    pub(super) fn left(&mut self, server: &ServerId) -> bool {
        self.seen.remove(server).is_some()
    }

    /// Removes those that were silent for too long.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<ServerId> {
        let timeout = self.timeout;
        self.seen
            .extract_if(|_, seen| now.saturating_duration_since(*seen) > timeout)
            .map(|(server, _)| server)
            .collect()
    }

    /// The broker was away, so nobody could be heard for that long.
    pub(super) fn excuse(&mut self, away: Duration) {
        self.seen.values_mut().for_each(|seen| *seen += away);
    }

    /// This server says something.
    pub(super) fn said(&mut self, message: &Message, now: Instant) {
        if counts_as_heartbeat(message) {
            self.spoke = now;
        }
    }

    /// When this server has to say that it is there, if servers send heartbeats.
    pub(super) fn heartbeat_due(&self) -> Option<Instant> {
        self.interval.map(|interval| self.spoke + interval)
    }

    /// How many others there are.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// The others, in the order of their names.
    pub(super) fn names(&self) -> Vec<ServerId> {
        let mut names: Vec<_> = self.seen.keys().cloned().collect();
        names.sort_unstable();
        names
    }
}

/// Whether the reference puts its next heartbeat off when it says this.
fn counts_as_heartbeat(message: &Message) -> bool {
    match message {
        Message::InitialHeartbeat
        | Message::Heartbeat
        | Message::FetchSockets { .. }
        | Message::ServerSideEmit { .. }
        | Message::AdapterClose => true,
        Message::Broadcast { request, .. } => request.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::RequestId;
    use crate::target::Target;

    const SECOND: Duration = Duration::from_secs(1);

    fn members() -> (Members, Instant) {
        let now = Instant::now();
        let rule = backend::Members::Heartbeats {
            interval: 5 * SECOND,
            timeout: 10 * SECOND,
        };
        (Members::new(rule, now), now)
    }

    #[test]
    fn a_server_is_gone_when_it_was_silent_for_longer_than_the_timeout() {
        let (mut members, now) = members();
        assert!(members.heard(&"a".into(), now));
        assert!(!members.heard(&"a".into(), now + SECOND));
        assert!(members.heard(&"b".into(), now));
        assert!(members.expire(now + 10 * SECOND).is_empty());
        let gone = members.expire(now + 10 * SECOND + SECOND / 10);
        assert_eq!(gone, [ServerId::from("b")]);
        assert_eq!(members.names(), [ServerId::from("a")]);
        assert!(members.left(&"a".into()));
        assert!(!members.left(&"a".into()));
    }

    #[test]
    fn the_emitter_is_no_member() {
        let (mut members, now) = members();
        assert!(!members.heard(&ServerId::emitter(), now));
        assert_eq!(members.len(), 0);
    }

    #[test]
    fn invented_servers_do_not_fill_the_memory() {
        let (mut members, now) = members();
        for i in 0..2 * MAX_MEMBERS {
            members.heard(&format!("server {i}").into(), now);
        }
        assert_eq!(members.len(), MAX_MEMBERS);
        members.expire(now + 11 * SECOND);
        members.heard(&"x".repeat(MAX_ID + 1).into(), now);
        assert_eq!(members.len(), 0);
    }

    #[test]
    fn nobody_grows_old_while_the_broker_is_away() {
        let (mut members, now) = members();
        members.heard(&"a".into(), now);
        members.excuse(60 * SECOND);
        assert!(members.expire(now + 70 * SECOND).is_empty());
        assert_eq!(members.expire(now + 71 * SECOND).len(), 1);
    }

    #[test]
    fn a_heartbeat_is_put_off_by_what_the_reference_counts() {
        let (mut members, now) = members();
        assert_eq!(members.heartbeat_due(), Some(now + 5 * SECOND));
        let broadcast = |request| Message::Broadcast {
            packet: sala_proto::RawArgs::from_values(Vec::new()),
            target: Target::all(),
            request,
        };
        members.said(&broadcast(None), now + SECOND);
        assert_eq!(members.heartbeat_due(), Some(now + 5 * SECOND));
        members.said(&broadcast(Some(RequestId::random())), now + SECOND);
        assert_eq!(members.heartbeat_due(), Some(now + 6 * SECOND));
        let counted = Members::new(backend::Members::Counted, now);
        assert_eq!(counted.heartbeat_due(), None);
    }
}
