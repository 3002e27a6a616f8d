//! The official emitter, which serves nobody.

use serde_json::{Value, json};

use crate::lab::{ALL, Heard, KID, Lab, NAMES, each};
use crate::operations::requests::gone;

pub(crate) async fn it_connects(lab: &mut Lab, _: usize) {
    let options = match lab.mode.options.get("key") {
        Some(key) => json!({"key": key}),
        None => json!({}),
    };
    let command = json!({"do": "emitter", "redis": lab.broker.option(), "options": options});
    lab.driver.run(command).await;
}

async fn act(lab: &mut Lab, mut command: Value) {
    command["do"] = json!("emit");
    lab.driver.run(command).await;
}

/// Emits and asserts that exactly these clients hear it.
async fn emit(lab: &mut Lab, command: Value, to: &[String]) {
    let args = command["args"].clone();
    act(lab, command).await;
    // The fence of a server may overtake the emitter: first hear what has to come.
    for name in to {
        let heard = lab.driver.event_where("got", |event| {
            event["client"] == **name && event["args"] == args
        });
        heard.await;
    }
    lab.heard(0, Heard::new()).await;
}

pub(crate) async fn it_is_heard(lab: &mut Lab, _: usize) {
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

pub(crate) async fn it_moves_clients(lab: &mut Lab, _: usize) {
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

pub(crate) async fn it_tells_servers(lab: &mut Lab, _: usize) {
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
