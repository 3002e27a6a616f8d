//! Connection state recovery across servers, which the streams adapter offers.

use sala_interop::Probe;
use sala_testkit::within;
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::lab::{ALL, Client, Lab, NAMES, peer_of};
use crate::modes::{Kind, Mode, Topology};

/// A cluster with a listener on each server, in the rooms `mine` and `yours`.
async fn lab(options: Value) -> Lab {
    let mode = Mode::new(Kind::Streams, Topology::Alone, options).recovering();
    let mut lab = Lab::empty(mode).await;
    for server in ALL {
        lab.connect(server, NAMES[server], "/", &["mine", "yours"])
            .await;
    }
    lab.warm_up().await;
    lab
}

/// Connects a client with a room and data.
async fn traveller(lab: &mut Lab, server: usize) -> Client {
    let client = lab.connect(server, "traveller", "/", &["mine"]).await;
    let data = json!({"bytes": {"$bin": "AAH/"}, "list": [1, null]});
    lab.run(
        server,
        json!({"do": "setData", "socket": client.id, "data": data}),
    )
    .await;
    client
}

/// Emits; the event.
async fn say(lab: &mut Lab, from: usize, mut command: Value) -> Value {
    let args = json!(["said", lab.number(), {"$bin": "AAH/"}]);
    command["do"] = json!("emit");
    command["args"] = args.clone();
    lab.run(from, command).await;
    args
}

/// Waits until a client hears an event.
async fn hears(lab: &mut Lab, client: &str, event: &Value) {
    let heard = lab.driver.event_where("got", |got| {
        got["client"] == *client && got["args"][1] == event[1]
    });
    heard.await;
}

/// Has every listener hear a last event, so that the next sender's come after those of this one.
async fn say_to_all(lab: &mut Lab, from: usize) -> Value {
    let event = say(lab, from, json!({})).await;
    for name in NAMES {
        hears(lab, name, &event).await;
    }
    event
}

/// Says what the traveller misses, and some that is not for it; what it misses.
async fn say_much(lab: &mut Lab, traveller: &Client) -> Vec<Value> {
    let mut missed = vec![];
    for from in [1, 3] {
        missed.push(say(lab, from, json!({"to": ["mine"]})).await);
        say(lab, from, json!({"to": ["yours"]})).await;
        missed.push(say(lab, from, json!({"to": ["yours", "mine"]})).await);
        say(lab, from, json!({"except": ["mine"]})).await;
        missed.push(say(lab, from, json!({"to": traveller.id})).await);
        missed.push(say_to_all(lab, from).await);
    }
    missed
}

/// Has the client lose its connection; returns when its session is stored.
async fn lose(lab: &mut Lab, client: &Client) {
    lab.driver
        .run(json!({"do": "drop", "client": client.name}))
        .await;
    is_lost(lab, client).await;
}

async fn is_lost(lab: &mut Lab, client: &Client) {
    let lost = lab
        .driver
        .event_where("left", |event| event["client"] == *client.name);
    lost.await;
    let Broker::Alone(redis) = &lab.broker else {
        panic!("recovery is tested with one Redis")
    };
    redis
        .until(&["KEYS", "sio:session:*"], |keys| !keys.items().is_empty())
        .await;
}

