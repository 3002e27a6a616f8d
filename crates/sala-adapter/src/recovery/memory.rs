//! The store of a server that is alone.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use foldhash::fast::RandomState;

use super::offset;
use super::{Offset, PrivateId, Restored, Retention, SavedSession};
use crate::target::{Room, RoomSet, Target, is_meant};

/// Sessions and packets of one namespace, in memory.
///
/// `P` is a packet as it was encoded, cheap to clone; `D` a socket's data. The store has no clock
/// and no lock: the time is passed in, and its owner puts it behind a mutex. To keep the order of
/// the log and the order of delivery the same, hold that mutex from [`append`](Self::append) until
/// the packet was put into the outboxes.
///
/// Memory is bounded by the [`Retention`]: the oldest entries give way. What has expired is removed
/// by [`sweep`](Self::sweep), to be called every [`SWEEP_INTERVAL`](Self::SWEEP_INTERVAL) by
/// something that keeps neither the namespace nor the process alive (as the reference's timer).
/// There is nothing to close: dropping the store forgets everything.
#[derive(Debug)]
pub struct MemoryStore<P, D> {
    retention: Retention,
    started: Instant,
    /// Milliseconds since 1970 when the store was made.
    epoch: u64,
    sessions: HashMap<PrivateId, Kept<D>, RandomState>,
    /// Private ids by the order in which the sessions were saved.
    order: BTreeMap<u64, PrivateId>,
    saved: u64,
    log: VecDeque<Logged<P>>,
    log_bytes: usize,
    /// The number of the last offset given out.
    last: u64,
}

#[derive(Debug)]
struct Kept<D> {
    session: SavedSession<D>,
    /// Its key in `order`.
    place: u64,
    at: Instant,
}

#[derive(Debug)]
struct Logged<P> {
    number: u64,
    at: Instant,
    packet: P,
    rooms: RoomSet,
    except: RoomSet,
    weight: usize,
}

/// What a store holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Lost sessions that can be recovered.
    pub sessions: usize,
    /// Packets in the log.
    pub packets: usize,
    /// What the log weighs.
    pub packet_bytes: usize,
}

impl<P: Clone, D> MemoryStore<P, D> {
    /// How often [`sweep`](Self::sweep) is to be called: every 60 s, as in the reference.
    pub const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

    /// Makes an empty store. Offsets count milliseconds from `wall`, the time of day at `now`.
    #[must_use]
    pub fn new(retention: Retention, wall: SystemTime, now: Instant) -> Self {
        let epoch = wall
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        Self {
            retention,
            started: now,
            epoch,
            sessions: HashMap::default(),
            order: BTreeMap::new(),
            saved: 0,
            log: VecDeque::new(),
            log_bytes: 0,
            last: 0,
        }
    }

    /// Logs a packet that can be missed: an event without acknowledgement that is not volatile.
    ///
    /// `encode` is given the offset, which it appends to the arguments, and returns the packet and
    /// its weight in bytes. Only the target's rooms are kept, not its flags. Offsets are unique and
    /// rise; they run ahead of the clock while there is more than one packet in a millisecond.
    ///
    /// # Errors
    ///
    /// That of `encode`; nothing is logged then.
    pub fn append<E>(
        &mut self,
        target: &Target,
        now: Instant,
        encode: impl FnOnce(&Offset) -> Result<(P, usize), E>,
    ) -> Result<P, E> {
        let elapsed = now.saturating_duration_since(self.started).as_millis() as u64;
        let number = (self.last + 1).max(self.epoch.saturating_add(elapsed));
        let (packet, bytes) = encode(&offset::encode(number))?;
        self.last = number;

        let weight =
            bytes + size_of::<Logged<P>>() + weight(&target.rooms) + weight(&target.except);
        self.log.push_back(Logged {
            number,
            at: now,
            packet: packet.clone(),
            rooms: target.rooms.clone(),
            except: target.except.clone(),
            weight,
        });
        self.log_bytes += weight;
        // A packet that is too large by itself takes everything before it along, and then goes too:
        // a log with a gap would recover sessions that miss a packet.
        while self.log.len() > self.retention.max_packets
            || self.log_bytes > self.retention.max_packet_bytes
        {
            self.forget_oldest_packet();
        }
        Ok(packet)
    }

