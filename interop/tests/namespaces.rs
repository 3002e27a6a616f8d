//! C.2 to C.4, C.7, C.9: the server as a namespace, namespaces, dynamic ones, middlewares.

use std::time::Duration;

use sala_interop::{Probe, Sio, departs, differs};
use sala_testkit::http;
use sala_testkit::polling::Polling;
use serde_json::{Value, json};

use crate::support::A_MOMENT;

async fn joined(probe: &mut Probe, nsp: &str) -> (Sio, String) {
    let mut client = Sio::open(probe.addr()).await;
    let id = client.join(nsp).await;
    probe
        .event_where("connection", |connection| connection["id"] == *id)
        .await;
    (client, id)
}

async fn refused(probe: &Probe, nsp: &str, payload: &str, reply: &str) {
    let mut client = Sio::open(probe.addr()).await;
    let prefix = if nsp == "/" {
        String::new()
    } else {
        format!("{nsp},")
    };
    client.text(format!("40{prefix}{payload}")).await;
    client.expect(&format!("44{prefix}{reply}")).await;
}

const INVALID: &str = r#"{"message":"Invalid namespace"}"#;

// --- C.2 the server is its main namespace -------------------------------------------------------

#[tokio::test]
async fn the_server_speaks_to_its_main_namespace_only() {
    // C017, C019, C020, C021, D007
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let (mut main, _) = joined(&mut probe, "/").await;
    let (mut other, _) = joined(&mut probe, "/ns").await;
    probe
        .run(json!({"do": "emit", "args": ["message", "a"]}))
        .await;
    main.expect(r#"42["message","a"]"#).await;
    probe
        .run(json!({"do": "emit", "nsp": "/ns", "args": ["x"]}))
        .await;
    other.expect(r#"42/ns,["x"]"#).await;
    main.quiet(A_MOMENT).await;
}

#[tokio::test]
async fn reserved_names_cannot_be_emitted() {
    // C022, E034, E084, G014
    let mut probe = Probe::start(json!({})).await;
    let (mut client, id) = joined(&mut probe, "/").await;
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ] {
        for target in [json!({}), json!({"socket": id}), json!({"to": ["r"]})] {
            let mut command = json!({"do": "emit", "args": [name, 1]});
            command
                .as_object_mut()
                .unwrap()
                .extend(target.as_object().unwrap().clone());
            let error = probe.attempt(command).await.unwrap_err();
            assert_eq!(error, format!(r#""{name}" is a reserved event name"#));
        }
    }
    client.quiet(A_MOMENT).await;
}

// --- C.3 namespaces -----------------------------------------------------------------------------

#[tokio::test]
async fn a_namespace_is_made_once_whatever_its_slash() {
    // C023, C024, D001
    let mut probe = Probe::start(json!({})).await;
    for name in ["x", "/x", "x", "", "/"] {
        probe.run(json!({"do": "of", "nsp": name})).await;
    }
    assert_eq!(
        probe.run(json!({"do": "namespaces"})).await,
        json!(["/", "/x"])
    );
    assert_eq!(probe.event("new_namespace").await["name"], "/x");
    probe.expect_none("new_namespace").await;
    joined(&mut probe, "/x").await;
}

#[tokio::test]
async fn one_connection_may_join_many_namespaces() {
    // C025
    let mut probe = Probe::start(json!({})).await;
    let mut client = Sio::open(probe.addr()).await;
    let mut ids = vec![client.join("/").await];
    for nsp in ["/a", "/b", "/c"] {
        probe.run(json!({"do": "of", "nsp": nsp})).await;
        ids.push(client.join(nsp).await);
    }
    ids.dedup();
    assert_eq!(ids.len(), 4, "each namespace has its own socket: {ids:?}");
    let conns: Vec<Value> = probe
        .taken("connection")
        .await
        .into_iter()
        .map(|connection| connection["conn"].clone())
        .collect();
    assert!(conns.iter().all(|conn| *conn == conns[0]) && conns.len() == 4);
    client.text("41/b,").await;
    assert_eq!(probe.event("disconnect").await["nsp"], "/b");
    client.text(r#"42/c,["still"]"#).await;
    assert_eq!(probe.event("event").await["nsp"], "/c");
}

#[tokio::test]
async fn rooms_belong_to_their_namespace() {
    // D018, G009
    let mut probe = Probe::start(json!({})).await;
    for nsp in ["/a", "/b"] {
        probe.run(json!({"do": "of", "nsp": nsp})).await;
    }
    let (mut a, in_a) = joined(&mut probe, "/a").await;
    let (mut b, in_b) = joined(&mut probe, "/b").await;
    for id in [in_a, in_b] {
        probe
            .run(json!({"do": "join", "socket": id, "rooms": ["room"]}))
            .await;
    }
    probe
        .run(json!({"do": "emit", "nsp": "/a", "to": ["room"], "args": ["x"]}))
        .await;
    a.expect(r#"42/a,["x"]"#).await;
    b.quiet(A_MOMENT).await;
}

// --- C.4 dynamic namespaces ---------------------------------------------------------------------

#[tokio::test]
async fn a_pattern_makes_namespaces_as_clients_ask_for_them() {
    // C024, C027, C037
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "parent", "pattern": r"^/dyn-\d+$"}))
        .await;
    let (_client, id) = joined(&mut probe, "/dyn-101").await;
    assert_eq!(
        probe.run(json!({"do": "state", "socket": id})).await["nsp"],
        "/dyn-101"
    );
    assert_eq!(probe.event("new_namespace").await["name"], "/dyn-101");
    refused(&probe, "/dyn-x", "", INVALID).await;
    refused(&probe, "/dyn-", "", INVALID).await;
}

#[tokio::test]
async fn a_function_decides_by_name_and_auth() {
    // C028
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "parent", "rule": {"token": "abc", "delay": 30}}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    client.join_with("/private", r#"{"token":"abc"}"#).await;
    let asked = probe.event("matcher").await;
    assert_eq!(
        (&asked["name"], &asked["auth"]),
        (&json!("/private"), &json!({"token": "abc"}))
    );
    refused(&probe, "/other", r#"{"token":"wrong"}"#, INVALID).await;
    refused(&probe, "/other", "", INVALID).await;
}

#[tokio::test]
async fn a_failing_function_is_a_refusal() {
    // C028
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "parent", "rule": {"error": "broken"}}))
        .await;
    refused(&probe, "/x", "", INVALID).await;
    probe
        .run(json!({"do": "parent", "rule": {"name": "/x"}}))
        .await;
    joined(&mut probe, "/x").await;
}

