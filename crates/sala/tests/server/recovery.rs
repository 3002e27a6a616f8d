//! Connection state recovery.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sala::{Attempt, Bytes, Recovery, Server, ServerBuilder, Socket};
use sala_testkit::ws::{Message, Ws};
use serde_json::Value;

use super::{notes, open, serve};

fn recovering() -> ServerBuilder {
    Server::builder().recovery(Recovery::new())
}

/// A client, and what it needs to come back.
struct Session {
    ws: Ws,
    sid: String,
    pid: String,
    offset: String,
}

/// Sends a CONNECT packet; the ids of the reply.
async fn connect(ws: &mut Ws, packet: &str) -> (String, String) {
    ws.text(packet).await;
    let reply = ws.expect_json("40").await;
    (text(&reply["sid"]), text(&reply["pid"]))
}

fn text(value: &Value) -> String {
    value.as_str().expect("it is text").to_owned()
}

/// The last argument of the next event, which must be this event.
async fn offset(ws: &mut Ws, event: &str) -> String {
    let packet = ws.expect_json("42").await;
    assert_eq!(packet[0], event);
    text(
        packet
            .as_array()
            .and_then(|list| list.last())
            .expect("it has arguments"),
    )
}

impl Session {
    /// Connects and receives one event, so that there is an offset.
    async fn new(io: &Server, addr: std::net::SocketAddr) -> Self {
        let mut ws = open(addr).await;
        let (sid, pid) = connect(&mut ws, "40").await;
        io.to(sid.as_str()).emit("first", &()).expect("it encodes");
        let offset = offset(&mut ws, "first").await;
        Self {
            ws,
            sid,
            pid,
            offset,
        }
    }

