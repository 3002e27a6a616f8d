//! Bad messages.

use sala_testkit::resp::Resp;
use serde_json::{Value, json};

use crate::lab::NAMES;

/// A bad message, for some of the channels of an adapter.
#[derive(Clone)]
pub(crate) struct Poison {
    place: Place,
    pub(crate) bytes: Vec<u8>,
    /// Whether an official server ends because of it, or hands something of it to clients.
    pub(crate) harms_reference: bool,
}

/// Where it goes.
#[derive(Debug, Clone)]
enum Place {
    /// To one channel or stream.
    One(Target),
    /// To the channels on which single servers hear answers.
    Own,
}

/// A way into the servers.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Channel(String),
    Sharded(String),
    /// The field `data` of an entry whose other fields are these.
    Stream(Vec<(&'static str, String)>),
}

/// A channel of a room that nobody is in.
const ODD: &str = "socket.io#/#\u{1}";

/// A namespace that no server has.
const ELSEWHERE: &str = "/elsewhere";

impl std::fmt::Debug for Poison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.bytes[..self.bytes.len().min(120)];
        write!(
            f,
            "{:?}: {} ({} bytes)",
            self.place,
            shown.escape_ascii(),
            self.bytes.len()
        )
    }
}

impl Poison {
    /// Whether servers look at it at all: not if it is for a room or a namespace that they do not have.
    pub(crate) fn is_read(&self) -> bool {
        match &self.place {
            Place::One(Target::Channel(name)) => name != ODD,
            Place::One(Target::Stream(fields)) => !fields.contains(&("nsp", ELSEWHERE.to_owned())),
            _ => true,
        }
    }

    pub(crate) fn targets(&self, own: &[Target]) -> Vec<Target> {
        match &self.place {
            Place::One(target) => vec![target.clone()],
            Place::Own => own.to_vec(),
        }
    }
}

impl Target {
    /// Sends it; to how many servers.
    pub(crate) async fn give(&self, redis: &mut Resp, bytes: &[u8]) -> i64 {
        match self {
            Self::Channel(name) => {
                let command = [b"PUBLISH", name.as_bytes(), bytes];
                redis.run(command).await.number()
            }
            Self::Sharded(name) => {
                let command = [b"SPUBLISH", name.as_bytes(), bytes];
                redis.run(command).await.number()
            }
            Self::Stream(fields) => {
                let mut command = vec![&b"XADD"[..], b"socket.io", b"*", b"data", bytes];
                for (name, value) in fields {
                    command.extend([name.as_bytes(), value.as_bytes()]);
                }
                redis.run(command).await;
                NAMES.len() as i64
            }
        }
    }
}

