//! B.6 and B.7: the MessagePack parser, and clients of version 2.

use sala_interop::{Probe, Sio, differs};
use sala_testkit::ws::{Message, Ws};
use serde_json::json;

// --- B.6 other parsers --------------------------------------------------------------------------

#[tokio::test]
async fn msgpack_packets_are_single_binary_frames() {
    // B056, B059
    let mut probe = Probe::start(json!({"parser": "msgpack"})).await;
    let mut client = Sio::open(probe.addr()).await;
    // {"type":0,"nsp":"/"}
    client.binary(*b"\x82\xa4type\x00\xa3nsp\xa1/").await;
    let Message::Binary(reply) = client.next().await else {
        panic!("a binary frame is expected")
    };
    assert!(
        reply.starts_with(b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x81\xa3sid")
            || reply.windows(4).any(|part| part == b"\xa3sid"),
        "{reply:?}"
    );
    probe.event("connection").await;
    // {"type":2,"data":["hi",1],"nsp":"/"}
    client
        .binary(*b"\x83\xa4type\x02\xa4data\x92\xa2hi\x01\xa3nsp\xa1/")
        .await;
    let event = probe.event("event").await;
    assert_eq!(
        (&event["name"], &event["args"]),
        (&json!("hi"), &json!([1]))
    );
    probe
        .run(json!({"do": "emit", "args": ["bin", {"$bin": "AQI="}]}))
        .await;
    let Message::Binary(mut packet) = client.next().await else {
        panic!("a binary frame is expected")
    };
    // A map: the order of its keys is nobody's business.
    for part in [
        &b"\x83"[..],
        b"\xa4type\x02",
        b"\xa4data\x92\xa3bin\xc4\x02\x01\x02",
        b"\xa3nsp\xa1/",
    ] {
        let at = packet.windows(part.len()).position(|window| window == part);
        packet.drain(at.unwrap()..at.unwrap() + part.len());
    }
    assert_eq!(packet, b"");
}

#[tokio::test]
async fn broken_msgpack_closes_the_connection() {
    // B045, B059, and measured pitfalls: lengths beyond the input, deep nesting
    let mut deep = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data".to_vec();
    deep.extend(std::iter::repeat_n(0x91, 100_000));
    let broken = [
        b"\x83\xa4type".to_vec(),
        b"\xdf\xff\xff\xff\xff".to_vec(),
        b"\xdb\xff\xff\xff\xff".to_vec(),
        b"\xc6\xff\xff\xff\xff".to_vec(),
        b"\x01".to_vec(),
        b"\xc0".to_vec(),
        deep,
        vec![],
    ];
    let mut probe = Probe::start(json!({"parser": "msgpack"})).await;
    for packet in broken {
        let mut client = Sio::open(probe.addr()).await;
        client.binary(packet.clone()).await;
        if packet.len() > 1000
            && differs(
                "I049",
                "a stack overflow is caught as any error, in its own time",
            )
        {
            continue;
        }
        client.expect_close(None).await;
    }
    assert!(probe.process().is_running());
}

// --- B.7 clients of version 2 -------------------------------------------------------------------

const OLD: &str = "/socket.io/?EIO=3&transport=websocket";

async fn connect_old(probe: &Probe) -> (Ws, String) {
    let mut ws = Ws::open(probe.addr(), OLD).await;
    let sid = ws.expect_json("0").await["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    ws.expect("40").await;
    (ws, sid)
}

#[tokio::test]
async fn an_old_client_joins_the_main_namespace_by_itself() {
    // B061, B063, A038
    let mut probe = Probe::start(json!({"allowEIO3": true})).await;
    let (_old, sid) = connect_old(&probe).await;
    assert_eq!(probe.event("connection").await["id"], sid);
}

#[tokio::test]
async fn an_old_client_is_answered_without_data() {
    // B062, B063
    let mut probe = Probe::start(json!({"allowEIO3": true})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let (mut old, sid) = connect_old(&probe).await;
    old.text("40/ns,").await;
    old.expect("40/ns,").await;
    let connection = probe
        .event_where("connection", |connection| connection["nsp"] == "/ns")
        .await;
    assert_eq!(connection["id"], format!("/ns#{sid}"));
}

#[tokio::test]
async fn an_old_client_passes_its_auth_as_a_query() {
    // B064
    let mut probe = Probe::start(json!({"allowEIO3": true})).await;
    probe.run(json!({"do": "of", "nsp": "/ns"})).await;
    let (mut old, _) = connect_old(&probe).await;
    old.text("40/ns?token=abc&x=a%20b,").await;
    old.expect("40/ns,").await;
    let connection = probe
        .event_where("connection", |connection| connection["nsp"] == "/ns")
        .await;
    assert_eq!(connection["auth"], json!({"token": "abc", "x": "a b"}));
    let state = probe
        .run(json!({"do": "state", "socket": connection["id"]}))
        .await;
    assert_eq!(state["handshake"]["query"]["transport"], "websocket");
    old.text(r#"42/ns,["hi"]"#).await;
    assert_eq!(probe.event("event").await["nsp"], "/ns");
}

#[tokio::test]
async fn an_old_client_gets_bare_refusals() {
    // B065, B066
    let mut probe = Probe::start(json!({"allowEIO3": true})).await;
    for (nsp, refuse) in [
        ("/a", json!({"message": "no"})),
        ("/b", json!({"message": "no", "data": {"a": 1}})),
    ] {
        probe.run(json!({"do": "of", "nsp": nsp})).await;
        probe
            .run(json!({"do": "use", "nsp": nsp, "steps": [{"refuse": refuse}]}))
            .await;
    }
    let (mut old, _) = connect_old(&probe).await;
    for (join, reply) in [
        ("40/a,", r#"44/a,"no""#),
        ("40/b,", r#"44/b,{"a":1}"#),
        ("40/nope,", r#"44/nope,{"message":"Invalid namespace"}"#),
    ] {
        old.text(join).await;
        old.expect(reply).await;
    }
}

#[tokio::test]
async fn an_old_client_refused_at_the_main_namespace_stays_connected_for_a_while() {
    // B066
    let mut probe = Probe::start(json!({"allowEIO3": true, "connectTimeout": 300})).await;
    probe
        .run(json!({"do": "use", "nsp": "/", "steps": [{"refuse": {"message": "no"}}]}))
        .await;
    let mut old = Ws::open(probe.addr(), OLD).await;
    old.expect_json("0").await;
    old.expect(r#"44"no""#).await;
    old.expect_close(None).await;
}

#[tokio::test]
async fn an_old_client_exchanges_events_acks_and_bytes() {
    // B067, B068
    let mut probe = Probe::start(json!({"allowEIO3": true})).await;
    let (mut old, sid) = connect_old(&probe).await;
    probe.event("connection").await;
    old.text(r#"421["hi",1]"#).await;
    let token = probe.event("event").await["ack"].clone();
    probe
        .run(json!({"do": "ack", "token": token, "args": [{"$bin": "AQI="}]}))
        .await;
    old.expect(r#"461-1[{"_placeholder":true,"num":0}]"#).await;
    old.expect_binary(&[4, 1, 2]).await;
    old.text(r#"451-["bin",{"_placeholder":true,"num":0}]"#)
        .await;
    old.binary([4, 9]).await;
    assert_eq!(
        probe.event("event").await["args"],
        json!([{"$bin": "CQ=="}])
    );
    probe
        .run(json!({"do": "emit", "socket": sid, "args": ["x"]}))
        .await;
    old.expect(r#"42["x"]"#).await;
    old.text("41").await;
    assert_eq!(
        probe.event("disconnect").await["reason"],
        "client namespace disconnect"
    );
}