#[tokio::test]
async fn a_stateful_pattern_is_refused() {
    // C029, I006
    if departs("C029", "patterns are functions, which have no such state") {
        return;
    }
    let mut probe = Probe::start(json!({})).await;
    let error = probe
        .attempt(json!({"do": "parent", "pattern": "a", "flags": "g"}))
        .await
        .unwrap_err();
    assert_eq!(error, "stateful regular expressions are not supported");
}

#[tokio::test]
async fn parents_are_asked_in_the_order_of_their_creation() {
    // C030
    let mut probe = Probe::start(json!({})).await;
    let parents = [
        json!({"name": "/nope"}),
        json!({"token": "t"}),
        json!({"name": "/x"}),
    ];
    for rule in parents {
        probe.run(json!({"do": "parent", "rule": rule})).await;
    }
    let mut client = Sio::open(probe.addr()).await;
    client.join_with("/x", r#"{"token":"t"}"#).await;
    // The first refused, the second allowed, the third was not asked.
    assert_eq!(probe.taken("matcher").await.len(), 2);
}

#[tokio::test]
async fn a_namespace_that_exists_asks_no_parent() {
    // C031
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/x"})).await;
    probe
        .run(json!({"do": "parent", "rule": {"name": "/x"}}))
        .await;
    joined(&mut probe, "/x").await;
    probe.expect_none("matcher").await;
}

#[tokio::test]
async fn a_namespace_made_by_hand_is_a_child_if_its_name_matches() {
    // C032
    let mut probe = Probe::start(json!({})).await;
    let parent = probe
        .run(json!({"do": "parent", "pattern": r"^/dyn-\d+$"}))
        .await;
    let steps = json!([{"report": "mine"}]);
    probe
        .run(json!({"do": "use", "nsp": parent, "steps": steps}))
        .await;
    probe.run(json!({"do": "make", "nsp": "/dyn-5"})).await;
    probe.run(json!({"do": "make", "nsp": "/other"})).await;
    let (mut client, _) = joined(&mut probe, "/dyn-5").await;
    assert_eq!(probe.event("middleware").await["nsp"], "/dyn-5");
    probe
        .run(json!({"do": "emit", "nsp": parent, "args": ["all"]}))
        .await;
    client.expect(r#"42/dyn-5,["all"]"#).await;
    client.join("/other").await;
    probe.expect_none("middleware").await;
}

#[tokio::test]
async fn children_have_the_middlewares_and_handlers_of_their_parent() {
    // C033
    let mut probe = Probe::start(json!({})).await;
    let parent = probe
        .run(json!({"do": "parent", "pattern": r"^/dyn-\d+$"}))
        .await;
    probe
        .run(json!({"do": "use", "nsp": parent, "steps": [{"report": "mine"}, {"needToken": "t"}]}))
        .await;
    probe
        .run(json!({"do": "handle", "nsp": parent, "event": "echo", "with": "ack-back"}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    client.join_with("/dyn-1", r#"{"token":"t"}"#).await;
    assert_eq!(probe.event("middleware").await["nsp"], "/dyn-1");
    client.text(r#"42/dyn-1,0["echo","x"]"#).await;
    client.expect(r#"43/dyn-1,0["x"]"#).await;
    refused(&probe, "/dyn-2", "", r#"{"message":"bad token"}"#).await;
}

#[tokio::test]
async fn two_clients_that_ask_at_once_share_one_child() {
    // C034
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "parent", "rule": {"name": "/x", "delay": 50}}))
        .await;
    let mut first = Sio::open(probe.addr()).await;
    let mut second = Sio::open(probe.addr()).await;
    tokio::join!(first.join("/x"), second.join("/x"));
    assert_eq!(probe.taken("new_namespace").await.len(), 1);
    probe
        .run(json!({"do": "emit", "nsp": "/x", "args": ["both"]}))
        .await;
    first.expect(r#"42/x,["both"]"#).await;
    second.expect(r#"42/x,["both"]"#).await;
}

#[tokio::test]
async fn a_parent_broadcasts_to_all_its_children() {
    // C035
    let mut probe = Probe::start(json!({})).await;
    let parent = probe
        .run(json!({"do": "parent", "pattern": r"^/dyn-\d+$"}))
        .await;
    let (mut one, one_id) = joined(&mut probe, "/dyn-1").await;
    let (mut two, _) = joined(&mut probe, "/dyn-2").await;
    probe
        .run(json!({"do": "emit", "nsp": parent, "args": ["all", 1]}))
        .await;
    one.expect(r#"42/dyn-1,["all",1]"#).await;
    two.expect(r#"42/dyn-2,["all",1]"#).await;
    probe
        .run(json!({"do": "join", "socket": one_id, "rooms": ["r"]}))
        .await;
    probe
        .run(json!({"do": "emit", "nsp": parent, "to": ["r"], "args": ["some"]}))
        .await;
    one.expect(r#"42/dyn-1,["some"]"#).await;
    two.quiet(A_MOMENT).await;
}

#[tokio::test]
async fn sockets_of_a_parent_cannot_be_fetched() {
    // C036, E086
    let mut probe = Probe::start(json!({})).await;
    let parent = probe
        .run(json!({"do": "parent", "pattern": r"^/dyn-\d+$"}))
        .await;
    if departs("C036", "the type of a parent has no such method") {
        return;
    }
    let error = probe
        .attempt(json!({"do": "fetch", "nsp": parent}))
        .await
        .unwrap_err();
    assert_eq!(
        error,
        "fetchSockets() is not supported on parent namespaces"
    );
}

#[tokio::test]
async fn empty_children_are_removed_if_asked_to() {
    // C038
    let mut probe = Probe::start(json!({"cleanupEmptyChildNamespaces": true})).await;
    let parent = probe
        .run(json!({"do": "parent", "pattern": r"^/dyn-\d+$"}))
        .await;
    probe
        .run(json!({"do": "use", "nsp": parent, "steps": [{"needToken": "t"}]}))
        .await;
    probe.run(json!({"do": "of", "nsp": "/static"})).await;
    let names = json!({"do": "namespaces"});
    let token = r#"{"token":"t"}"#;

    let mut first = Sio::open(probe.addr()).await;
    first.join_with("/dyn-1", token).await;
    let mut second = Sio::open(probe.addr()).await;
    second.join_with("/dyn-1", token).await;
    first.text("41/dyn-1,").await;
    probe.event("disconnect").await;
    assert_eq!(
        probe.run(names.clone()).await,
        json!(["/", "/dyn-1", "/static"])
    );
    drop(second);
    probe.event("disconnect").await;
    assert_eq!(probe.run(names.clone()).await, json!(["/", "/static"]));

    // So is one that was made for a client that was then refused.
    refused(&probe, "/dyn-2", "", r#"{"message":"bad token"}"#).await;
    assert_eq!(probe.run(names.clone()).await, json!(["/", "/static"]));

    first.join_with("/dyn-1", token).await;
    assert_eq!(probe.run(names).await, json!(["/", "/dyn-1", "/static"]));
}

#[tokio::test]
async fn children_stay_by_default() {
    // C026, C038
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "parent", "pattern": r"^/dyn-\d+$"}))
        .await;
    let (client, _) = joined(&mut probe, "/dyn-1").await;
    drop(client);
    probe.event("disconnect").await;
    assert_eq!(
        probe.run(json!({"do": "namespaces"})).await,
        json!(["/", "/dyn-1"])
    );
}

// --- C.9 middlewares ----------------------------------------------------------------------------

#[tokio::test]
async fn middlewares_run_in_order_once_per_join() {
    // C079, C085
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    for name in ["first", "second", "third"] {
        probe
            .run(json!({"do": "use", "nsp": "/", "steps": [{"report": name}]}))
            .await;
    }
    let (mut client, _) = joined(&mut probe, "/").await;
    for name in ["first", "second", "third"] {
        assert_eq!(probe.event("middleware").await["name"], name);
    }
    client.join("/ns").await;
    probe.expect_none("middleware").await;
}

#[tokio::test]
async fn the_first_refusal_ends_the_chain() {
    // C079, C080
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "use", "nsp": "/", "steps": [{"join": "r"}, {"refuse": {"message": "no"}}]})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"report": "never"}]}))
        .await;
    refused(&probe, "/", "", r#"{"message":"no"}"#).await;
    probe.expect_none("middleware").await;
    probe.expect_none("connection").await;
    probe.expect_none("disconnect").await;
    assert_eq!(
        probe.run(json!({"do": "members"})).await,
        json!({"sockets": [], "rooms": {}})
    );
}

#[tokio::test]
async fn a_refused_client_may_try_again_on_the_same_connection() {
    // C080
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"needToken": "t"}]}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    client.text("40").await;
    client.expect(r#"44{"message":"bad token"}"#).await;
    client.join_with("/", r#"{"token":"t"}"#).await;
}

#[tokio::test]
async fn a_middleware_sees_the_query() {
    // C079, E003
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"needQuery": "key"}]}))
        .await;
    refused(&probe, "/", "", r#"{"message":"bad query"}"#).await;
    let mut client = Sio::open_at(probe.addr(), &format!("{}&key=1", Sio::TARGET)).await;
    client.join("/").await;
}

