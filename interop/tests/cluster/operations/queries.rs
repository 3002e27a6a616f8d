//! Questions to clients and to servers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{ALL, KID, Lab, NAMES, assert_fails, each};

/// Enough for every answer that comes.
const PLENTY: u64 = 4_000; // milliseconds

/// The texts of answers, sorted as [`Lab::ask`] does.
fn texts(answers: impl IntoIterator<Item = impl Into<Value>>) -> Vec<String> {
    let answers = answers.into_iter().map(|answer| answer.into().to_string());
    let mut texts: Vec<String> = answers.collect();
    texts.sort_unstable();
    texts
}

/// The names of the servers except one.
fn others(from: usize) -> Vec<&'static str> {
    let others = ALL.filter(|server| *server != from);
    others.map(|server| NAMES[server]).collect()
}

pub(crate) async fn servers_are_counted(lab: &mut Lab, from: usize) {
    for nsp in ["/", "/chat", KID] {
        assert_eq!(
            lab.run(from, json!({"do": "serverCount", "nsp": nsp}))
                .await,
            4
        );
    }
}

pub(crate) async fn all_answer(lab: &mut Lab, from: usize) {
    let to = lab.names("/", |_| true);
    let args = json!(["question", lab.number()]);
    let asked = lab
        .ask(from, json!({"do": "emit", "timeout": PLENTY, "args": args}))
        .await;
    assert_eq!(asked, (Value::Null, texts(to.clone())));
    lab.heard(from, each(&to, &[args])).await;
}

pub(crate) async fn a_room_answers(lab: &mut Lab, from: usize) {
    let to = lab.names("/", |client| {
        client.name.ends_with('1') && client.server != from
    });
    let spared = lab.client(&format!("{}1", NAMES[from])).id;
    let args = json!(["question to a room", lab.number(), {"$bin": "AQ=="}]);
    let question =
        json!({"do": "emit", "to": "one", "except": spared, "timeout": PLENTY, "args": args});
    assert_eq!(
        lab.ask(from, question).await,
        (Value::Null, texts(to.clone()))
    );
    lab.heard(from, each(&to, &[args])).await;
}

pub(crate) async fn bytes_are_answered(lab: &mut Lab, from: usize) {
    let to = lab.names("/chat", |_| true);
    let answer = json!({"$bin": "AAH/"});
    for client in &to {
        lab.driver
            .run(json!({"do": "answer", "client": client, "args": [answer]}))
            .await;
    }
    let args = json!(["question for bytes", lab.number()]);
    let asked = lab
        .ask(
            from,
            json!({"do": "emit", "nsp": "/chat", "timeout": PLENTY, "args": args}),
        )
        .await;
    assert_eq!(asked, (Value::Null, texts(vec![answer; 4])));
    lab.heard(from, each(&to, &[args])).await;
}

pub(crate) async fn nobody_is_asked(lab: &mut Lab, from: usize) {
    let question = json!({"do": "emit", "to": "nobody", "timeout": PLENTY, "args": ["question"]});
    assert_eq!(lab.ask(from, question).await, (Value::Null, vec![]));
}

pub(crate) async fn a_silent_client_is_missed(lab: &mut Lab, from: usize) {
    let to = lab.names("/", |_| true);
    lab.driver
        .run(json!({"do": "answer", "client": "d1", "args": null}))
        .await;
    let args = json!(["question", lab.number()]);
    let (error, answers) = lab
        .ask(from, json!({"do": "emit", "timeout": 300, "args": args}))
        .await;
    assert_fails(from, &error, "operation has timed out");
    let speaking = lab.names("/", |client| client.name != "d1");
    assert_eq!(answers, texts(speaking));
    lab.heard(from, each(&to, &[args])).await;
    lab.driver
        .run(json!({"do": "answer", "client": "d1", "args": ["d1"]}))
        .await;
}

pub(crate) async fn sockets_are_fetched(lab: &mut Lab, from: usize) {
    let bytes = json!({"$bin": "AAH/"});
    for server in ALL {
        let client = lab.client(&format!("{}1", NAMES[server]));
        let data = json!({"user": client.name, "bytes": bytes, "list": [1, null, {"a": -1.5}]});
        lab.run(
            server,
            json!({"do": "setData", "socket": client.id, "data": data}),
        )
        .await;
    }
    let fetched = lab
        .run(from, json!({"do": "fetch", "timeout": PLENTY}))
        .await;
    let clients = lab.names("/", |_| true);
    assert_eq!(fetched.as_array().unwrap().len(), clients.len());
    for name in clients {
        let client = lab.client(&name);
        let found = fetched
            .as_array()
            .unwrap()
            .iter()
            .find(|found| found["id"] == *client.id);
        let found = found.unwrap_or_else(|| panic!("{name} is not among {fetched}"));
        check(lab, found, &name, client.server == from).await;
    }
    for (filter, names) in [
        (
            json!({"to": "one"}),
            lab.names("/", |client| client.name.ends_with('1')),
        ),
        (
            json!({"to": ["two", "one"], "except": "one"}),
            lab.names("/", |client| client.name.ends_with('2')),
        ),
        (json!({"to": lab.client("c2").id}), vec!["c2".to_owned()]),
        (json!({"to": "nobody"}), vec![]),
        (json!({"nsp": "/chat"}), lab.names("/chat", |_| true)),
        (json!({"nsp": KID}), lab.names(KID, |_| true)),
    ] {
        let mut command = filter.clone();
        command["do"] = json!("fetch");
        let fetched = lab.run(from, command).await;
        let found = fetched
            .as_array()
            .unwrap()
            .iter()
            .map(|found| found["handshake"]["auth"]["name"].clone());
        assert_eq!(texts(found), texts(names), "{filter}");
    }
}

