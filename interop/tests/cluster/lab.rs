//! A cluster under test: four servers, sixteen clients, and what each of them heard.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sala_emitter::Emitter;
use sala_interop::{Peer, Probe, peer};
use sala_testkit::{PATIENCE, within};
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::modes::{Kind, Mode};

/// The servers by their letters.
pub(crate) const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// All of them.
pub(crate) const ALL: Range<usize> = 0..4;
/// A child of the dynamic namespace. (Its stream exists whatever their number; not every name's does in Node.js.)
pub(crate) const KID: &str = "/kid-1";

/// How long to wait for an event, so that a failure can be explained.
const A_WHILE: Duration = Duration::from_secs(8);

/// More than that.
const LONGER: Duration = Duration::from_secs(10);

/// How long to wait between two looks.
const SHORTLY: Duration = Duration::from_millis(5);

/// A client of the crowd.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) server: usize,
    pub(crate) nsp: String,
}

/// What each client heard, or must hear.
pub(crate) type Heard = BTreeMap<String, Vec<Value>>;

/// A cluster. Its clients: on each server `x` there are `x1` in the rooms `one` and `both`, `x2` in `two` and `both`,
/// `x-chat` in `/chat`, in the room `one`, and `x-kid` in a child of a dynamic namespace.
pub(crate) struct Lab {
    pub(crate) mode: Mode,
    pub(crate) broker: Broker,
    pub(crate) servers: Vec<Probe>,
    pub(crate) driver: Probe,
    pub(crate) clients: Vec<Client>,
    /// Sala's emitter, once it is connected.
    pub(crate) emitter: Option<Emitter>,
    /// The name of the parent of [`KID`] on each server.
    pub(crate) parents: Vec<Value>,
    begun: HashSet<String>,
    /// What is being tested, for failures.
    doing: String,
    serial: u64,
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this failed during {} in {:?}", self.doing, self.mode);
        }
    }
}

/// Whose server has a place: A and B are official, C and D are the peer's.
pub(crate) fn peer_of(server: usize) -> Peer {
    if server < 2 { Peer::Reference } else { peer() }
}

/// Asserts that a server says in its error what the reference says. Sala goes on and tells who was silent.
#[track_caller]
pub(crate) fn assert_fails(server: usize, error: &Value, text: &str) {
    match peer_of(server) {
        Peer::Reference => assert_eq!(error, text),
        Peer::Sala => assert!(
            error.as_str().is_some_and(|error| error.starts_with(text)),
            "{error} does not begin with {text:?}"
        ),
    }
}

impl Lab {
    /// Starts the servers and connects the crowd.
    pub(crate) async fn start(mode: Mode) -> Self {
        let mut lab = Self::empty(mode).await;
        for server in ALL {
            for (client, nsp, rooms) in [
                ("1", "/", &["one", "both"][..]),
                ("2", "/", &["two", "both"]),
                ("-chat", "/chat", &["one"]),
                ("-kid", KID, &[]),
            ] {
                let name = format!("{}{client}", NAMES[server]);
                lab.connect(server, &name, nsp, rooms).await;
            }
        }
        lab.wait_until_joined().await;
        lab.warm_up().await;
        lab
    }

    /// Starts the servers, without clients.
    pub(crate) async fn empty(mode: Mode) -> Self {
        let broker = mode.broker().await;
        Self::behind(broker, mode).await
    }

    /// Starts the servers behind a broker, without clients.
    pub(crate) async fn behind(broker: Broker, mode: Mode) -> Self {
        Self::of_peers(broker, mode, [0, 1, 2, 3].map(peer_of)).await
    }

