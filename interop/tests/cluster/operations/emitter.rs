//! Emitters, which serve nobody: the official one and Sala's.

use sala_emitter::Emitter;
use sala_interop::server::adapter::{classic, redis, sharded, streams};
use sala_interop::server::value::{args, items, texts};
use serde_json::{Value, json};

use crate::lab::{ALL, Heard, KID, Lab, NAMES, as_json, each};
use crate::modes::Kind;
use crate::operations::requests::gone;

/// Has the official emitter connect. It belongs to the classic adapter.
pub(crate) async fn official(lab: &mut Lab) {
    let options = match lab.mode.options.get("key") {
        Some(key) => json!({"key": key}),
        None => json!({}),
    };
    let command = json!({"do": "emitter", "redis": lab.broker.option(), "options": options});
    lab.driver.run(command).await;
}

/// Connects Sala's emitter.
pub(crate) async fn ours(lab: &mut Lab) {
    let (redis, options) = (redis(&lab.broker.option()), &lab.mode.options);
    lab.emitter = Some(match lab.mode.kind {
        Kind::Classic => Emitter::new(classic(options).outlet(redis).await.unwrap()),
        Kind::Sharded => Emitter::new(sharded(options).outlet(redis).await.unwrap()),
        Kind::Streams => Emitter::new(streams(options).outlet(redis).await.unwrap()),
    });
}

async fn act(lab: &mut Lab, mut command: Value) {
    if let Some(emitter) = &lab.emitter {
        return act_ourselves(emitter, &command).await;
    }
    command["do"] = json!("emit");
    lab.driver.run(command).await;
}

/// What the driver does with the official emitter, with ours.
async fn act_ourselves(emitter: &Emitter, command: &Value) {
    let emitter = match command["nsp"].as_str() {
        Some(nsp) => emitter.of(nsp),
        None => emitter.clone(),
    };
    let mut to = emitter.to(texts(&command["to"]));
    to = to.except(texts(&command["except"]));
    if !command["flags"].is_null() {
        to = to.volatile();
    }
    if let Some(compress) = command["compress"].as_bool() {
        to = to.compress(compress);
    }
    let rooms = texts(&command["rooms"]);
    let event = items(&command["args"]).split_first();
    let event = event.map(|(name, rest)| (name.as_str().unwrap(), args(rest)));
    let sending = match (command["act"].as_str(), event) {
        (Some("join"), _) => to.sockets_join(rooms),
        (Some("leave"), _) => to.sockets_leave(rooms),
        (Some("disconnect"), _) => to.disconnect_sockets(command["close"] == true),
        (Some("serverSideEmit"), Some((name, args))) => emitter.server_side_emit(name, &args),
        (None, Some((name, args))) => to.emit(name, &args),
        _ => panic!("an emitter cannot do {command}"),
    };
    sending.await.unwrap();
}

/// Emits and asserts that exactly these clients hear it.
async fn emit(lab: &mut Lab, command: Value, to: &[String]) {
    let mut args = command["args"].clone();
    act(lab, command).await;
    if lab.emitter.is_some() && lab.mode.plaintext() {
        args = as_json(&args);
    }
    // The fence of a server may overtake the emitter: first hear what has to come.
    let mut heard = Heard::new();
    while to.iter().any(|name| !heard.contains_key(name)) {
        let (client, event) = lab.got().await;
        heard.entry(client).or_default().push(event);
    }
    for (client, events) in lab.settle(0).await {
        heard.entry(client).or_default().extend(events);
    }
    assert_eq!(heard, each(to, &[args]));
}

pub(crate) async fn it_is_heard(lab: &mut Lab) {
    let all = lab.names("/", |_| true);
    let ones = lab.names("/", |client| client.name.ends_with('1'));
    let twos = lab.names("/", |client| client.name.ends_with('2'));
    let number = lab.number();
    emit(
        lab,
        json!({"args": ["emitted", number, {"a": [null, 1.5, "é"]}]}),
        &all,
    )
    .await;
    emit(lab, json!({"to": "one", "args": ["to", number]}), &ones).await;
    emit(
        lab,
        json!({"to": ["two", "both"], "args": ["once", number]}),
        &all,
    )
    .await;
    emit(
        lab,
        json!({"except": "one", "args": ["except", number]}),
        &twos,
    )
    .await;
    emit(
        lab,
        json!({"to": "both", "except": ["two"], "args": ["but", number]}),
        &ones,
    )
    .await;
    emit(
        lab,
        json!({"args": ["bytes", number, {"$bin": "AAH/"}, [{"$bin": ""}]]}),
        &all,
    )
    .await;
    emit(
        lab,
        json!({"compress": false, "args": ["compress", number]}),
        &all,
    )
    .await;
    emit(
        lab,
        json!({"to": lab.client("c1").id, "args": ["you", number]}),
        &["c1".to_owned()],
    )
    .await;
    let (chat, kid) = (lab.names("/chat", |_| true), lab.names(KID, |_| true));
    emit(
        lab,
        json!({"nsp": "/chat", "args": ["chat", number]}),
        &chat,
    )
    .await;
    emit(
        lab,
        json!({"nsp": "chat", "to": "one", "args": ["slashless", number]}),
        &chat,
    )
    .await;
    emit(lab, json!({"nsp": KID, "args": ["kid", number]}), &kid).await;
    tokio::time::sleep(sala_testkit::polling::SETTLE).await;
    emit(
        lab,
        json!({"flags": ["volatile"], "args": ["volatile", number]}),
        &all,
    )
    .await;
}

pub(crate) async fn it_moves_clients(lab: &mut Lab) {
    act(
        lab,
        json!({"act": "join", "to": "one", "rooms": ["moved", "by"]}),
    )
    .await;
    for server in ALL {
        lab.wait_for_members(server, "moved", 1).await;
        lab.wait_for_members(server, "by", 1).await;
    }
    act(
        lab,
        json!({"act": "leave", "except": "two", "rooms": "moved"}),
    )
    .await;
    for server in ALL {
        lab.wait_for_members(server, "moved", 0).await;
    }
    act(lab, json!({"act": "leave", "rooms": ["by"]})).await;
    for server in ALL {
        lab.wait_for_members(server, "by", 0).await;
    }
    for server in ALL {
        let name = format!("{}-doomed", NAMES[server]);
        let client = lab.connect(server, &name, "/", &["doomed"]).await;
        if server % 2 == 0 {
            act(
                lab,
                json!({"act": "disconnect", "to": client.id, "close": true}),
            )
            .await;
        } else {
            act(
                lab,
                json!({"act": "disconnect", "to": "doomed", "close": false}),
            )
            .await;
        }
        gone(lab, &name).await;
    }
    let (all, number) = (lab.names("/", |_| true), lab.number());
    lab.run(0, json!({"do": "emit", "args": ["still here", number]}))
        .await;
    lab.heard(0, each(&all, &[json!(["still here", number])]))
        .await;
}

pub(crate) async fn it_tells_servers(lab: &mut Lab) {
    act(
        lab,
        json!({"act": "serverSideEmit", "args": ["hello", {"from": ["an", "emitter"]}]}),
    )
    .await;
    for server in ALL {
        let heard = lab.servers[server].event("server").await;
        let expected = json!([{"from": ["an", "emitter"]}]);
        assert_eq!(
            (&heard["event"], &heard["args"]),
            (&json!("hello"), &expected)
        );
    }
}
