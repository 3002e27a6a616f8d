//! Every request reaches the worker that owns its session.

use std::time::Duration;

use sala_testkit::http::{self, Connection};
use sala_testkit::polling::packets;
use sala_testkit::{within, ws};
use serde_json::{Value, json};

use crate::support::{
    Client, POLLING, clients_on_different_workers, cluster, handshake, logged, logged_address,
    poll, post, prefixes, session, sessions_of_different_workers, signal,
};

/// The same with connections that are passed on, and with a primary that stays between.
macro_rules! either_way {
    ($($test:ident),* $(,)?) => {
        mod by_descriptor {
            $(#[tokio::test]
            async fn $test() {
                super::$test("descriptor").await;
            })*
        }

        mod by_proxy {
            $(#[tokio::test]
            async fn $test() {
                super::$test("proxy").await;
            })*
        }
    };
}

either_way!(
    one_connection_carries_the_requests_of_sessions_of_all_workers,
    a_body_that_arrives_in_pieces_goes_along_with_its_request,
    requests_of_two_workers_in_one_packet_are_answered_in_order,
    an_upgrade_reaches_the_session_from_a_connection_of_another_worker,
    handshakes_on_one_connection_are_spread_too,
    pages_between_neither_end_the_connection_nor_mislead_what_comes_after,
    a_session_that_nobody_knows_is_answered_as_the_reference_does,
    a_trusted_proxy_tells_the_address_of_each_client_and_nobody_else_can,
    a_balancer_tells_the_address_of_the_client_and_nobody_else_can,
    slow_and_strange_beginnings_do_no_harm,
);

/// The reference pins a connection to the worker of its first request (H008); a proxy that keeps
/// connections open for all its clients then sends requests to workers that do not know them.
async fn one_connection_carries_the_requests_of_sessions_of_all_workers(way: &str) {
    let server = cluster(json!({ "forwarding": way })).await;
    let sids = sessions_of_different_workers(server.addr(), 4).await;
    let mut connection = Connection::open(server.addr()).await;
    for round in 0..3 {
        for sid in &sids {
            let reply = post(&mut connection, sid, if round == 0 { "40" } else { "4x" }).await;
            if round == 0 {
                assert_eq!((reply.status, reply.text()), (200, "ok"));
            }
            if round == 1 {
                break;
            }
            if round == 0 {
                let got = packets(&poll(&mut connection, sid).await);
                assert!(got[0].starts_with("40"), "{got:?}");
            }
        }
    }
}

async fn a_body_that_arrives_in_pieces_goes_along_with_its_request(way: &str) {
    let server = cluster(json!({ "forwarding": way })).await;
    let sids = sessions_of_different_workers(server.addr(), 2).await;
    let mut connection = Connection::open(server.addr()).await;
    assert_eq!(post(&mut connection, &sids[0], "40").await.text(), "ok");
    // Behind a request of the first session: the head and half of the body for the second one.
    let target = format!("{POLLING}&sid={}", sids[1]);
    let request = http::request("POST", &target, &[], b"40{\"token\":\"abc\"}");
    let (head, tail) = request.split_at(request.len() - 7);
    connection.send(head).await;
    let mut other = Connection::open(server.addr()).await;
    assert_eq!(poll(&mut other, &sids[0]).await.status, 200);
    connection.send(tail).await;
    assert_eq!(connection.response().await.text(), "ok");
    let got = packets(&poll(&mut connection, &sids[1]).await);
    assert!(got[0].starts_with("40"), "{got:?}");
}

async fn requests_of_two_workers_in_one_packet_are_answered_in_order(way: &str) {
    let server = cluster(json!({ "forwarding": way })).await;
    let sids = sessions_of_different_workers(server.addr(), 3).await;
    let mut connection = Connection::open(server.addr()).await;
    let requests: Vec<_> = sids
        .iter()
        .flat_map(|sid| http::request("POST", &format!("{POLLING}&sid={sid}"), &[], b"40"))
        .collect();
    connection.send(requests).await;
    for _ in &sids {
        assert_eq!(connection.response().await.text(), "ok");
    }
    for sid in &sids {
        let got = packets(&poll(&mut connection, sid).await);
        assert!(got[0].starts_with("40"), "{got:?}");
    }
}

async fn an_upgrade_reaches_the_session_from_a_connection_of_another_worker(way: &str) {
    let server = cluster(json!({ "forwarding": way })).await;
    let sids = sessions_of_different_workers(server.addr(), 2).await;
    let mut connection = Connection::open(server.addr()).await;
    assert_eq!(post(&mut connection, &sids[0], "40").await.text(), "ok");
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", sids[1]);
    connection.send(ws::handshake_bytes(&target, &[])).await;
    let mut socket = ws::Ws::adopt(connection).await.unwrap();
    socket.text("2probe").await;
    socket.expect("3probe").await;
}