/// Compares what a server tells of a socket with what the socket's own server knows.
async fn check(lab: &mut Lab, found: &Value, name: &str, local: bool) {
    let client = lab.client(name);
    let state = lab
        .run(client.server, json!({"do": "state", "socket": client.id}))
        .await;
    let (theirs, own) = (&found["handshake"], &state["handshake"]);
    for key in [
        "headers", "query", "auth", "issued", "url", "address", "xdomain", "secure",
    ] {
        assert_eq!(theirs[key], own[key], "{key} of {name}");
    }
    assert_eq!(theirs["auth"], json!({"name": name}));
    assert_eq!(theirs["query"]["who"], name);
    assert!(
        theirs["time"]
            .as_str()
            .is_some_and(|time| time.contains("20")),
        "{theirs}"
    );
    assert_eq!(
        texts(list(&found["rooms"])),
        texts(list(&state["rooms"])),
        "{name}"
    );
    let mut data = state["data"].clone();
    if !local && !lab.mode.binary_requests() && data["bytes"].is_object() {
        data["bytes"] = json!({"type": "Buffer", "data": [0, 1, 255]});
    }
    assert_eq!(found["data"], data, "{name}");
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

pub(crate) async fn servers_hear(lab: &mut Lab, from: usize) {
    listen(lab, "hello", None).await;
    let mut args = vec![json!({"a": [1, null]}), json!("x")];
    if lab.mode.binary_requests() {
        args.push(json!({"$bin": "AAH/"}));
    }
    let numbers = [lab.number(), lab.number()];
    for number in numbers {
        let event = [vec![json!("hello"), json!(number)], args.clone()].concat();
        lab.run(from, json!({"do": "serverSideEmit", "args": event}))
            .await;
    }
    for server in ALL.filter(|server| *server != from) {
        for number in numbers {
            let heard = lab.servers[server]
                .event_where("server", |event| event["args"][0] == number)
                .await;
            let expected = [vec![json!(number)], args.clone()].concat();
            assert_eq!(heard["args"], json!(expected));
        }
        lab.servers[server].expect_none("server").await;
    }
    lab.servers[from].expect_none("server").await;
}

/// Has all servers listen to an event, once in the life of the cluster, and answer with their names or else.
async fn listen(lab: &mut Lab, event: &str, silent: Option<usize>) {
    if !lab.once(event) {
        return;
    }
    for server in ALL {
        let mut command = json!({"do": "on", "nsp": "/", "event": event});
        if silent != Some(server) {
            command["answer"] = json!([NAMES[server]]);
        }
        lab.run(server, command).await;
    }
}

pub(crate) async fn servers_answer(lab: &mut Lab, from: usize) {
    listen(lab, "roll call", None).await;
    let asked = lab
        .ask(
            from,
            json!({"do": "serverSideEmit", "args": ["roll call", 1]}),
        )
        .await;
    assert_eq!(asked, (Value::Null, texts(others(from))));
    for server in ALL.filter(|server| *server != from) {
        assert_eq!(
            lab.servers[server].event("server").await["args"],
            json!([1])
        );
    }
    lab.servers[from].expect_none("server").await;
}

/// A namespace that two servers have.
pub(crate) async fn half_a_cluster_is_asked(lab: &mut Lab, from: usize) {
    let other = from + 1;
    let nsp = ["/half", "/moiety"][from / 2];
    for server in [from, other] {
        lab.run(server, json!({"do": "of", "nsp": nsp})).await;
        let answer = json!({"do": "on", "nsp": nsp, "event": "half", "answer": [NAMES[server]]});
        lab.run(server, answer).await;
    }
    for server in [from, other] {
        lab.wait_for_servers_at(server, nsp, 2).await;
    }
    let question = json!({"do": "serverSideEmit", "nsp": nsp, "args": ["half"]});
    assert_eq!(
        lab.ask(from, question).await,
        (Value::Null, texts([NAMES[other]]))
    );
    lab.servers[other].event("server").await;
    let fetched = lab.run(from, json!({"do": "fetch", "nsp": nsp})).await;
    assert_eq!(fetched, json!([]));
}

/// The number of the riddle of a server.
fn riddle(from: usize) -> u64 {
    1_000_000 + from as u64
}

/// A question to all servers, of which D does not answer; given up by [`a_riddle_is_given_up`].
pub(crate) async fn a_riddle_is_asked(lab: &mut Lab, from: usize) {
    listen(lab, "riddle", Some(3)).await;
    let command = json!({"do": "serverSideEmit", "args": ["riddle"], "ack": riddle(from)});
    lab.run(from, command).await;
    for server in ALL.filter(|server| *server != from) {
        lab.servers[server].event("server").await;
    }
}

pub(crate) async fn a_riddle_is_given_up(lab: &mut Lab, from: usize) {
    let (error, answers) = lab.answer(from, riddle(from), Duration::from_secs(8)).await;
    assert_fails(
        from,
        &error,
        "timeout reached: only 2 responses received out of 3",
    );
    let answering = others(from).into_iter().filter(|name| *name != "d");
    assert_eq!(answers, texts(answering));
}
