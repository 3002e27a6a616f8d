use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sala_adapter::Message;

use super::*;

fn vectors(text: &str) -> Vec<serde_json::Value> {
    let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
    vectors.as_array().unwrap().clone()
}

/// What official workers wrote into their channel, each in its frame.
fn captured() -> Vec<(Serialization, String, Bytes)> {
    let advanced =
        include_str!("../../../sala-adapter/tests/vectors/cluster-adapter-advanced.json");
    let json = include_str!("../../../sala-adapter/tests/vectors/cluster-adapter-json.json");
    let of = |form, text: &str| {
        vectors(text).into_iter().filter_map(move |vector| {
            let raw = STANDARD.decode(vector["raw_base64"].as_str()?).unwrap();
            Some((form, vector["call"].to_string(), raw.into()))
        })
    };
    of(Serialization::Advanced, advanced)
        .chain(of(Serialization::Json, json))
        .collect::<Vec<_>>()
}

#[test]
fn what_official_workers_write_is_understood() {
    let mut seen = HashSet::new();
    let captured = captured();
    assert!(captured.len() > 100, "{}", captured.len());
    for (form, call, raw) in captured {
        let mut buffer = BytesMut::from(&raw[..]);
        let message = form.take(&mut buffer).unwrap().expect("a whole message");
        assert!(buffer.is_empty(), "{call}");
        let said = understand(&message.unwrap_or_else(|_| panic!("{call} is malformed")));
        let Ok(Said::Publish(publish)) = said else {
            panic!("{call}: {said:?}");
        };
        seen.insert(publish.kind);
        assert!(!publish.sender.is_empty());
        // Read by a Rust worker, and told on to another official one.
        let envelope = codec::decode(&publish.body, None).unwrap();
        if let Message::Broadcast { request, .. } = envelope.message {
            assert!(request.is_none() || publish.logged.is_none());
        }
        let again = adapter_message(form, &publish.body, &publish.recipient).unwrap();
        let mut buffer = BytesMut::from(&again[..]);
        let again = form.take(&mut buffer).unwrap().unwrap().unwrap();
        let Ok(Said::Publish(again)) = understand(&again) else {
            panic!("{call} does not survive");
        };
        assert_eq!(
            (again.kind, again.body),
            (publish.kind, publish.body),
            "{call}"
        );
    }
    assert_eq!(seen, (1..=13).collect());
}

#[test]
fn a_message_is_taken_when_it_is_whole() {
    for (form, _, raw) in captured().into_iter().step_by(7) {
        for at in 0..raw.len() {
            assert!(
                form.take(&mut BytesMut::from(&raw[..at]))
                    .unwrap()
                    .is_none()
            );
        }
    }
    let mut endless = BytesMut::from(&[0xff; 8][..]);
    assert!(Serialization::Advanced.take(&mut endless).is_err());
    let mut nonsense = BytesMut::from(&b"{\"a\n[]\n"[..]);
    assert_eq!(
        Serialization::Json.take(&mut nonsense).unwrap(),
        Some(Err(Malformed))
    );
    assert!(
        Serialization::Json
            .take(&mut nonsense)
            .unwrap()
            .unwrap()
            .is_ok()
    );
}

#[test]
fn messages_of_the_sticky_package_are_understood() {
    let said = |json: serde_json::Value| understand(&serde_json::from_value(json).unwrap());
    let session = said(serde_json::json!({ "type": "sticky:connection", "data": "abc" }));
    assert!(matches!(session, Ok(Said::Session { open: true, .. })));
    let session = said(serde_json::json!({ "type": "sticky:disconnection", "data": "abc" }));
    assert!(matches!(session, Ok(Said::Session { open: false, .. })));
    let ack = said(serde_json::json!({ "cmd": "NODE_HANDLE_ACK" }));
    assert!(matches!(ack, Ok(Said::Acknowledged)));
    for other in [
        serde_json::json!(null),
        serde_json::json!({ "type": 3, "data": {} }),
        serde_json::json!({ "type": "sticky:connection" }),
        serde_json::json!({ "cmd": "NODE_CLUSTER", "act": "online", "seq": 0 }),
    ] {
        assert!(matches!(said(other), Ok(Said::Other)));
    }
    let broken = said(serde_json::json!({ "source": "_sio_adapter", "type": 3, "nsp": "/" }));
    assert!(matches!(broken, Err(Malformed)));
}