/// Connects the client again, to a server; whether it was recovered, with what it was.
async fn come_back(lab: &mut Lab, client: &Client, server: usize) -> bool {
    let url = lab.url(server);
    let back = lab
        .driver
        .run(json!({"do": "again", "client": client.name, "url": url}))
        .await;
    let connection = lab.servers[server]
        .event_where("connection", |event| event["id"] == back["id"])
        .await;
    let recovered = back["recovered"] == true;
    assert_eq!(connection["recovered"], recovered);
    assert_eq!(back["id"] == *client.id, recovered);
    if recovered {
        let mut rooms: Vec<&str> = connection["rooms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|room| room.as_str().unwrap())
            .collect();
        let mut expected = [client.id.as_str(), "mine"];
        rooms.sort_unstable();
        expected.sort_unstable();
        assert_eq!(rooms, expected);
        let data = json!({"bytes": {"$bin": "AAH/"}, "list": [1, null]});
        assert_eq!(connection["data"], data);
    }
    recovered
}

/// Asserts that the client hears exactly these events, and then what comes now.
async fn catches_up(lab: &mut Lab, client: &Client, mut events: Vec<Value>) {
    events.push(say(lab, 0, json!({"to": "mine"})).await);
    events.push(say(lab, 0, json!({"to": client.id})).await);
    for event in events {
        let got = lab
            .driver
            .event_where("got", |got| got["client"] == *client.name)
            .await;
        let args = got["args"].as_array().unwrap();
        assert_eq!(&args[..3], event.as_array().unwrap(), "in its place");
    }
}

#[tokio::test]
async fn a_client_comes_back_on_another_server_with_all_that_it_missed() {
    let mut lab = lab(json!({})).await;
    let client = traveller(&mut lab, 0).await;
    // Between official servers, from one kind to the other, between Sala's own, and back.
    for server in [1, 2, 3, 0, 3, 1] {
        lab.doing(format!("the journey to {}", NAMES[server]));
        let seen = say_to_all(&mut lab, 2).await;
        catches_up(&mut lab, &client, vec![seen]).await;
        lose(&mut lab, &client).await;
        let missed = say_much(&mut lab, &client).await;
        assert!(come_back(&mut lab, &client, server).await);
        catches_up(&mut lab, &client, missed).await;
    }
}

#[tokio::test]
async fn a_client_that_missed_nothing_is_recovered_as_well() {
    let mut lab = lab(json!({"streamCount": 4})).await;
    let client = traveller(&mut lab, 2).await;
    for server in [0, 2] {
        let seen = say_to_all(&mut lab, server).await;
        catches_up(&mut lab, &client, vec![seen]).await;
        lose(&mut lab, &client).await;
        assert!(come_back(&mut lab, &client, server).await);
        catches_up(&mut lab, &client, vec![]).await;
    }
}

#[tokio::test]
async fn a_client_outlives_its_server() {
    let mut lab = lab(json!({})).await;
    let client = traveller(&mut lab, 0).await;
    let mut at = 0;
    for restarted in [0, 2] {
        lab.doing(format!("the restart of {}", NAMES[restarted]));
        if at != restarted {
            lose(&mut lab, &client).await;
            assert!(come_back(&mut lab, &client, restarted).await);
            at = restarted;
        }
        let seen = say_to_all(&mut lab, 1).await;
        catches_up(&mut lab, &client, vec![seen]).await;

        lab.servers[restarted].process().terminate().await;
        is_lost(&mut lab, &client).await;
        within("the server to end", lab.servers[restarted].process().exit()).await;
        let missed = vec![
            say(&mut lab, 1, json!({})).await,
            say(&mut lab, 1, json!({"to": "mine"})).await,
        ];
        let options = lab.mode.server(&lab.broker);
        lab.servers[restarted] = Probe::of_peer(peer_of(restarted), options).await;
        lab.wait_for_servers("/", 4).await;

        assert!(come_back(&mut lab, &client, restarted).await);
        lab.driver
            .run(json!({"do": "again", "client": NAMES[restarted], "url": lab.url(restarted)}))
            .await;
        let mut missed = missed;
        missed.push(say_to_all(&mut lab, 1).await);
        catches_up(&mut lab, &client, missed).await;
    }
}

#[tokio::test]
async fn what_the_stream_has_forgotten_makes_a_new_connection() {
    let mut lab = lab(json!({})).await;
    for server in [1, 2] {
        let client = traveller(&mut lab, 0).await;
        let seen = say_to_all(&mut lab, 3).await;
        catches_up(&mut lab, &client, vec![seen]).await;
        lose(&mut lab, &client).await;
        say_to_all(&mut lab, 3).await;
        let mut redis = lab.broker.client_for("socket.io").await;
        redis.run(["XTRIM", "socket.io", "MAXLEN", "0"]).await;
        assert!(!come_back(&mut lab, &client, server).await);
        // The session is used up all the same.
        assert!(
            redis
                .run(["KEYS", "sio:session:*"])
                .await
                .items()
                .is_empty()
        );
        lab.driver
            .run(json!({"do": "close", "client": client.name}))
            .await;
    }
}
