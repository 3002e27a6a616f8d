//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::client::{Handshake, Transport, Url};
use super::payload::{DIGITS, Payload};
use super::plan::{Events, Plan, Scenario};
use crate::units::{bytes, duration};

const EXAMPLES: &str = "\
What the server must offer:
  echo       (payload, ack)      answers ack(payload)
  join       (room, ack)         joins the room, answers ack()
  leave      (room, ack)         leaves the room, answers ack()
  broadcast  (room, payload)     emits msg(payload) to the room

Examples:
  sala bench http://localhost:3000 --pid 4711
  sala bench http://localhost:3000 -s broadcast -c 1000 --payload 1KiB
  sala bench http://localhost:3000 -c 1000 --rate 20000 --duration 1m --json result.json
  sala bench http://localhost:3000/chat -s connect -c 50000 --transport upgrade

At a fixed --rate, latency counts from when an event was due: if the server stalls, that is not hidden.
It ends with a status other than 0 if nothing could be measured or an answer was not what was sent.";

/// Put load on a Socket.IO server and measure it
///
/// Connects clients, lets them emit for a while, compares every answer, and shows rates and latencies.
/// Ctrl-C ends the run early and shows the results so far.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub(crate) struct Bench {
    /// The server, such as http://localhost:3000. Its path is the namespace, its query goes with the handshake.
    /// TLS is not spoken: measure the server itself, behind its proxy
    url: Url,

    #[command(flatten)]
    load: Load,

    #[command(flatten)]
    connections: Connections,

    #[command(flatten)]
    names: Names,

    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
struct Load {
    /// What the clients do
    #[arg(short, long, value_enum, default_value_t = Scenario::Echo)]
    scenario: Scenario,

    /// Clients. Broadcast and rooms have one more, which sends
    #[arg(short, long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,

    /// Size of what is sent
    #[arg(long, value_name = "BYTES", default_value = "32", value_parser = payload)]
    payload: usize,

    /// Send binary attachments rather than text
    #[arg(long)]
    binary: bool,

    /// Emits that may wait for their answers: of each client in echo and churn, broadcasts in all else
    /// [default: 1, rooms: 16]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "rate")]
    inflight: Option<u16>,

    /// Emit at a fixed rate, all clients together, rather than when the answer before has come
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,

    /// How long it is measured
    #[arg(short, long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    duration: Duration,

    /// Load before that, which does not count
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    warmup: Duration,

    /// Rooms, in the scenarios rooms and churn [default: a tenth of the clients]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    rooms: Option<u32>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Connections")]
struct Connections {
    /// How clients connect
    #[arg(short, long, value_enum, default_value_t = Transport::Websocket)]
    transport: Transport,

    /// Clients that connect at the same time
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u16).range(1..))]
    connect_concurrency: u16,

    /// How long a client may take to connect and to join its room
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    connect_timeout: Duration,

    /// Where the server's Socket.IO requests go
    #[arg(long, default_value = "/socket.io/", value_parser = path)]
    path: String,

    /// Namespace to connect to, if it is not in the URL
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,

    /// JSON object that clients present to the namespace, such as {"token":"1234"}
    #[arg(long, value_name = "JSON", value_parser = object, default_value = "", hide_default_value = true)]
    auth: String,

    /// Header of all HTTP requests, such as 'Cookie: a=b'; may be given more than once
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The server's events")]
struct Names {
    /// Acknowledged with its payload
    #[arg(long, value_name = "EVENT", default_value = "echo")]
    echo_event: String,

    /// Joins a room
    #[arg(long, value_name = "EVENT", default_value = "join")]
    join_event: String,

    /// Leaves a room
    #[arg(long, value_name = "EVENT", default_value = "leave")]
    leave_event: String,

    /// Sends a payload to a room
    #[arg(long, value_name = "EVENT", default_value = "broadcast")]
    broadcast_event: String,

    /// What those in the room receive
    #[arg(long, value_name = "EVENT", default_value = "msg")]
    message_event: String,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct Output {
    /// Process id of the server, if it runs on this machine: its memory and CPU time are shown too, those of its
    /// child processes included
    #[arg(long)]
    pid: Option<u32>,

    /// Write the results as JSON too, to a file or to stdout (-); the table then goes to stderr
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// How long to wait for answers at the end, and for a broadcast to reach everybody
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    answer_timeout: Duration,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

impl Bench {
    /// Checks what no option can know of another.
    pub(super) fn plan(self) -> Result<(Plan, Url, Handshake), String> {
        let Self {
            url,
            load,
            connections: via,
            names,
            output,
        } = self;
        let scenario = load.scenario;
        if scenario.is_fan_out() && load.payload < DIGITS {
            return Err(format!(
                "--payload must be at least {DIGITS} here, because broadcasts are numbered"
            ));
        }
        let namespace = match via.namespace {
            Some(name) if url.namespace != "/" && url.namespace != name => {
                return Err(format!(
                    "the URL's path is the namespace {}, but --namespace is {name}",
                    url.namespace
                ));
            }
            Some(name) => name,
            None => namespace(&url.namespace)?,
        };
        let connections = load.connections as usize;
        let rooms = load
            .rooms
            .map_or(connections / 10, |rooms| rooms as usize)
            .clamp(1, connections);
        let plan = Plan {
            url: format!("http://{}{namespace}", url.authority),
            scenario,
            transport: via.transport,
            connections,
            connect_concurrency: via.connect_concurrency.into(),
            connect_timeout: via.connect_timeout,
            payload: Payload::new(load.payload, load.binary),
            payload_bytes: load.payload,
            binary: load.binary,
            in_flight: load.inflight.map_or(
                if scenario == Scenario::Rooms { 16 } else { 1 },
                usize::from,
            ),
            rate: load.rate,
            warmup: load.warmup,
            duration: load.duration,
            answer_timeout: output.answer_timeout,
            rooms: if scenario == Scenario::Broadcast {
                1
            } else {
                rooms
            },
            events: Events {
                echo: names.echo_event,
                join: names.join_event,
                leave: names.leave_event,
                broadcast: names.broadcast_event,
                message: names.message_event,
            },
            pid: output.pid,
            json: output.json,
            quiet: output.quiet,
        };
        let headers: HeaderMap = via.header.into_iter().collect();
        Ok((
            plan,
            url,
            Handshake {
                path: via.path,
                namespace,
                headers,
                auth: via.auth,
            },
        ))
    }
}

fn payload(text: &str) -> Result<usize, String> {
    bytes(text).and_then(|size| {
        if size <= 16 << 20 {
            Ok(size)
        } else {
            Err("at most 16MiB".into())
        }
    })
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("write a number of emits per second, up to 10000000".into()),
    }
}

/// With the slash at the end that the official client sends too.
fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/')
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"?#\"<>".contains(&b))
    {
        Ok(format!("{}/", text.trim_end_matches('/')))
    } else {
        Err("a path starts with / and has no query, such as /socket.io/".into())
    }
}

fn namespace(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains([',', '?']) {
        Ok(text.into())
    } else {
        Err("a namespace starts with / and has no comma, such as /chat".into())
    }
}

fn object(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let object: serde_json::Map<_, _> =
        serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))?;
    Ok(serde_json::Value::Object(object).to_string())
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write NAME: VALUE")?;
    let name = name
        .trim()
        .parse()
        .map_err(|_| "not the name of a header")?;
    let value = value
        .trim()
        .parse()
        .map_err(|_| "not the value of a header")?;
    Ok((name, value))
}
