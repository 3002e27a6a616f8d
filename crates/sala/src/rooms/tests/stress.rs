//! Many threads at once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::model::Dice;
use super::*;

const THREADS: usize = 8;
const STEPS: usize = 3_000;
const SLOTS: usize = 24;

/// A place for one socket, shared by all threads.
type Slot = Mutex<Arc<Peer>>;

fn churn(index: &Index, slots: &[Slot], seed: usize) {
    let mut dice = Dice::new(seed);
    for _ in 0..STEPS {
        let n = dice.roll(slots.len());
        // The lock is not held: other threads act on the same socket meanwhile.
        let peer = Arc::clone(&slots[n].lock().unwrap());
        let room = match dice.roll(4) {
            0 => format!("peer{}", dice.roll(slots.len())),
            _ => format!("room{}", dice.roll(10)),
        };
        match dice.roll(10) {
            0 => {
                if index.disconnects(&peer).is_some() {
                    *slots[n].lock().unwrap() = index.connect(&format!("peer{n}"));
                }
            }
            1..=4 => {
                index.enters(&peer, [room.as_str(), "everybody"]);
            }
            5..=7 => {
                index.leaves(&peer, &room);
            }
            _ => {
                index.meant(
                    &Target::all()
                        .to([room.as_str(), "everybody"])
                        .except("room1"),
                );
            }
        }
    }
}

#[test]
fn concurrent_changes_lose_no_member_and_leave_none_behind() {
    let index = Index::new();
    let events = index.record();
    let slots: Vec<Slot> = (0..SLOTS)
        .map(|n| Mutex::new(index.connect(&format!("peer{n}"))))
        .collect();
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            let (index, slots, start) = (&index, &slots, &start);
            scope.spawn(move || {
                start.wait();
                churn(index, slots, seed);
            });
        }
    });

    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for slot in &slots {
        let peer = slot.lock().unwrap();
        for room in &peer.membership.rooms(&peer.id) {
            members
                .entry(room.to_string())
                .or_default()
                .push(peer.id.to_string());
        }
    }
    assert_eq!(index.len(), SLOTS);
    assert_eq!(index.names(), members.keys().collect());
    for (room, mut ids) in members {
        ids.sort();
        assert_eq!(index.meant(&Target::all().to(room.as_str())), ids, "{room}");
        assert_eq!(index.room_size(&room.as_str().into()), ids.len());
    }
    replay(&take(&events), &index);

    for slot in &slots {
        index.disconnects(&slot.lock().unwrap());
    }
    assert!(index.names().is_empty());
    assert_eq!(index.strays.load(Ordering::Relaxed), 0);
}

/// Follows the reported events: each must be possible where it stands, and together they must lead
/// to the state of the index.
fn replay(events: &[String], index: &Index) {
    let mut rooms: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for event in events {
        let words: Vec<&str> = event.split(' ').collect();
        let (what, room, id) = (words[0], words[1], words.get(2).copied().unwrap_or(""));
        match what {
            "create" => assert!(rooms.insert(room, BTreeSet::new()).is_none(), "{event}"),
            "join" => assert!(rooms.get_mut(room).expect(event).insert(id), "{event}"),
            "leave" => assert!(rooms.get_mut(room).expect(event).remove(id), "{event}"),
            _ => assert!(rooms.remove(room).expect(event).is_empty(), "{event}"),
        }
    }
    assert_eq!(index.names(), rooms.keys().copied().collect());
    for (room, members) in rooms {
        assert_eq!(index.room_size(&room.into()), members.len(), "{room}");
    }
}

/// Both want the last word; a member that stays behind would get packets for ever.
#[test]
fn a_join_that_races_with_the_disconnect_leaves_nothing() {
    let index = Index::new();
    let joined = AtomicUsize::new(0);
    for _ in 0..2_000 {
        let peer = index.connect("a");
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                if index.enters(&peer, "x") {
                    joined.fetch_add(1, Ordering::Relaxed);
                }
            });
            start.wait();
            index.disconnects(&peer);
        });
        assert!(index.names().is_empty());
        assert!(index.meant(&Target::all()).is_empty());
    }
}
