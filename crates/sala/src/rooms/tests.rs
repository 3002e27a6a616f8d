use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use sala_adapter::{IntoRooms, Room, RoomSet, SocketId, Target};

use super::{Membership, NotAdmitted, RoomEvent, Rooms};

mod model;
mod stress;

struct Peer {
    id: SocketId,
    membership: Membership,
}

type Index = Rooms<Arc<Peer>>;

fn pending(id: &str) -> Arc<Peer> {
    Arc::new(Peer {
        id: id.into(),
        membership: Membership::new(),
    })
}

impl Index {
    fn connect(&self, id: &str) -> Arc<Peer> {
        let peer = pending(id);
        self.admit(&peer.id, &peer, &peer.membership).unwrap();
        peer
    }

    fn connect_many(&self, count: usize) -> Vec<Arc<Peer>> {
        let ids = (0..count).map(|n| format!("peer {n}"));
        ids.map(|id| self.connect(&id)).collect()
    }

    fn enters(&self, peer: &Arc<Peer>, rooms: impl IntoRooms) -> bool {
        self.join(&peer.id, peer, &peer.membership, &rooms.into_rooms())
    }

    fn leaves(&self, peer: &Arc<Peer>, room: &str) -> bool {
        self.leave(&peer.id, &peer.membership, &room.into())
    }

    fn disconnects(&self, peer: &Arc<Peer>) -> Option<RoomSet> {
        self.remove(&peer.id, &peer.membership)
    }

    /// Ids that a target means, sorted; fails if one comes twice.
    fn meant(&self, target: &Target) -> Vec<String> {
        let mut ids: Vec<String> = self
            .select(target)
            .iter()
            .map(|peer| peer.id.to_string())
            .collect();
        ids.sort();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), all, "somebody was selected twice");
        ids
    }

    fn record(&self) -> Arc<Mutex<Vec<String>>> {
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        assert!(self.observe(move |event| sink.lock().unwrap().push(describe(event))));
        events
    }
}

fn describe(event: RoomEvent<'_>) -> String {
    match event {
        RoomEvent::Create { room, .. } => format!("create {room}"),
        RoomEvent::Join(room, id) => format!("join {room} {id}"),
        RoomEvent::Leave(room, id) => format!("leave {room} {id}"),
        RoomEvent::Delete { room, .. } => format!("delete {room}"),
    }
}

fn take(events: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut events.lock().unwrap())
}

#[test]
fn without_rooms_everybody_is_meant_but_the_excluded() {
    let index = Index::new();
    for id in ["a", "b", "c"] {
        index.connect(id);
    }
    assert_eq!(index.len(), 3);
    assert_eq!(index.meant(&Target::all()), ["a", "b", "c"]);
    assert_eq!(index.meant(&Target::all().except("b")), ["a", "c"]);
    assert_eq!(
        index.meant(&Target::all().except(["b", "nobody", "a"])),
        ["c"]
    );
}

#[test]
fn an_empty_namespace_means_nobody() {
    let index = Index::new();
    assert_eq!(index.len(), 0);
    assert!(index.meant(&Target::all()).is_empty());
    assert!(
        index
            .meant(&Target::all().to(["a", "b"]).except("c"))
            .is_empty()
    );
    assert!(index.get(&"a".into()).is_none());
    assert_eq!(index.room_size(&"a".into()), 0);
    assert!(index.names().is_empty());
}

#[test]
fn an_idle_socket_keeps_its_membership_in_forty_bytes() {
    assert!(size_of::<Membership>() <= 40, "{}", size_of::<Membership>());
}

/// J093, F017: the nearest Rust server sends to `a` twice here.
#[test]
fn overlapping_rooms_mean_each_socket_once_and_except_wins() {
    let index = Index::new();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|id| index.connect(id));
    index.enters(&a, ["r1", "r2"]);
    index.enters(&b, ["r1"]);
    index.enters(&c, ["r2", "r3"]);
    index.enters(&d, ["r3"]);
    assert_eq!(
        index.meant(&Target::all().to(["r1", "r2"])),
        ["a", "b", "c"]
    );
    assert_eq!(
        index.meant(&Target::all().to(["r1", "r2"]).except("r3")),
        ["a", "b"]
    );
    assert_eq!(index.meant(&Target::all().to("r2").except("r1")), ["c"]);
    assert_eq!(index.meant(&Target::all().except(["r1", "r3"])), [""; 0]);
    assert_eq!(
        index.meant(&Target::all().to(["r1", "a", "d"])),
        ["a", "b", "d"]
    );
    assert_eq!(index.meant(&Target::all().to("r1").except("a")), ["b"]);
}

