//! Connection state recovery through a store that all servers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sala::{Attempt, Bytes, ErrorKind, Recovery, Refused, Server, ServerBuilder, Socket};
use sala_adapter::backend::{Backend, BackendError, Context, Link, Profile};
use sala_adapter::recovery::{
    Offset, PrivateId, RecoveryError, RecoveryStore, SavedSession, TakenSession,
};
use sala_adapter::{BoxFuture, Envelope, Message, RoomSet, Target};
use sala_proto::RawArgs;
use sala_testkit::cluster::{FakeBackend, FakeBroker, Fate};
use sala_testkit::within;
use sala_testkit::ws::Ws;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{Node, nodes, notes, open, serve, until};

fn recovering() -> ServerBuilder {
    Server::builder().recovery(Recovery::new())
}

fn logged(broker: &FakeBroker) -> FakeBackend {
    FakeBackend::counted(broker).logged()
}

async fn two(broker: &FakeBroker) -> [Node; 2] {
    nodes(|| logged(broker), recovering).await
}

/// A client, and what it needs to come back.
struct Session {
    ws: Ws,
    sid: String,
    pid: String,
    offset: String,
}

impl Session {
    /// Connects and receives one event, so that there is an offset.
    async fn new(node: &Node) -> Self {
        let mut ws = open(node.addr).await;
        ws.text("40").await;
        let reply = ws.expect_json("40").await;
        let text = |value: &Value| value.as_str().expect("it is text").to_owned();
        let (sid, pid) = (text(&reply["sid"]), text(&reply["pid"]));
        let socket = node.io.socket(&sid.as_str().into());
        let socket = socket.expect("it is connected");
        socket.emit("first", &()).expect("it encodes");
        let mut session = Self {
            ws,
            sid,
            pid,
            offset: String::new(),
        };
        session.event("first").await;
        session
    }

    /// The arguments of the next event, which must be this one. Notes its offset, as the official client does.
    async fn event(&mut self, name: &str) -> Vec<Value> {
        let packet = self.ws.expect_json("42").await;
        let mut args = packet.as_array().expect("a list").clone();
        assert_eq!(args.remove(0), name);
        let offset = args.pop().expect("an offset");
        self.offset = offset.as_str().expect("the offset is text").to_owned();
        args
    }

    /// Breaks the connection and waits until the server has noticed.
    async fn lose(&mut self, node: &Node) {
        self.ws.close(None).await;
        until("the server to notice", || node.stats().engine.sessions == 0).await;
    }

