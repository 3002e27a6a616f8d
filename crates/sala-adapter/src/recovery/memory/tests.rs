use std::convert::Infallible;

use super::*;
use crate::target::SocketId;

type Store = MemoryStore<&'static str, u32>;

const RETENTION: Duration = Duration::from_secs(120);

fn store(retention: Retention) -> (Store, Instant) {
    let start = Instant::now();
    let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_220_403_394);
    (Store::new(retention, wall, start), start)
}

/// A session whose private id is `pid`, in the rooms `me` and those given.
fn session(pid: &str, rooms: &[&str]) -> SavedSession<u32> {
    SavedSession {
        sid: SocketId::from("me"),
        pid: pid.into(),
        rooms: ["me"].iter().chain(rooms).copied().collect(),
        data: 7,
    }
}

fn append(store: &mut Store, packet: &'static str, target: &Target, now: Instant) -> Offset {
    let mut given = None;
    let logged = store.append(target, now, |offset| {
        given = Some(offset.clone());
        Ok::<_, Infallible>((packet, packet.len()))
    });
    assert_eq!(logged, Ok(packet));
    given.expect("the packet was encoded")
}

fn missed(
    store: &mut Store,
    pid: &str,
    offset: &Offset,
    now: Instant,
) -> Option<Vec<&'static str>> {
    store
        .take(pid, offset.as_str(), now)
        .map(|restored| restored.missed)
}

/// C068.
#[test]
fn a_session_comes_back_as_it_was() {
    let (mut store, now) = store(Retention::default());
    let offset = append(&mut store, "seen", &Target::all(), now);
    store.save(session("pid", &["a", "b"]), now);
    let restored = store.take("pid", offset.as_str(), now).unwrap();
    assert_eq!(restored.session, session("pid", &["a", "b"]));
    assert_eq!(restored.missed, [""; 0]);
}

/// C069, J097: the caller does not log events that want an acknowledgement, volatile events and
/// packets that are no events.
#[test]
fn missed_is_what_came_after_the_offset_and_was_meant_for_one_of_the_rooms() {
    let (mut store, now) = store(Retention::default());
    append(&mut store, "before", &Target::all(), now);
    let offset = append(&mut store, "seen", &Target::all(), now);
    for (packet, target) in [
        ("to all", Target::all()),
        ("to a room", Target::all().to("a")),
        ("to another room", Target::all().to("z")),
        ("to both", Target::all().to(["z", "a"])),
        ("to me", Target::all().to("me")),
        ("to others", Target::all().except("me")),
        ("without a room", Target::all().to("a").except("b")),
        ("without another", Target::all().except("z")),
    ] {
        append(&mut store, packet, &target, now);
    }
    store.save(session("pid", &["a", "b"]), now);
    let expected = ["to all", "to a room", "to both", "to me", "without another"];
    assert_eq!(missed(&mut store, "pid", &offset, now).unwrap(), expected);
}

/// C070.
#[test]
fn an_unknown_private_id_or_offset_gives_nothing() {
    let (mut store, now) = store(Retention::default());
    let offset = append(&mut store, "seen", &Target::all(), now);
    store.save(session("pid", &[]), now);
    assert_eq!(missed(&mut store, "other", &offset, now), None);
    assert_eq!(missed(&mut store, "", &offset, now), None);
    for unknown in [
        "",
        "x",
        "Q7xUNJ0",
        "seen",
        "0Q7xUNJ2",
        "Q7xUNJ2.0",
        "_______________",
    ] {
        assert!(store.take("pid", unknown, now).is_none(), "{unknown}");
    }
    assert!(store.take("pid", offset.as_str(), now).is_some());
}

/// C075: the reference gives it to both, who then share an id.
#[test]
fn a_session_is_given_out_once() {
    let (mut store, now) = store(Retention::default());
    let offset = append(&mut store, "seen", &Target::all(), now);
    store.save(session("pid", &[]), now);
    assert!(store.take("pid", offset.as_str(), now).is_some());
    assert!(store.take("pid", offset.as_str(), now).is_none());
    assert_eq!(store.usage().sessions, 0);
    // Until it is lost again.
    store.save(session("pid", &["a"]), now);
    let restored = store.take("pid", offset.as_str(), now).unwrap();
    assert_eq!(restored.session, session("pid", &["a"]));
}

