//! A.11 and A.12: middlewares, header hooks, cookies, CORS and HTTP compression.

use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};
use sala_interop::{Probe, departs};
use sala_testkit::http::{self, Response, send};
use sala_testkit::polling::Polling;
use sala_testkit::ws::Ws;
use serde_json::{Value, json};

use crate::support::{POLLING, WEBSOCKET, assert_refused, upgrade_and_wait, upgrade_refused};

// --- middlewares and hooks ----------------------------------------------------------------------

#[tokio::test]
async fn middlewares_see_every_request_and_may_set_headers() {
    // A166, A167, A168
    let mut probe = Probe::engine(json!({"use": [{"set": ["X-Mine", "a"], "report": true}]})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    assert_eq!(session.post("4a").await.header("x-mine"), Some("a"));
    assert_eq!(
        http::get(probe.addr(), "/engine.io/?EIO=4")
            .await
            .header("x-mine"),
        Some("a")
    );
    let ws = Ws::open(probe.addr(), WEBSOCKET).await;
    assert_eq!(ws.handshake.header("x-mine"), Some("a"));
    assert_eq!(probe.taken("middleware").await.len(), 4);
}

#[tokio::test]
async fn a_failing_middleware_refuses() {
    // A044 MIDDLEWARE_FAILURE, A166
    let mut probe = Probe::engine(json!({"use": [{"fail": "no"}, {"report": true}]})).await;
    assert_refused(&http::get(probe.addr(), POLLING).await, 3, "Bad request");
    if !departs(
        "A044",
        "its middlewares are layers, which answer by themselves",
    ) {
        assert_eq!(
            probe.event("connection_error").await["context"]["name"],
            "MIDDLEWARE_FAILURE"
        );
    }
    upgrade_refused(probe.addr(), WEBSOCKET, 400, "Bad request").await;
    probe.expect_none("middleware").await;
}

#[tokio::test]
async fn a_middleware_may_answer_by_itself() {
    // A166, A167
    let mut probe = Probe::engine(json!({"use": [{"end": 503}, {"report": true}]})).await;
    let reply = http::get(probe.addr(), POLLING).await;
    assert_eq!((reply.status, reply.text()), (503, "ended"));
    if departs(
        "A167",
        "the answer of a layer to an upgrade request is sent like any other",
    ) {
        let Err((reply, _)) = Ws::attempt(probe.addr(), WEBSOCKET, &[]).await else {
            panic!("must be refused")
        };
        assert_eq!((reply.status, reply.text()), (503, "ended"));
    } else {
        assert_eq!(upgrade_and_wait(probe.addr(), WEBSOCKET).await.0, b"");
    }
    probe.expect_none("middleware").await;
    probe.expect_none("connection_error").await;
}

#[tokio::test]
async fn a_middleware_may_take_its_time() {
    // A166
    let probe = Probe::engine(json!({"use": [{"delay": 30}, {"set": ["X-Late", "yes"]}]})).await;
    assert_eq!(
        http::get(probe.addr(), POLLING).await.header("x-late"),
        Some("yes")
    );
    assert_eq!(
        Ws::open(probe.addr(), WEBSOCKET)
            .await
            .handshake
            .header("x-late"),
        Some("yes")
    );
}

#[tokio::test]
async fn header_hooks_run_once_for_the_session_and_once_per_reply() {
    // A170, A171
    let options = json!({"report": ["headers"], "initialHeaders": {"X-First": "1"}, "headers": {"X-Each": "2"}});
    let mut probe = Probe::engine(options).await;
    let reply = http::get(probe.addr(), POLLING).await;
    assert_eq!(
        (reply.header("x-first"), reply.header("x-each")),
        (Some("1"), Some("2"))
    );
    let session = Polling::from_reply(probe.addr(), POLLING, &reply);
    let reply = session.post("4a").await;
    assert_eq!(
        (reply.header("x-first"), reply.header("x-each")),
        (None, Some("2"))
    );
    probe
        .run(json!({"do": "send", "id": session.sid, "data": "a"}))
        .await;
    let reply = session.get().await;
    assert_eq!(
        (reply.header("x-first"), reply.header("x-each")),
        (None, Some("2"))
    );
    assert_eq!(probe.taken("initial_headers").await.len(), 1);
    assert_eq!(probe.taken("headers").await.len(), 3);

    let ws = Ws::open(probe.addr(), &session.upgrade_target()).await;
    assert_eq!(
        (
            ws.handshake.header("x-first"),
            ws.handshake.header("x-each")
        ),
        (None, Some("2"))
    );
    let ws = Ws::open(probe.addr(), WEBSOCKET).await;
    assert_eq!(
        (
            ws.handshake.header("x-first"),
            ws.handshake.header("x-each")
        ),
        (Some("1"), Some("2"))
    );
    assert_eq!(probe.taken("initial_headers").await.len(), 1);
    assert_eq!(probe.taken("headers").await.len(), 2);

    let refused = http::get(probe.addr(), "/engine.io/?EIO=4").await;
    assert_eq!(refused.header("x-each"), None);
    probe.expect_none("headers").await;
}

// --- the cookie ---------------------------------------------------------------------------------

async fn cookie_of(cookie: Value) -> (String, Option<String>) {
    let probe = Probe::engine(json!({"cookie": cookie})).await;
    let reply = http::get(probe.addr(), POLLING).await;
    (
        crate::support::sid(&reply),
        reply.header("set-cookie").map(str::to_owned),
    )
}

#[tokio::test]
async fn there_is_no_cookie_by_default() {
    // A030, A185
    assert_eq!(cookie_of(json!(null)).await.1, None);
    assert_eq!(cookie_of(json!(false)).await.1, None);
}

#[tokio::test]
async fn the_default_cookie() {
    // A186
    let (sid, cookie) = cookie_of(json!(true)).await;
    assert_eq!(
        cookie,
        Some(format!("io={sid}; Path=/; HttpOnly; SameSite=Lax"))
    );
}

#[tokio::test]
async fn the_cookie_comes_with_the_polling_handshake_only() {
    // A186, A187, A189
    let mut probe = Probe::engine(json!({"cookie": true})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    probe
        .run(json!({"do": "send", "id": session.sid, "data": "a"}))
        .await;
    let reply = session.get().await;
    assert_eq!((reply.status, reply.header("set-cookie")), (200, None));
    assert_eq!(session.post("4a").await.header("set-cookie"), None);
    assert_eq!(
        Ws::open(probe.addr(), WEBSOCKET)
            .await
            .handshake
            .header("set-cookie"),
        None
    );
}

#[tokio::test]
async fn the_cookie_can_be_shaped() {
    // A188
    let (sid, cookie) = cookie_of(
        json!({"name": "x", "maxAge": 60, "domain": "example.com", "path": "/foo", "secure": true}),
    )
    .await;
    assert_eq!(
        cookie,
        Some(format!(
            "x={sid}; Max-Age=60; Domain=example.com; Path=/foo; HttpOnly; Secure; SameSite=Lax"
        ))
    );
    let (sid, cookie) =
        cookie_of(json!({"name": "x", "httpOnly": false, "sameSite": "strict"})).await;
    assert_eq!(cookie, Some(format!("x={sid}; Path=/; SameSite=Strict")));
    let (sid, cookie) = cookie_of(
        json!({"path": false, "sameSite": "none", "priority": "high", "partitioned": true}),
    )
    .await;
    assert_eq!(
        cookie,
        Some(format!(
            "io={sid}; HttpOnly; Partitioned; Priority=High; SameSite=None"
        ))
    );
    let (sid, cookie) =
        cookie_of(json!({"expires": "2030-01-02T03:04:05Z", "sameSite": true})).await;
    assert_eq!(
        cookie,
        Some(format!(
            "io={sid}; Path=/; Expires=Wed, 02 Jan 2030 03:04:05 GMT; HttpOnly; SameSite=Strict"
        ))
    );
}

// --- CORS ---------------------------------------------------------------------------------------

const ORIGIN: (&str, &str) = ("Origin", "http://a.com");
const ALLOW: &str = "access-control-allow-origin";

fn cors_headers(reply: &Response) -> Vec<(String, String)> {
    let names = reply
        .headers
        .iter()
        .map(|(name, value)| (name.to_lowercase(), value.clone()));
    let mut headers: Vec<_> = names
        .filter(|(name, _)| name.starts_with("access-control-") || name == "vary")
        .collect();
    headers.sort();
    headers
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn there_are_no_cors_headers_by_default() {
    // A031, A190, I002
    let probe = Probe::engine(json!({})).await;
    let reply = send(probe.addr(), "GET", POLLING, &[ORIGIN], b"").await;
    assert_eq!(reply.status, 200);
    assert_eq!(cors_headers(&reply), pairs(&[]));
}

#[tokio::test]
async fn any_origin_can_be_allowed() {
    // A191
    for cors in [json!({"origin": "*"}), json!(true)] {
        let probe = Probe::engine(json!({"cors": cors})).await;
        let reply = send(probe.addr(), "GET", POLLING, &[ORIGIN], b"").await;
        assert_eq!(cors_headers(&reply), pairs(&[(ALLOW, "*")]), "{cors}");
    }
}

#[tokio::test]
async fn a_fixed_origin_is_always_sent() {
    // A193
    let probe = Probe::engine(json!({"cors": {"origin": "http://a.com"}})).await;
    for origin in ["http://a.com", "http://b.com"] {
        let reply = send(probe.addr(), "GET", POLLING, &[("Origin", origin)], b"").await;
        assert_eq!(
            cors_headers(&reply),
            pairs(&[(ALLOW, "http://a.com"), ("vary", "Origin")])
        );
    }
}

#[tokio::test]
async fn an_origin_on_the_list_is_mirrored() {
    // A194, I003: origins are compared whole
    let probe = Probe::engine(json!({"cors": {"origin": ["http://a.com", "http://b.com"]}})).await;
    let reply = send(probe.addr(), "GET", POLLING, &[ORIGIN], b"").await;
    assert_eq!(
        cors_headers(&reply),
        pairs(&[(ALLOW, "http://a.com"), ("vary", "Origin")])
    );
    for origin in [
        "http://c.com",
        "http://a.com$.evil",
        "http://a.com.evil.com",
        "http://a.com`",
        "http://xa.com",
    ] {
        let reply = send(probe.addr(), "GET", POLLING, &[("Origin", origin)], b"").await;
        assert_eq!(
            cors_headers(&reply),
            pairs(&[("vary", "Origin")]),
            "{origin}"
        );
    }
}

#[tokio::test]
async fn every_origin_can_be_mirrored_with_credentials() {
    // A191, A195
    let probe = Probe::engine(json!({"cors": {"origin": true, "credentials": true}})).await;
    let reply = send(probe.addr(), "GET", POLLING, &[ORIGIN], b"").await;
    let expected = [
        ("access-control-allow-credentials", "true"),
        (ALLOW, "http://a.com"),
        ("vary", "Origin"),
    ];
    assert_eq!(cors_headers(&reply), pairs(&expected));
}

#[tokio::test]
async fn origins_can_match_a_pattern() {
    // A191
    let probe = Probe::engine(json!({"cors": {"origin": {"pattern": r"\.a\.com$"}}})).await;
    let reply = send(
        probe.addr(),
        "GET",
        POLLING,
        &[("Origin", "http://x.a.com")],
        b"",
    )
    .await;
    assert_eq!(reply.header(ALLOW), Some("http://x.a.com"));
    let reply = send(
        probe.addr(),
        "GET",
        POLLING,
        &[("Origin", "http://x.b.com")],
        b"",
    )
    .await;
    assert_eq!(reply.header(ALLOW), None);
}

#[tokio::test]
async fn cors_can_be_switched_off() {
    // A191
    let probe = Probe::engine(json!({"cors": {"origin": false}})).await;
    let reply = send(probe.addr(), "GET", POLLING, &[ORIGIN], b"").await;
    assert_eq!((reply.status, cors_headers(&reply)), (200, pairs(&[])));
}

#[tokio::test]
async fn headers_can_be_exposed() {
    // A191
    let probe =
        Probe::engine(json!({"cors": {"origin": "*", "exposedHeaders": ["X-A", "X-B"]}})).await;
    let reply = send(probe.addr(), "GET", POLLING, &[ORIGIN], b"").await;
    assert_eq!(
        reply.header("access-control-expose-headers"),
        Some("X-A,X-B")
    );
}

#[tokio::test]
async fn a_preflight_is_answered() {
    // A192
    let cors = json!({"origin": "http://a.com", "methods": ["GET", "PUT"], "allowedHeaders": ["X-A", "X-B"], "credentials": true, "maxAge": 9});
    let probe = Probe::engine(json!({"cors": cors})).await;
    let ask = [
        ORIGIN,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "X-C"),
    ];
    let reply = send(probe.addr(), "OPTIONS", POLLING, &ask, b"").await;
    assert_eq!((reply.status, reply.text()), (204, ""));
    if !departs(
        "A192",
        "HTTP forbids Content-Length in a 204, and hyper leaves it out",
    ) {
        assert_eq!(reply.header("content-length"), Some("0"));
    }
    let expected = [
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-headers", "X-A,X-B"),
        ("access-control-allow-methods", "GET,PUT"),
        (ALLOW, "http://a.com"),
        ("access-control-max-age", "9"),
    ];
    let headers: Vec<_> = cors_headers(&reply)
        .into_iter()
        .filter(|(name, _)| name != "vary")
        .collect();
    assert_eq!(headers, pairs(&expected));
}

#[tokio::test]
async fn a_preflight_mirrors_the_headers_that_are_asked_for() {
    // A192
    let probe = Probe::engine(json!({"cors": {"origin": "*"}})).await;
    let ask = [
        ORIGIN,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "X-C, X-D"),
    ];
    let reply = send(probe.addr(), "OPTIONS", POLLING, &ask, b"").await;
    assert_eq!(
        reply.header("access-control-allow-headers"),
        Some("X-C, X-D")
    );
    assert_eq!(
        reply.header("access-control-allow-methods"),
        Some("GET,HEAD,PUT,PATCH,POST,DELETE")
    );
    assert_eq!(reply.header("vary"), Some("Access-Control-Request-Headers"));
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    assert_eq!(
        send(probe.addr(), "OPTIONS", &session.target, &ask, b"")
            .await
            .status,
        204
    );
    session.send("4alive").await;
}

#[tokio::test]
async fn a_preflight_can_have_another_status_or_be_handed_on() {
    // A191
    let probe = Probe::engine(json!({"cors": {"origin": "*", "optionsSuccessStatus": 200}})).await;
    assert_eq!(
        send(probe.addr(), "OPTIONS", POLLING, &[ORIGIN], b"")
            .await
            .status,
        200
    );
    let probe = Probe::engine(json!({"cors": {"origin": "*", "preflightContinue": true}})).await;
    let reply = send(probe.addr(), "OPTIONS", POLLING, &[ORIGIN], b"").await;
    assert_refused(&reply, 2, "Bad handshake method");
    assert_eq!(reply.header(ALLOW), Some("*"));
}

#[tokio::test]
async fn cors_covers_every_reply_of_ours_and_no_other() {
    // A040, A196
    let probe = Probe::engine(json!({"cors": {"origin": "*"}, "pages": {"/hello": "world"}})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    assert_eq!(session.post("4a").await.header(ALLOW), Some("*"));
    assert_eq!(
        http::get(probe.addr(), "/engine.io/?EIO=4")
            .await
            .header(ALLOW),
        Some("*")
    );
    assert_eq!(
        Ws::open(probe.addr(), WEBSOCKET)
            .await
            .handshake
            .header(ALLOW),
        Some("*")
    );
    assert_eq!(http::get(probe.addr(), "/hello").await.header(ALLOW), None);
}

// --- HTTP compression ---------------------------------------------------------------------------

async fn big_poll(options: Value, accept: &str, send_more: Value) -> (Response, String) {
    let mut probe = Probe::engine(options).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    let data = "x".repeat(3000);
    let mut command = json!({"do": "send", "id": session.sid, "data": data});
    command
        .as_object_mut()
        .unwrap()
        .extend(send_more.as_object().unwrap().clone());
    probe.run(command).await;
    let reply = send(
        probe.addr(),
        "GET",
        &session.target,
        &[("Accept-Encoding", accept)],
        b"",
    )
    .await;
    (reply, format!("4{data}"))
}

#[tokio::test]
async fn a_large_reply_is_compressed_as_the_client_prefers() {
    // A198, A199
    let table = [
        ("gzip", Some("gzip")),
        ("deflate", Some("deflate")),
        ("gzip, deflate", Some("gzip")),
        ("deflate, gzip", Some("deflate")),
        ("gzip;q=0.5, deflate;q=0.9", Some("deflate")),
        ("*", Some("gzip")),
        ("br", None),
        ("br, gzip", Some("gzip")),
        ("gzip;q=0", None),
        ("identity", None),
        ("", None),
    ];
    for (accept, expected) in table {
        let (reply, body) = big_poll(json!({}), accept, json!({})).await;
        assert_eq!(reply.header("content-encoding"), expected, "{accept}");
        let mut text = String::new();
        match expected {
            Some("gzip") => GzDecoder::new(&reply.body[..])
                .read_to_string(&mut text)
                .unwrap(),
            Some(_) => ZlibDecoder::new(&reply.body[..])
                .read_to_string(&mut text)
                .unwrap(),
            None => {
                text = reply.text().to_owned();
                0
            }
        };
        assert_eq!(text, body, "{accept}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn a_small_reply_is_not_compressed() {
    // A027, A198
    let (reply, _) = big_poll(json!({}), "gzip", json!({"data": "y".repeat(1022)})).await;
    assert_eq!(reply.header("content-encoding"), None);
    let (reply, _) = big_poll(json!({}), "gzip", json!({"data": "y".repeat(1023)})).await;
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    let (reply, _) = big_poll(
        json!({"httpCompression": {"threshold": 10}}),
        "gzip",
        json!({"data": "ten or more"}),
    )
    .await;
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn compression_can_be_switched_off() {
    // A201
    let (reply, body) = big_poll(json!({"httpCompression": false}), "gzip", json!({})).await;
    assert_eq!(
        (reply.header("content-encoding"), reply.text()),
        (None, &*body)
    );
}

#[tokio::test]
async fn compression_can_be_refused_per_packet() {
    // A202
    let (reply, body) = big_poll(json!({}), "gzip", json!({"compress": false})).await;
    assert_eq!(
        (reply.header("content-encoding"), reply.text()),
        (None, &*body)
    );
}

#[tokio::test]
async fn compressed_bodies_of_clients_are_not_inflated() {
    // A203
    let mut probe = Probe::engine(json!({})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    let gzip = [("Content-Encoding", "gzip")];
    send(
        probe.addr(),
        "POST",
        &session.target,
        &gzip,
        &[0x1f, 0x8b, 8, 0, 0],
    )
    .await;
    assert_eq!(probe.event("close").await["reason"], "parse error");
}

#[tokio::test]
async fn replies_must_not_be_cached() {
    // A204
    let probe = Probe::engine(json!({})).await;
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    assert_eq!(
        session.post("4a").await.header("cache-control"),
        Some("no-store")
    );
}
