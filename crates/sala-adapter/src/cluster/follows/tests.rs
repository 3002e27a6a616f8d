use super::*;

const NSP: &str = "/chat";

fn follows(which: RoomsFollowed) -> Follows {
    let follows = Follows::new(which);
    follows.enter(&NSP.into());
    follows
}

fn change(follows: &Follows, name: &str, occupied: bool) {
    let room = Room::from(name);
    let change = RoomChange {
        room: &room,
        own: name.starts_with("own"),
        occupied,
    };
    follows.room(&NSP.into(), change);
}

/// Applies all changes, and shows them.
fn apply(follows: &Follows) -> Vec<String> {
    let mut shown = Vec::new();
    while let Some(changes) = follows.take(2) {
        assert!(changes.follows.len() <= 2);
        shown.extend(changes.follows.iter().map(|follow| match follow {
            Follow::Namespace(name) => format!("+{name}"),
            Follow::LeaveNamespace(name) => format!("-{name}"),
            Follow::Room { namespace, room } => format!("+{namespace} {room}"),
            Follow::LeaveRoom { namespace, room } => format!("-{namespace} {room}"),
        }));
        follows.applied(&changes);
    }
    shown
}

#[test]
fn a_namespace_comes_before_its_rooms_and_goes_after_them() {
    let follows = follows(RoomsFollowed::All);
    change(&follows, "a", true);
    change(&follows, "own", true);
    assert!(!follows.hears(&NSP.into()));
    assert_eq!(apply(&follows), ["+/chat", "+/chat a", "+/chat own"]);
    assert!(follows.hears(&NSP.into()));
    follows.leave(&NSP.into());
    let mut gone = apply(&follows);
    assert_eq!(gone.pop().as_deref(), Some("-/chat"));
    gone.sort();
    assert_eq!(gone, ["-/chat a", "-/chat own"]);
    assert!(apply(&follows).is_empty());
}

#[test]
fn only_rooms_that_the_backend_wants_are_followed() {
    let none = follows(RoomsFollowed::None);
    change(&none, "a", true);
    assert_eq!(apply(&none), ["+/chat"]);
    let public = follows(RoomsFollowed::Public);
    change(&public, "a", true);
    change(&public, "own-90123456789-1234", true);
    assert_eq!(apply(&public), ["+/chat", "+/chat a"]);
}

#[test]
fn a_room_that_comes_and_goes_in_between_costs_nothing() {
    let follows = follows(RoomsFollowed::All);
    apply(&follows);
    for _ in 0..3 {
        change(&follows, "a", true);
        change(&follows, "a", false);
    }
    assert!(apply(&follows).is_empty());
    change(&follows, "a", true);
    assert_eq!(apply(&follows), ["+/chat a"]);
    change(&follows, "a", false);
    change(&follows, "a", true);
    assert!(apply(&follows).is_empty());
    change(&follows, "a", false);
    assert_eq!(apply(&follows), ["-/chat a"]);
    change(&follows, "a", false);
    assert!(apply(&follows).is_empty());
}

#[test]
fn a_new_link_is_told_everything_that_still_matters() {
    let follows = follows(RoomsFollowed::All);
    change(&follows, "a", true);
    change(&follows, "b", true);
    apply(&follows);
    change(&follows, "b", false);
    follows.enter(&"/left".into());
    follows.leave(&"/left".into());
    follows.reset();
    assert!(!follows.hears(&NSP.into()));
    change(&follows, "c", true);
    assert_eq!(apply(&follows), ["+/chat", "+/chat a", "+/chat c"]);
}

#[test]
fn rooms_of_other_namespaces_are_left_alone() {
    let follows = Follows::new(RoomsFollowed::All);
    change(&follows, "a", true);
    assert!(apply(&follows).is_empty());
}

#[tokio::test]
async fn ready_means_that_all_changes_so_far_are_made() {
    let follows = follows(RoomsFollowed::All);
    {
        let mut ready = pin!(follows.ready());
        let pending = tokio::time::timeout(std::time::Duration::ZERO, ready.as_mut()).await;
        assert!(pending.is_err());
        apply(&follows);
        ready.await;
    }
    follows.reset();
    let early = tokio::time::timeout(std::time::Duration::ZERO, follows.ready()).await;
    assert!(early.is_err(), "the new link knows nothing yet");
    apply(&follows);
    follows.ready().await;
}