    /// Keeps a session. One with the same private id is replaced. Save it only after the socket has
    /// left its rooms and the namespace, since from now on its id may come back.
    pub fn save(&mut self, session: SavedSession<D>, now: Instant) {
        self.forget_session(&session.pid.clone());
        if self.retention.max_sessions == 0 {
            return;
        }
        if self.sessions.len() >= self.retention.max_sessions {
            self.forget_oldest_session();
        }
        let place = self.saved;
        self.saved += 1;
        self.order.insert(place, session.pid.clone());
        let kept = Kept {
            session,
            place,
            at: now,
        };
        self.sessions.insert(kept.session.pid.clone(), kept);
    }

    /// Takes a session back with what it missed, oldest first: the packets after `offset` that were
    /// sent to everybody or to one of its rooms, and did not exclude one of its rooms.
    ///
    /// A session is given out once; the reference gives it out as often as it is asked for, so that
    /// two clients could share an id.
    ///
    /// `None`, for which the client becomes a new one, if the session is unknown or older than the
    /// retention, or if the packet with this offset is not (or no longer) in the log. In the latter
    /// case the session stays, as in the reference.
    pub fn take(&mut self, pid: &str, offset: &str, now: Instant) -> Option<Restored<P, D>> {
        let pid = PrivateId::from(pid);
        let kept = self.sessions.get(&pid)?;
        if self.has_expired(kept.at, now) {
            self.forget_session(&pid);
            return None;
        }
        self.find(offset)?;
        let session = self.forget_session(&pid)?;
        let missed = self.missed(&session.rooms, offset)?;
        Some(Restored { session, missed })
    }

    /// The packets after `offset` that are meant for a socket in these rooms, oldest first. `None`
    /// if the packet with this offset is not in the log: there may be others that are missing.
    pub fn missed(&self, rooms: &RoomSet, offset: &str) -> Option<Vec<P>> {
        let seen = self.find(offset)?;
        let missed = self.log.range(seen + 1..);
        let missed = missed.filter(|logged| is_meant(&logged.rooms, &logged.except, rooms));
        Some(missed.map(|logged| logged.packet.clone()).collect())
    }

    /// Removes the sessions and packets that are older than the retention.
    pub fn sweep(&mut self, now: Instant) {
        while let Some(oldest) = self.oldest_session()
            && self.has_expired(oldest, now)
        {
            self.forget_oldest_session();
        }
        while let Some(oldest) = self.log.front()
            && self.has_expired(oldest.at, now)
        {
            self.forget_oldest_packet();
        }
        if self.log.capacity() > 64 && self.log.len() < self.log.capacity() / 4 {
            self.log.shrink_to(self.log.len() * 2);
        }
        if self.sessions.capacity() > 64 && self.sessions.len() < self.sessions.capacity() / 4 {
            self.sessions.shrink_to(self.sessions.len() * 2);
        }
    }

    /// What the store holds, expired or not.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            sessions: self.sessions.len(),
            packets: self.log.len(),
            packet_bytes: self.log_bytes,
        }
    }

    /// Where the packet with this offset is in the log.
    fn find(&self, offset: &str) -> Option<usize> {
        let number = offset::decode(offset)?;
        self.log
            .binary_search_by_key(&number, |logged| logged.number)
            .ok()
    }

    fn has_expired(&self, at: Instant, now: Instant) -> bool {
        now.saturating_duration_since(at) > self.retention.max_disconnection_duration
    }

    fn oldest_session(&self) -> Option<Instant> {
        let (_, pid) = self.order.first_key_value()?;
        self.sessions.get(pid).map(|kept| kept.at)
    }

    fn forget_oldest_session(&mut self) {
        if let Some((_, pid)) = self.order.pop_first() {
            self.sessions.remove(&pid);
        }
    }

    fn forget_session(&mut self, pid: &PrivateId) -> Option<SavedSession<D>> {
        let kept = self.sessions.remove(pid)?;
        self.order.remove(&kept.place);
        Some(kept.session)
    }

    fn forget_oldest_packet(&mut self) {
        if let Some(logged) = self.log.pop_front() {
            self.log_bytes -= logged.weight;
        }
    }
}

/// What the rooms of a target take, roughly: names, and the table of a set of several.
fn weight(rooms: &RoomSet) -> usize {
    let each = |room: &Room| 2 * size_of::<Room>() + room.as_bytes().len();
    rooms.iter().map(each).sum()
}

#[cfg(test)]
mod tests;
