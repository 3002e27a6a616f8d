//! C.10, D, E.6, E.10, G.1: broadcasting, utility methods, remote sockets.

use std::time::{Duration, Instant};

use sala_interop::{Probe, Sio, departs};
use sala_testkit::polling::Polling;
use serde_json::{Value, json};

use crate::support::A_MOMENT;

/// Clients in `/`, each with its socket id and its rooms.
struct Crowd {
    probe: Probe,
    clients: Vec<Sio>,
    ids: Vec<String>,
}

impl Crowd {
    async fn gather(rooms: &[&[&str]]) -> Self {
        Self::gather_with(json!({}), rooms).await
    }

    async fn gather_with(options: Value, rooms: &[&[&str]]) -> Self {
        let probe = Probe::start(options).await;
        let mut crowd = Self {
            probe,
            clients: vec![],
            ids: vec![],
        };
        for rooms in rooms {
            let (client, id) = Sio::connect(crowd.probe.addr()).await;
            crowd
                .probe
                .event_where("connection", |connection| connection["id"] == *id)
                .await;
            if !rooms.is_empty() {
                crowd
                    .probe
                    .run(json!({"do": "join", "socket": id, "rooms": rooms}))
                    .await;
            }
            crowd.clients.push(client);
            crowd.ids.push(id);
        }
        crowd
    }