    /// Asks to come back.
    async fn claim(&mut self, node: &Node) {
        self.ws = open(node.addr).await;
        let claim = format!(r#"40{{"pid":"{}","offset":"{}"}}"#, self.pid, self.offset);
        self.ws.text(claim).await;
    }

    /// The answer to the CONNECT packet; whether it is the same session.
    async fn is_same(&mut self) -> bool {
        let reply = self.ws.expect_json("40").await;
        let same = reply["sid"] == *self.sid;
        assert_eq!(same, reply["pid"] == *self.pid);
        same
    }

    fn socket(&self, node: &Node) -> Socket {
        let socket = node.io.socket(&self.sid.as_str().into());
        socket.expect("it is connected")
    }
}

/// Waits until what this server has emitted is in the log.
async fn all_logged(node: &Node) {
    until("the log to have it", || node.link().queued_messages == 0).await;
}

#[tokio::test]
async fn a_client_recovers_on_another_server_with_rooms_data_and_what_it_missed_c077() {
    let [a, b] = two(&FakeBroker::new()).await;
    let (pen, mut recovered) = notes();
    b.on_connect(async move |socket: Socket| pen.write(socket.recovered()));
    let mut session = Session::new(&a).await;
    let socket = session.socket(&a);
    socket.join("news");
    socket.data().set("name", "Ada").unwrap();
    socket
        .data()
        .set("photo", &Bytes::from_static(b"\x89PNG"))
        .unwrap();
    session.lose(&a).await;
    a.to("news").emit("missed", &1).unwrap();
    all_logged(&a).await;
    b.emit("missed", &Bytes::from_static(b"two")).unwrap();
    a.to("other").emit("not missed", &()).unwrap();
    b.to(session.sid.as_str()).emit("missed", &3).unwrap();
    all_logged(&b).await;
    a.emit("ask", &()).unwrap();
    all_logged(&a).await;

    session.claim(&b).await;
    assert_eq!(session.event("missed").await, [1]);
    let head = session.ws.expect_json("451-").await;
    assert_eq!(head[0], "missed");
    session.ws.expect_binary(b"two").await;
    assert_eq!(session.event("missed").await, [3]);
    session.event("ask").await;
    assert!(session.is_same().await);
    assert!(recovered.next().await);
    let socket = session.socket(&b);
    assert!(socket.is_in("news") && socket.is_in(socket.id()));
    assert_eq!(socket.data().get::<String>("name").as_deref(), Some("Ada"));
    let photo: Bytes = socket.data().get("photo").unwrap();
    assert_eq!(&photo[..], b"\x89PNG");
    assert_eq!(b.stats().recovered, 1);

    // And back again, with what came live in between.
    a.to("news").emit("live", &()).unwrap();
    session.event("live").await;
    session.lose(&b).await;
    b.to("news").emit("missed", &4).unwrap();
    all_logged(&b).await;
    session.claim(&a).await;
    assert_eq!(session.event("missed").await, [4]);
    assert!(session.is_same().await);
}

#[tokio::test]
async fn a_session_is_given_out_once_and_strangers_get_none() {
    let [a, b] = two(&FakeBroker::new()).await;
    let mut session = Session::new(&a).await;
    session.lose(&a).await;
    session.claim(&b).await;
    assert!(session.is_same().await);
    let _used = std::mem::replace(&mut session.ws, open(a.addr).await);
    session.claim(&a).await;
    assert!(!session.is_same().await, "it is in use on the other server");
    session.pid = "unknown".to_owned();
    session.claim(&a).await;
    assert!(!session.is_same().await);
}

/// While the store is asked, and while a middleware runs, events go on; each reaches the client once.
#[tokio::test]
async fn events_on_the_way_in_are_neither_lost_nor_doubled() {
    let broker = FakeBroker::new();
    let gates = Arc::new(Gates::default());
    let options = || Server::builder().recovery(Recovery::new().skip_middlewares(false));
    let a = Node::new("a", logged(&broker), options()).await;
    let b = gated(&broker, &gates, options()).await;
    let admit: &'static Semaphore = Box::leak(Box::new(Semaphore::new(0)));
    b.admit(async |_: Attempt| {
        admit.acquire().await.expect("never closed").forget();
    });
    let mut session = Session::new(&a).await;
    session.lose(&a).await;
    let emit = |n: u32| {
        a.emit("n", &(2 * n)).unwrap();
        b.emit("n", &(2 * n + 1)).unwrap();
    };
    let settled = async |b: &Node| {
        all_logged(&a).await;
        all_logged(b).await;
    };
    emit(0);
    settled(&b).await;
    gates.close();
    session.claim(&b).await;
    gates.asked(&gates.take, 1).await;
    emit(1);
    settled(&b).await;
    gates.take.open.add_permits(1);
    // The middleware runs; the session is out of the store.
    until("the session to be taken", || {
        gates.take.answered.load(Ordering::Acquire) == 1
    })
    .await;
    emit(2);
    settled(&b).await;
    admit.add_permits(1);
    gates.asked(&gates.missed, 1).await;
    // Targets find the socket now, and the store has yet to answer.
    emit(3);
    settled(&b).await;
    b.local().emit("local", &()).unwrap();
    gates.missed.open.add_permits(1);
    let mut seen = Vec::new();
    let mut texts = Vec::new();
    loop {
        let text = session.ws.next_text().await;
        if let Some(packet) = text.strip_prefix("42") {
            let packet: Value = serde_json::from_str(packet).unwrap();
            match packet[0].as_str() {
                Some("n") => seen.push(packet[1].as_u64().unwrap()),
                name => texts.push(format!("{name:?}")),
            }
        } else {
            assert!(text.starts_with("40"), "{text}");
            break;
        }
        if seen.len() > 100 {
            break;
        }
    }
    // After the answer: what was held back, and what comes now.
    emit(4);
    while seen.len() < 10 {
        let packet = session.ws.expect_json("42").await;
        match packet[0].as_str() {
            Some("n") => seen.push(packet[1].as_u64().unwrap()),
            _ => texts.push(packet[0].to_string()),
        }
    }
    b.emit("end", &()).unwrap();
    assert_eq!(session.ws.expect_json("42").await[0], "end");
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..10).collect::<Vec<_>>(), "{seen:?}");
    assert_eq!(texts, [r#""local""#]);
}

/// What the store gave may come by the live way afterwards, when this server lags behind the log.
#[tokio::test]
async fn a_live_delivery_that_comes_late_is_not_sent_again() {
    let broker = FakeBroker::new();
    let [a, b] = two(&broker).await;
    let mut session = Session::new(&a).await;
    session.lose(&a).await;
    let late = b.id.clone();
    broker.decide(move |passage| match &passage.envelope.message {
        Message::Broadcast { .. } if *passage.to == late => Fate::Late(Duration::from_millis(200)),
        _ => Fate::Arrives,
    });
    for n in 0..5 {
        a.emit("n", &n).unwrap();
    }
    all_logged(&a).await;
    session.claim(&b).await;
    for n in 0..5 {
        assert_eq!(session.event("n").await, [n]);
    }
    assert!(session.is_same().await);
    a.emit("end", &()).unwrap();
    session.event("end").await;
    until("all to arrive", || b.link().received >= 6).await;
    b.local().emit("local", &()).unwrap();
    session.ws.expect(r#"42["local"]"#).await;
}

#[tokio::test]
async fn what_is_not_logged_does_not_overtake_what_is() {
    let broker = FakeBroker::new();
    let a = Node::new("a", logged(&broker), recovering()).await;
    a.on("all", async |socket: Socket| -> Result<u8, sala::Error> {
        socket.emit("one", &())?;
        socket.nsp().emit("two", &())?;
        drop(socket.emit_with_ack::<u8>("three", &()));
        socket.nsp().local().emit("four", &())?;
        drop(socket.nsp().emit_with_ack::<u8>("five", &()));
        socket.emit("six", &())?;
        Ok(7)
    });
    a.on("out", async |socket: Socket| -> Result<(), sala::Error> {
        socket.emit("last", &())?;
        socket.nsp().in_(socket.id()).disconnect_sockets(false);
        Ok(())
    });
    let mut session = Session::new(&a).await;
    broker.slow(Duration::from_millis(20));
    session.ws.text(r#"421["all"]"#).await;
    session.event("one").await;
    session.event("two").await;
    let name = async |ws: &mut Ws| {
        let text = ws.next_text().await;
        let start = text.find('[').expect("a packet");
        serde_json::from_str::<Value>(&text[start..]).unwrap()[0].clone()
    };
    assert_eq!(name(&mut session.ws).await, "three");
    session.ws.expect(r#"42["four"]"#).await;
    assert_eq!(name(&mut session.ws).await, "five");
    session.event("six").await;
    session.ws.expect("431[7]").await;
    session.ws.text(r#"42["out"]"#).await;
    session.event("last").await;
    session.ws.expect("41").await;
}

/// Another server joined a socket of this one to a room and sent to the room. This server had an emit of its own on the
/// way to the log, the join waited behind it, and the event overtook the join.
#[tokio::test]
async fn what_other_servers_do_is_not_mixed_up_with_what_waits_here_for_the_log() {
    let broker = FakeBroker::new();
    let a = Node::new("a", logged(&broker), recovering()).await;
    let mut session = Session::new(&a).await;
    broker.stall(true);
    a.emit("own", &()).unwrap();
    until("the emit to be on its way", || {
        a.link().queued_messages == 1
    })
    .await;
    let (own, room) = (Target::all().to(session.sid.as_str()), "room");
    let event = |name: &str| Message::Broadcast {
        packet: RawArgs::new_event(name, &()).unwrap(),
        target: Target::all().to(room),
        request: None,
    };
    let question = Message::Broadcast {
        packet: RawArgs::new_event("question", &()).unwrap(),
        target: own.clone(),
        request: Some("id".into()),
    };
    let rooms: RoomSet = [room].into_iter().collect();
    for message in [
        Message::Join {
            target: own.clone(),
            rooms: rooms.clone(),
        },
        event("joined"),
        question,
        event("asked"),
        Message::Leave {
            target: own.clone(),
            rooms,
        },
        event("left"),
        Message::Disconnect {
            target: own,
            close: false,
        },
    ] {
        broker.inject_message(&Envelope {
            namespace: "/".into(),
            sender: Some("another".into()),
            recipient: None,
            message,
        });
    }
    session.ws.expect(r#"42["joined"]"#).await;
    let question = session.ws.next_text().await;
    assert!(question.ends_with(r#"["question"]"#), "{question}");
    session.ws.expect(r#"42["asked"]"#).await;
    session.ws.expect("41").await;
}

#[tokio::test]
async fn while_the_log_is_away_clients_are_served_without_offsets() {
    let broker = FakeBroker::new();
    let [a, b] = two(&broker).await;
    let mut session = Session::new(&a).await;
    let mut far = b.client().await;
    broker.stop();
    until("the server to notice", || !a.link().connected).await;
    a.emit("now", &1).unwrap();
    session.socket(&a).emit("own", &2).unwrap();
    session.ws.expect(r#"42["now",1]"#).await;
    session.ws.expect(r#"42["own",2]"#).await;
    broker.start();
    assert_eq!(far.expect_json("42").await[0], "now");
}

#[tokio::test]
async fn sessions_outlive_the_server_that_closes() {
    let broker = FakeBroker::new();
    let gates = Arc::new(Gates::default());
    let a = gated(&broker, &gates, recovering()).await;
    let b = Node::new("b", logged(&broker), recovering()).await;
    let mut session = Session::new(&a).await;
    gates.close();
    let closing = tokio::spawn({
        let io = a.io.clone();
        async move { io.close().await }
    });
    gates.asked(&gates.save, 1).await;
    assert!(
        !closing.is_finished(),
        "it waits until the session is saved"
    );
    gates.save.open.add_permits(1);
    within("the server to close", closing).await.unwrap();
    b.emit("missed", &()).unwrap();
    all_logged(&b).await;
    session.claim(&b).await;
    session.event("missed").await;
    assert!(session.is_same().await);
}

#[tokio::test]
async fn a_client_that_is_gone_again_finds_its_session_the_next_time() {
    let broker = FakeBroker::new();
    let gates = Arc::new(Gates::default());
    let a = Node::new("a", logged(&broker), recovering()).await;
    let b = gated(&broker, &gates, recovering()).await;
    let mut session = Session::new(&a).await;
    session.lose(&a).await;
    gates.close();
    // Once while the store is asked for the session, once while it is asked for the rest.
    for step in [&gates.take, &gates.missed] {
        session.claim(&b).await;
        if std::ptr::eq(step, &gates.missed) {
            gates.asked(&gates.take, 2).await;
            gates.take.open.add_permits(1);
            gates.asked(&gates.missed, 1).await;
        } else {
            gates.asked(&gates.take, 1).await;
        }
        session.ws.close(None).await;
        until("the server to notice", || b.stats().engine.sessions == 0).await;
        step.open.add_permits(1);
        let saves = gates.save.asked.load(Ordering::Acquire) + 1;
        gates.save.open.add_permits(1);
        gates.answered(&gates.save, saves.max(1)).await;
    }
    b.emit("missed", &()).unwrap();
    all_logged(&b).await;
    session.claim(&a).await;
    session.event("missed").await;
    assert!(session.is_same().await);
}

#[tokio::test]
async fn who_is_refused_after_a_recovery_has_lost_the_session() {
    let broker = FakeBroker::new();
    let options = || Server::builder().recovery(Recovery::new().skip_middlewares(false));
    let [a, b] = nodes(|| logged(&broker), options).await;
    let mut session = Session::new(&a).await;
    session.lose(&a).await;
    b.admit(async |_: Attempt| Err::<(), _>(Refused::new("no")));
    session.claim(&b).await;
    assert_eq!(session.ws.expect_json("44").await["message"], "no");
    session.claim(&a).await;
    assert!(!session.is_same().await);
}

#[tokio::test]
async fn a_store_that_fails_makes_new_sessions_and_is_reported_once() {
    let broker = FakeBroker::new();
    let gates = Arc::new(Gates::default());
    let (pen, mut errors) = notes();
    let options =
        recovering().on_error(move |context| pen.write((context.kind, context.to_string())));
    let a = gated(&broker, &gates, options).await;
    gates.fail.store(true, Ordering::Release);
    let mut session = Session::new(&a).await;
    session.lose(&a).await;
    let (kind, text) = errors.next().await;
    assert_eq!(kind, ErrorKind::Recovery);
    assert!(
        text.contains("could not be saved: the store is on fire"),
        "{text}"
    );
    session.claim(&a).await;
    assert!(!session.is_same().await);
    assert!(errors.so_far().is_empty(), "once until it works again");
}

/// If nobody can tell what a client has missed, it is not told that it missed nothing.
#[tokio::test]
async fn a_client_is_cut_off_rather_than_let_in_with_a_gap() {
    let broker = FakeBroker::new();
    let gates = Arc::new(Gates::default());
    let a = Node::new("a", logged(&broker), recovering()).await;
    let b = gated(&broker, &gates, recovering()).await;
    let mut session = Session::new(&a).await;
    session.lose(&a).await;
    gates.close();
    session.claim(&b).await;
    gates.asked(&gates.take, 1).await;
    gates.take.open.add_permits(1);
    gates.asked(&gates.missed, 1).await;
    gates.fail.store(true, Ordering::Release);
    gates.missed.open.add_permits(1);
    session.ws.closed().await;
    gates.fail.store(false, Ordering::Release);
    gates.save.open.add_permits(1);
    // Without a session that could be given back, it connects as a new client.
    session.claim(&a).await;
    session.is_same().await;
}

/// A server whose store can be held up.
async fn gated(broker: &FakeBroker, gates: &Arc<Gates>, options: ServerBuilder) -> Node {
    let backend = Gated {
        inner: logged(broker),
        gates: gates.clone(),
    };
    let cluster = sala::ClusterOptions::default().server_id("gated");
    let io = options.cluster(cluster).adapter(backend).build();
    let addr = serve(&io).await;
    io.cluster_ready().await.expect("the broker is there");
    Node {
        io,
        addr,
        id: "gated".into(),
    }
}

/// Where calls of a store wait.
#[derive(Default)]
struct Gates {
    closed: AtomicBool,
    fail: AtomicBool,
    save: Gate,
    take: Gate,
    missed: Gate,
}

#[derive(Default)]
struct Gate {
    open: Semaphore0,
    asked: AtomicUsize,
    answered: AtomicUsize,
}

/// A semaphore that begins without permits.
struct Semaphore0(Semaphore);

impl Default for Semaphore0 {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl std::ops::Deref for Semaphore0 {
    type Target = Semaphore;

    fn deref(&self) -> &Semaphore {
        &self.0
    }
}

impl Gates {
    /// From now on each call waits for a permit.
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    async fn asked(&self, gate: &Gate, times: usize) {
        until("the store to be asked", || {
            gate.asked.load(Ordering::Acquire) >= times
        })
        .await;
    }

    async fn answered(&self, gate: &Gate, times: usize) {
        until("the store to answer", || {
            gate.answered.load(Ordering::Acquire) >= times
        })
        .await;
    }

    async fn pass<T>(
        &self,
        gate: &Gate,
        answer: impl Future<Output = Result<T, RecoveryError>>,
    ) -> Result<T, RecoveryError> {
        gate.asked.fetch_add(1, Ordering::AcqRel);
        if self.closed.load(Ordering::Acquire) {
            gate.open.acquire().await.expect("never closed").forget();
        }
        let answer = if self.fail.load(Ordering::Acquire) {
            Err(RecoveryError::new("the store is on fire"))
        } else {
            answer.await
        };
        gate.answered.fetch_add(1, Ordering::AcqRel);
        answer
    }
}

struct Gated {
    inner: FakeBackend,
    gates: Arc<Gates>,
}

impl Backend for Gated {
    type Outlet = <FakeBackend as Backend>::Outlet;
    type Inlet = <FakeBackend as Backend>::Inlet;

    fn profile(&self) -> Profile {
        let mut profile = self.inner.profile();
        profile.recovery = profile.recovery.map(|inner| {
            let gates = self.gates.clone();
            Arc::new(GatedStore { inner, gates }) as _
        });
        profile
    }

    async fn open(
        &mut self,
        context: &Context,
    ) -> Result<Link<Self::Outlet, Self::Inlet>, BackendError> {
        self.inner.open(context).await
    }
}

struct GatedStore {
    inner: Arc<dyn RecoveryStore>,
    gates: Arc<Gates>,
}

impl RecoveryStore for GatedStore {
    fn save<'a>(
        &'a self,
        namespace: &'a str,
        session: SavedSession,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), RecoveryError>> {
        let saved = self.inner.save(namespace, session, ttl);
        Box::pin(self.gates.pass(&self.gates.save, saved))
    }

    fn take<'a>(
        &'a self,
        namespace: &'a str,
        pid: &'a PrivateId,
        offset: &'a Offset,
    ) -> BoxFuture<'a, Result<Option<TakenSession>, RecoveryError>> {
        let taken = self.inner.take(namespace, pid, offset);
        Box::pin(self.gates.pass(&self.gates.take, taken))
    }

    fn missed<'a>(
        &'a self,
        namespace: &'a str,
        rooms: &'a RoomSet,
        after: &'a Offset,
    ) -> BoxFuture<'a, Result<Vec<(RawArgs, Offset)>, RecoveryError>> {
        let missed = self.inner.missed(namespace, rooms, after);
        Box::pin(self.gates.pass(&self.gates.missed, missed))
    }
}