#[tokio::test]
async fn a_client_that_leaves_meanwhile_is_never_connected() {
    // C082
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"join": "r"}, {"hold": true}]}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    client.text("40").await;
    let waiting = probe.event("waiting").await;
    client.close(None).await;
    client.gone().await;
    drop(client);
    // Another client proves that the server has seen the first one go.
    let mut other = Sio::open(probe.addr()).await;
    other.text("40").await;
    let second = probe.event("waiting").await;
    probe
        .run(json!({"do": "release", "token": waiting["token"]}))
        .await;
    probe
        .run(json!({"do": "release", "token": second["token"]}))
        .await;
    let id = other.expect_json("40").await["sid"].clone();
    assert_eq!(probe.event("connection").await["id"], id);
    probe.expect_none("connection").await;
    let members = probe.run(json!({"do": "members"})).await;
    assert_eq!(members["sockets"], json!([id]));
    assert_eq!(members["rooms"]["r"], json!([id]));
}

#[tokio::test]
async fn during_a_middleware_a_socket_is_not_connected() {
    // C083, D002, D020
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "use", "nsp": "/", "steps": [{"join": "r"}, {"data": {"user": "a"}}, {"hold": true}]})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.text("40").await;
    let waiting = probe.event("waiting").await;
    assert_eq!(waiting["connected"], false);
    assert_eq!(
        probe.run(json!({"do": "members"})).await["sockets"],
        json!([])
    );
    probe.run(json!({"do": "emit", "args": ["all"]})).await;
    probe
        .run(json!({"do": "emit", "to": ["r"], "args": ["room"]}))
        .await;
    client.quiet(A_MOMENT).await;
    probe
        .run(json!({"do": "release", "token": waiting["token"]}))
        .await;
    client.expect_json("40").await;
    let connection = probe.event("connection").await;
    assert_eq!(connection["data"], json!({"user": "a"}));
    assert!(
        connection["rooms"]
            .as_array()
            .unwrap()
            .contains(&json!("r"))
    );
    probe
        .run(json!({"do": "emit", "to": ["r"], "args": ["room"]}))
        .await;
    client.expect(r#"42["room"]"#).await;
}