/// E053, E063.
#[test]
fn the_id_of_a_socket_names_a_room_that_it_is_in() {
    let index = Index::new();
    let a = index.connect("a");
    index.connect("b");
    assert_eq!(index.meant(&Target::all().to("a")), ["a"]);
    assert_eq!(index.room_size(&"a".into()), 1);
    assert_eq!(a.membership.rooms(&a.id), RoomSet::from_iter(["a"]));
    assert!(a.membership.contains(&a.id, &"a".into()));
    assert!(!a.membership.contains(&a.id, &"b".into()));
    assert_eq!(index.names(), RoomSet::from_iter(["a", "b"]));
}

/// E062.
#[test]
fn a_socket_that_left_its_own_room_is_no_longer_excluded_by_id() {
    let index = Index::new();
    let a = index.connect("a");
    index.connect("b");
    assert!(index.leaves(&a, "a"));
    assert!(!index.leaves(&a, "a"));
    assert!(index.meant(&Target::all().to("a")).is_empty());
    assert_eq!(index.meant(&Target::all().except("a")), ["a", "b"]);
    assert_eq!(index.meant(&Target::all().except("b")), ["a"]);
    assert!(a.membership.rooms(&a.id).is_empty());
    assert_eq!(index.room_size(&"a".into()), 0);
    // It can come back, and it counts as gone when it leaves.
    assert!(index.enters(&a, "a"));
    assert_eq!(index.meant(&Target::all().except("a")), ["b"]);
    assert!(index.leaves(&a, "a"));
    index.disconnects(&a);
    assert_eq!(index.meant(&Target::all().except("b")), [""; 0]);
}

#[test]
fn others_may_join_the_room_named_by_an_id() {
    let index = Index::new();
    let a = index.connect("a");
    let b = index.connect("b");
    index.connect("c");
    index.enters(&b, "a");
    assert_eq!(index.meant(&Target::all().to("a")), ["a", "b"]);
    assert_eq!(index.meant(&Target::all().except("a")), ["c"]);
    assert_eq!(index.room_size(&"a".into()), 2);
    index.disconnects(&a);
    assert_eq!(index.meant(&Target::all().to("a")), ["b"]);
    index.disconnects(&b);
    assert_eq!(index.names(), RoomSet::from_iter(["c"]));
}

/// E054.
#[test]
fn after_the_disconnect_a_join_does_nothing() {
    let index = Index::new();
    let a = index.connect("a");
    index.enters(&a, ["x", "y"]);
    let left = index.disconnects(&a).unwrap();
    let names: Vec<&str> = left.iter().map(Room::as_str).collect();
    assert_eq!(names, ["a", "x", "y"]);
    assert!(!index.enters(&a, "z"));
    assert!(!index.leaves(&a, "x"));
    assert_eq!(index.disconnects(&a), None);
    assert!(index.names().is_empty());
    assert!(a.membership.rooms(&a.id).is_empty());
    let again = index.admit(&a.id, &a, &a.membership);
    assert_eq!(again, Err(NotAdmitted::NotPending));
}

/// E055, F017: a socket in its middlewares is not live.
#[test]
fn rooms_joined_before_the_admission_count_from_the_admission_on() {
    let index = Index::new();
    let events = index.record();
    let [accepted, refused] = ["a", "r"].map(pending);
    for peer in [&accepted, &refused] {
        assert!(index.enters(peer, ["x", "y"]));
        assert!(index.leaves(peer, "y"));
    }
    assert!(index.meant(&Target::all().to("x")).is_empty());
    assert_eq!(
        accepted.membership.rooms(&accepted.id),
        RoomSet::from_iter(["x"])
    );

    index
        .admit(&accepted.id, &accepted, &accepted.membership)
        .unwrap();
    assert_eq!(index.disconnects(&refused), Some(RoomSet::from_iter(["x"])));
    assert_eq!(index.meant(&Target::all().to("x")), ["a"]);
    assert_eq!(index.names(), RoomSet::from_iter(["a", "x"]));
    assert_eq!(
        take(&events),
        ["create a", "join a a", "create x", "join x a"]
    );
}

