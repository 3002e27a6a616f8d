//! The official clients of every major version, each over polling, over WebSocket and through the upgrade.

use std::time::Duration;

use sala_interop::{Probe, node, project_dir};
use sala_testkit::within_long;
use serde_json::{Value, json};

/// A server for `clients/scenarios.js`.
async fn lab(mut options: Value) -> Probe {
    if options["allowEIO3"].is_null() {
        options["allowEIO3"] = json!(true);
    }
    let mut probe = Probe::start(options).await;
    for nsp in ["/", "/ns", "/other", "/private", "/refused"] {
        probe.run(json!({"do": "of", "nsp": nsp})).await;
    }
    probe
        .run(json!({"do": "use", "nsp": "/private", "steps": [{"needToken": "secret"}]}))
        .await;
    let refuse = json!({"message": "not you", "data": {"code": 7}});
    probe
        .run(json!({"do": "use", "nsp": "/refused", "steps": [{"refuse": refuse}]}))
        .await;
    let handlers = [
        json!({"event": "echo", "with": "emit-back"}),
        json!({"event": "ack", "with": "ack-back"}),
        json!({"event": "ask", "with": "ask", "out": "question"}),
        json!({"event": "whoami", "with": "whoami"}),
        json!({"event": "join", "with": "join"}),
        json!({"event": "leave", "with": "leave"}),
        json!({"event": "to", "with": "to"}),
        json!({"event": "in", "with": "in"}),
        json!({"event": "set-data", "with": "set-data"}),
        json!({"event": "volatile", "with": "volatile"}),
        json!({"event": "kick", "with": "disconnect", "close": false}),
        json!({"event": "kick-all", "with": "disconnect", "close": true}),
        json!({"event": "drop", "with": "close-conn"}),
        json!({"event": "count", "with": "count"}),
        json!({"event": "counted", "with": "counted", "of": "count"}),
        json!({"event": "many", "with": "emit-many", "out": "n"}),
    ];
    for nsp in ["/", "/ns", "/other"] {
        for handler in &handlers {
            let mut command = handler.clone();
            command["do"] = json!("handle");
            command["nsp"] = json!(nsp);
            probe.run(command).await;
        }
    }
    probe
}

/// Runs a scenario against a server of its own.
async fn scenario(version: &str, name: &str, options: Value) -> Probe {
    let parser = options["parser"].as_str().unwrap_or("default").to_owned();
    let probe = lab(options).await;
    let script = node(&project_dir().join("clients/run.js"));
    let script = script
        .arg(version)
        .arg(name)
        .arg(format!("http://{}", probe.addr()))
        .env("PARSER", parser);
    let mut script = script.listeners(0).start().await;
    let status = within_long(Duration::from_secs(55), "the client to end", script.exit()).await;
    assert!(
        status.success(),
        "client {version} failed in {name}:\n{}",
        script.log()
    );
    probe
}

