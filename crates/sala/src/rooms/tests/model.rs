//! The index against the obvious implementation: one map from rooms to ids.

use super::*;

/// Deterministic numbers: a failure repeats.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % sides
    }
}

#[derive(Default)]
struct Model {
    live: BTreeSet<String>,
    rooms: BTreeMap<String, BTreeSet<String>>,
    events: Vec<String>,
}

impl Model {
    fn join(&mut self, id: &str, room: &str) {
        if !self.rooms.contains_key(room) {
            self.events.push(format!("create {room}"));
        }
        if self.rooms.entry(room.into()).or_default().insert(id.into()) {
            self.events.push(format!("join {room} {id}"));
        }
    }

    fn leave(&mut self, id: &str, room: &str) {
        let Some(members) = self.rooms.get_mut(room) else {
            return;
        };
        if members.remove(id) {
            self.events.push(format!("leave {room} {id}"));
        }
        if members.is_empty() {
            self.rooms.remove(room);
            self.events.push(format!("delete {room}"));
        }
    }

    fn remove(&mut self, id: &str, rooms: &RoomSet) {
        for room in rooms {
            self.leave(id, room.as_str());
        }
        assert!(
            !self.rooms.values().any(|members| members.contains(id)),
            "{id} left {rooms:?}"
        );
        self.live.remove(id);
    }

    fn meant(&self, target: &Target) -> Vec<String> {
        let is_in = |id: &String, rooms: &RoomSet| {
            let mut rooms = rooms
                .iter()
                .filter_map(|room| self.rooms.get(room.as_str()));
            rooms.any(|members| members.contains(id))
        };
        let meant = |id: &&String| {
            (target.rooms.is_empty() || is_in(id, &target.rooms)) && !is_in(id, &target.except)
        };
        self.live.iter().filter(meant).cloned().collect()
    }
}

const NAMES: [&str; 12] = [
    "a", "b", "c", "d", "e", "f", "r1", "r2", "r3", "r4", "r5", "r6",
];
const IDS: usize = 6;

fn some_rooms(dice: &mut Dice, most: usize) -> Vec<&'static str> {
    (0..dice.roll(most + 1))
        .map(|_| NAMES[dice.roll(NAMES.len())])
        .collect()
}

#[test]
fn random_histories_agree_with_a_naive_model() {
    for seed in 0..200 {
        let mut dice = Dice::new(seed);
        let index = Index::new();
        let events = index.record();
        let mut model = Model::default();
        let mut peers: [Option<Arc<Peer>>; IDS] = Default::default();
        for _ in 0..200 {
            let n = dice.roll(IDS);
            let id = NAMES[n];
            match (&peers[n], dice.roll(8)) {
                (None, _) => {
                    peers[n] = Some(index.connect(id));
                    model.live.insert(id.into());
                    model.join(id, id);
                }
                (Some(peer), 0) => {
                    model.remove(id, &index.disconnects(peer).unwrap());
                    peers[n] = None;
                }
                (Some(peer), 1..=4) => {
                    let rooms = some_rooms(&mut dice, 3);
                    index.enters(peer, rooms.clone());
                    rooms.iter().for_each(|room| model.join(id, room));
                }
                (Some(peer), _) => {
                    let room = NAMES[dice.roll(NAMES.len())];
                    index.leaves(peer, room);
                    model.leave(id, room);
                }
            }
            let target = Target::all()
                .to(some_rooms(&mut dice, 3))
                .except(some_rooms(&mut dice, 2));
            assert_eq!(
                index.meant(&target),
                model.meant(&target),
                "seed {seed}, {target:?}"
            );
            assert_eq!(index.names(), model.rooms.keys().collect(), "seed {seed}");
            assert_eq!(
                take(&events),
                std::mem::take(&mut model.events),
                "seed {seed}"
            );
        }
    }
}