    /// Breaks the connection and waits until the server has noticed.
    async fn lose(&mut self, io: &Server) {
        self.ws.close(None).await;
        let id = self.sid.as_str().into();
        sala_testkit::within("the server to notice", async {
            while io.socket(&id).is_some() || io.stats().engine.sessions > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    fn claim(&self) -> String {
        format!(r#"40{{"pid":"{}","offset":"{}"}}"#, self.pid, self.offset)
    }

    /// Comes back; whether the session was recovered.
    async fn come_back(&self, addr: std::net::SocketAddr) -> (Ws, bool) {
        let mut ws = open(addr).await;
        let (sid, pid) = connect(&mut ws, &self.claim()).await;
        assert_eq!(sid == self.sid, pid == self.pid);
        (ws, sid == self.sid)
    }
}

/// The exchange that was captured from the reference, frame by frame. Ids and offsets differ, but
/// what is the same there must be the same here.
#[tokio::test]
async fn the_captured_exchange_is_the_same_c062_to_c070_f023_f024() {
    let rows: Vec<Value> = serde_json::from_str(include_str!(
        "../vectors/connection-state-recovery-client.json"
    ))
    .expect("the vectors are JSON");
    let (io, addr) = {
        let io = recovering()
            .ping_interval(Duration::from_secs(600))
            .ping_timeout(Duration::from_secs(600))
            .build();
        io.on_connect(async |socket: Socket| socket.join("room1"));
        let addr = serve(&io).await;
        (io, addr)
    };
    let mut ids: HashMap<String, String> = HashMap::new();
    let mut last_call = String::new();
    let mut connections: Vec<Ws> = Vec::new();
    let mut waiting = Vec::new();
    for row in &rows {
        let call = text(&row["call"]);
        let differs = call.starts_with("a second connection with the same pid");
        if call != last_call {
            act(&io, &call, &mut connections, &mut waiting).await;
            if call.contains("connection") {
                connections.push(Ws::open(addr, super::WS).await);
            }
            last_call = call;
        }
        let ws = connections.last_mut().expect("a connection comes first");
        if row["direction"] == "client -> server" {
            let mut packet = text(&row["text"]);
            for (theirs, ours) in &ids {
                packet = packet.replace(theirs, ours);
            }
            ws.text(packet).await;
            continue;
        }
        if differs
            && !row["text"]
                .as_str()
                .is_some_and(|text| text.starts_with('0'))
        {
            // The reference gives a session away as often as it is asked for (C075).
            if row["note"].is_string() {
                let reply = ws.expect_json("40").await;
                assert!(!ids.values().any(|id| *id == text(&reply["sid"])));
            }
            continue;
        }
        match ws.next().await {
            Message::Text(ours) => {
                unify_packets(row["text"].as_str().expect("text"), &ours, &mut ids)
            }
            Message::Binary(bytes) => {
                assert_eq!((row["binary"] == true, &bytes[..]), (true, &[1][..]))
            }
            other => panic!("expected {row}, got {other:?}"),
        }
    }
    assert_eq!(io.stats().recovered, 1);
}

/// What the capture script did on the server.
async fn act(
    io: &Server,
    call: &str,
    connections: &mut Vec<Ws>,
    waiting: &mut Vec<sala::AckFuture<()>>,
) {
    match call {
        "io.emit(\"e1\", 1)" => io.emit("e1", &1).expect("it encodes"),
        "socket.emit(\"direct\", 2)" => io.sockets()[0].emit("direct", &2).expect("it encodes"),
        "io.volatile.emit(\"vol\")" => io.volatile().emit("vol", &()).expect("it encodes"),
        "socket.emit(\"ack\", cb)" => waiting.push(io.sockets()[0].emit_with_ack("ack", &())),
        call if call.starts_with("reconnection") => {
            let mut lost = connections.pop().expect("it is connected");
            lost.close(None).await;
            lost.gone().await;
            while io.sockets_count() > 0 {
                tokio::task::yield_now().await;
            }
            io.to("room1").emit("missed", &3).expect("it encodes");
            io.to("room1")
                .emit("missed-bin", &Bytes::from_static(&[1]))
                .expect("it encodes");
            io.volatile()
                .emit("missed-volatile", &())
                .expect("it encodes");
            let _ = io
                .timeout(Duration::from_millis(1))
                .emit_with_ack::<()>("missed-ack", &())
                .await;
        }
        _ => {}
    }
}

fn unify_packets(theirs: &str, ours: &str, ids: &mut HashMap<String, String>) {
    let split = |packet: &str| {
        let at = packet.find(['{', '[']).unwrap_or(packet.len());
        let (head, json) = packet.split_at(at);
        (
            head.to_owned(),
            serde_json::from_str(json).unwrap_or(Value::Null),
        )
    };
    let ((head, theirs_json), (our_head, ours_json)) = (split(theirs), split(ours));
    assert_eq!(head, our_head, "{theirs} / {ours}");
    unify(&theirs_json, &ours_json, ids);
}

/// Asserts that two values are the same but for the names of ids and offsets.
fn unify(theirs: &Value, ours: &Value, ids: &mut HashMap<String, String>) {
    match (theirs, ours) {
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{theirs} / {ours}");
            a.iter().zip(b).for_each(|(a, b)| unify(a, b, ids));
        }
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()), "{theirs} / {ours}");
            a.values()
                .zip(b.values())
                .for_each(|(a, b)| unify(a, b, ids));
        }
        (Value::String(a), Value::String(b)) if a != b => {
            assert!(matches!(a.len(), 7 | 20) && a.len() == b.len(), "{a} / {b}");
            assert_eq!(
                ids.entry(a.clone()).or_insert_with(|| b.clone()),
                b,
                "for {a}"
            );
        }
        _ => assert_eq!(theirs, ours),
    }
}

