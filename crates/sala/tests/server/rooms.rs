//! Rooms.

use sala::{Room, RoomEvent, Server, Socket};

use super::{Client, notes, serve, start};

fn socket(io: &Server, client: &Client) -> Socket {
    io.socket(&client.id.as_str().into())
        .expect("it is connected")
}

#[tokio::test]
async fn joining_and_leaving_take_effect_at_once_e011_e051_to_e053_j110() {
    let (io, addr) = start(Server::builder()).await;
    let client = Client::new(addr).await;
    let socket = socket(&io, &client);
    let names = |socket: &Socket| {
        socket
            .rooms()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&socket), [client.id.as_str()]);
    socket.join("a");
    socket.join(["b", "c"]);
    assert_eq!(names(&socket), [client.id.as_str(), "a", "b", "c"]);
    assert!(socket.is_in("b"));
    assert!(io.rooms().contains(&Room::from("b")));
    assert_eq!(
        io.socket_rooms(socket.id()).map(|rooms| rooms.len()),
        Some(4)
    );
    socket.leave("b");
    socket.leave("b");
    socket.leave("never joined");
    assert_eq!(io.room_size("b"), 0);
    assert!(
        !io.rooms().contains(&Room::from("b")),
        "an empty room does not exist"
    );
    socket.leave(socket.id());
    assert_eq!(names(&socket).len(), 2);
    socket.join(socket.id());
    assert!(socket.is_in(socket.id()));
}

#[tokio::test]
async fn whoever_left_is_in_no_room_and_joins_none_e054_e071_j143() {
    let io = Server::new();
    let (note, mut notes) = notes();
    io.on_connect(async |socket: Socket| socket.join(["a", "b"]))
        .on_disconnect(async move |socket: Socket, _: sala::DisconnectReason| {
            socket.join("late");
            note.write((socket.rooms().len(), socket.nsp().rooms().len()));
        });
    let addr = serve(&io).await;
    let mut client = Client::new(addr).await;
    client.close(None).await;
    assert_eq!(notes.next().await, (0, 0));
}

#[tokio::test]
async fn rooms_tell_what_happens_to_them_f007_to_f009_f021() {
    let io = Server::new();
    let (note, mut notes) = notes();
    io.on_room_event(move |event| note.write(event.clone()));
    let addr = serve(&io).await;
    let [first, mut second] = Client::several(addr).await;
    let (one, two) = (socket(&io, &first), socket(&io, &second));
    for socket in [&one, &two] {
        let id = socket.id();
        assert_eq!(notes.next().await, RoomEvent::Create(id.into()));
        assert_eq!(notes.next().await, RoomEvent::Join(id.into(), id.clone()));
    }
    let a = Room::from("a");
    one.join("a");
    one.join("a");
    two.join("a");
    one.leave("a");
    one.leave("a");
    assert_eq!(
        notes.so_far(),
        [
            RoomEvent::Create(a.clone()),
            RoomEvent::Join(a.clone(), one.id().clone()),
            RoomEvent::Join(a.clone(), two.id().clone()),
            RoomEvent::Leave(a.clone(), one.id().clone()),
        ]
    );
    second.text("41").await;
    let own = Room::from(two.id());
    for event in [
        RoomEvent::Leave(own.clone(), two.id().clone()),
        RoomEvent::Delete(own),
        RoomEvent::Leave(a.clone(), two.id().clone()),
        RoomEvent::Delete(a),
    ] {
        assert_eq!(notes.next().await, event);
    }
}

/// The listener changes rooms itself: no lock is held while it runs.
#[tokio::test]
async fn a_listener_of_rooms_may_join_rooms() {
    let io = Server::new();
    let nsp = io.of("/");
    let (note, mut notes) = notes();
    io.on_room_event(move |event| {
        if let RoomEvent::Join(room, id) = event
            && *room == *"a"
        {
            nsp.in_(id).sockets_join("b");
        }
        note.write(event.clone());
    });
    let addr = serve(&io).await;
    let client = Client::new(addr).await;
    let socket = socket(&io, &client);
    socket.join("a");
    assert!(socket.is_in("b"));
    let seen = notes.so_far();
    assert!(
        seen.contains(&RoomEvent::Join("b".into(), socket.id().clone())),
        "{seen:?}"
    );
}