    /// Starts servers of these peers behind a broker, without clients.
    pub(crate) async fn of_peers(broker: Broker, mode: Mode, peers: [Peer; 4]) -> Self {
        let options = mode.server(&broker);
        let start = |server: usize| Probe::of_peer(peers[server], options.clone());
        let (a, b, c, d, driver) =
            tokio::join!(start(0), start(1), start(2), start(3), Probe::clients());
        let mut lab = Self {
            mode,
            broker,
            servers: vec![a, b, c, d],
            driver,
            clients: vec![],
            emitter: None,
            parents: vec![],
            begun: HashSet::new(),
            doing: "the start".into(),
            serial: 0,
        };
        for server in ALL {
            lab.prepare(server).await;
        }
        lab.wait_for_servers("/", 4).await;
        lab.wait_for_servers("/chat", 4).await;
        lab
    }

    /// Gives a new server its namespaces.
    async fn prepare(&mut self, server: usize) {
        self.run(server, json!({"do": "of", "nsp": "/chat"})).await;
        let parent = self.run(
            server,
            json!({"do": "parent", "pattern": "^/kid-\\d+$", "flags": ""}),
        );
        let parent = parent.await;
        self.parents.push(parent);
    }

    /// Says what follows, for failures.
    pub(crate) fn doing(&mut self, what: String) {
        self.doing = what;
    }

    /// A number that no other event of this cluster has.
    pub(crate) fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Whether this is the first call with this name.
    pub(crate) fn once(&mut self, name: &str) -> bool {
        self.begun.insert(name.to_owned())
    }

    /// Gives a server a command.
    #[track_caller]
    pub(crate) fn run(&mut self, server: usize, command: Value) -> impl Future<Output = Value> {
        self.servers[server].run(command)
    }

    /// Where a server is, as clients write it.
    pub(crate) fn url(&self, server: usize) -> String {
        format!("http://{}", self.servers[server].addr())
    }

    /// Connects one more client, which its server puts into rooms.
    pub(crate) async fn connect(
        &mut self,
        server: usize,
        name: &str,
        nsp: &str,
        rooms: &[&str],
    ) -> Client {
        let options = json!({"auth": {"name": name}, "query": {"who": name}});
        let connected = self
            .driver
            .run(json!({"do": "connect", "client": name, "url": self.url(server), "nsp": nsp, "options": options}))
            .await;
        let id = connected["id"].as_str().unwrap().to_owned();
        self.servers[server]
            .event_where("connection", |event| event["id"] == *id)
            .await;
        if !rooms.is_empty() {
            self.run(server, json!({"do": "join", "socket": id, "rooms": rooms}))
                .await;
        }
        let client = Client {
            name: name.to_owned(),
            id,
            server,
            nsp: nsp.to_owned(),
        };
        self.clients.push(client.clone());
        client
    }

    /// A client by its name.
    pub(crate) fn client(&self, name: &str) -> Client {
        let found = self.clients.iter().find(|client| client.name == name);
        found.unwrap_or_else(|| panic!("no client {name}")).clone()
    }

    /// The names of the clients in a namespace that fit.
    pub(crate) fn names(&self, nsp: &str, fits: impl Fn(&Client) -> bool) -> Vec<String> {
        let clients = self.clients.iter();
        let found = clients.filter(|client| client.nsp == nsp && fits(client));
        found.map(|client| client.name.clone()).collect()
    }

    /// Waits until so many servers know a namespace.
    pub(crate) async fn wait_for_servers(&mut self, nsp: &str, count: usize) {
        for server in ALL {
            self.wait_for_servers_at(server, nsp, count).await;
        }
    }

    /// Waits until one server knows that so many know a namespace.
    pub(crate) async fn wait_for_servers_at(&mut self, server: usize, nsp: &str, count: usize) {
        let probe = &mut self.servers[server];
        within("the servers to know each other", async {
            while probe.run(json!({"do": "serverCount", "nsp": nsp})).await != count {
                tokio::time::sleep(SHORTLY).await;
            }
        })
        .await;
    }

