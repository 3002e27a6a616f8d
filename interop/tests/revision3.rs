//! A.10: revision 3 of Engine.IO, which version 2 of Socket.IO speaks.

use sala_interop::Probe;
use sala_testkit::http::{self, Response};
use sala_testkit::polling::Polling;
use sala_testkit::ws::Ws;
use serde_json::{Value, json};

use crate::support::WEBSOCKET;

const OLD_POLLING: &str = "/engine.io/?EIO=3&transport=polling";
const OLD_WEBSOCKET: &str = "/engine.io/?EIO=3&transport=websocket";

struct Old {
    probe: Probe,
    target: String,
    sid: String,
}

/// Splits `<length>:<packet>…`, lengths in UTF-16 units.
fn split(text: &str) -> Vec<String> {
    let mut packets = Vec::new();
    let mut rest: Vec<u16> = text.encode_utf16().collect();
    while !rest.is_empty() {
        let colon = rest
            .iter()
            .position(|unit| *unit == u16::from(b':'))
            .unwrap();
        let length: usize = String::from_utf16(&rest[..colon]).unwrap().parse().unwrap();
        packets.push(String::from_utf16(&rest[colon + 1..colon + 1 + length]).unwrap());
        rest.drain(..colon + 1 + length);
    }
    packets
}

impl Old {
    async fn open(more: &str, options: Value) -> Self {
        let mut options = options;
        options["allowEIO3"] = json!(true);
        let probe = Probe::engine(options).await;
        let target = format!("{OLD_POLLING}{more}");
        let reply = http::get(probe.addr(), &target).await;
        let packets = packets(&reply);
        let open: Value = serde_json::from_str(packets[0].strip_prefix('0').unwrap()).unwrap();
        let sid = open["sid"].as_str().unwrap().to_owned();
        Self {
            probe,
            target: format!("{target}&sid={sid}"),
            sid,
        }
    }

    async fn get(&self) -> Response {
        http::get(self.probe.addr(), &self.target).await
    }

    async fn post(&self, body: impl AsRef<[u8]>) -> Response {
        http::post(self.probe.addr(), &self.target, body).await
    }

    async fn post_bytes(&self, body: &[u8]) -> Response {
        let kind = [("Content-Type", "application/octet-stream")];
        http::send(self.probe.addr(), "POST", &self.target, &kind, body).await
    }

    async fn say(&mut self, data: Value) {
        self.probe
            .run(json!({"do": "send", "id": self.sid, "data": data}))
            .await;
    }
}

/// The packets of a text reply.
fn packets(reply: &Response) -> Vec<String> {
    split(reply.text())
}

