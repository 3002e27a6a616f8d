//! Moving clients of other servers about.

use serde_json::{Value, json};

use crate::lab::{ALL, Heard, Lab, NAMES, each};

pub(crate) async fn clients_join_and_leave_from_afar(lab: &mut Lab, from: usize) {
    for (room, command, members) in [
        ("first", json!({"to": "one", "rooms": ["first"]}), "1"),
        (
            "second",
            json!({"except": "one", "rooms": ["second", "third"]}),
            "2",
        ),
        (
            "third",
            json!({"to": ["one", "nobody"], "rooms": ["third"]}),
            "12",
        ),
    ] {
        join(lab, from, room, command, members).await;
    }
    for (rooms, to) in [
        (json!(["first"]), "one"),
        (json!(["second", "third"]), "both"),
    ] {
        let command = json!({"do": "leave", "to": to, "rooms": rooms});
        lab.run(from, command).await;
    }
    for server in ALL {
        for room in ["first", "second", "third"] {
            lab.wait_for_members(server, room, 0).await;
        }
    }
    let command = json!({"do": "emit", "to": ["first", "second", "third"], "args": ["nobody"]});
    lab.run(from, command).await;
    lab.heard(from, Heard::new()).await;
}

/// Has clients join and asserts that exactly those whose names end in one of `members` did.
async fn join(lab: &mut Lab, from: usize, room: &str, mut command: Value, members: &str) {
    command["do"] = json!("join");
    lab.run(from, command).await;
    for server in ALL {
        lab.wait_for_members(server, room, members.len()).await;
    }
    lab.wait_until_joined().await;
    let to = lab.names("/", |client| {
        client.name.ends_with(|end| members.contains(end))
    });
    let args = json!([room, lab.number()]);
    let emit = json!({"do": "emit", "to": room, "args": args});
    lab.run(from, emit).await;
    lab.heard(from, each(&to, &[args])).await;
}

pub(crate) async fn clients_are_disconnected_from_afar(lab: &mut Lab, from: usize) {
    for close in [false, true] {
        for server in ALL {
            let name = format!("{}-doomed", NAMES[server]);
            lab.connect(server, &name, "/", &["doomed"]).await;
        }
        lab.wait_until_joined().await;
        let command =
            json!({"do": "disconnect", "to": "doomed", "except": "nobody", "close": close});
        lab.run(from, command).await;
        for server in ALL {
            let name = format!("{}-doomed", NAMES[server]);
            gone(lab, &name).await;
        }
    }
}

/// Waits until a client was disconnected by its server.
pub(crate) async fn gone(lab: &mut Lab, name: &str) {
    let left = lab
        .driver
        .event_where("left", |event| event["client"] == *name)
        .await;
    assert_eq!(left["reason"], "io server disconnect", "{name}");
    let client = lab.client(name);
    let gone =
        lab.servers[client.server].event_where("disconnect", |event| event["id"] == *client.id);
    assert_eq!(
        gone.await["reason"],
        "server namespace disconnect",
        "{name}"
    );
    lab.driver.run(json!({"do": "close", "client": name})).await;
    lab.clients.retain(|client| client.name != name);
}

pub(crate) async fn a_remote_socket_is_commanded(lab: &mut Lab, from: usize) {
    for server in [1, 3] {
        let name = format!("{}-remote", NAMES[server]);
        let client = lab.connect(server, &name, "/", &[]).await;
        lab.wait_until_joined().await;
        let remote = |act: &str, more: Value| {
            let mut command = json!({"do": "remote", "id": client.id, "act": act});
            command
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            command
        };

        let args = json!(["remote", lab.number(), {"$bin": "AQ=="}]);
        lab.run(from, remote("emit", json!({"args": args}))).await;
        let wanted = lab.carried(from, std::slice::from_ref(&name), &args);
        lab.heard(from, wanted).await;

        let args = json!(["remote question", lab.number()]);
        let (ack, command) = (
            lab.number(),
            remote("emit", json!({"args": args, "timeout": 4_000})),
        );
        let mut command = command;
        command["ack"] = json!(ack);
        lab.run(from, command).await;
        let acked = lab.servers[from]
            .event_where("acked", |event| event["ack"] == ack)
            .await;
        assert_eq!(
            (&acked["error"], &acked["answer"]),
            (&Value::Null, &json!([name]))
        );
        lab.heard(from, each(std::slice::from_ref(&name), &[args]))
            .await;

        lab.run(from, remote("join", json!({"rooms": ["far", "away"]})))
            .await;
        lab.wait_for_members(server, "far", 1).await;
        lab.wait_for_members(server, "away", 1).await;
        lab.run(from, remote("leave", json!({"rooms": "far"})))
            .await;
        lab.wait_for_members(server, "far", 0).await;
        lab.run(from, remote("disconnect", json!({"close": true})))
            .await;
        gone(lab, &name).await;
    }
}
