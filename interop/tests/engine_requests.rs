//! A.1 and A.2: where requests go, and options.

use std::time::{Duration, Instant};

use sala_interop::{Probe, departs};
use sala_testkit::http::{self, Connection, End};
use sala_testkit::polling::Polling;
use sala_testkit::ws::Ws;
use serde_json::json;

use crate::support::{A_MOMENT, POLLING, WEBSOCKET, refused, upgrade_and_wait};

// --- A.1 where requests go ----------------------------------------------------------------------

/// Why the options about foreign upgrades do not exist in Sala.
const FOREIGN: &str = "a layer never sees requests of other paths; the application answers them";

#[tokio::test]
async fn the_default_path_of_engine_io_is_answered_and_others_belong_to_the_application() {
    // A001, A005
    let probe = Probe::engine(json!({"pages": {"/hello": "world"}})).await;
    assert_eq!(http::get(probe.addr(), POLLING).await.status, 200);
    assert_eq!(http::get(probe.addr(), "/hello").await.text(), "world");
    assert_eq!(
        http::get(probe.addr(), "/socket.io/?EIO=4&transport=polling")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn the_default_path_of_socket_io_is_answered() {
    // A001: without its slash the path is not ours
    let probe = Probe::start(json!({"pages": {"/socket.io": "the application"}})).await;
    assert_eq!(
        http::get(probe.addr(), "/socket.io/?EIO=4&transport=polling")
            .await
            .status,
        200
    );
    assert_eq!(
        http::get(probe.addr(), "/socket.io?EIO=4&transport=polling")
            .await
            .text(),
        "the application"
    );
}

#[tokio::test]
async fn anything_may_follow_the_path_prefix() {
    // A002
    let probe = Probe::engine(json!({})).await;
    let reply = http::get(probe.addr(), "/engine.io/foo/bar?EIO=4&transport=polling").await;
    assert!(reply.text().starts_with("0{"), "{reply:?}");
}

#[tokio::test]
async fn a_path_that_only_begins_like_ours_is_not_ours() {
    // A002 and a measured pitfall: a prefix without its slash captured `/engine.io-admin`
    let probe = Probe::engine(json!({"pages": {"/engine.io-admin": "admin"}})).await;
    assert_eq!(
        http::get(probe.addr(), "/engine.io-admin?EIO=4&transport=polling")
            .await
            .text(),
        "admin"
    );
}

#[tokio::test]
async fn the_path_option_moves_the_server() {
    // A003
    for path in ["/x", "/x/"] {
        let probe =
            Probe::start(json!({"path": path, "pages": {"/socket.io/": "the application"}})).await;
        assert_eq!(
            http::get(probe.addr(), "/x/?EIO=4&transport=polling")
                .await
                .status,
            200
        );
        assert_eq!(
            http::get(probe.addr(), "/socket.io/").await.text(),
            "the application"
        );
    }
}

#[tokio::test]
async fn without_the_trailing_slash_both_forms_of_the_path_are_answered() {
    // A004
    let probe = Probe::start(json!({"addTrailingSlash": false})).await;
    for target in [
        "/socket.io?EIO=4&transport=polling",
        "/socket.io/?EIO=4&transport=polling",
    ] {
        assert_eq!(
            http::get(probe.addr(), target).await.status,
            200,
            "{target}"
        );
    }
}

#[tokio::test]
async fn an_engine_of_its_own_answers_other_paths_with_501() {
    // A008
    let probe = Probe::engine(json!({"standalone": true})).await;
    let reply = http::get(probe.addr(), "/").await;
    assert_eq!((reply.status, reply.text()), (501, "Not Implemented"));
    assert_eq!(http::get(probe.addr(), POLLING).await.status, 200);
}

#[tokio::test]
async fn a_server_of_its_own_answers_other_paths_with_an_empty_404() {
    // A009
    let probe = Probe::start(json!({"standalone": true})).await;
    let reply = http::get(probe.addr(), "/").await;
    assert_eq!((reply.status, reply.text()), (404, ""));
}

#[tokio::test]
async fn an_upgrade_on_a_foreign_path_is_ended_silently() {
    // A010
    if departs("A010", FOREIGN) {
        return;
    }
    let probe = Probe::engine(json!({"destroyUpgradeTimeout": 150})).await;
    let started = Instant::now();
    let (bytes, _) = upgrade_and_wait(probe.addr(), "/other").await;
    assert_eq!(bytes, b"");
    assert!(
        started.elapsed() >= Duration::from_millis(140),
        "after {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn an_upgrade_that_the_application_answers_is_left_alone() {
    // A011
    if departs("A011", FOREIGN) {
        return;
    }
    let foreign = json!({"path": "/other", "after": 50});
    let probe =
        Probe::engine(json!({"destroyUpgradeTimeout": 150, "foreignUpgrade": foreign})).await;
    let mut connection = Connection::open(probe.addr()).await;
    connection
        .send(sala_testkit::ws::handshake_bytes("/other", &[]))
        .await;
    let reply = connection.response().await;
    assert_eq!(reply.status, 101);
    while connection.buffered() != b"foreign" {
        connection.fill().await.unwrap();
    }
    sala_testkit::quiet_for(
        Duration::from_millis(250),
        "the end of a foreign connection",
        connection.fill(),
    )
    .await;
}

#[tokio::test]
async fn foreign_upgrades_can_be_left_untouched() {
    // A012
    if departs("A012", FOREIGN) {
        return;
    }
    let probe = Probe::engine(json!({"destroyUpgrade": false, "destroyUpgradeTimeout": 50})).await;
    let mut connection = Connection::open(probe.addr()).await;
    connection
        .send(sala_testkit::ws::handshake_bytes("/other", &[]))
        .await;
    sala_testkit::quiet_for(
        A_MOMENT,
        "the end of a foreign connection",
        connection.fill(),
    )
    .await;
}

#[tokio::test]
async fn the_last_of_repeated_query_keys_wins_and_an_empty_sid_is_none() {
    // A014
    let probe = Probe::engine(json!({})).await;
    assert_eq!(
        http::get(probe.addr(), "/engine.io/?EIO=3&EIO=4&transport=polling")
            .await
            .status,
        200
    );
    refused(
        probe.addr(),
        "/engine.io/?EIO=4&EIO=3&transport=polling",
        5,
        "Unsupported protocol version",
    )
    .await;
    assert_eq!(
        http::get(probe.addr(), "/engine.io/?EIO=4&transport=polling&sid=")
            .await
            .status,
        200
    );
    assert_eq!(
        http::get(probe.addr(), "/engine.io/?EIO=4&tr%61nsport=poll%69ng")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn other_query_keys_are_kept() {
    // A015
    let mut probe = Probe::engine(json!({})).await;
    http::get(
        probe.addr(),
        "/engine.io/?EIO=4&transport=polling&a=b%20c&t=xyz",
    )
    .await;
    let open = probe.event("open").await;
    assert_eq!(open["query"]["a"], "b c");
    assert_eq!(open["query"]["t"], "xyz");
    assert_eq!(open["query"]["transport"], "polling");
}

#[tokio::test]
async fn requests_may_share_a_connection_or_close_it() {
    // A016
    let mut probe = Probe::engine(json!({"echo": true})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;

    let mut kept = Connection::open(probe.addr()).await;
    for text in ["4a", "4b"] {
        assert_eq!(
            kept.request("POST", &session.target, &[], text.as_bytes())
                .await
                .text(),
            "ok"
        );
        assert_eq!(
            kept.request("GET", &session.target, &[], b"").await.text(),
            text
        );
    }

    let close = [("Connection", "close")];
    assert_eq!(
        http::send(probe.addr(), "POST", &session.target, &close, b"4c")
            .await
            .text(),
        "ok"
    );
    let mut once = Connection::open(probe.addr()).await;
    assert_eq!(
        once.request("GET", &session.target, &close, b"")
            .await
            .text(),
        "4c"
    );
    assert_eq!(once.rest().await, (vec![], End::Closed));

    // A complete reply followed by the end of its connection is no error.
    session.send("4d").await;
    assert_eq!(session.poll().await, ["4d"]);
    probe.expect_none("close").await;
}

// --- A.2 options --------------------------------------------------------------------------------

#[tokio::test]
async fn the_open_packet_announces_the_defaults_in_a_fixed_order() {
    // A018, A019, A021, A022, A035
    let probe = Probe::engine(json!({})).await;
    let reply = http::get(probe.addr(), POLLING).await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    assert_eq!(
        reply.header("content-length"),
        Some(&*reply.body.len().to_string())
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let sid = crate::support::sid(&reply);
    let expected = format!(
        r#"0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
    );
    assert_eq!(reply.text(), expected);
}

#[tokio::test]
async fn the_open_packet_announces_what_was_configured() {
    // A018, A019, A021
    let options = json!({"pingInterval": 1234, "pingTimeout": 567, "maxHttpBufferSize": 89});
    let probe = Probe::engine(options).await;
    let open = Polling::open(probe.addr(), "/engine.io/").await.open;
    assert_eq!(
        (
            &open["pingInterval"],
            &open["pingTimeout"],
            &open["maxPayload"]
        ),
        (&json!(1234), &json!(567), &json!(89))
    );
}

#[tokio::test]
async fn a_transport_that_is_not_offered_is_unknown() {
    // A022
    let probe = Probe::engine(json!({"transports": ["websocket"]})).await;
    refused(probe.addr(), POLLING, 0, "Transport unknown").await;
    Ws::open(probe.addr(), WEBSOCKET)
        .await
        .expect_json("0")
        .await;
}

#[tokio::test]
async fn with_polling_alone_there_is_nothing_to_upgrade_to() {
    // A023
    let probe = Probe::engine(json!({"transports": ["polling"]})).await;
    assert_eq!(
        Polling::open(probe.addr(), "/engine.io/").await.open["upgrades"],
        json!([])
    );
    let Err((reply, _)) = Ws::attempt(probe.addr(), WEBSOCKET, &[]).await else {
        panic!("must be refused")
    };
    assert_eq!((reply.status, &reply.json()["code"]), (400, &json!(0)));
}

#[tokio::test]
async fn upgrades_may_be_hidden_but_are_not_refused() {
    // A024
    let probe = Probe::engine(json!({"allowUpgrades": false})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    assert_eq!(session.open["upgrades"], json!([]));
    let mut ws = Ws::open(probe.addr(), &session.upgrade_target()).await;
    ws.text("2probe").await;
    ws.expect("3probe").await;
}

#[tokio::test]
async fn allow_request_is_asked_once_per_session() {
    // A025
    let mut probe = Probe::engine(json!({"allowRequest": {"delay": 20}})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    session.send("4a").await;
    let mut ws = Ws::open(probe.addr(), &session.upgrade_target()).await;
    ws.text("2probe").await;
    ws.expect("3probe").await;
    assert_eq!(probe.taken("allow_request").await.len(), 1);

    Ws::open(probe.addr(), WEBSOCKET)
        .await
        .expect_json("0")
        .await;
    assert_eq!(probe.taken("allow_request").await.len(), 1);
}

#[tokio::test]
async fn the_initial_packet_follows_the_open_packet() {
    // A029
    let probe = Probe::engine(json!({"initialPacket": "welcome"})).await;
    assert_eq!(
        Polling::open(probe.addr(), "/engine.io/").await.early,
        ["4welcome"]
    );
    let mut ws = Ws::open(probe.addr(), WEBSOCKET).await;
    ws.expect_json("0").await;
    ws.expect("4welcome").await;
}
