//! Namespaces that come into being when a client asks.

use std::sync::Arc;

use sala::{Attempt, RawArgs, Server, ServerBuilder, Socket, Value};
use sala_testkit::ws::Ws;
use tokio::sync::Semaphore;

use super::{join, notes, open, serve};

fn is_dynamic(name: &str) -> bool {
    name.strip_prefix("/dyn-")
        .is_some_and(|id| id.parse::<u32>().is_ok())
}

async fn invalid(ws: &mut Ws, name: &str) {
    ws.text(format!("40{name},")).await;
    ws.expect(&format!(r#"44{name},{{"message":"Invalid namespace"}}"#))
        .await;
}

fn names(io: &Server) -> Vec<String> {
    let mut names: Vec<String> = io
        .namespaces()
        .iter()
        .map(|nsp| nsp.name().to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_pattern_makes_children_with_the_parents_handlers_c027_c033_c037_j126() {
    let io = Server::new();
    let parent = io.of_matching(is_dynamic);
    parent
        .on("name", async |socket: Socket| {
            socket.nsp().name().to_owned()
        })
        .on_connect(async |socket: Socket| socket.emit("welcome", socket.nsp().name()));
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40/dyn-1,").await;
    ws.expect(r#"42/dyn-1,["welcome","/dyn-1"]"#).await;
    ws.text(r#"42/dyn-1,0["name"]"#).await;
    ws.expect(r#"43/dyn-1,0["/dyn-1"]"#).await;
    invalid(&mut ws, "/dyn-x").await;
    assert_eq!(names(&io), ["/", "/dyn-1"]);

    // Later additions do not reach existing children.
    parent.on("late", async |_socket: Socket| "late");
    ws.text(r#"42/dyn-1,1["late"]"#).await;
    join(&mut ws, "40/dyn-2,").await;
    ws.expect(r#"42/dyn-2,["welcome","/dyn-2"]"#).await;
    ws.text(r#"42/dyn-2,1["late"]"#).await;
    ws.expect(r#"43/dyn-2,1["late"]"#).await;
}

#[tokio::test]
async fn a_function_decides_by_name_and_auth_c028_c030() {
    let io = Server::new();
    io.of_dynamic(async |name: String, auth: RawArgs| {
        tokio::task::yield_now().await;
        let auth: Value = auth.parse().expect("always an object");
        auth.get("team").and_then(Value::as_str) == Some(&name[1..])
    })
    .on("who", async |_socket: Socket| "first");
    io.of_dynamic(async |name: String, _auth: RawArgs| name == "/b")
        .on("who", async |_socket: Socket| "second");
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, r#"40/a,{"team":"a"}"#).await;
    ws.text(r#"42/a,0["who"]"#).await;
    ws.expect(r#"43/a,0["first"]"#).await;
    // Refused by the first, accepted by the second.
    join(&mut ws, "40/b,").await;
    ws.text(r#"42/b,0["who"]"#).await;
    ws.expect(r#"43/b,0["second"]"#).await;
    invalid(&mut ws, "/c").await;
}

#[tokio::test]
async fn existing_names_are_used_without_asking_c031() {
    let io = Server::new();
    io.of("/dyn-101")
        .on("who", async |_socket: Socket| "static");
    io.of_matching(|_| panic!("nobody asks"));
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40/dyn-101,").await;
    ws.text(r#"42/dyn-101,0["who"]"#).await;
    ws.expect(r#"43/dyn-101,0["static"]"#).await;
    // And a panic of the user's code is a no.
    invalid(&mut ws, "/dyn-102").await;
}

#[tokio::test]
async fn making_a_namespace_by_hand_makes_a_child_of_a_pattern_c032() {
    let io = Server::new();
    io.of_dynamic(async |_: String, _: RawArgs| true);
    io.of_matching(is_dynamic)
        .on("who", async |_socket: Socket| "parent");
    io.of("/dyn-5").on("own", async |_socket: Socket| "own");
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40/dyn-5,").await;
    ws.text(r#"42/dyn-5,0["who"]"#).await;
    ws.expect(r#"43/dyn-5,0["parent"]"#).await;
    ws.text(r#"42/dyn-5,1["own"]"#).await;
    ws.expect(r#"43/dyn-5,1["own"]"#).await;
}

#[tokio::test]
async fn clients_that_race_share_one_child_c034() {
    let io = Server::new();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (note, mut made) = notes();
    io.on_new_namespace(move |nsp| note.write(nsp.name().to_owned()));
    io.of_dynamic(async move |_: String, _: RawArgs| {
        drop(waiting.acquire().await);
        true
    });
    let addr = serve(&io).await;
    let mut clients = [open(addr).await, open(addr).await];
    for ws in &mut clients {
        ws.text("40/x,").await;
    }
    gate.add_permits(1);
    for ws in &mut clients {
        ws.expect_json("40/x,").await;
    }
    assert_eq!(io.of("/x").sockets_count(), 2);
    assert_eq!(made.so_far(), ["/x"]);
    io.of("/x").emit("hi", &()).unwrap();
    for ws in &mut clients {
        ws.expect(r#"42/x,["hi"]"#).await;
    }
}

#[tokio::test]
async fn a_second_connect_while_parents_are_asked_is_refused() {
    let io = Server::new();
    io.of_dynamic(async |_: String, _: RawArgs| std::future::pending().await);
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    ws.text("40/x,").await;
    ws.text("40/x,").await;
    ws.expect_close(None).await;
}

#[tokio::test]
async fn what_a_parent_emits_reaches_all_children_c035_c036_e086() {
    let io = Server::new();
    let parent = io.of_matching(is_dynamic);
    parent.on_connect(async |socket: Socket| socket.join("room"));
    let other = io.of("/other");
    let addr = serve(&io).await;
    let (mut a, mut b) = (open(addr).await, open(addr).await);
    join(&mut a, "40/dyn-1,").await;
    join(&mut b, "40/dyn-2,").await;
    join(&mut b, "40/other,").await;
    parent.emit("all", &()).unwrap();
    parent.to("room").except("nobody").emit("room", &1).unwrap();
    parent.to("empty").emit("empty", &1).unwrap();
    for (ws, name) in [(&mut a, "/dyn-1"), (&mut b, "/dyn-2")] {
        ws.expect(&format!(r#"42{name},["all"]"#)).await;
        ws.expect(&format!(r#"42{name},["room",1]"#)).await;
    }
    assert_eq!(other.sockets_count(), 1);
    assert!(parent.name().starts_with("/_"));
    assert_eq!(parent.children().len(), 2);
    let error = parent.to("room").fetch_sockets().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "fetchSockets() is not supported on parent namespaces"
    );
    let error = parent
        .to("room")
        .emit_with_ack::<()>("x", &())
        .await
        .unwrap_err();
    assert!(error.error().is_unsupported());
    parent.disconnect_sockets(true);
    a.expect("41/dyn-1,").await;
    a.expect_close(None).await;
}

#[tokio::test]
async fn children_have_their_parents_listeners_of_outgoing_events() {
    let io = Server::new();
    let (note, mut notes) = notes();
    io.of_matching(is_dynamic)
        .on_any_outgoing(move |socket, event| {
            note.write(format!("{} {}", socket.nsp().name(), event.name()));
        });
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40/dyn-1,").await;
    io.of("/dyn-1").emit("x", &()).unwrap();
    assert_eq!(notes.so_far(), ["/dyn-1 x"]);
}

#[tokio::test]
async fn new_namespaces_are_announced_c024_c058_j125() {
    let io = Server::new();
    let (note, mut made) = notes();
    io.on_new_namespace(move |nsp| note.write(nsp.name().to_owned()));
    let _a = io.of("a");
    let _again = io.of("/a");
    let _main = io.of("/");
    io.of_matching(is_dynamic);
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40/dyn-7,").await;
    assert_eq!(made.so_far(), ["/a", "/dyn-7"]);
}

fn cleaning() -> ServerBuilder {
    Server::builder().cleanup_empty_child_namespaces(true)
}

/// Waits until only these namespaces exist.
async fn only(io: &Server, expected: &[&str]) {
    sala_testkit::within("the namespaces to go", async {
        while names(io) != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn empty_children_go_if_wanted_c038_j126() {
    let io = cleaning().build();
    let parent = io.of_matching(is_dynamic);
    let _static = io.of("/static");
    let addr = serve(&io).await;
    let (mut a, mut b) = (open(addr).await, open(addr).await);
    for ws in [&mut a, &mut b] {
        join(ws, "40/dyn-1,").await;
        join(ws, "40/static,").await;
    }
    let first = io.of("/dyn-1");
    a.text("41/dyn-1,").await;
    a.text("41/static,").await;
    super::join(&mut a, "40").await;
    assert_eq!(
        names(&io),
        ["/", "/dyn-1", "/static"],
        "one client is still there"
    );
    b.close(None).await;
    only(&io, &["/", "/static"]).await;
    assert!(parent.children().is_empty());
    // A client that comes back gets a new one.
    join(&mut a, "40/dyn-1,").await;
    assert_ne!(io.of("/dyn-1"), first);
}

#[tokio::test]
async fn refused_clients_clean_up_too_unless_others_are_there_c038_j126() {
    let io = cleaning().build();
    io.of_matching(is_dynamic).admit(async |attempt: Attempt| {
        match attempt.handshake().query("in") {
            Some(_) => Ok(()),
            None => Err("no"),
        }
    });
    let addr = serve(&io).await;
    let mut refused = open(addr).await;
    refused.text("40/dyn-1,").await;
    refused.next_text().await;
    only(&io, &["/"]).await;
    let mut inside = Ws::open(addr, &format!("{}&in=1", super::WS)).await;
    inside.expect_json("0").await;
    join(&mut inside, "40/dyn-1,").await;
    refused.text("40/dyn-1,").await;
    refused.next_text().await;
    assert_eq!(names(&io), ["/", "/dyn-1"]);
}

#[tokio::test]
async fn empty_children_stay_by_default_c010_c038_j126() {
    let io = Server::new();
    io.of_matching(is_dynamic);
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40/dyn-1,").await;
    ws.text("41/dyn-1,").await;
    join(&mut ws, "40").await;
    assert_eq!(names(&io), ["/", "/dyn-1"]);
}

/// Elsewhere, removing a namespace in a disconnect handler was a deadlock.
#[tokio::test]
async fn a_child_may_go_while_a_disconnect_handler_uses_the_server() {
    let io = cleaning().build();
    let (note, mut notes) = notes();
    io.of_matching(is_dynamic).on_disconnect(
        async move |socket: Socket, _: sala::DisconnectReason| {
            let _again = socket.server().of(socket.nsp().name());
            note.write(socket.nsp().sockets_count());
        },
    );
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40/dyn-1,").await;
    ws.close(None).await;
    assert_eq!(notes.next().await, 0);
    only(&io, &["/"]).await;
}

#[tokio::test]
async fn children_are_bounded_c039() {
    let io = Server::builder().max_child_namespaces(2).build();
    io.of_matching(is_dynamic);
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    join(&mut ws, "40/dyn-1,").await;
    join(&mut ws, "40/dyn-2,").await;
    invalid(&mut ws, "/dyn-3").await;
    ws.text("41/dyn-1,").await;
    join(&mut ws, "40/dyn-1,").await;
}
