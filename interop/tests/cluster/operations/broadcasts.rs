//! Events to clients.

use serde_json::{Value, json};

use sala_interop::Peer;
use sala_testkit::within;

use crate::lab::{ALL, Client, Heard, KID, Lab, NAMES, peer_of};
use crate::modes::{Kind, Topology};

/// Emits and asserts that exactly these clients hear it, once.
async fn emit(lab: &mut Lab, from: usize, mut command: Value, to: &[String]) {
    let args = command["args"].clone();
    command["do"] = json!("emit");
    lab.run(from, command).await;
    let wanted = lab.carried(from, to, &args);
    lab.heard(from, wanted).await;
}

fn is(number: char) -> impl Fn(&Client) -> bool {
    move |client| client.name.ends_with(number)
}

fn anybody(_: &Client) -> bool {
    true
}

pub(crate) async fn all_hear(lab: &mut Lab, from: usize) {
    let (args, to) = (json!(["all", lab.number()]), lab.names("/", anybody));
    emit(lab, from, json!({"args": args}), &to).await;
}

pub(crate) async fn a_room_hears(lab: &mut Lab, from: usize) {
    let (args, to) = (json!(["room", lab.number()]), lab.names("/", is('1')));
    emit(lab, from, json!({"to": "one", "args": args}), &to).await;
    let (args, to) = (json!(["rooms", lab.number()]), lab.names("/", is('2')));
    emit(
        lab,
        from,
        json!({"to": ["two", "nobody"], "args": args}),
        &to,
    )
    .await;
    emit(lab, from, json!({"to": "nobody", "args": ["nobody"]}), &[]).await;
}

pub(crate) async fn two_rooms_hear_once(lab: &mut Lab, from: usize) {
    let (args, to) = (json!(["overlap", lab.number()]), lab.names("/", anybody));
    let rooms = json!(["one", "both", "two"]);
    emit(lab, from, json!({"to": rooms, "args": args}), &to).await;
}

pub(crate) async fn an_exception_does_not_hear(lab: &mut Lab, from: usize) {
    let (args, to) = (json!(["except", lab.number()]), lab.names("/", is('1')));
    emit(lab, from, json!({"except": "two", "args": args}), &to).await;
    let (args, to) = (json!(["but", lab.number()]), lab.names("/", is('2')));
    emit(
        lab,
        from,
        json!({"to": "both", "except": ["one"], "args": args}),
        &to,
    )
    .await;
    // One client among those of a room.
    let spared = lab.client("b1");
    let to = lab.names("/", |client| {
        client.name.ends_with('1') && client.name != "b1"
    });
    let args = json!(["spare", lab.number()]);
    emit(
        lab,
        from,
        json!({"to": "one", "except": spared.id, "args": args}),
        &to,
    )
    .await;
}

pub(crate) async fn one_client_hears(lab: &mut Lab, from: usize) {
    for server in ALL {
        let client = lab.client(&format!("{}1", NAMES[server]));
        let args = json!(["you", lab.number()]);
        emit(
            lab,
            from,
            json!({"to": client.id, "args": args}),
            &[client.name],
        )
        .await;
    }
}

pub(crate) async fn the_sender_does_not_hear(lab: &mut Lab, from: usize) {
    let sender = lab.client(&format!("{}1", NAMES[from]));
    let others = lab.names("/", |client| client.name != sender.name);
    let args = json!(["others", lab.number()]);
    emit(
        lab,
        from,
        json!({"socket": sender.id, "flags": ["broadcast"], "args": args}),
        &others,
    )
    .await;
    let others = lab.names("/", |client| {
        client.name.ends_with('1') && client.name != sender.name
    });
    let args = json!(["room of others", lab.number()]);
    emit(
        lab,
        from,
        json!({"socket": sender.id, "to": "one", "args": args}),
        &others,
    )
    .await;
}

pub(crate) async fn bytes_arrive(lab: &mut Lab, from: usize) {
    let (number, to) = (lab.number(), lab.names("/", anybody));
    let args = json!(["bytes", number, {"$bin": "AAEC/w=="}]);
    emit(lab, from, json!({"args": args}), &to).await;
    let nested =
        json!({"a": [{"$bin": "AQ=="}, {"b": {"$bin": ""}}], "c": null, "d": {"$bin": "/w=="}});
    let args = json!(["nested", number, nested, [[{"$bin": "AgM="}]]]);
    emit(lab, from, json!({"args": args}), &to).await;
    let to = lab.names("/", is('1'));
    let args = json!(["bytes for a room", number, {"$bin": "AAEC/w=="}]);
    emit(lab, from, json!({"to": "one", "args": args}), &to).await;
}

