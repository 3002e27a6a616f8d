//! Bad answers to a question that waits for good ones.

use sala_interop::{Peer, Probe, differs};
use sala_testkit::resp::Resp;
use sala_testkit::within;
use serde_json::{Value, json};

use super::own_channels;
use super::poison::{Target, msgpack};
use crate::lab::{ALL, Lab, NAMES};
use crate::modes::{Kind, Mode, Topology};

/// Who asks, and who lets the others wait.
const ASKER: usize = 2;
const SILENT: usize = 3;

/// Freezes a server, so that a question waits for its answer; gives the asker answers that are none; lets the server
/// go on. Its answer must still be waited for.
async fn is_no_answer(kind: Kind, options: Value) {
    if differs("cluster", "it counts such answers") {
        return;
    }
    let mode = Mode::new(kind, Topology::Alone, options);
    let mut lab = Lab::of_peers(mode.broker().await, mode, [Peer::Sala; 4]).await;
    for server in ALL {
        lab.connect(server, NAMES[server], "/", &[]).await;
        let listen =
            json!({"do": "on", "nsp": "/", "event": "roll call", "answer": [NAMES[server]]});
        lab.run(server, listen).await;
    }
    for (question, kind_of_answer) in [
        (
            json!({"do": "emit", "timeout": 5_000, "args": ["question"], "ack": 1}),
            "acks",
        ),
        (
            json!({"do": "serverSideEmit", "args": ["roll call"], "ack": 1}),
            "servers",
        ),
        (json!({"do": "fetch", "timeout": 5_000}), "sockets"),
    ] {
        lab.doing(format!("bad answers of the kind `{kind_of_answer}`"));
        let answers = asked_meanwhile_misled(&mut lab, kind, question, kind_of_answer).await;
        let expected = if kind_of_answer == "servers" { 3 } else { 4 };
        assert_eq!(answers.len(), expected, "{answers:?}");
    }
}

/// The answers to a question.
async fn asked_meanwhile_misled(
    lab: &mut Lab,
    kind: Kind,
    question: Value,
    kind_of_answer: &str,
) -> Vec<Value> {
    let mut redis = lab.broker.client_for("").await;
    let mut monitor = lab.broker.client_for("").await;
    monitor.run(["MONITOR"]).await;
    let own = match kind {
        Kind::Classic => vec![Target::Channel("socket.io-response#/#".into())],
        _ => own_channels(&mut redis).await,
    };
    let before = refused(lab).await;
    lab.servers[SILENT].process().signal("STOP").await;
    let (first, last) = lab.servers.split_at_mut(SILENT);
    let (asker, silent) = (&mut first[ASKER], &mut last[0]);
    let mislead = async {
        let request = request_id(&mut monitor).await;
        let answers = bad_answers(kind, kind_of_answer, &request);
        for answer in &answers {
            for target in &own {
                target.give(&mut redis, answer).await;
            }
        }
        answers.len() as i64
    };
    let (answers, given) = tokio::join!(ask(asker, question), async {
        let given = mislead.await;
        silent.process().signal("CONT").await;
        given
    });
    let counted = refused(lab).await - before;
    assert!(counted >= given, "{counted} of {given} were counted");
    answers
}

async fn ask(asker: &mut Probe, question: Value) -> Vec<Value> {
    let told = asker.run(question.clone()).await;
    let answers = if question["ack"].is_null() {
        told
    } else {
        let acked = asker.event("acked").await;
        assert_eq!(acked["error"], Value::Null, "{acked}");
        acked["answer"][0].clone()
    };
    answers.as_array().unwrap().clone()
}

/// How many messages the asker has refused.
async fn refused(lab: &mut Lab) -> i64 {
    let stats = lab.run(ASKER, json!({"do": "stats"})).await;
    let counters = ["malformed", "ignored"].map(|counter| stats[counter].as_i64().unwrap());
    counters.iter().sum()
}

/// The id of the next request that a server sends.
async fn request_id(monitor: &mut Resp) -> String {
    within("a request", async {
        loop {
            let line = monitor.message().await.text();
            // What follows the key differs: in JSON signs, in MessagePack one byte that is shown in hexadecimal.
            let Some((_, rest)) = line.split_once("requestId") else {
                continue;
            };
            let rest = match rest.strip_prefix("\\x") {
                Some(rest) => &rest[2..],
                None => rest.trim_start_matches(['\\', '"', ':']),
            };
            let end = rest.find(['\\', '"']).unwrap_or(rest.len());
            return rest[..end].to_owned();
        }
    })
    .await
}

/// Answers to this request that are none.
fn bad_answers(kind: Kind, kind_of_answer: &str, request: &str) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    match kind_of_answer {
        "acks" => {
            for count in [
                json!("many"),
                json!(-1),
                json!(1.5),
                json!(1e300),
                json!(null),
                json!([]),
            ] {
                bodies.push((8, 11, json!({"requestId": request, "clientCount": count})));
            }
            bodies.push((8, 11, json!({"requestId": request})));
        }
        "servers" => {
            for id in [json!([request]), json!({"0": request}), json!(null)] {
                bodies.push((6, 10, json!({"requestId": id, "data": "x", "packet": "x"})));
            }
        }
        _ => {
            for sockets in [
                json!(5),
                json!("x"),
                json!({}),
                json!([5]),
                json!([{}]),
                json!([{"id": 7}]),
                json!([null]),
                json!(null),
            ] {
                bodies.push((5, 8, json!({"requestId": request, "sockets": sockets})));
            }
        }
    }
    let encoded = bodies.into_iter().map(|(classic, other, body)| match kind {
        Kind::Classic => {
            let mut answer = body;
            // Answers with sockets have no type.
            if classic != 5 {
                answer["type"] = json!(classic);
            }
            answer.to_string().into_bytes()
        }
        _ => {
            let answer = json!({"type": other, "data": body, "uid": "stranger", "nsp": "/"});
            match kind {
                Kind::Streams => msgpack(&answer),
                _ => answer.to_string().into_bytes(),
            }
        }
    });
    encoded.collect()
}

#[tokio::test]
async fn a_bad_answer_is_no_answer_to_a_classic_server() {
    is_no_answer(Kind::Classic, json!({})).await;
}

#[tokio::test]
async fn a_bad_answer_is_no_answer_to_a_sharded_server() {
    is_no_answer(Kind::Sharded, json!({})).await;
}

#[tokio::test]
async fn a_bad_answer_is_no_answer_to_a_server_on_streams() {
    is_no_answer(Kind::Streams, json!({})).await;
}
