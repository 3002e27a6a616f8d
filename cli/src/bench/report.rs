//! The results of a run.

use std::collections::BTreeMap;
use std::io::{Write, stderr, stdout};
use std::path::Path;

use serde::Serialize;

use super::Run;
use super::client::Transport;
use super::histogram::Histogram;
use super::plan::{Plan, Scenario};
use super::process::Usage;
use super::table;

/// The state at one moment.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) at: u64,
    pub(super) answers: u64,
    pub(super) server: Option<Usage>,
    pub(super) own_cpu: f64,
}

impl Mark {
    fn seconds_since(&self, earlier: &Self) -> f64 {
        self.at.saturating_sub(earlier.at) as f64 / 1e9
    }

    fn server_cpu_since(&self, earlier: &Self) -> Option<f64> {
        Some(self.server?.cpu - earlier.server?.cpu)
    }
}

/// The moments between the parts of a run.
#[derive(Debug)]
pub(super) struct Marks {
    pub(super) before: Mark,
    pub(super) connected: Mark,
    /// A while after the last handshake.
    pub(super) settled: Mark,
    /// The measured time's first moment.
    pub(super) begin: Mark,
    /// The measured time's last moment.
    pub(super) end: Mark,
}

/// What is written as JSON. Times are in seconds or, where the name says so, in microseconds; memory is in bytes.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) url: String,
    pub(super) scenario: Scenario,
    pub(super) transport: Transport,
    pub(super) payload_bytes: usize,
    pub(super) binary: bool,
    pub(super) in_flight: Option<usize>,
    pub(super) asked_rate: Option<f64>,
    pub(super) rooms: Option<usize>,
    /// Length of the measured time.
    pub(super) seconds: f64,
    pub(super) interrupted: bool,
    pub(super) connections: Connections,
    pub(super) messages: Option<Messages>,
    pub(super) server: Option<Server>,
    pub(super) generator: Generator,
    pub(super) errors: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Connections {
    pub(super) asked: usize,
    pub(super) connected: u64,
    pub(super) failed: u64,
    /// Connected, but lost later.
    pub(super) closed: u64,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    /// `None` if there was none.
    pub(super) latency_us: Option<Latency>,
}

#[derive(Debug, Serialize)]
pub(super) struct Messages {
    /// Events that clients emitted in the measured time.
    pub(super) sent: u64,
    /// Acknowledgements or deliveries due for them.
    pub(super) expected: u64,
    /// Those that came.
    pub(super) received: u64,
    /// Those that did not.
    pub(super) missing: u64,
    /// Wrong answers in the whole run.
    pub(super) mismatched: u64,
    /// Broadcasts that did not reach everybody in time.
    pub(super) given_up: u64,
    /// Acknowledgements or deliveries in the measured time, whenever they were asked for.
    pub(super) per_second: f64,
    /// `None` if there was none.
    pub(super) latency_us: Option<Latency>,
    /// Broadcasts: to the last delivery.
    pub(super) last_delivery_us: Option<Latency>,
    /// At a fixed rate: how late the emits were.
    pub(super) late_us: Option<Latency>,
}

#[derive(Debug, Serialize)]
pub(super) struct Latency {
    pub(super) min: f64,
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p99_9: f64,
    pub(super) max: f64,
}

impl Latency {
    fn of(histogram: &Histogram) -> Option<Self> {
        if histogram.count() == 0 {
            return None;
        }
        let micros = |duration: std::time::Duration| duration.as_nanos() as f64 / 1e3;
        Some(Self {
            min: micros(histogram.min()),
            mean: micros(histogram.mean()),
            p50: micros(histogram.percentile(50.0)),
            p90: micros(histogram.percentile(90.0)),
            p99: micros(histogram.percentile(99.0)),
            p99_9: micros(histogram.percentile(99.9)),
            max: micros(histogram.max()),
        })
    }
}

/// The server's processes.
#[derive(Debug, Serialize)]
pub(super) struct Server {
    pub(super) pid: u32,
    pub(super) rss_before: u64,
    pub(super) rss_connected: Option<u64>,
    pub(super) rss_peak: u64,
    /// When all clients are gone.
    pub(super) rss_after: Option<u64>,
    /// `None` if the memory did not grow.
    pub(super) rss_per_connection: Option<f64>,
    pub(super) connect_cpu_seconds_per_10k: Option<f64>,
    /// In the measured time.
    pub(super) cpu_seconds: Option<f64>,
    /// Seconds of CPU per second.
    pub(super) cpu_share: Option<f64>,
    pub(super) cpu_seconds_per_million: Option<f64>,
}

/// This process, in the measured time.
#[derive(Debug, Serialize)]
pub(super) struct Generator {
    pub(super) cpu_share: f64,
    pub(super) cores: usize,
}