    /// Waits until a room has so many members on a server.
    pub(crate) async fn wait_for_members(&mut self, server: usize, room: &str, count: usize) {
        within("a room to have its members", async {
            loop {
                let members = self.run(server, json!({"do": "members", "nsp": "/"})).await;
                let found = members["rooms"][room].as_array().map_or(0, Vec::len);
                if found == count {
                    return;
                }
                tokio::time::sleep(SHORTLY).await;
            }
        })
        .await;
    }

    /// Waits until the channels of all rooms are heard by the servers that have members in them.
    pub(crate) async fn wait_until_joined(&mut self) {
        if !self.mode.room_channels() {
            return;
        }
        let prefix = self.mode.options["channelPrefix"].as_str();
        let prefix = prefix.unwrap_or("socket.io").to_owned();
        let mut wanted: HashMap<String, i64> = HashMap::new();
        let ids: HashSet<String> = self
            .clients
            .iter()
            .map(|client| client.id.clone())
            .collect();
        for nsp in ["/", "/chat", KID] {
            for server in ALL {
                let members = self.run(server, json!({"do": "members", "nsp": nsp})).await;
                let rooms = members["rooms"].as_object().unwrap();
                let public = |room: &&String| self.mode.private_channels() || !ids.contains(*room);
                for room in rooms.keys().filter(public) {
                    *wanted.entry(format!("{prefix}#{nsp}#{room}#")).or_default() += 1;
                }
            }
        }
        within("the channels of the rooms to be heard", async {
            loop {
                let heard = self.broker.sharded_subscribers().await;
                if wanted
                    .iter()
                    .all(|(channel, count)| heard.get(channel) == Some(count))
                {
                    return;
                }
                tokio::time::sleep(SHORTLY).await;
            }
        })
        .await;
    }

    /// Waits until everything that is said is heard. A reader of a stream hears only what is added while it
    /// reads, until it has read something.
    pub(crate) async fn warm_up(&mut self) {
        if self.mode.kind != Kind::Streams {
            return;
        }
        for nsp in ["/", "/chat", KID] {
            for (from, to) in [(0, 1..4), (1, 0..1)] {
                let names = self.names(nsp, |client| to.contains(&client.server));
                let mut waiting: HashSet<String> = names.into_iter().collect();
                within("the servers to read their streams", async {
                    while !waiting.is_empty() {
                        self.run(from, json!({"do": "emit", "nsp": nsp, "args": ["warm"]}))
                            .await;
                        tokio::time::sleep(SHORTLY).await;
                        for event in self.driver.taken("got").await {
                            waiting.remove(event["client"].as_str().unwrap());
                        }
                    }
                })
                .await;
            }
        }
        // None of the above is on its way any more when these have come.
        self.settle(0).await;
        self.settle(1).await;
    }

    /// Asserts what the clients have heard since the last call: each of these all of its events, and nobody anything
    /// else.
    pub(crate) async fn heard(&mut self, from: usize, wanted: Heard) {
        let mut heard = self.settle(from).await;
        // Channels of a cluster overtake each other, the fence included.
        let enough = |heard: &Heard| {
            let mut wanted = wanted.iter();
            wanted.all(|(name, events)| heard.get(name).map_or(0, Vec::len) >= events.len())
        };
        let mut late = false;
        while !enough(&heard) {
            match tokio::time::timeout(A_WHILE, self.got()).await {
                Ok((client, event)) => heard.entry(client).or_default().push(event),
                Err(_) => {
                    late = true;
                    break;
                }
            }
        }
        assert!(
            heard == wanted,
            "{}: the clients heard\n{}\nand should have heard\n{}{}",
            self.doing,
            shown(&heard),
            shown(&wanted),
            if late { "\nthe rest did not come" } else { "" },
        );
    }