async fn handshakes_on_one_connection_are_spread_too(way: &str) {
    let server = cluster(json!({ "forwarding": way })).await;
    let mut connection = Connection::open(server.addr()).await;
    let mut found = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let reply = connection.request("GET", POLLING, &[], b"").await;
        found.insert(session(&reply)[..2].to_owned());
    }
    assert_eq!(found.len(), 4, "{found:?}");
}

/// Proxies use one connection for pages and sessions alike.
async fn pages_between_neither_end_the_connection_nor_mislead_what_comes_after(way: &str) {
    let server = cluster(json!({ "forwarding": way })).await;
    let sids = sessions_of_different_workers(server.addr(), 4).await;
    let mut connection = Connection::open(server.addr()).await;
    for sid in &sids {
        let page = connection.request("GET", "/", &[], b"").await;
        assert_eq!((page.status, page.header("connection")), (404, None));
        assert_eq!(post(&mut connection, sid, "40").await.text(), "ok");
        let page = connection.request("POST", "/form", &[], b"a=1").await;
        assert_eq!((page.status, page.header("connection")), (404, None));
        let got = packets(&poll(&mut connection, sid).await);
        assert!(got[0].starts_with("40"), "{got:?}");
    }
}

async fn a_session_that_nobody_knows_is_answered_as_the_reference_does(way: &str) {
    let server = cluster(json!({ "forwarding": way })).await;
    let unknown = json!({ "code": 1, "message": "Session ID unknown" });
    for sid in ["AAAAAAAAAAAAAAAAAAAA", "__AAAAAAAAAAAAAAAAAA", "x", "%20"] {
        let reply = http::get(server.addr(), &format!("{POLLING}&sid={sid}")).await;
        assert_eq!(
            (reply.status, reply.json()),
            (400, unknown.clone()),
            "{sid}"
        );
    }
    // That of a worker that has died.
    let mut clients = clients_on_different_workers(server.addr(), 4).await;
    let (_, worker, pid) = &mut clients[0];
    let sid = loop {
        let sid = handshake(server.addr()).await;
        let status = post(&mut Connection::open(server.addr()).await, &sid, "40").await;
        assert_eq!(status.text(), "ok");
        let who = ask_by_polling(server.addr(), &sid).await;
        if who == *worker {
            break sid;
        }
    };
    signal("KILL", *pid).await;
    logged(&server, "worker died").await;
    let reply = http::get(server.addr(), &format!("{POLLING}&sid={sid}")).await;
    assert_eq!((reply.status, reply.json()), (400, unknown));
}

/// Which worker a polling session, just connected, is on.
async fn ask_by_polling(addr: std::net::SocketAddr, sid: &str) -> u64 {
    let mut connection = Connection::open(addr).await;
    let connected = packets(&poll(&mut connection, sid).await);
    assert!(connected[0].starts_with("40"), "{connected:?}");
    assert_eq!(
        post(&mut connection, sid, "420[\"whoami\"]").await.text(),
        "ok"
    );
    let answer = packets(&poll(&mut connection, sid).await);
    let answer: serde_json::Value = serde_json::from_str(&answer[0][3..]).unwrap();
    answer[0]["worker"].as_u64().unwrap()
}

/// J172
#[tokio::test]
async fn pages_of_other_sites_are_answered_by_the_worker_as_without_a_primary() {
    let server = cluster(json!({ "cors": "https://app.example.com" })).await;
    let origin = ("Origin", "https://app.example.com");
    let mut connection = Connection::open(server.addr()).await;
    let asks = [origin, ("Access-Control-Request-Method", "POST")];
    let preflight = connection.request("OPTIONS", POLLING, &asks, b"").await;
    assert_eq!(preflight.status, 204);
    for sid in sessions_of_different_workers(server.addr(), 4).await {
        let target = format!("{POLLING}&sid={sid}");
        let reply = connection.request("POST", &target, &[origin], b"40").await;
        assert_eq!(
            reply.header("access-control-allow-origin"),
            Some("https://app.example.com")
        );
    }
}

/// J172
mod new_clients_are_spread {
    use super::*;