impl Report {
    pub(super) fn new(run: &Run, marks: &Marks, after: Option<Usage>, interrupted: bool) -> Self {
        let plan = &run.plan;
        let emits = plan.scenario != Scenario::Connect;
        let seconds = marks.end.seconds_since(&marks.begin);
        Self {
            url: plan.url.clone(),
            scenario: plan.scenario,
            transport: plan.transport,
            payload_bytes: plan.payload_bytes,
            binary: plan.binary,
            in_flight: plan
                .rate
                .is_none()
                .then_some(plan.in_flight)
                .filter(|_| emits),
            asked_rate: plan.rate.filter(|_| emits),
            rooms: matches!(plan.scenario, Scenario::Rooms | Scenario::Churn).then_some(plan.rooms),
            seconds,
            interrupted,
            connections: connections(run, marks),
            messages: emits.then(|| messages(run, marks, seconds)),
            server: server(run, marks, after),
            generator: Generator {
                cpu_share: per(marks.end.own_cpu - marks.begin.own_cpu, seconds),
                cores: std::thread::available_parallelism().map_or(1, usize::from),
            },
            errors: run.stats.errors(),
        }
    }

    /// The table for people; JSON for programs, if it is wanted.
    pub(super) fn print(&self, plan: &Plan) -> Result<(), String> {
        let table = table::write(self);
        let Some(path) = &plan.json else {
            return write(&mut stdout(), &table);
        };
        let json = serde_json::to_string_pretty(self).map_err(|error| error.to_string())? + "\n";
        if path == Path::new("-") {
            write(&mut stderr(), &table)?;
            write(&mut stdout(), &json)
        } else {
            write(&mut stdout(), &table)?;
            std::fs::write(path, json)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))
        }
    }

    /// Whether the server did what it should, at least in part.
    pub(super) fn verdict(&self) -> Result<(), String> {
        let Connections {
            connected, closed, ..
        } = self.connections;
        let received = self.messages.as_ref().map(|messages| messages.received);
        let mismatched = self
            .messages
            .as_ref()
            .map_or(0, |messages| messages.mismatched);
        let problem = if mismatched > 0 {
            &format!("{mismatched} answers were not what was sent")
        } else if connected == 0 {
            "no client was connected"
        } else if closed == connected {
            "all connections were lost\n      the server's own log may say why"
        } else if received == Some(0) && self.interrupted {
            "interrupted before anything was measured"
        } else if received == Some(0) {
            "nothing was answered\n      does the server offer these events? see sala bench --help"
        } else {
            return Ok(());
        };
        Err(problem.into())
    }
}

fn connections(run: &Run, marks: &Marks) -> Connections {
    let seconds = marks.connected.seconds_since(&marks.before);
    let connected = run.stats.connected.get();
    Connections {
        asked: run.plan.clients(),
        connected,
        failed: run.stats.failed.get(),
        closed: run.stats.closed.get(),
        seconds,
        per_second: per(connected as f64, seconds),
        latency_us: Latency::of(&run.stats.connecting),
    }
}

fn messages(run: &Run, marks: &Marks, seconds: f64) -> Messages {
    let stats = &run.stats;
    let (expected, received) = (stats.expected.get(), stats.received.get());
    Messages {
        sent: stats.sent.get(),
        expected,
        received,
        missing: expected.saturating_sub(received),
        mismatched: stats.mismatched.get(),
        given_up: stats.given_up.get(),
        per_second: per((marks.end.answers - marks.begin.answers) as f64, seconds),
        latency_us: Latency::of(&stats.latency),
        last_delivery_us: Latency::of(&stats.last),
        late_us: run.plan.rate.and_then(|_| Latency::of(&stats.lateness)),
    }
}

fn server(run: &Run, marks: &Marks, after: Option<Usage>) -> Option<Server> {
    let pid = run.plan.pid?;
    let before = marks.before.server?;
    let connected = run.stats.connected.get() as f64;
    let grown = marks
        .settled
        .server
        .map(|usage| usage.rss as f64 - before.rss as f64);
    let cpu = marks.end.server_cpu_since(&marks.begin);
    let answers = (marks.end.answers - marks.begin.answers) as f64;
    Some(Server {
        pid,
        rss_before: before.rss,
        rss_connected: marks.settled.server.map(|usage| usage.rss),
        rss_peak: run.peak.get(),
        rss_after: after.map(|usage| usage.rss),
        rss_per_connection: grown
            .filter(|grown| *grown > 0.0 && connected > 0.0)
            .map(|grown| grown / connected),
        connect_cpu_seconds_per_10k: marks
            .connected
            .server_cpu_since(&marks.before)
            .map(|cpu| per(cpu * 1e4, connected)),
        cpu_seconds: cpu,
        cpu_share: cpu.map(|cpu| per(cpu, marks.end.seconds_since(&marks.begin))),
        cpu_seconds_per_million: cpu.filter(|_| answers > 0.0).map(|cpu| cpu * 1e6 / answers),
    })
}

/// A ratio; 0 if it makes no sense.
fn per(amount: f64, of: f64) -> f64 {
    if of > 0.0 { amount / of } else { 0.0 }
}

fn write(to: &mut dyn Write, text: &str) -> Result<(), String> {
    to.write_all(text.as_bytes())
        .and_then(|()| to.flush())
        .map_err(|error| format!("cannot print: {error}"))
}