    /// What the clients have heard until all of them have heard a last event of this server.
    pub(crate) async fn settle(&mut self, from: usize) -> Heard {
        let mut waiting = self.fence(from).await;
        let mut heard = Heard::new();
        while !waiting.is_empty() {
            let Ok((client, event)) = tokio::time::timeout(A_WHILE, self.got()).await else {
                panic!(
                    "{}: {waiting:?} did not hear the fence; heard {}",
                    self.doing,
                    shown(&heard)
                );
            };
            if event == json!(["fence", self.serial]) {
                waiting.retain(|name| *name != client);
            } else {
                heard.entry(client).or_default().push(event);
            }
        }
        heard
    }

    /// Sends a last event to everybody; their names.
    async fn fence(&mut self, from: usize) -> Vec<String> {
        let number = self.number();
        let emits = ["/", "/chat", KID].map(|nsp| json!({"nsp": nsp, "args": ["fence", number]}));
        self.run(from, json!({"do": "burst", "commands": emits}))
            .await;
        self.clients
            .iter()
            .map(|client| client.name.clone())
            .collect()
    }

    /// The next event of any client, without its offset.
    pub(crate) async fn got(&mut self) -> (String, Value) {
        let event = self.driver.event_after(LONGER, "got", |_| true).await;
        let mut args = event["args"].clone();
        if self.mode.recovery {
            strip_offset(&mut args);
        }
        (event["client"].as_str().unwrap().to_owned(), args)
    }

    /// What these clients hear of one event that a server sends: on other servers what its adapter makes of it.
    pub(crate) fn carried(&self, from: usize, names: &[String], args: &Value) -> Heard {
        let event = |name: &String| {
            let remote = self.client(name).server != from;
            let plain = remote && self.mode.plaintext();
            if plain { as_json(args) } else { args.clone() }
        };
        let each = names.iter().map(|name| (name.clone(), vec![event(name)]));
        each.collect()
    }

    /// Asks clients and waits for the report: the error, and the answers by their text.
    pub(crate) async fn ask(&mut self, server: usize, mut command: Value) -> (Value, Vec<String>) {
        let number = self.number();
        command["ack"] = json!(number);
        self.run(server, command).await;
        self.answer(server, number, PATIENCE).await
    }

    /// Waits for the report about a question.
    pub(crate) async fn answer(
        &mut self,
        server: usize,
        number: u64,
        patience: Duration,
    ) -> (Value, Vec<String>) {
        let acked = self.servers[server]
            .event_after(patience, "acked", move |event| event["ack"] == number)
            .await;
        let answers = acked["answer"][0].as_array().into_iter().flatten();
        let mut answers: Vec<String> = answers.map(ToString::to_string).collect();
        answers.sort_unstable();
        (acked["error"].clone(), answers)
    }
}

/// The same events for all of these clients.
pub(crate) fn each(names: &[String], events: &[Value]) -> Heard {
    let each = names.iter().map(|name| (name.clone(), events.to_vec()));
    each.collect()
}

/// What JavaScript's JSON makes of bytes.
pub(crate) fn as_json(value: &Value) -> Value {
    if let Some(bytes) = value["$bin"].as_str() {
        let bytes = STANDARD.decode(bytes).unwrap();
        return json!({"type": "Buffer", "data": bytes});
    }
    match value {
        Value::Array(items) => items.iter().map(as_json).collect(),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (key.clone(), as_json(value)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

fn shown(heard: &Heard) -> String {
    let lines = heard.iter().map(|(client, events)| {
        let events = json!(events).to_string();
        format!("  {client}: {}\n", &events[..events.len().min(300)])
    });
    lines.collect()
}

/// Takes the offset from the end of an event.
fn strip_offset(args: &mut Value) {
    let args = args.as_array_mut().unwrap();
    let last = args.last().and_then(Value::as_str).unwrap_or_default();
    let parts = last.split_once('-');
    if parts.is_some_and(|(time, number)| {
        [time, number]
            .iter()
            .all(|part| part.parse::<u64>().is_ok())
    }) {
        args.pop();
    }
}