macro_rules! scenarios {
    ($($(#[$doc:meta])* $test:ident: $name:literal, [$($version:ident),+] $(, $options:tt)?;)+) => {
        $(scenarios!(@each $test, $name, [$($version),+], ($($options)?));)+
    };
    (@each $test:ident, $name:literal, [$($version:ident),+], $options:tt) => {
        mod $test {
            $(scenarios!(@one $version, $name, $options);)+
        }
    };
    (@one $version:ident, $name:literal, ()) => {
        scenarios!(@one $version, $name, ({}));
    };
    (@one $version:ident, $name:literal, ($options:tt)) => {
        #[tokio::test]
        async fn $version() {
            let version = stringify!($version).trim_start_matches("client_");
            super::scenario(version, $name, serde_json::json!($options)).await;
        }
    };
}

scenarios! {
    // B068, E001
    connecting_gives_the_same_id_on_both_sides: "connect", [client_4, client_3, client_2];
    // B010, B064, E004
    auth_and_query_arrive: "auth", [client_4, client_3, client_2];
    // E002
    headers_arrive: "headers", [client_4, client_3, client_2];
    // B004, E035
    every_value_is_echoed: "text", [client_4, client_3, client_2];
    // A078, A159
    every_text_is_echoed: "utf8", [client_4, client_3, client_2];
    // B033, B034
    bytes_are_echoed: "binary", [client_4, client_3, client_2];
    // B033
    nested_bytes_are_echoed: "nestedBinary", [client_4, client_3, client_2];
    // B023
    the_server_acknowledges: "acks", [client_4, client_3, client_2];
    // E039
    the_client_acknowledges: "questions", [client_4, client_3, client_2];
    // B024; elsewhere a version 2 client timed out here over polling
    acknowledgements_carry_bytes: "binaryAcks", [client_4, client_3, client_2];
    // G015
    acknowledgements_time_out_at_the_client: "ackTimeouts", [client_4];
    // C025
    namespaces_share_a_connection: "namespaces", [client_4, client_3, client_2];
    // B014
    an_unknown_namespace_is_an_error: "unknownNamespace", [client_4, client_3, client_2];
    // B015, B065
    a_refusal_reaches_the_client: "refusals", [client_4, client_3, client_2];
    // C087, E058
    rooms_reach_their_members: "rooms", [client_4, client_3, client_2];
    // E066, E067
    a_kicked_client_is_told: "beingKicked", [client_4, client_3, client_2];
    // E066
    a_kicked_client_may_return: "kickedAndBack", [client_4, client_3, client_2];
    // E077
    a_dropped_client_reconnects: "reconnecting", [client_4, client_3, client_2];
    // C068
    a_dropped_client_is_recovered: "recovery", [client_4], {"connectionStateRecovery": {}};
    // C091
    volatile_events_harm_nobody: "volatile", [client_4, client_3, client_2];
    // B007
    large_payloads_arrive: "largePayloads", [client_4, client_3, client_2];
    // B022
    twenty_thousand_events_stay_in_order: "order", [client_4, client_3, client_2];
    // A127
    events_stay_in_order_through_the_upgrade: "orderThroughTheUpgrade", [client_4, client_3, client_2];
    // elsewhere 19 of 300 were lost
    an_event_right_after_connect_is_never_lost: "rightAfterConnect", [client_4, client_3, client_2];
    // B021
    events_that_waited_for_the_connection_arrive: "bufferedBeforeConnect", [client_4, client_3, client_2];
    // elsewhere 128 of 1,000 arrived
    a_thousand_emits_of_one_handler_arrive: "manyEmits", [client_4, client_3, client_2];
    // A128, A135
    heartbeats_keep_clients_connected: "heartbeats", [client_4, client_3, client_2], {"pingInterval": 200, "pingTimeout": 1000};
}

/// B059: the MessagePack parser, with the client that has the same.
mod msgpack {
    macro_rules! with_msgpack {
        ($($test:ident: $name:literal;)+) => {
            $(#[tokio::test]
            async fn $test() {
                super::scenario("4", $name, serde_json::json!({"parser": "msgpack", "allowEIO3": false})).await;
            })+
        };
    }

    with_msgpack! {
        connecting_gives_the_same_id_on_both_sides: "connect";
        auth_and_query_arrive: "auth";
        every_value_is_echoed: "text";
        every_text_is_echoed: "utf8";
        bytes_are_echoed: "binary";
        nested_bytes_are_echoed: "nestedBinary";
        the_server_acknowledges: "acks";
        the_client_acknowledges: "questions";
        acknowledgements_carry_bytes: "binaryAcks";
        namespaces_share_a_connection: "namespaces";
        a_refusal_reaches_the_client: "refusals";
        rooms_reach_their_members: "rooms";
        large_payloads_arrive: "largePayloads";
        a_thousand_emits_of_one_handler_arrive: "manyEmits";
    }
}

/// A104 to A107: compressed WebSocket messages, with clients that offer the extension by themselves.
mod compressed {
    macro_rules! with_compression {
        ($($test:ident: $name:literal;)+) => {
            $(mod $test {
                use serde_json::json;

                fn options() -> serde_json::Value {
                    json!({"perMessageDeflate": {"threshold": 0}})
                }

                #[tokio::test]
                async fn client_4() {
                    super::super::scenario("4", $name, options()).await;
                }

                #[tokio::test]
                async fn client_2() {
                    super::super::scenario("2", $name, options()).await;
                }
            })+
        };
    }

    with_compression! {
        every_value_is_echoed: "text";
        every_text_is_echoed: "utf8";
        bytes_are_echoed: "binary";
        acknowledgements_carry_bytes: "binaryAcks";
        large_payloads_arrive: "largePayloads";
        a_thousand_emits_of_one_handler_arrive: "manyEmits";
        twenty_thousand_events_stay_in_order: "order";
    }
}

mod a_client_that_leaves_is_seen_to_leave {
    // E074
    async fn leaves(version: &str) {
        let mut probe = super::scenario(version, "leaving", serde_json::json!({})).await;
        for _ in 0..3 {
            let gone = probe.event("disconnect").await;
            // Older versions may close their transport before they have said goodbye.
            let early = version != "4" && gone["reason"] == "transport close";
            assert!(
                early || gone["reason"] == "client namespace disconnect",
                "{gone}"
            );
        }
    }

    #[tokio::test]
    async fn client_4() {
        leaves("4").await;
    }

    #[tokio::test]
    async fn client_3() {
        leaves("3").await;
    }

    #[tokio::test]
    async fn client_2() {
        leaves("2").await;
    }
}