#[tokio::test]
async fn what_a_middleware_emits_precedes_the_reply() {
    // C083
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"emit": ["session", 1]}]}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    client.text("40").await;
    client.expect(r#"42["session",1]"#).await;
    client.expect_json("40").await;
}

#[tokio::test]
async fn going_on_twice_connects_once() {
    // C084
    if departs("C084", "a middleware returns once") {
        return;
    }
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"twice": true}]}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    client.text("40").await;
    client.expect_json("40").await;
    if differs(
        "C084",
        "it sends two replies and announces the socket twice",
    ) {
        return;
    }
    client.quiet(A_MOMENT).await;
}

#[tokio::test]
async fn disconnecting_in_a_middleware_does_nothing() {
    // E068, E069
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"disconnect": true}]}))
        .await;
    if departs("E069", "an attempt cannot be disconnected, only refused") {
        return;
    }
    let mut client = Sio::open(probe.addr()).await;
    client.text("40").await;
    client.expect_json("40").await;
}

#[tokio::test]
async fn packets_of_other_namespaces_are_not_held_up_by_a_slow_middleware() {
    // C025, C081, and a measured pitfall: one slow namespace stopped all
    let mut probe = Probe::start(json!({})).await;
    probe.run(json!({"do": "of", "nsp": "/slow"})).await;
    probe
        .run(json!({"do": "use", "nsp": "/slow", "steps": [{"hold": true}]}))
        .await;
    let (mut client, _) = joined(&mut probe, "/").await;
    client.text("40/slow,").await;
    let waiting = probe.event("waiting").await;
    client.text(r#"420["hi"]"#).await;
    let token = probe.event("event").await["ack"].clone();
    probe
        .run(json!({"do": "ack", "token": token, "args": []}))
        .await;
    client.expect("430[]").await;
    probe
        .run(json!({"do": "release", "token": waiting["token"]}))
        .await;
    client.expect_json("40/slow,").await;
}

#[tokio::test]
async fn a_client_that_sends_before_it_is_let_in_is_closed() {
    // B018, C081
    let mut probe = Probe::start(json!({})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"hold": true}]}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    client.text("40").await;
    probe.event("waiting").await;
    client.text(r#"42["too early"]"#).await;
    client.expect_close(None).await;
}

