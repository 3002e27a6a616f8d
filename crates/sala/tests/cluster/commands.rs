//! Joining, leaving and disconnecting the sockets of all servers.

use sala::DisconnectReason;
use sala::Socket;
use sala_testkit::cluster::FakeBroker;

use super::{counted, notes, until};

#[tokio::test]
async fn sockets_of_other_servers_join_and_leave_rooms() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let (near, far, other) = (a.client().await, b.client().await, b.client().await);
    b.socket(&far).join("news");
    a.socket(&near).join("news");
    a.in_("news").sockets_join(["one", "two"]);
    let (near, far, other) = (a.socket(&near), b.socket(&far), b.socket(&other));
    assert!(near.is_in("one") && near.is_in("two"), "its own at once");
    until("the others to join", || {
        far.is_in("one") && far.is_in("two")
    })
    .await;
    a.except("news").sockets_join("rest");
    until("the rest to join", || other.is_in("rest")).await;
    assert!(!near.is_in("rest") && !far.is_in("rest"));
    a.in_("news").sockets_leave(["one", "none"]);
    assert!(!near.is_in("one") && near.is_in("two"));
    until("the others to leave", || !far.is_in("one")).await;
    assert!(far.is_in("two"));
    // Of all, and of this server only.
    a.sockets_join("all");
    until("all to join", || far.is_in("all") && other.is_in("all")).await;
    a.local().sockets_leave("all");
    a.sockets_leave("news");
    until("all to leave", || !far.is_in("news")).await;
    assert!(!near.is_in("all") && far.is_in("all"));
}

#[tokio::test]
async fn sockets_of_other_servers_are_disconnected_after_what_was_sent_before() {
    let [a, b] = counted(&FakeBroker::new()).await;
    let (pen, mut reasons) = notes();
    b.on_disconnect(async move |socket: Socket, reason: DisconnectReason| {
        pen.write((socket.id().to_string(), reason));
    });
    let mut clients = [b.client().await, b.client().await, a.client().await];
    b.socket(&clients[0]).join("out");
    for n in 0..20 {
        a.in_("out").emit("before", &n).unwrap();
    }
    a.in_("out").disconnect_sockets(false);
    for n in 0..20 {
        clients[0].expect(&format!(r#"42["before",{n}]"#)).await;
    }
    clients[0].expect("41").await;
    let reason = DisconnectReason::ServerNamespaceDisconnect;
    assert_eq!(reasons.next().await, (clients[0].id.clone(), reason));
    a.disconnect_sockets(true);
    for client in &mut clients[1..] {
        client.expect("41").await;
        client.closed().await;
    }
}