#[test]
fn an_id_is_given_to_one_socket_only() {
    let index = Index::new();
    let first = index.connect("a");
    let second = pending("a");
    let taken = index.admit(&second.id, &second, &second.membership);
    assert_eq!(taken, Err(NotAdmitted::Taken));
    assert!(Arc::ptr_eq(&index.get(&"a".into()).unwrap(), &first));
    index.disconnects(&first);
    // The one that was refused is still pending: the id is free now.
    index
        .admit(&second.id, &second, &second.membership)
        .unwrap();
    assert!(Arc::ptr_eq(&index.get(&"a".into()).unwrap(), &second));
}

/// F007 to F009, F021, J096.
#[test]
fn events_come_once_create_before_join_and_leave_before_delete() {
    let index = Index::new();
    let events = index.record();
    assert!(!index.observe(|_| ()), "there is one observer");
    let a = index.connect("a");
    let b = index.connect("b");
    assert_eq!(
        take(&events),
        ["create a", "join a a", "create b", "join b b"]
    );

    index.enters(&a, ["x", "x"]);
    index.enters(&a, "x");
    index.enters(&b, "x");
    assert_eq!(take(&events), ["create x", "join x a", "join x b"]);

    assert!(index.leaves(&a, "x"));
    assert!(!index.leaves(&a, "x"));
    assert!(!index.leaves(&a, "unknown"));
    assert_eq!(take(&events), ["leave x a"]);

    index.disconnects(&b);
    assert_eq!(
        take(&events),
        ["leave b b", "delete b", "leave x b", "delete x"]
    );

    index.leaves(&a, "a");
    index.disconnects(&a);
    assert_eq!(take(&events), ["leave a a", "delete a"]);
}

#[test]
fn a_room_named_by_an_id_lives_as_long_as_anybody_is_in_it() {
    let index = Index::new();
    let b = index.connect("b");
    let events = index.record();
    index.enters(&b, "a");
    let a = index.connect("a");
    index.disconnects(&a);
    index.leaves(&b, "a");
    let expected = [
        "create a",
        "join a b",
        "join a a",
        "leave a a",
        "leave a b",
        "delete a",
    ];
    assert_eq!(take(&events), expected);

    let a = index.connect("a");
    index.enters(&b, "a");
    index.leaves(&b, "a");
    index.disconnects(&a);
    let expected = [
        "create a",
        "join a a",
        "join a b",
        "leave a b",
        "leave a a",
        "delete a",
    ];
    assert_eq!(take(&events), expected);
}

#[test]
fn a_big_room_gives_its_memory_back() {
    let index = Index::new();
    let peers = index.connect_many(10_000);
    for peer in &peers {
        index.enters(peer, "big");
    }
    let capacity = || {
        let big = Room::from("big");
        let shards = index.rooms.get().unwrap();
        super::read(index.pick(shards, &big))
            .get(&big)
            .unwrap()
            .capacity()
    };
    assert!(capacity() >= 10_000);
    for peer in &peers[10..] {
        index.disconnects(peer);
    }
    assert_eq!(index.room_size(&"big".into()), 10);
    assert!(capacity() < 200, "{}", capacity());
    let registered: usize = index
        .sockets
        .get()
        .unwrap()
        .iter()
        .map(|s| super::read(s).capacity())
        .sum();
    assert!(registered < 16 * 200, "{registered}");
}

#[test]
fn nothing_is_kept_for_sockets_that_have_all_gone() {
    let index = Index::new();
    let peers = index.connect_many(1000);
    for (n, peer) in peers.iter().enumerate() {
        index.enters(peer, format!("room {n}"));
    }
    for peer in &peers {
        index.disconnects(peer);
    }
    for shard in index.sockets.get().unwrap() {
        assert_eq!(super::read(shard).capacity(), 0);
    }
    for shard in index.rooms.get().unwrap() {
        assert!(super::read(shard).capacity() <= super::SMALL);
    }
}