#[tokio::test]
async fn a_waiting_client_is_closed_when_its_time_is_up() {
    // B020, C081
    let mut probe = Probe::start(json!({"connectTimeout": 200})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"hold": true}]}))
        .await;
    let mut client = Sio::open(probe.addr()).await;
    client.text("40").await;
    let waiting = probe.event("waiting").await;
    client.expect_close(None).await;
    probe
        .run(json!({"do": "release", "token": waiting["token"]}))
        .await;
    probe.expect_none("connection").await;
}

#[tokio::test]
async fn http_middlewares_can_tell_the_handshake() {
    // C086
    let mut probe = Probe::start(json!({"use": [{"report": true}]})).await;
    let session = Polling::open(probe.addr(), "/socket.io/").await;
    session.send("40").await;
    http::get(probe.addr(), &session.target).await;
    let urls = probe.taken("middleware").await;
    let handshakes = urls
        .iter()
        .filter(|url| !url["url"].as_str().unwrap().contains("sid="))
        .count();
    assert_eq!((urls.len(), handshakes), (3, 1));
}

#[tokio::test]
async fn a_late_namespace_accepts_connections_that_are_open_already() {
    // C023, C025
    let mut probe = Probe::start(json!({})).await;
    let (mut client, _) = joined(&mut probe, "/").await;
    client.text("40/late,").await;
    client.expect(&format!("44/late,{INVALID}")).await;
    probe.run(json!({"do": "of", "nsp": "/late"})).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    client.join("/late").await;
}