    /// Emits `["x"]` as `command` says and asserts that exactly these clients get it, each once.
    async fn reaches(&mut self, mut command: Value, expected: &[usize]) {
        command["do"] = json!("emit");
        command["args"] = json!(["x"]);
        if command["flags"]
            .as_array()
            .is_some_and(|flags| flags.contains(&json!("volatile")))
        {
            // Whether a transport is idle again cannot be seen from outside.
            tokio::time::sleep(sala_testkit::polling::SETTLE).await;
        }
        self.probe.run(command.clone()).await;
        // A second emit to everybody shows that nothing else was on its way.
        self.probe.run(json!({"do": "emit", "args": ["end"]})).await;
        for (i, client) in self.clients.iter_mut().enumerate() {
            if expected.contains(&i) {
                client.expect(r#"42["x"]"#).await;
            }
            let next = client.next_text().await;
            assert_eq!(next, r#"42["end"]"#, "client {i} for {command}");
        }
    }
}

#[tokio::test]
async fn rooms_add_up_and_nobody_gets_a_packet_twice() {
    // C087, G004, G007, and a measured pitfall: two overlapping rooms delivered twice
    let mut crowd = Crowd::gather(&[&["a", "b"], &["b"], &["c"], &[]]).await;
    crowd.reaches(json!({}), &[0, 1, 2, 3]).await;
    crowd.reaches(json!({"to": ["a"]}), &[0]).await;
    crowd.reaches(json!({"to": "b"}), &[0, 1]).await;
    crowd.reaches(json!({"to": ["a", "b"]}), &[0, 1]).await;
    crowd
        .reaches(json!({"to": ["a"], "inside": ["c", "b"]}), &[0, 1, 2])
        .await;
    crowd.reaches(json!({"to": ["nobody"]}), &[]).await;
}

#[tokio::test]
async fn exclusions_win() {
    // C088, G007
    let mut crowd = Crowd::gather(&[&["a", "b"], &["b"], &["c"], &[]]).await;
    let third = crowd.ids[2].clone();
    crowd.reaches(json!({"except": ["a"]}), &[1, 2, 3]).await;
    crowd.reaches(json!({"except": ["b", third]}), &[3]).await;
    crowd
        .reaches(json!({"to": ["b", "c"], "except": ["a"]}), &[1, 2])
        .await;
    crowd
        .reaches(json!({"to": ["a"], "except": ["a"]}), &[])
        .await;
}

#[tokio::test]
async fn every_socket_is_a_room() {
    // E053, E063, G008, and a measured pitfall: `to(socket.id)` reached nobody
    let mut crowd = Crowd::gather(&[&[], &[]]).await;
    let (first, second) = (crowd.ids[0].clone(), crowd.ids[1].clone());
    crowd.reaches(json!({"to": [second]}), &[1]).await;
    crowd
        .reaches(json!({"socket": first, "to": [second]}), &[1])
        .await;
    crowd
        .reaches(json!({"socket": first, "to": [first]}), &[])
        .await;
}

#[tokio::test]
async fn a_socket_broadcasts_to_all_but_itself() {
    // E057, E058, E059, G005, G008
    let mut crowd = Crowd::gather(&[&["a"], &["a"], &[]]).await;
    let sender = crowd.ids[0].clone();
    crowd
        .reaches(json!({"socket": sender, "flags": ["broadcast"]}), &[1, 2])
        .await;
    crowd
        .reaches(json!({"socket": sender, "to": ["a"]}), &[1])
        .await;
    crowd
        .reaches(json!({"socket": sender, "except": ["a"]}), &[2])
        .await;
    crowd
        .reaches(json!({"socket": sender, "flags": ["local"]}), &[1, 2])
        .await;
    crowd
        .reaches(
            json!({"socket": sender, "flags": ["volatile"], "to": ["a"]}),
            &[1],
        )
        .await;
    crowd
        .reaches(
            json!({"socket": sender, "compress": false, "flags": ["broadcast"]}),
            &[1, 2],
        )
        .await;
}

#[tokio::test]
async fn a_socket_that_left_its_own_room_is_no_longer_excluded() {
    // E062
    let mut crowd = Crowd::gather(&[&[], &[]]).await;
    let sender = crowd.ids[0].clone();
    crowd
        .probe
        .run(json!({"do": "leave", "socket": sender, "rooms": sender}))
        .await;
    crowd
        .reaches(json!({"socket": sender, "flags": ["broadcast"]}), &[0, 1])
        .await;
}

#[tokio::test]
async fn local_and_compress_reach_everyone_on_one_server() {
    // C090, C092, D015, G012
    let mut crowd = Crowd::gather(&[&["a"], &[]]).await;
    crowd.reaches(json!({"flags": ["local"]}), &[0, 1]).await;
    crowd.reaches(json!({"compress": false}), &[0, 1]).await;
    crowd
        .reaches(json!({"flags": ["volatile"], "to": ["a"]}), &[0])
        .await;
}

#[tokio::test]
async fn compression_is_chosen_per_emit() {
    // C092, E044, A202
    let mut probe = Probe::start(json!({})).await;
    for (compress, encoding) in [(true, Some("gzip")), (false, None)] {
        let session = Polling::open(probe.addr(), "/socket.io/").await;
        session.send("40").await;
        session.poll().await;
        let command =
            json!({"do": "emit", "args": ["big", "x".repeat(2000)], "compress": compress});
        probe.run(command).await;
        let reply = sala_testkit::http::send(
            probe.addr(),
            "GET",
            &session.target,
            &[("Accept-Encoding", "gzip")],
            b"",
        )
        .await;
        assert_eq!(reply.header("content-encoding"), encoding);
        session.send("1").await;
    }
}

#[tokio::test]
async fn everyone_is_asked_and_the_answers_are_collected() {
    // C095, G006
    let mut crowd = Crowd::gather(&[&[], &[], &[]]).await;
    crowd
        .probe
        .run(json!({"do": "emit", "args": ["ask"], "ack": 1, "timeout": 5000}))
        .await;
    for (i, client) in crowd.clients.iter_mut().enumerate() {
        client.expect(r#"420["ask"]"#).await;
        client.text(format!(r#"430[{i},"more"]"#)).await;
    }
    let acked = crowd.probe.event("acked").await;
    assert_eq!(acked["error"], Value::Null);
    let mut answers: Vec<i64> = acked["answer"][0]
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer.as_i64().unwrap())
        .collect();
    answers.sort_unstable();
    assert_eq!(answers, [0, 1, 2]);
}

#[tokio::test]
async fn those_who_do_not_answer_are_missed() {
    // C096, C099, E083, J188
    let mut crowd = Crowd::gather(&[&[], &[], &[]]).await;
    let asked = Instant::now();
    crowd
        .probe
        .run(json!({"do": "emit", "args": ["ask"], "ack": 1, "timeout": 200}))
        .await;
    for client in &mut crowd.clients[..2] {
        client.expect(r#"420["ask"]"#).await;
        client.text(r#"430["here"]"#).await;
    }
    let acked = crowd.probe.event("acked").await;
    assert!(asked.elapsed() >= Duration::from_millis(190));
    assert_eq!(acked["error"], "operation has timed out");
    assert_eq!(acked["answer"][0], json!(["here", "here"]));
    // A late answer changes nothing.
    let last = &mut crowd.clients[2];
    last.expect(r#"420["ask"]"#).await;
    last.text(r#"430["late"]"#).await;
    last.text(r#"42["sync"]"#).await;
    crowd.probe.event("event").await;
    crowd.probe.expect_none("acked").await;
}

#[tokio::test]
async fn asking_nobody_gives_an_empty_list_at_once() {
    // C098
    let mut crowd = Crowd::gather(&[]).await;
    crowd
        .probe
        .run(json!({"do": "emit", "to": ["nobody"], "args": ["ask"], "ack": 1, "timeout": 4000}))
        .await;
    let acked = crowd.probe.event("acked").await;
    assert_eq!(
        (&acked["error"], &acked["answer"][0]),
        (&Value::Null, &json!([]))
    );
}

#[tokio::test]
async fn a_room_is_asked_without_the_sender() {
    // E061, G010
    let mut crowd = Crowd::gather(&[&["a"], &["a"], &["a", "d"], &["b"]]).await;
    let sender = crowd.ids[0].clone();
    let command = json!({"do": "emit", "socket": sender, "to": ["a", "b"], "except": ["d"], "args": ["ask"], "ack": 1, "timeout": 5000});
    crowd.probe.run(command).await;
    for i in [1, 3] {
        crowd.clients[i].expect(r#"420["ask"]"#).await;
        crowd.clients[i].text(format!("430[{i}]")).await;
    }
    let acked = crowd.probe.event("acked").await;
    assert_eq!(
        (
            &acked["error"],
            acked["answer"][0].as_array().unwrap().len()
        ),
        (&Value::Null, 2)
    );
}

#[tokio::test]
async fn a_client_that_leaves_while_it_is_waited_for_counts_as_missing() {
    // C100, J188
    let mut crowd = Crowd::gather(&[&[], &[]]).await;
    crowd
        .probe
        .run(json!({"do": "emit", "args": ["ask"], "ack": 1, "timeout": 300}))
        .await;
    crowd.clients[0].expect(r#"420["ask"]"#).await;
    crowd.clients[0].text("430[1]").await;
    drop(crowd.clients.pop());
    let acked = crowd.probe.event("acked").await;
    if departs("C100", "a client that has gone is not waited for") {
        assert_eq!(acked["answer"][0], json!([1]));
    } else {
        assert_eq!(
            (&acked["error"], &acked["answer"][0]),
            (&json!("operation has timed out"), &json!([1]))
        );
    }
}

#[tokio::test]
async fn bytes_are_broadcast() {
    // C094, G001
    let mut crowd = Crowd::gather(&[&[], &[]]).await;
    let args = json!(["hello", 1, "2", {"3": "4", "5": {"$bin": "AQI="}}]);
    crowd.probe.run(json!({"do": "emit", "args": args})).await;
    for client in &mut crowd.clients {
        client
            .expect(r#"451-["hello",1,"2",{"3":"4","5":{"_placeholder":true,"num":0}}]"#)
            .await;
        client.expect_binary(&[1, 2]).await;
    }
}

#[tokio::test]
async fn sockets_are_fetched_by_rooms() {
    // C102, E089, E093, G013
    let mut crowd = Crowd::gather(&[&["a"], &["a", "b"], &[]]).await;
    crowd
        .probe
        .run(json!({"do": "setData", "socket": crowd.ids[0], "data": {"user": "x"}}))
        .await;
    let fetched = crowd
        .probe
        .run(json!({"do": "fetch", "to": ["a"], "except": ["b"]}))
        .await;
    let fetched = fetched.as_array().unwrap();
    assert_eq!(fetched.len(), 1);
    assert_eq!(
        (&fetched[0]["id"], &fetched[0]["data"]),
        (&json!(crowd.ids[0]), &json!({"user": "x"}))
    );
    let mut rooms: Vec<&str> = fetched[0]["rooms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|room| room.as_str().unwrap())
        .collect();
    rooms.sort_unstable();
    let mut expected = ["a", crowd.ids[0].as_str()];
    expected.sort_unstable();
    assert_eq!(rooms, expected);
    assert_eq!(fetched[0]["handshake"]["query"]["transport"], "websocket");
    assert_eq!(
        crowd
            .probe
            .run(json!({"do": "fetch"}))
            .await
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn sockets_join_and_leave_from_outside() {
    // C103, G013
    let mut crowd = Crowd::gather(&[&["a"], &["b"], &[]]).await;
    crowd
        .probe
        .run(json!({"do": "join", "inside": ["a"], "rooms": ["new", "newer"]}))
        .await;
    crowd.reaches(json!({"to": ["new"]}), &[0]).await;
    crowd
        .probe
        .run(json!({"do": "join", "except": ["a"], "rooms": ["new"]}))
        .await;
    crowd.reaches(json!({"to": ["new"]}), &[0, 1, 2]).await;
    let third = crowd.ids[2].clone();
    crowd
        .probe
        .run(json!({"do": "leave", "inside": [third], "rooms": ["new"]}))
        .await;
    crowd.reaches(json!({"to": ["new"]}), &[0, 1]).await;
    crowd
        .probe
        .run(json!({"do": "leave", "rooms": ["new"]}))
        .await;
    crowd.reaches(json!({"to": ["new"]}), &[]).await;
    crowd.reaches(json!({"to": ["newer"]}), &[0]).await;
}

#[tokio::test]
async fn sockets_are_disconnected_from_outside() {
    // C103, E073, G013
    let mut crowd = Crowd::gather(&[&["a"], &[]]).await;
    crowd
        .probe
        .run(json!({"do": "disconnect", "inside": ["a"]}))
        .await;
    crowd.clients[0].expect("41").await;
    assert_eq!(
        crowd.probe.event("disconnect").await["reason"],
        "server namespace disconnect"
    );
    crowd.clients[0].join("/").await;
    crowd
        .probe
        .run(json!({"do": "disconnect", "close": true}))
        .await;
    for client in &mut crowd.clients {
        client.expect("41").await;
        client.expect_close(None).await;
    }
}

#[tokio::test]
async fn server_side_emits_stay_at_home_without_a_cluster() {
    // D012, E087, G011
    let mut crowd = Crowd::gather(&[&[]]).await;
    crowd.probe.run(json!({"do": "on", "event": "hello"})).await;
    let _ = crowd
        .probe
        .attempt(json!({"do": "serverSideEmit", "args": ["hello", "world"]}))
        .await;
    crowd.clients[0].quiet(A_MOMENT).await;
    crowd.probe.expect_none("server").await;
}

#[tokio::test]
async fn reserved_names_cannot_be_emitted_between_servers() {
    // C022, D012
    let mut crowd = Crowd::gather(&[]).await;
    for name in ["connect", "connection", "new_namespace"] {
        let error = crowd
            .probe
            .attempt(json!({"do": "serverSideEmit", "args": [name]}))
            .await
            .unwrap_err();
        assert_eq!(error, format!(r#""{name}" is a reserved event name"#));
    }
}

// --- volatile -----------------------------------------------------------------------------------

#[tokio::test]
async fn a_volatile_packet_needs_a_pending_poll() {
    // A076, C091, D016, E064
    let mut probe = Probe::start(json!({})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    session.poll().await;
    probe
        .run(json!({"do": "emit", "flags": ["volatile"], "args": ["lost"]}))
        .await;
    probe.run(json!({"do": "emit", "args": ["kept"]})).await;
    assert_eq!(session.poll().await, [r#"42["kept"]"#]);

    let mut pending = session.start_get().await;
    let two = json!({"do": "burst", "commands": [
        {"flags": ["volatile"], "args": ["first"]},
        {"flags": ["volatile"], "args": ["second"]},
    ]});
    probe.run(two).await;
    assert_eq!(pending.packets().await, [r#"42["first"]"#]);
    probe.run(json!({"do": "emit", "args": ["end"]})).await;
    assert_eq!(session.poll().await, [r#"42["end"]"#]);
}

/// A client whose transport has come to rest, and its socket id.
async fn idle_client(probe: &mut Probe) -> (Sio, String) {
    let (client, id) = Sio::connect(probe.addr()).await;
    probe.event("connection").await;
    tokio::time::sleep(sala_testkit::polling::SETTLE).await;
    (client, id)
}

#[tokio::test]
async fn the_first_volatile_packet_of_a_burst_is_sent_over_a_websocket() {
    // E045, E065, and a measured pitfall: the latest was kept and sent later
    let mut probe = Probe::start(json!({})).await;
    let (mut client, id) = idle_client(&mut probe).await;
    let volatile = |n: u32| json!({"socket": id, "flags": ["volatile"], "args": ["v", n]});
    let regular = |n: u32| json!({"socket": id, "args": ["r", n]});
    let burst = [
        volatile(1),
        volatile(2),
        volatile(3),
        regular(1),
        regular(2),
    ];
    probe.run(json!({"do": "burst", "commands": burst})).await;
    let mut sent = Vec::new();
    while sent.last().is_none_or(|text| text != r#"42["r",2]"#) {
        sent.push(client.next_text().await);
    }
    let regular = sent.split_off(sent.len() - 2);
    assert_eq!(regular[0], r#"42["r",1]"#);
    assert_eq!(sent[0], r#"42["v",1]"#);
    assert!(sent.is_sorted(), "none is late: {sent:?}");
    if !departs(
        "E065",
        "an emit from another thread may find the transport idle again",
    ) {
        assert_eq!(sent.len(), 1);
    }
    client.quiet(A_MOMENT).await;
}

#[tokio::test]
async fn a_volatile_packet_with_attachments_is_sent_whole_or_not_at_all() {
    // E045
    let mut probe = Probe::start(json!({})).await;
    let (mut client, id) = idle_client(&mut probe).await;
    let volatile = |n: u32| {
        let args = json!(["v", n, {"$bin": "AQ=="}, {"$bin": "Ag=="}]);
        json!({"socket": id, "flags": ["volatile"], "args": args})
    };
    let burst = [
        volatile(1),
        volatile(2),
        json!({"socket": id, "args": ["end"]}),
    ];
    probe.run(json!({"do": "burst", "commands": burst})).await;
    let mut whole = 0;
    loop {
        let text = client.next_text().await;
        if text == r#"42["end"]"# {
            break;
        }
        assert!(text.starts_with(r#"452-["v","#), "{text}");
        client.expect_binary(&[1]).await;
        client.expect_binary(&[2]).await;
        whole += 1;
    }
    assert!((1..=2).contains(&whole), "{whole}");
}