    #[tokio::test]
    async fn to_the_worker_with_the_fewest_sessions() {
        let server = cluster(json!({})).await;
        let found = prefixes(server.addr(), 12).await;
        // Workers report a few times a second, so that one more or less is possible.
        assert!(
            found.values().all(|count| (2..=4).contains(count)),
            "{found:?}"
        );
        // Those of one worker leave; new ones fill the gap.
        let mut clients = clients_on_different_workers(server.addr(), 4).await;
        assert_eq!(clients.len(), 4);
        clients.truncate(1);
    }

    /// Requests that opened no session were never told of, and so counted as sessions: after many health
    /// checks, all new clients went to the first worker that had told how few it has.
    #[tokio::test]
    async fn whatever_came_before_without_a_session() {
        let control = tempfile::tempdir().unwrap();
        let path = control.path().join("control");
        let server = cluster(json!({ "workers": 2, "control": path })).await;
        for _ in 0..60 {
            http::get(server.addr(), "/health").await;
        }
        let told = async {
            while !sessions(&path).await.iter().all(|count| *count == 0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within("the workers to tell that they have no sessions", told).await;
        let found = prefixes(server.addr(), 12).await;
        assert!(
            found.values().all(|count| (5..=7).contains(count)),
            "{found:?}"
        );
    }

    async fn sessions(control: &std::path::Path) -> Vec<u64> {
        let mut sessions = Vec::new();
        let line = |line: &str| {
            if line.starts_with("worker ") {
                let count = line.split("sessions ").nth(1).unwrap();
                sessions.push(count.split(' ').next().unwrap().parse().unwrap());
            }
        };
        sala_cluster::order(control, "status", line).await.unwrap();
        sessions
    }

    #[tokio::test]
    async fn to_one_after_the_other() {
        let server = cluster(json!({ "balance": "round-robin" })).await;
        let mut order = Vec::new();
        for _ in 0..8 {
            order.push(handshake(server.addr()).await[..2].to_owned());
        }
        assert_eq!(order[..4], order[4..]);
        order.truncate(4);
        order.sort();
        order.dedup();
        assert_eq!(order.len(), 4);
    }

    #[tokio::test]
    async fn at_random() {
        let server = cluster(json!({ "balance": "random" })).await;
        let found = prefixes(server.addr(), 200).await;
        assert_eq!(found.len(), 4);
        // 50 each; less than 20 would be a matter of 1 in 10 million.
        assert!(found.values().all(|&count| count >= 20), "{found:?}");
    }
}

async fn a_balancer_tells_the_address_of_the_client_and_nobody_else_can(way: &str) {
    let trusted =
        cluster(json!({ "forwarding": way, "balancers": ["127.0.0.0/8"], "workers": 2 })).await;
    let mut connection = Connection::open(trusted.addr()).await;
    let mut bytes = b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\n".to_vec();
    bytes.extend(http::request("GET", POLLING, &[], b""));
    connection.send(bytes).await;
    let first = session(&connection.response().await);
    // The address survives when the connection is passed on to the other worker.
    let second = session(&connection.request("GET", POLLING, &[], b"").await);
    assert_ne!(first[..2], second[..2]);
    for sid in [first, second] {
        assert_eq!(post(&mut connection, &sid, "40").await.text(), "ok");
        poll(&mut connection, &sid).await;
        post(&mut connection, &sid, "420[\"whoami\"]").await;
        let answer = packets(&poll(&mut connection, &sid).await);
        assert!(answer[0].contains("\"192.0.2.7\""), "{answer:?}");
    }
    // Without a header a balancer is refused: it is not set up as it should be.
    let mut connection = Connection::open(trusted.addr()).await;
    connection
        .send(http::request("GET", POLLING, &[], b""))
        .await;
    assert!(connection.try_response(false).await.is_err());

    // Others cannot say what they like: it is no HTTP.
    let server = cluster(json!({ "forwarding": way, "workers": 1 })).await;
    let mut connection = Connection::open(server.addr()).await;
    connection
        .send("PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\n\r\n")
        .await;
    assert_eq!(connection.response().await.status, 400);
}

/// What a worker knows of the client whose handshake has these header lines: its address, and what is
/// left of `X-Forwarded-For`.
async fn address_behind(connection: &mut Connection, lines: &[(&str, &str)]) -> [Value; 2] {
    let sid = session(&connection.request("GET", POLLING, lines, b"").await);
    assert_eq!(post(connection, &sid, "40").await.text(), "ok");
    poll(connection, &sid).await;
    post(connection, &sid, "420[\"whoami\"]").await;
    let answer = packets(&poll(connection, &sid).await);
    let answer: Value = serde_json::from_str(&answer[0][3..]).unwrap();
    [answer[0]["address"].clone(), answer[0]["forwarded"].clone()]
}

async fn a_trusted_proxy_tells_the_address_of_each_client_and_nobody_else_can(way: &str) {
    let proxies =
        json!({ "forwarding": way, "proxies": ["127.0.0.1", "10.0.0.0/8"], "workers": 2 });
    let server = cluster(proxies).await;
    // Clients of one connection of a proxy, on both workers.
    let mut connection = Connection::open(server.addr()).await;
    for client in ["192.0.2.7", "2001:db8::7", "192.0.2.8", "192.0.2.9"] {
        let list = format!("8.8.8.8, {client}, 10.1.2.3");
        let seen = address_behind(&mut connection, &[("X-Forwarded-For", &list)]).await;
        assert_eq!(seen, [json!(client), json!(list)]);
    }
    let endless = "1.1.1.1,".repeat(1800);
    for hostile in ["unknown", "", "192.0.2.1;DROP", &endless, ", , ,", "[::1"] {
        let [address, _] = address_behind(&mut connection, &[("X-Forwarded-For", hostile)]).await;
        assert_eq!(address, json!("127.0.0.1"), "{hostile}");
    }

    // Somebody else's header is not even there.
    let strict =
        cluster(json!({ "forwarding": way, "proxies": ["10.0.0.0/8"], "workers": 1 })).await;
    let mut connection = Connection::open(strict.addr()).await;
    let seen = address_behind(&mut connection, &[("X-Forwarded-For", "192.0.2.7")]).await;
    assert_eq!(seen, [json!("127.0.0.1"), Value::Null]);

    // Without a word about proxies, it means nothing, as in the reference.
    let plain = cluster(json!({ "forwarding": way, "workers": 1 })).await;
    let mut connection = Connection::open(plain.addr()).await;
    let seen = address_behind(&mut connection, &[("X-Forwarded-For", "192.0.2.7")]).await;
    assert_eq!(seen, [json!("127.0.0.1"), json!("192.0.2.7")]);
}

/// TLS that ends in the primary: a stream with a state, which no worker could go on with.
#[tokio::test]
async fn a_connection_that_cannot_be_passed_on_is_served_all_the_same() {
    let server = cluster(json!({ "entrance": true })).await;
    let addr = logged_address(&server, "entrance ").await;
    for round in 0..2 {
        let mut clients = clients_on_different_workers(addr, 4).await;
        for (client, ..) in &mut clients {
            let who = client.ask(json!(["whoami"])).await;
            assert_eq!(
                (&who["address"], &who["secure"]),
                (&json!("192.0.2.50"), &json!(true)),
                "{round}"
            );
        }
    }
    let sids = sessions_of_different_workers(addr, 4).await;
    let mut connection = Connection::open(addr).await;
    for sid in &sids {
        assert_eq!(post(&mut connection, sid, "40").await.text(), "ok");
        post(&mut connection, sid, "420[\"whoami\"]").await;
        let got = packets(&poll(&mut connection, sid).await).concat();
        assert!(got.contains("\"secure\":true"), "{got}");
    }
}

/// A balancer that speaks the PROXY protocol in front of proxies that write the header.
#[tokio::test]
async fn the_proxy_protocol_tells_which_proxy_it_is() {
    let both = json!({ "balancers": ["127.0.0.1"], "proxies": ["10.0.0.0/8"], "workers": 1 });
    let server = cluster(both).await;
    for (proxy, expected) in [("10.0.0.5", "192.0.2.7"), ("192.0.2.99", "192.0.2.99")] {
        let mut connection = Connection::open(server.addr()).await;
        let header = format!("PROXY TCP4 {proxy} 192.0.2.8 4000 80\r\n");
        connection.send(header).await;
        let [address, _] =
            address_behind(&mut connection, &[("X-Forwarded-For", "192.0.2.7")]).await;
        assert_eq!(address, json!(expected));
    }
}

async fn slow_and_strange_beginnings_do_no_harm(way: &str) {
    let server = cluster(json!({ "forwarding": way, "workers": 2 })).await;
    let mut slow = Connection::open(server.addr()).await;
    let request = http::request("GET", POLLING, &[], b"");
    for byte in &request {
        slow.send([*byte]).await;
    }
    session(&slow.response().await);
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0",
        b"GET\r\n\r\n",
    ] {
        let mut connection = Connection::open(server.addr()).await;
        connection.send(garbage).await;
        connection.finish_sending().await;
        connection.rest().await;
    }
    let mut client = Client::open(server.addr()).await;
    assert!(client.ask(json!(["whoami"])).await["worker"].is_u64());
}