/// Something that is nowhere a message.
fn junk() -> Vec<Vec<u8>> {
    let mut junk: Vec<Vec<u8>> = [
        "",
        " ",
        "x",
        "{",
        "{}",
        "[]",
        "[[]]",
        "null",
        "0",
        "\"\"",
        "{\"type\":",
        "{\"type\":3",
        "{\"type\":3}{",
        "{\"type\":1e400}",
        "{\"type\":-1}",
        "{\"type\":99}",
        "{\"type\":\"3\"}",
        "{\"type\":null}",
        "\u{feff}{}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    // MessagePack: nothing, a wrong first byte, and lengths that promise four billion items.
    junk.extend(
        [
            &b"\x00"[..],
            b"\xc1",
            b"\x80",
            b"\x90",
            b"\x93",
            b"\xff\xff\xff\xff",
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
            b"\xdb\xff\xff\xff\xff",
            b"\xc9\xff\xff\xff\xff\x01",
            b"{\xff\xfe}",
            b"\xd9\x02\xff\xfe",
        ]
        .map(<[u8]>::to_vec),
    );
    junk.push(b"[".repeat(200_000));
    junk.push(b"{\"a\":".repeat(200_000));
    junk.push(vec![0x91; 200_000]);
    junk.push([&[0x81, 0xa1, b'a'][..]].concat().repeat(200_000));
    junk.push(vec![b'x'; 2_000_000]);
    junk
}

/// All beginnings of a message except nothing, or some if it is long.
fn truncated(message: &[u8]) -> Vec<Vec<u8>> {
    let step = message.len() / 60 + 1;
    let cuts = (1..message.len()).step_by(step);
    cuts.map(|cut| message[..cut].to_vec()).collect()
}

/// Options of broadcasts and requests that are not.
fn odd_options() -> Vec<Value> {
    vec![
        Value::Null,
        json!(7),
        json!("x"),
        json!({"rooms": "one", "except": "two"}),
        json!({"rooms": {"length": 4_000_000_000_u64}, "except": 7}),
        json!({"rooms": [{"a": 1}, null, [], 1.5], "except": [[]], "flags": []}),
    ]
}

/// Options that reach nobody.
fn nobody() -> Value {
    json!({"rooms": ["nobody"], "except": [], "flags": {}})
}

/// Packets that are not.
fn odd_packets() -> Vec<Value> {
    vec![
        Value::Null,
        json!(1),
        json!([]),
        json!({}),
        json!({"type": 2}),
        json!({"type": 2, "data": null, "nsp": "/"}),
        json!({"type": 2, "data": "x", "nsp": "/"}),
        json!({"type": 2, "data": [], "nsp": "/"}),
        json!({"type": 2, "data": [null], "nsp": "/"}),
        json!({"type": 2, "data": [{"a": 1}], "nsp": "/"}),
        json!({"type": 0, "data": ["x"], "nsp": "/"}),
        json!({"type": 99, "data": ["x"], "nsp": "/"}),
        json!({"type": "2", "data": ["x"], "nsp": 5}),
    ]
}

fn text(message: &Value) -> Vec<u8> {
    message.to_string().into_bytes()
}

/// Messages that the reference survives.
fn harmless(place: &Place, messages: impl IntoIterator<Item = Vec<u8>>) -> Vec<Poison> {
    poisons(place, false, messages)
}

/// Messages that it does not.
fn harmful(place: &Place, messages: impl IntoIterator<Item = Vec<u8>>) -> Vec<Poison> {
    poisons(place, true, messages)
}

fn poisons(
    place: &Place,
    harms_reference: bool,
    messages: impl IntoIterator<Item = Vec<u8>>,
) -> Vec<Poison> {
    let poison = |bytes| Poison {
        place: place.clone(),
        bytes,
        harms_reference,
    };
    messages.into_iter().map(poison).collect()
}

fn channel(name: &str) -> Place {
    Place::One(Target::Channel(name.into()))
}

/// Everything against the classic adapter.
pub(crate) fn classic() -> Vec<Poison> {
    let (all, room, odd) = (
        channel("socket.io#/#"),
        channel("socket.io#/#one#"),
        channel(ODD),
    );
    let (requests, responses) = (
        channel("socket.io-request#/#"),
        channel("socket.io-response#/#"),
    );
    let packet = json!({"type": 2, "data": ["x", "y"], "nsp": "/"});
    let valid = msgpack(&json!(["stranger", packet, nobody()]));
    let mut broadcasts: Vec<Value> = odd_options()
        .into_iter()
        .map(|opts| json!(["stranger", packet, opts]))
        .collect();
    broadcasts.extend(
        odd_packets()
            .into_iter()
            .map(|packet| json!(["stranger", packet, {"rooms": [], "except": [], "flags": {}}])),
    );
    broadcasts.extend([
        json!(["stranger"]),
        json!({"0": "stranger"}),
        json!([[], [], []]),
    ]);
    let mut poisons = Vec::new();
    for place in [&all, &room] {
        poisons.extend(harmful(place, junk()));
        poisons.extend(harmful(place, truncated(&valid)));
        poisons.extend(harmful(place, broadcasts.iter().map(msgpack)));
    }
    poisons.extend(harmful(&odd, junk()));

    let mut odd_requests = vec![
        json!({"type": 0}),
        json!({"type": 1}),
        json!({"type": 6}),
        json!({"type": 7}),
    ];
    for opts in odd_options() {
        for kind in 2..6 {
            odd_requests.push(json!({"uid": "stranger", "requestId": "r", "type": kind, "opts": opts, "rooms": 7, "close": "x"}));
        }
    }
    for data in [
        json!(null),
        json!("x"),
        json!([]),
        json!([1]),
        json!({"0": "x"}),
    ] {
        odd_requests.push(json!({"uid": "stranger", "requestId": [], "type": 6, "data": data}));
    }
    let fetch = json!({"uid": "stranger", "requestId": "r", "type": 5, "opts": {"rooms": ["nobody"], "except": []}});
    poisons.extend(harmless(&requests, junk()));
    poisons.extend(harmless(&requests, truncated(&text(&fetch))));
    poisons.extend(harmful(&requests, odd_requests.iter().map(text)));
    for packet in odd_packets() {
        let question = json!({"uid": "stranger", "requestId": "r", "type": 7, "packet": packet, "opts": nobody()});
        poisons.extend(harmful(&requests, [msgpack(&question)]));
    }

    let answers = [
        json!({"requestId": "r"}),
        json!({"requestId": null, "sockets": 5}),
        json!({"type": 6, "requestId": "r"}),
        json!({"type": 8, "requestId": "r", "clientCount": "many"}),
        json!({"type": 8, "requestId": "__proto__", "clientCount": -1}),
        json!({"type": 9, "requestId": {}, "packet": 1}),
    ];
    for place in [&responses, &Place::Own] {
        poisons.extend(harmless(place, junk()));
        poisons.extend(harmful(place, [NIL.to_vec()]));
        poisons.extend(harmless(place, answers.iter().map(text)));
        poisons.extend(harmless(place, answers.iter().map(msgpack)));
    }
    poisons
}

/// Envelopes of the other two adapters whose contents are wrong.
fn odd_envelopes() -> Vec<Value> {
    let mut bodies = Vec::new();
    for opts in odd_options() {
        bodies.push((
            3,
            json!({"packet": {"type": 2, "data": ["x"]}, "opts": opts}),
        ));
        bodies.push((4, json!({"opts": opts, "rooms": 7})));
        bodies.push((5, json!({"opts": opts, "rooms": [{}]})));
        bodies.push((6, json!({"opts": opts, "close": []})));
        bodies.push((7, json!({"opts": opts, "requestId": "r"})));
    }
    for packet in odd_packets() {
        bodies.push((3, json!({"packet": packet, "opts": nobody()})));
        bodies.push((
            3,
            json!({"packet": packet, "requestId": "r", "opts": nobody()}),
        ));
        bodies.push((9, json!({"packet": packet})));
    }
    for kind in 1..15 {
        bodies.extend([
            (kind, Value::Null),
            (kind, json!([])),
            (kind, json!({})),
            (kind, json!("x")),
        ]);
        bodies.push((
            kind,
            json!({"requestId": "r", "sockets": 5, "clientCount": "many"}),
        ));
    }
    let envelope = |(kind, data): (i64, Value)| json!({"type": kind, "data": data, "uid": "stranger", "nsp": "/"});
    let mut envelopes: Vec<Value> = bodies.into_iter().map(envelope).collect();
    envelopes.extend([
        json!({"type": 3, "uid": "stranger"}),
        json!({"type": 3, "uid": 5, "nsp": 7}),
        json!({"type": 3, "uid": "stranger", "nsp": "/elsewhere", "data": {}}),
    ]);
    envelopes
}

/// A correct message that reaches nobody.
fn valid() -> Value {
    json!({"type": 3, "data": {"packet": {"type": 2, "data": ["x"]}, "opts": nobody()}, "uid": "stranger", "nsp": "/"})
}

/// What a message is to be, and is nothing.
const NIL: &[u8] = b"\xc0";

/// Everything against the sharded adapter.
pub(crate) fn sharded() -> Vec<Poison> {
    let sharded = |name: &str| Place::One(Target::Sharded(name.into()));
    let mut poisons = harmful(&Place::Own, junk());
    for place in [sharded("socket.io#/#"), sharded("socket.io#/#one#")] {
        poisons.extend(harmless(&place, junk()));
    }
    for place in [
        sharded("socket.io#/#"),
        sharded("socket.io#/#one#"),
        Place::Own,
    ] {
        poisons.extend(harmless(&place, truncated(&text(&valid()))));
        poisons.extend(harmless(&place, truncated(&msgpack(&valid()))));
        poisons.extend(harmful(&place, [NIL.to_vec()]));
        poisons.extend(harmful(&place, odd_envelopes().iter().map(text)));
        poisons.extend(harmful(&place, odd_envelopes().iter().map(msgpack)));
    }
    poisons
}

/// Everything against the streams adapter.
pub(crate) fn streams() -> Vec<Poison> {
    let mut poisons = Vec::new();
    for place in [channel("socket.io#/#"), Place::Own] {
        poisons.extend(harmless(&place, junk()));
        poisons.extend(harmless(&place, truncated(&msgpack(&valid()))));
        poisons.extend(harmless(&place, [NIL.to_vec()]));
        poisons.extend(harmful(&place, odd_envelopes().iter().map(msgpack)));
    }
    // An official server reads an entry whose contents it stumbles over again and again, and nothing after it.
    for envelope in odd_envelopes() {
        let place = entry(&envelope["type"].to_string(), "/");
        let data = [text(&envelope["data"])];
        let ignored = [1, 2, 13, 14].map(Value::from).contains(&envelope["type"]);
        poisons.extend(if ignored {
            harmless(&place, data)
        } else {
            harmful(&place, data)
        });
    }
    for kind in ["3", "4", "7", "9", "12"] {
        let place = entry(kind, "/");
        poisons.extend(harmful(&place, junk()));
        poisons.extend(harmless(&place, truncated(&text(&valid()["data"]))));
    }
    poisons.extend(harmless(&entry("99", "/"), junk()));
    let data = text(&valid()["data"]);
    for kind in ["", "x", "-1", "99", "3.5", "1e9"] {
        poisons.extend(harmless(&entry(kind, "/"), [data.clone()]));
    }
    poisons.extend(harmless(&entry("3", ELSEWHERE), [data]));
    for fields in [vec![], vec![("nsp", "/".to_owned())]] {
        poisons.extend(harmless(&Place::One(Target::Stream(fields)), [vec![]]));
    }
    poisons
}

/// An entry of the stream, whose data is still to come.
fn entry(kind: &str, nsp: &str) -> Place {
    let fields = [("uid", "stranger"), ("nsp", nsp), ("type", kind)];
    let fields = fields.map(|(name, value)| (name, value.to_owned()));
    Place::One(Target::Stream(fields.to_vec()))
}

/// A value in MessagePack, in the longest forms: that is easy to write, and readers take every form.
pub(super) fn msgpack(value: &Value) -> Vec<u8> {
    let with = |kind: u8, length: usize| {
        let length = u32::try_from(length).unwrap();
        [&[kind][..], &length.to_be_bytes()].concat()
    };
    match value {
        Value::Null => vec![0xc0],
        Value::Bool(value) => vec![0xc2 + u8::from(*value)],
        Value::Number(number) => {
            let double = number.as_f64().unwrap();
            number.as_i64().map_or_else(
                || [&[0xcb][..], &double.to_be_bytes()].concat(),
                |int| [&[0xd3][..], &int.to_be_bytes()].concat(),
            )
        }
        Value::String(text) => [with(0xdb, text.len()), text.as_bytes().to_vec()].concat(),
        Value::Array(items) => items.iter().fold(with(0xdd, items.len()), |bytes, item| {
            [bytes, msgpack(item)].concat()
        }),
        Value::Object(fields) => fields
            .iter()
            .fold(with(0xdf, fields.len()), |bytes, (key, value)| {
                [bytes, msgpack(&json!(key)), msgpack(value)].concat()
            }),
    }
}