/// C071.
#[test]
fn sessions_and_packets_expire_after_the_longest_disconnection() {
    let (mut store, start) = store(Retention::default());
    let first = append(&mut store, "first", &Target::all(), start);
    store.save(session("early", &[]), start);
    let late = start + Duration::from_secs(60);
    let second = append(&mut store, "second", &Target::all(), late);
    store.save(session("late", &[]), late);

    store.sweep(start + RETENTION);
    assert_eq!(store.usage().sessions, 2);
    let after = start + RETENTION + Duration::from_millis(1);
    // Not swept yet, but too old.
    assert_eq!(missed(&mut store, "early", &first, after), None);
    store.sweep(after);
    let usage = store.usage();
    assert_eq!((usage.sessions, usage.packets), (1, 1));
    assert_eq!(
        missed(&mut store, "late", &first, after),
        None,
        "expired offset"
    );
    assert_eq!(missed(&mut store, "late", &second, after).unwrap(), [""; 0]);
    store.sweep(after + RETENTION);
    assert_eq!(store.usage(), Usage::default());
}

/// F023, F025.
#[test]
fn offsets_are_the_time_in_seven_characters_unique_and_rising() {
    let (mut store, start) = store(Retention::default());
    let first = append(&mut store, "p", &Target::all(), start);
    assert_eq!(first, "Q7xUNJ2");
    let mut last = offset::decode(first.as_str());
    for n in 0..5_000 {
        // Many in one millisecond, then a clock that goes on, then one that stands still.
        let now = start + Duration::from_micros(n * n / 10);
        let next = append(&mut store, "p", &Target::all(), now);
        assert_eq!(next.as_bytes().len(), 7);
        let number = offset::decode(next.as_str());
        assert!(number > last, "{next}");
        last = number;
    }
    let later = append(
        &mut store,
        "p",
        &Target::all(),
        start + Duration::from_secs(60),
    );
    assert_eq!(
        offset::decode(later.as_str()),
        Some(1_795_220_403_394 + 60_000)
    );
}

#[test]
fn a_packet_that_cannot_be_encoded_is_not_logged() {
    let (mut store, now) = store(Retention::default());
    let failed = store.append(&Target::all(), now, |_| Err("no such thing"));
    assert_eq!(failed, Err("no such thing"));
    assert_eq!(store.usage(), Usage::default());
}

#[test]
fn the_packets_that_exceed_a_limit_take_the_oldest_away() {
    let (mut store, now) = store(Retention::default().max_packets(3));
    let offsets =
        ["1", "2", "3", "4"].map(|packet| append(&mut store, packet, &Target::all(), now));
    assert_eq!(store.usage().packets, 3);
    store.save(session("pid", &[]), now);
    assert_eq!(missed(&mut store, "pid", &offsets[0], now), None);
    assert_eq!(
        missed(&mut store, "pid", &offsets[1], now).unwrap(),
        ["3", "4"]
    );
}

#[test]
fn the_bytes_of_packets_and_targets_are_bounded() {
    let limit = 10_000;
    let (mut store, now) = store(Retention::default().max_packet_bytes(limit));
    let rooms: Vec<String> = (0..20).map(|n| format!("a room with a name {n}")).collect();
    for _ in 0..1_000 {
        append(&mut store, "a packet", &Target::all().to(&rooms), now);
        assert!(store.usage().packet_bytes <= limit);
    }
    assert!(store.usage().packets > 1);

    let offset = append(&mut store, "small", &Target::all(), now);
    let huge = store.append(&Target::all(), now, |_| {
        Ok::<_, Infallible>(("huge", limit + 1))
    });
    assert_eq!(huge, Ok("huge"));
    assert_eq!(store.usage().packet_bytes, 0);
    // It is not in the log, so nobody may continue from before it.
    let next = append(&mut store, "next", &Target::all(), now);
    store.save(session("pid", &[]), now);
    assert_eq!(missed(&mut store, "pid", &offset, now), None);
    assert_eq!(missed(&mut store, "pid", &next, now).unwrap(), [""; 0]);
}

