use super::*;

#[test]
fn names_and_sets_stay_small() {
    assert_eq!(size_of::<Room>(), 24);
    assert_eq!(size_of::<SocketId>(), 24);
    assert_eq!(size_of::<Option<SocketId>>(), 24);
    assert_eq!(size_of::<RoomSet>(), 24);
}

#[test]
fn text_survives_at_every_length_around_the_inline_limit() {
    for len in 0..60 {
        let text = "é".repeat(len) + "x";
        let room = Room::from(&text);
        assert_eq!(room.as_str(), text);
        assert_eq!(room, Room::from(std::sync::Arc::<str>::from(text.as_str())));
        assert_eq!(room.to_string().parse::<Room>().unwrap(), room);
        assert_ne!(room, Room::from(text + "x"));
    }
}

#[test]
fn random_ids_are_twenty_url_safe_characters_and_unique() {
    let ids: std::collections::HashSet<SocketId> =
        (0..10_000).map(|_| SocketId::random()).collect();
    assert_eq!(ids.len(), 10_000);
    for id in &ids {
        assert_eq!(id.as_bytes().len(), 20);
        let is_safe = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        assert!(id.as_bytes().iter().all(is_safe), "{id}");
    }
}

#[test]
fn a_server_id_is_eight_bytes_in_hexadecimal() {
    let id = ServerId::random();
    assert_eq!(id.as_str().len(), 16);
    assert!(
        id.as_str()
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    );
    assert_ne!(id, ServerId::random());
}

#[test]
fn ids_of_revision_3_are_what_its_client_computes() {
    let session = "lv_VI97HAXpY6yYWAAAC";
    assert_eq!(SocketId::revision3("/", session), session);
    assert_eq!(
        SocketId::revision3("/chat", session),
        "/chat#lv_VI97HAXpY6yYWAAAC"
    );
}

#[test]
fn a_room_is_named_in_every_convenient_way() {
    let id = SocketId::random();
    let owned = String::from("d");
    let target = Target::all()
        .to("a")
        .to(owned.clone())
        .to(&owned)
        .in_(["b", "a"])
        .to(vec![Room::from("c")])
        .to(&[Room::from("c"), Room::from("e")][..])
        .to(&id)
        .except(id.clone())
        .except(RoomSet::from_iter(["x", "y"]));
    let rooms: Vec<&str> = target.rooms.iter().map(Room::as_str).collect();
    assert_eq!(rooms, ["a", "d", "b", "c", "e", id.as_str()]);
    assert_eq!(target.except.len(), 3);
}

#[test]
fn a_set_grows_and_shrinks_through_all_its_forms() {
    let mut set = RoomSet::new();
    for n in 0..50 {
        assert!(set.insert(format!("room {n}").into()));
        assert!(!set.insert(format!("room {n}").into()));
        assert_eq!(set.len(), n + 1);
    }
    for n in 0..50 {
        assert!(set.contains(&format!("room {n}").into()));
        assert!(set.remove(&format!("room {n}").into()));
        assert!(!set.remove(&format!("room {n}").into()));
    }
    assert!(set.is_empty());
    assert_eq!(set.iter().count(), 0);
}

#[test]
fn equal_sets_may_differ_in_order() {
    assert_eq!(
        RoomSet::from_iter(["a", "b"]),
        RoomSet::from_iter(["b", "a", "b"])
    );
    assert_ne!(
        RoomSet::from_iter(["a", "b"]),
        RoomSet::from_iter(["a", "c"])
    );
    assert_ne!(RoomSet::from_iter(["a"]), RoomSet::new());
}

#[test]
fn matching_takes_the_union_of_rooms_and_lets_except_win() {
    let joined = RoomSet::from_iter(["me", "a", "b"]);
    assert!(Target::all().matches(&joined));
    assert!(Target::all().to(["z", "b"]).matches(&joined));
    assert!(!Target::all().to("z").matches(&joined));
    assert!(!Target::all().to("a").except("b").matches(&joined));
    assert!(!Target::all().except("me").matches(&joined));
    assert!(Target::all().except("z").matches(&joined));
    assert!(Target::all().matches(&RoomSet::new()));
}

#[test]
fn modifiers_set_their_flag_only() {
    let flags = Target::all()
        .local()
        .compress(false)
        .timeout(Duration::from_secs(5))
        .flags;
    let expected = Flags {
        local: true,
        compress: Some(false),
        timeout: Some(Duration::from_secs(5)),
        ..Flags::default()
    };
    assert_eq!(flags, expected);
    assert!(Target::all().volatile().flags.volatile);
}
