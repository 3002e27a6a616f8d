//! A.5: JSONP polling.

use sala_interop::Probe;
use sala_testkit::http::{self, Response};
use serde_json::{Value, json};

use crate::support::POLLING;

/// The payload inside `___eio[index]("…");`.
fn payload(reply: &Response, index: &str) -> String {
    let text = reply.text();
    let inner = text
        .strip_prefix(&format!("___eio[{index}]("))
        .and_then(|rest| rest.strip_suffix(");"));
    let Some(inner) = inner else {
        panic!("not a JSONP reply for {index}: {text}")
    };
    serde_json::from_str(inner).unwrap()
}

async fn open(probe: &Probe, query: &str, index: &str) -> (String, String) {
    let target = format!("{POLLING}&{query}");
    let reply = http::get(probe.addr(), &target).await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    let open: Value =
        serde_json::from_str(payload(&reply, index).strip_prefix('0').unwrap()).unwrap();
    let sid = open["sid"].as_str().unwrap().to_owned();
    (format!("{target}&sid={sid}"), sid)
}

/// A form with one field, percent-encoded as browsers do.
fn form(d: &str) -> String {
    d.bytes()
        .fold("d=".to_owned(), |form, byte| form + &format!("%{byte:02X}"))
}

async fn post_form(probe: &Probe, target: &str, body: &str) -> Response {
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    http::send(probe.addr(), "POST", target, &kind, body.as_bytes()).await
}

#[tokio::test]
async fn the_reply_calls_the_function_of_its_index() {
    // A079, A080, A162
    let mut probe = Probe::engine(json!({})).await;
    let (target, sid) = open(&probe, "j=0", "0").await;
    probe
        .run(json!({"do": "send", "id": sid, "data": "hi \"there\""}))
        .await;
    assert_eq!(
        payload(&http::get(probe.addr(), &target).await, "0"),
        "4hi \"there\""
    );
}

#[tokio::test]
async fn only_the_digits_of_the_index_survive() {
    // A080, I018
    let probe = Probe::engine(json!({})).await;
    open(&probe, "j=12ab", "12").await;
    open(&probe, "j=%3Cscript%3Ealert(1)%3C/script%3E", "1").await;
    open(&probe, "j=abc", "").await;
    open(&probe, "j=", "").await;
}

#[tokio::test]
async fn line_separators_are_escaped() {
    // A080
    let mut probe = Probe::engine(json!({})).await;
    let (target, sid) = open(&probe, "j=0", "0").await;
    probe
        .run(json!({"do": "send", "id": sid, "data": "a\u{2028}b\u{2029}c"}))
        .await;
    assert_eq!(
        http::get(probe.addr(), &target).await.text(),
        r#"___eio[0]("4a\u2028b\u2029c");"#
    );
}

#[tokio::test]
async fn the_index_of_the_handshake_stays() {
    // A081
    let mut probe = Probe::engine(json!({})).await;
    let (target, sid) = open(&probe, "j=12", "12").await;
    probe
        .run(json!({"do": "send", "id": sid, "data": "a"}))
        .await;
    let reply = http::get(probe.addr(), &target.replace("j=12", "j=7")).await;
    assert_eq!(payload(&reply, "12"), "4a");
}

#[tokio::test]
async fn a_post_is_a_form_whose_line_breaks_are_escaped() {
    // A082
    let mut probe = Probe::engine(json!({})).await;
    let (target, _) = open(&probe, "j=0", "0").await;
    let table = [
        ("4hello", "hello"),
        (r"4a\nb", "a\nb"),
        (r"4a\\nb", r"a\nb"),
        ("4é€", "é€"),
        ("4a+b&c=d", "a+b&c=d"),
    ];
    for (sent, expected) in table {
        let reply = post_form(&probe, &target, &form(sent)).await;
        assert_eq!((reply.status, reply.text()), (200, "ok"));
        assert_eq!(probe.event("data").await["data"], expected);
    }
    post_form(&probe, &target, "x=1&d=4a+b").await;
    assert_eq!(probe.event("data").await["data"], "a b");
}

#[tokio::test]
async fn a_post_without_its_field_is_ignored() {
    // A082
    let mut probe = Probe::engine(json!({})).await;
    let (target, _) = open(&probe, "j=0", "0").await;
    for body in ["", "x=4hello", "4hello"] {
        assert_eq!(
            post_form(&probe, &target, body).await.text(),
            "ok",
            "{body}"
        );
    }
    probe.expect_none("data").await;
    probe.expect_none("close").await;
}

#[tokio::test]
async fn bytes_travel_as_base64() {
    // A083
    let mut probe = Probe::engine(json!({})).await;
    let (target, sid) = open(&probe, "j=0&b64=1", "0").await;
    probe
        .run(json!({"do": "send", "id": sid, "data": {"$bin": "AQIDBA=="}}))
        .await;
    assert_eq!(
        payload(&http::get(probe.addr(), &target).await, "0"),
        "bAQIDBA=="
    );
    post_form(&probe, &target, &form("bAQIDBA==")).await;
    assert_eq!(
        probe.event("data").await["data"],
        json!({"$bin": "AQIDBA=="})
    );
}

#[tokio::test]
async fn several_packets_share_a_body() {
    // A055, A079
    let mut probe = Probe::engine(json!({})).await;
    let (target, sid) = open(&probe, "j=3", "3").await;
    for data in ["a", "b"] {
        probe
            .run(json!({"do": "send", "id": sid, "data": data}))
            .await;
    }
    assert_eq!(
        payload(&http::get(probe.addr(), &target).await, "3"),
        "4a\u{1e}4b"
    );
    post_form(&probe, &target, &form("4x\u{1e}4y")).await;
    assert_eq!(probe.event("data").await["data"], "x");
    assert_eq!(probe.event("data").await["data"], "y");
}