#[test]
fn the_sessions_that_exceed_the_limit_take_the_longest_lost_away() {
    let (mut store, now) = store(Retention::default().max_sessions(2));
    let offset = append(&mut store, "seen", &Target::all(), now);
    for pid in ["1", "2", "1", "3"] {
        store.save(session(pid, &[]), now);
    }
    assert_eq!(store.usage().sessions, 2);
    assert!(missed(&mut store, "2", &offset, now).is_none());
    assert!(missed(&mut store, "1", &offset, now).is_some());
    assert!(missed(&mut store, "3", &offset, now).is_some());

    let mut none = Store::new(Retention::default().max_sessions(0), SystemTime::now(), now);
    none.save(session("pid", &[]), now);
    assert_eq!(none.usage().sessions, 0);
}

#[test]
fn a_private_id_is_not_shown() {
    let shown = format!("{:?}", session("secret", &[]));
    assert!(!shown.contains("secret"), "{shown}");
}

/// The store as one would write it without regard to cost.
#[derive(Default)]
struct Model {
    sessions: Vec<(Instant, SavedSession<u32>)>,
    log: Vec<(Instant, Offset, &'static str, Target)>,
}

impl Model {
    fn fresh(at: Instant, now: Instant) -> bool {
        now - at <= RETENTION
    }

    fn take(
        &mut self,
        pid: &str,
        offset: &Offset,
        now: Instant,
    ) -> Option<Restored<&'static str, u32>> {
        let found = self
            .sessions
            .iter()
            .position(|(_, session)| session.pid == pid)?;
        if !Self::fresh(self.sessions[found].0, now) {
            self.sessions.remove(found);
            return None;
        }
        let seen = self.log.iter().position(|logged| logged.1 == *offset)?;
        let (_, session) = self.sessions.remove(found);
        let joined: Vec<&Room> = session.rooms.iter().collect();
        let mut missed = Vec::new();
        for (_, _, packet, target) in &self.log[seen + 1..] {
            let wanted =
                target.rooms.is_empty() || target.rooms.iter().any(|r| joined.contains(&r));
            let excluded = target.except.iter().any(|r| joined.contains(&r));
            if wanted && !excluded {
                missed.push(*packet);
            }
        }
        Some(Restored { session, missed })
    }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % sides
    }

    fn pick(&mut self, most: usize) -> Vec<&'static str> {
        const ROOMS: [&str; 5] = ["a", "b", "c", "d", "e"];
        (0..self.roll(most + 1))
            .map(|_| ROOMS[self.roll(5)])
            .collect()
    }
}

#[test]
fn random_histories_agree_with_a_naive_model() {
    const LIMIT: usize = 12;
    for seed in 1..=300_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let retention = Retention::default().max_packets(LIMIT).max_sessions(3);
        let (mut store, mut now) = store(retention);
        let mut model = Model::default();
        let mut offsets = vec![Offset::from("none")];
        for _ in 0..300 {
            now += Duration::from_millis(dice.roll(20_000) as u64);
            let pid = ["p", "q", "r", "s", "t"][dice.roll(5)];
            match dice.roll(8) {
                0..=2 => {
                    let target = Target::all().to(dice.pick(2)).except(dice.pick(1));
                    let packet = ["x", "y", "z"][dice.roll(3)];
                    let offset = append(&mut store, packet, &target, now);
                    offsets.push(offset.clone());
                    model.log.push((now, offset, packet, target));
                    let surplus = model.log.len().saturating_sub(LIMIT);
                    model.log.drain(..surplus);
                }
                3..=4 => {
                    let saved = session(pid, &dice.pick(3));
                    store.save(saved.clone(), now);
                    model.sessions.retain(|(_, session)| session.pid != pid);
                    model.sessions.push((now, saved));
                    let surplus = model.sessions.len().saturating_sub(3);
                    model.sessions.drain(..surplus);
                }
                5..=6 => {
                    let recent = offsets.len().saturating_sub(dice.roll(LIMIT + 4) + 1);
                    let offset = &offsets[recent];
                    let taken = store.take(pid, offset.as_str(), now);
                    assert_eq!(taken, model.take(pid, offset, now), "seed {seed}");
                }
                _ => {
                    store.sweep(now);
                    model.sessions.retain(|(at, _)| Model::fresh(*at, now));
                    model.log.retain(|logged| Model::fresh(logged.0, now));
                }
            }
            let usage = store.usage();
            let expected = (model.sessions.len(), model.log.len());
            assert_eq!((usage.sessions, usage.packets), expected, "seed {seed}");
            assert_eq!(store.order.len(), usage.sessions);
        }
    }
}