#[tokio::test]
async fn rooms_data_and_missed_packets_come_back_c063_c068_c069_c074_e050_j107() {
    let io = recovering().build();
    let (note, mut notes) = notes();
    io.on_connect(async move |socket: Socket| {
        note.write((
            socket.recovered(),
            socket.is_in("a"),
            socket.data().get::<String>("name"),
        ));
        if !socket.recovered() {
            socket.join("a");
            socket.data().set("name", "Ada")?;
        }
        Ok::<_, sala::Error>(())
    });
    let addr = serve(&io).await;
    let mut session = Session::new(&io, addr).await;
    let mut other = Session::new(&io, addr).await;
    session.ws.close(None).await;
    while io.sockets_count() > 1 {
        tokio::task::yield_now().await;
    }
    io.to("a").emit("room", &1).unwrap();
    io.to("b").emit("other room", &()).unwrap();
    io.except("a").emit("excluded", &()).unwrap();
    io.to(other.sid.as_str()).emit("private", &()).unwrap();
    let sender = io.socket(&other.sid.as_str().into()).expect("connected");
    sender.broadcast().emit("all", &2).unwrap();

    let mut ws = open(addr).await;
    ws.text(session.claim()).await;
    offset(&mut ws, "room").await;
    let last = offset(&mut ws, "all").await;
    let reply = ws.expect_json("40").await;
    assert_eq!(text(&reply["sid"]), session.sid);
    super::sync(&mut ws).await;
    // It is in its rooms again, with the same id.
    io.to("a")
        .to(session.sid.as_str())
        .emit("again", &())
        .unwrap();
    assert!(offset(&mut ws, "again").await > last);
    offset(&mut other.ws, "room").await;
    let seen: Vec<_> = [notes.next().await, notes.next().await, notes.next().await].into();
    assert_eq!(seen[0], (false, false, None));
    assert_eq!(seen[2], (true, true, Some("Ada".to_owned())));
    assert_eq!(io.stats().recovered, 1);
}

#[tokio::test]
async fn a_session_is_given_back_once_c075() {
    let io = recovering().build();
    let addr = serve(&io).await;
    let mut session = Session::new(&io, addr).await;
    session.lose(&io).await;
    let (_first, recovered) = session.come_back(addr).await;
    assert!(recovered);
    let (_second, recovered) = session.come_back(addr).await;
    assert!(!recovered);
    assert_eq!(io.sockets_count(), 2);
}