pub(crate) async fn odd_values_arrive(lab: &mut Lab, from: usize) {
    let to = lab.names("/", anybody);
    let values = json!([
        null, true, false, 0, -1, 1.5, -0.001, 127, 128, -33, 255, 256, 65_536, 4_294_967_296_u64, 9_007_199_254_740_991_u64,
        -9_007_199_254_740_991_i64, "", "てすと", "😀 𝄞", "\u{0}\u{1e}\u{2028}", "\"\\", [], {}, [[[[]]]], {"": {"é": [null, {}]}}
    ]);
    let args = json!(["values", lab.number(), values, "x".repeat(70_000)]);
    emit(lab, from, json!({"args": args}), &to).await;
    // The same in the other encoding of adapters that write bytes in another way.
    let args = json!(["values and bytes", lab.number(), values, {"$bin": "AA=="}]);
    emit(lab, from, json!({"args": args}), &to).await;
    emit(lab, from, json!({"args": ["nothing else"]}), &to).await;
}

pub(crate) async fn long_messages_arrive(lab: &mut Lab, from: usize) {
    let to = lab.names("/", anybody);
    if !lab.mode.plaintext() {
        let args = json!(["long", lab.number(), {"$fill": 2_000_000}]);
        emit(lab, from, json!({"args": args}), &to).await;
    }
    let args = json!(["long text", lab.number(), "0123456789".repeat(30_000)]);
    emit(lab, from, json!({"to": "both", "args": args}), &to).await;
}

pub(crate) async fn namespaces_are_apart(lab: &mut Lab, from: usize) {
    let (args, to) = (json!(["chat", lab.number()]), lab.names("/chat", anybody));
    emit(lab, from, json!({"nsp": "/chat", "args": args}), &to).await;
    let args = json!(["room of the chat", lab.number(), {"$bin": "AQ=="}]);
    emit(
        lab,
        from,
        json!({"nsp": "/chat", "to": "one", "args": args}),
        &to,
    )
    .await;
    emit(
        lab,
        from,
        json!({"nsp": "/chat", "to": "two", "args": ["nobody"]}),
        &[],
    )
    .await;
}

pub(crate) async fn dynamic_namespaces_hear(lab: &mut Lab, from: usize) {
    let (args, to) = (json!(["kid", lab.number()]), lab.names(KID, anybody));
    emit(lab, from, json!({"nsp": KID, "args": args}), &to).await;
    let (parent, args) = (lab.parents[from].clone(), json!(["kids", lab.number()]));
    emit(lab, from, json!({"nsp": parent, "args": args}), &to).await;
}

pub(crate) async fn volatile_and_compressed_events_arrive(lab: &mut Lab, from: usize) {
    let to = lab.names("/", anybody);
    for compress in [true, false] {
        let args = json!(["compressed", lab.number(), "x".repeat(2_000)]);
        emit(lab, from, json!({"compress": compress, "args": args}), &to).await;
    }
    // Volatile events need an idle transport; whether it is idle cannot be seen from outside.
    tokio::time::sleep(sala_testkit::polling::SETTLE).await;
    let args = json!(["volatile", lab.number()]);
    let command = json!({"do": "emit", "flags": ["volatile"], "args": args});
    lab.run(from, command).await;
    for name in &to {
        let got = lab.driver.event_where("got", |event| {
            event["client"] == **name && event["args"][1] == args[1]
        });
        got.await;
    }
}

pub(crate) async fn local_events_stay(lab: &mut Lab, from: usize) {
    let (args, to) = (
        json!(["local", lab.number()]),
        lab.names("/", |client| client.server == from),
    );
    emit(lab, from, json!({"flags": ["local"], "args": args}), &to).await;
}

/// How many events have to keep their order.
const MANY: u64 = 2_000;

pub(crate) async fn order_is_kept(lab: &mut Lab, from: usize) {
    lab.driver.run(json!({"do": "forget"})).await;
    let all = json!({"do": "emit", "args": ["tally", NAMES[from]], "repeat": MANY});
    lab.run(from, all).await;
    lab.heard(from, Heard::new()).await;
    // The JavaScript client of a Redis Cluster publishes each message through another node.
    let scattered = lab.mode.kind == Kind::Classic
        && lab.mode.topology == Topology::Cluster
        && peer_of(from) == Peer::Reference;
    for name in lab.names("/", anybody) {
        let mut numbers = numbers(lab, &name, NAMES[from]).await;
        if scattered {
            numbers.sort_unstable();
        }
        let heard = numbers.len();
        assert!(
            numbers.into_iter().eq(0..MANY),
            "{name} heard {heard} of {MANY}, or not in order"
        );
    }
}

/// The numbers that a client heard, once they are enough.
async fn numbers(lab: &mut Lab, client: &str, sender: &str) -> Vec<u64> {
    within("all numbers to come", async {
        loop {
            let tallies = lab
                .driver
                .run(json!({"do": "tallies", "client": client}))
                .await;
            let heard = tallies[sender].as_array().into_iter().flatten();
            let heard: Vec<u64> = heard.map(|entry| entry[0].as_u64().unwrap()).collect();
            if heard.len() as u64 >= MANY {
                return heard;
            }
        }
    })
    .await
}