async fn open_ws(options: Value, more: &str) -> (Probe, Ws, String) {
    let mut options = options;
    options["allowEIO3"] = json!(true);
    let probe = Probe::engine(options).await;
    let mut ws = Ws::open(probe.addr(), &format!("{OLD_WEBSOCKET}{more}")).await;
    let sid = ws.expect_json("0").await["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    (probe, ws, sid)
}

#[tokio::test]
async fn the_handshake_is_length_prefixed_text() {
    // A152
    let probe = Probe::engine(json!({"allowEIO3": true})).await;
    let reply = http::get(probe.addr(), OLD_POLLING).await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    let packets = packets(&reply);
    assert_eq!(packets.len(), 1);
    let open: Value = serde_json::from_str(packets[0].strip_prefix('0').unwrap()).unwrap();
    assert_eq!(
        (&open["upgrades"], &open["maxPayload"]),
        (&json!(["websocket"]), &json!(1_000_000))
    );
}

#[tokio::test]
async fn socket_io_joins_the_main_namespace_in_the_next_poll() {
    // A153, B061
    let probe = Probe::start(json!({"allowEIO3": true})).await;
    let target = "/socket.io/?EIO=3&transport=polling";
    let reply = http::get(probe.addr(), target).await;
    let first = packets(&reply);
    assert_eq!(first.len(), 1, "{first:?}");
    let open: Value = serde_json::from_str(first[0].strip_prefix('0').unwrap()).unwrap();
    let next = http::get(
        probe.addr(),
        &format!("{target}&sid={}", open["sid"].as_str().unwrap()),
    )
    .await;
    assert_eq!(next.text(), "2:40");
}

#[tokio::test]
async fn payloads_of_text_are_length_prefixed_both_ways() {
    // A154, A159
    let mut old = Old::open("", json!({})).await;
    assert_eq!(old.post("6:4hello2:4€").await.text(), "ok");
    assert_eq!(old.probe.event("data").await["data"], "hello");
    assert_eq!(old.probe.event("data").await["data"], "€");
    for data in ["a", "€", "😀"] {
        old.say(json!(data)).await;
    }
    assert_eq!(old.get().await.text(), "2:4a2:4€3:4😀");
    // Lengths count UTF-16 units in both directions.
    assert_eq!(old.post("3:4😀2:4b").await.text(), "ok");
    assert_eq!(old.probe.event("data").await["data"], "😀");
    assert_eq!(old.probe.event("data").await["data"], "b");
}

#[tokio::test]
async fn entries_without_content_are_skipped() {
    // A154
    let mut old = Old::open("", json!({})).await;
    assert_eq!(old.post("0:2:4a0:").await.text(), "ok");
    assert_eq!(old.probe.event("data").await["data"], "a");
    old.probe.expect_none("close").await;
}

#[tokio::test]
async fn a_broken_payload_closes_the_session() {
    // A154, A157, and measured pitfalls: endless loops, lengths beyond the input
    for body in [
        "",
        "3:4a",
        "x:4a",
        "4a",
        "1:",
        "-1:4a",
        "99999999999999999999:4a",
        "2:",
        ":",
        "2:zz",
    ] {
        let mut old = Old::open("", json!({})).await;
        assert_eq!(old.post(body).await.text(), "ok", "{body}");
        assert_eq!(
            old.probe.event("close").await["reason"],
            "parse error",
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_base64_packet_without_content_does_no_harm() {
    // a measured pitfall: packet `b` ended the process
    for body in ["1:b", "2:b4", "2:b?"] {
        let mut old = Old::open("", json!({})).await;
        old.post(body).await;
        assert_eq!(
            http::get(old.probe.addr(), OLD_POLLING).await.status,
            200,
            "{body}"
        );
        assert!(old.probe.process().is_running());
    }
}

#[tokio::test]
async fn bytes_make_a_binary_payload() {
    // A155
    let mut old = Old::open("", json!({})).await;
    old.say(json!({"$bin": "AQIDBA=="})).await;
    let reply = old.get().await;
    assert_eq!(
        reply.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(reply.body, [1, 5, 255, 4, 1, 2, 3, 4]);

    old.say(json!("€")).await;
    old.say(json!({"$bin": "AQ=="})).await;
    assert_eq!(
        old.get().await.body,
        [&[0, 4, 255][..], "4€".as_bytes(), &[1, 2, 255, 4, 1]].concat()
    );

    old.say(json!({"$bin": "AAAAAAAAAAAAAAAAAAAA"})).await;
    assert_eq!(old.get().await.body[..5], [1, 1, 6, 255, 4]);
}

#[tokio::test]
async fn bytes_travel_as_base64_if_the_client_asks() {
    // A156
    let mut old = Old::open("&b64=1", json!({})).await;
    old.say(json!({"$bin": "AQIDBA=="})).await;
    let reply = old.get().await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    assert_eq!(reply.text(), "10:b4AQIDBA==");
    old.post("10:b4AQIDBA==").await;
    assert_eq!(
        old.probe.event("data").await["data"],
        json!({"$bin": "AQIDBA=="})
    );
}

#[tokio::test]
async fn binary_payloads_are_read() {
    // A157
    let mut old = Old::open("", json!({})).await;
    assert_eq!(old.post_bytes(&[0, 2, 255, b'4', b'a']).await.text(), "ok");
    assert_eq!(old.probe.event("data").await["data"], "a");
    assert_eq!(
        old.post_bytes(&[1, 3, 255, 4, 9, 8, 0, 4, 255, b'4', 0xe2, 0x82, 0xac])
            .await
            .text(),
        "ok"
    );
    assert_eq!(
        old.probe.event("data").await["data"],
        json!({"$bin": "CQg="})
    );
    assert_eq!(old.probe.event("data").await["data"], "€");
}

#[tokio::test]
async fn a_broken_binary_payload_closes_the_session() {
    // A157
    let long = [&[0][..], &[9; 320], &[255, b'4', b'a']].concat();
    for body in [
        &long[..],
        &[0, 2],
        &[0, 200, 255, b'4', b'a'],
        &[0],
        &[0, 255],
    ] {
        let mut old = Old::open("", json!({})).await;
        assert_eq!(old.post_bytes(body).await.text(), "ok");
        assert_eq!(old.probe.event("close").await["reason"], "parse error");
    }
    // These the reference ignores; whatever happens to the session, the server stays.
    for body in [
        &[7, 2, 255, b'4', b'a'][..],
        &[1, 1, 255, 9],
        &[],
        &[1, 1, 255, b'4'],
    ] {
        let mut old = Old::open("", json!({})).await;
        old.post_bytes(body).await;
        assert_eq!(http::get(old.probe.addr(), OLD_POLLING).await.status, 200);
        assert!(old.probe.process().is_running());
    }
}

#[tokio::test]
async fn binary_frames_start_with_the_packet_type() {
    // A158
    let (mut probe, mut ws, sid) = open_ws(json!({}), "").await;
    probe
        .run(json!({"do": "send", "id": sid, "data": {"$bin": "AQI="}}))
        .await;
    ws.expect_binary(&[4, 1, 2]).await;
    ws.binary([4, 3, 4]).await;
    assert_eq!(probe.event("data").await["data"], json!({"$bin": "AwQ="}));
}

#[tokio::test]
async fn b64_makes_a_websocket_send_text() {
    // A156, A159
    let (mut probe, mut ws, sid) = open_ws(json!({}), "&b64=1").await;
    probe
        .run(json!({"do": "send", "id": sid, "data": {"$bin": "AQI="}}))
        .await;
    ws.expect("b4AQI=").await;
    ws.text("b4AwQ=").await;
    assert_eq!(probe.event("data").await["data"], json!({"$bin": "AwQ="}));
}

#[tokio::test]
async fn text_is_plain_on_a_websocket() {
    // A159
    let (_probe, mut ws, _) = open_ws(json!({"echo": true}), "").await;
    for text in ["4€", "4😀", "4Ä ä Ü ü ß"] {
        ws.text(text).await;
        ws.expect(text).await;
    }
}

#[tokio::test]
async fn the_client_pings() {
    // A135, A160
    let (mut probe, mut ws, _) = open_ws(
        json!({"pingInterval": 150, "pingTimeout": 100, "report": ["heartbeat"]}),
        "",
    )
    .await;
    for ping in ["2", "2xyz", "2", "2"] {
        tokio::time::sleep(std::time::Duration::from_millis(120)).await;
        ws.text(ping).await;
        ws.expect("3").await;
        probe.event("heartbeat").await;
    }
    ws.expect_close(None).await;
    assert_eq!(probe.event("close").await["reason"], "ping timeout");
}

#[tokio::test]
async fn a_client_that_never_pings_times_out() {
    // A135
    let mut old = Old::open("", json!({"pingInterval": 100, "pingTimeout": 100})).await;
    assert_eq!(packets(&old.get().await), ["1"]);
    assert_eq!(old.probe.event("close").await["reason"], "ping timeout");
}

#[tokio::test]
async fn a_client_must_not_pong() {
    // A136
    let (mut probe, mut ws, _) = open_ws(json!({}), "").await;
    ws.text("3").await;
    ws.expect_close(None).await;
    let close = probe.event("close").await;
    assert_eq!(
        (&close["reason"], &close["description"]),
        (
            &json!("transport error"),
            &json!("invalid heartbeat direction")
        )
    );
}

#[tokio::test]
async fn the_upgrade_is_the_same() {
    // A161
    let mut old = Old::open("", json!({"echo": true})).await;
    let target = old.target.replace("polling", "websocket");
    let mut ws = Ws::open(old.probe.addr(), &target).await;
    ws.text("2probe").await;
    ws.expect("3probe").await;
    let poll = old.get().await;
    assert_eq!(poll.text(), "1:6");
    ws.text("5").await;
    ws.text("4hello").await;
    ws.expect("4hello").await;
    ws.binary([4, 1]).await;
    ws.expect_binary(&[4, 1]).await;
    old.probe.expect_none("close").await;
}

#[tokio::test]
async fn jsonp_works_with_revision_three() {
    // A079, A162
    let mut old = {
        let probe = Probe::engine(json!({"allowEIO3": true})).await;
        let target = format!("{OLD_POLLING}&j=5&b64=1");
        let reply = http::get(probe.addr(), &target).await;
        let json = reply
            .text()
            .strip_prefix("___eio[5](")
            .and_then(|text| text.strip_suffix(");"))
            .unwrap();
        let payload: String = serde_json::from_str(json).unwrap();
        let open: Value =
            serde_json::from_str(split(&payload)[0].strip_prefix('0').unwrap()).unwrap();
        let sid = open["sid"].as_str().unwrap().to_owned();
        Old {
            probe,
            target: format!("{target}&sid={sid}"),
            sid,
        }
    };
    old.say(json!({"$bin": "AQIDBA=="})).await;
    assert_eq!(old.get().await.text(), r#"___eio[5]("10:b4AQIDBA==");"#);
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let reply = http::send(
        old.probe.addr(),
        "POST",
        &old.target,
        &kind,
        b"d=6%3A4hello",
    )
    .await;
    assert_eq!(reply.text(), "ok");
    assert_eq!(old.probe.event("data").await["data"], "hello");
}

#[tokio::test]
async fn a_close_packet_ends_the_session() {
    // A066
    let mut old = Old::open("", json!({})).await;
    old.post("1:1").await;
    assert_eq!(old.probe.event("close").await["reason"], "transport close");
}

#[tokio::test]
async fn both_revisions_share_a_server() {
    // A164
    let mut probe = Probe::start(json!({"allowEIO3": true})).await;
    let mut old = Ws::open(probe.addr(), "/socket.io/?EIO=3&transport=websocket").await;
    old.expect_json("0").await;
    old.expect("40").await;
    let (mut new, _) = sala_interop::Sio::connect(probe.addr()).await;
    probe.event("connection").await;
    probe.event("connection").await;
    probe
        .run(json!({"do": "emit", "args": ["all", {"$bin": "AQI="}]}))
        .await;
    old.expect(r#"451-["all",{"_placeholder":true,"num":0}]"#)
        .await;
    old.expect_binary(&[4, 1, 2]).await;
    new.expect(r#"451-["all",{"_placeholder":true,"num":0}]"#)
        .await;
    new.expect_binary(&[1, 2]).await;
}

#[tokio::test]
async fn both_revisions_are_told_apart_on_the_engine() {
    // A163, A174
    let mut probe = Probe::engine(json!({"allowEIO3": true})).await;
    for (target, protocol) in [(OLD_WEBSOCKET, 3), (WEBSOCKET, 4)] {
        Ws::open(probe.addr(), target).await.expect_json("0").await;
        assert_eq!(probe.event("open").await["protocol"], protocol);
    }
    let session = Polling::open(probe.addr(), "/engine.io/").await;
    assert_eq!(
        probe
            .event_where("open", |open| open["id"] == *session.sid)
            .await["protocol"],
        4
    );
}