#[tokio::test]
async fn claims_that_mean_nothing_are_ordinary_connects_c067_c070_c076() {
    let io = recovering().build();
    let addr = serve(&io).await;
    let mut session = Session::new(&io, addr).await;
    session.lose(&io).await;
    let Session { pid, offset, .. } = &session;
    for claim in [
        format!(r#"40{{"pid":"{pid}"}}"#),
        format!(r#"40{{"offset":"{offset}"}}"#),
        r#"40{"pid":1,"offset":2}"#.to_owned(),
        format!(r#"40{{"pid":"{pid}","offset":"nope"}}"#),
        format!(r#"40{{"pid":"unknown","offset":"{offset}"}}"#),
    ] {
        let mut ws = open(addr).await;
        let (sid, new) = connect(&mut ws, &claim).await;
        assert_ne!(sid, session.sid);
        assert_ne!(new, session.pid);
    }
    assert!(
        session.come_back(addr).await.1,
        "the session is still there"
    );
}

#[tokio::test]
async fn only_some_reasons_are_recoverable_c064() {
    let io = recovering().build();
    let addr = serve(&io).await;
    let mut session = Session::new(&io, addr).await;
    session.ws.text("41").await;
    session.lose(&io).await;
    assert!(
        !session.come_back(addr).await.1,
        "the client left on purpose"
    );

    let mut session = Session::new(&io, addr).await;
    io.in_(session.sid.as_str()).disconnect_sockets(true);
    session.lose(&io).await;
    assert!(!session.come_back(addr).await.1, "the server threw it out");

    let mut session = Session::new(&io, addr).await;
    session.ws.text("4abc").await;
    session.ws.closed().await;
    session.lose(&io).await;
    assert!(session.come_back(addr).await.1, "forced close");

    let session = Session::new(&io, addr).await;
    io.close().await;
    let addr = serve(&io).await;
    assert!(session.come_back(addr).await.1, "server shutting down");
}

#[tokio::test]
async fn sessions_expire_c071() {
    let recovery = Recovery::new().max_disconnection_duration(Duration::from_millis(1));
    let io = Server::builder().recovery(recovery).build();
    let addr = serve(&io).await;
    let mut session = Session::new(&io, addr).await;
    session.lose(&io).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(!session.come_back(addr).await.1);
}

#[tokio::test]
async fn middlewares_run_for_a_recovered_client_only_if_wanted_c072_c073() {
    for (skip, expected) in [(true, 1), (false, 2)] {
        let io = Server::builder()
            .recovery(Recovery::new().skip_middlewares(skip))
            .build();
        let count = Arc::new(AtomicU32::new(0));
        let counter = count.clone();
        io.admit(async move |attempt: Attempt| {
            counter.fetch_add(1, Ordering::Relaxed);
            if attempt.recovered() && attempt.handshake().query("refuse").is_some() {
                return Err("not again");
            }
            // What is sent meanwhile is neither lost nor doubled.
            if attempt.recovered() {
                attempt.emit("early", &()).map_err(|_| "encoding")?;
            }
            attempt.nsp().emit("meanwhile", &()).map_err(|_| "encoding")
        });
        let addr = serve(&io).await;
        let mut session = Session::new(&io, addr).await;
        session.lose(&io).await;
        let mut ws = open(addr).await;
        ws.text(session.claim()).await;
        if !skip {
            ws.expect(r#"42["early"]"#).await;
            offset(&mut ws, "meanwhile").await;
        }
        let reply = ws.expect_json("40").await;
        assert_eq!(text(&reply["sid"]), session.sid);
        assert_eq!(count.load(Ordering::Relaxed), expected);
        if !skip {
            ws.close(None).await;
            session.lose(&io).await;
            let mut ws = Ws::open(addr, &format!("{}&refuse=1", super::WS)).await;
            ws.expect_json("0").await;
            ws.text(session.claim()).await;
            ws.expect(r#"44{"message":"not again"}"#).await;
            assert!(io.rooms().is_empty());
        }
    }
}

#[tokio::test]
async fn nothing_is_added_or_recovered_while_it_is_off_c078() {
    let io = Server::new();
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    ws.text(r#"40{"pid":"a","offset":"b"}"#).await;
    assert!(ws.expect_json("40").await.get("pid").is_none());
    io.emit("x", &1).unwrap();
    ws.expect(r#"42["x",1]"#).await;
}

/// Emits from several threads, connections that come and go: nobody misses a packet or gets one
/// twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_packet_is_lost_or_doubled_over_many_interruptions() {
    const LAST: u64 = 600;
    let io = recovering().build();
    let addr = serve(&io).await;
    let mut session = Session::new(&io, addr).await;
    let emitting = {
        let io = io.clone();
        tokio::spawn(async move {
            for n in 1..=LAST {
                io.emit("n", &n).unwrap();
                if n % 3 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        })
    };
    let mut expected = 1;
    while expected <= LAST {
        match session.ws.next().await {
            Message::Text(packet) if packet.starts_with("42") => {
                let packet: Value = serde_json::from_str(&packet[2..]).expect("JSON");
                assert_eq!(packet[1], expected);
                session.offset = text(&packet[2]);
                expected += 1;
                if expected % 50 == 0 {
                    session.lose(&io).await;
                    session.ws = open(addr).await;
                    let claim = session.claim();
                    session.ws.text(claim).await;
                }
            }
            Message::Text(packet) if packet.starts_with("40") => {
                assert!(packet.contains(&session.sid), "recovered: {packet}");
            }
            other => panic!("{other:?}"),
        }
    }
    emitting.await.expect("all was sent");
}
