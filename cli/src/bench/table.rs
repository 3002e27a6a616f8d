//! The results as a table.

use std::fmt::Write;
use std::time::Duration;

use super::plan::Scenario;
use super::report::{Latency, Messages, Report, Server};
use super::text::{count, size, span};

/// A name, and what is to be said.
type Row = (&'static str, String);

pub(super) fn write(report: &Report) -> String {
    let mut text = format!("\n{}\n\n", title(report));
    let mut rows = connections(report);
    if let Some(messages) = &report.messages {
        rows.extend(message_rows(report, messages));
    }
    for (name, value) in rows {
        row(&mut text, name, &value);
    }
    latencies(&mut text, report);
    let rest = report
        .server
        .iter()
        .flat_map(server)
        .chain([generator(report)]);
    for (name, value) in rest {
        row(&mut text, name, &value);
    }
    for (error, times) in &report.errors {
        row(&mut text, "error", &format!("{} × {error}", count(*times)));
    }
    text
}

fn row(text: &mut String, name: &str, value: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "  {name:<16}{value}");
}

fn title(report: &Report) -> String {
    let scenario = match report.scenario {
        Scenario::Connect => "connect",
        Scenario::Echo => "echo",
        Scenario::Broadcast => "broadcast",
        Scenario::Rooms => "rooms",
        Scenario::Churn => "churn",
    };
    let transport = format!("{:?}", report.transport).to_lowercase();
    let mut title = format!("{scenario} at {} over {transport}", report.url);
    if !matches!(report.scenario, Scenario::Connect | Scenario::Churn) {
        let kind = if report.binary { "binary" } else { "text" };
        title += &format!(", {} of {kind}", size(report.payload_bytes as f64));
    }
    if let Some(rooms) = report.rooms {
        title += &format!(", {} rooms", count(rooms as u64));
    }
    match (report.asked_rate, report.in_flight) {
        (Some(rate), _) => title += &format!(", {rate}/s"),
        (None, Some(in_flight)) => title += &format!(", {in_flight} in flight"),
        (None, None) => {}
    }
    title += &format!(", {}", span(Duration::from_secs_f64(report.seconds)));
    if report.interrupted {
        title += " (interrupted)";
    }
    title
}

fn connections(report: &Report) -> Vec<Row> {
    let all = &report.connections;
    let mut rows = vec![(
        "connections",
        format!(
            "{} of {} in {}, {}/s",
            count(all.connected),
            count(all.asked as u64),
            span(Duration::from_secs_f64(all.seconds)),
            count(all.per_second as u64)
        ),
    )];
    if all.failed > 0 {
        rows.push(("not connected", count(all.failed)));
    }
    rows.push(("closed", count(all.closed)));
    rows
}

fn message_rows(report: &Report, messages: &Messages) -> Vec<Row> {
    let (rate, answers) = match report.scenario {
        Scenario::Broadcast | Scenario::Rooms => ("deliveries/s", "delivered"),
        _ => ("answers/s", "answered"),
    };
    let mut rows = vec![
        (rate, count(messages.per_second as u64)),
        ("sent", count(messages.sent)),
        (
            answers,
            format!(
                "{} of {}",
                count(messages.received),
                count(messages.expected)
            ),
        ),
        ("wrong", count(messages.mismatched)),
    ];
    if messages.given_up > 0 {
        rows.push((
            "given up",
            format!("{} broadcasts", count(messages.given_up)),
        ));
    }
    let made = messages.sent as f64 / report.seconds.max(f64::EPSILON);
    if report.asked_rate.is_some_and(|asked| made < asked * 0.98) {
        rows.push((
            "too slow",
            format!(
                "{}/s were sent: the rate was not reached",
                count(made as u64)
            ),
        ));
    }
    rows
}

fn latencies(text: &mut String, report: &Report) {
    let messages = report.messages.as_ref();
    let lines = [
        ("connect", report.connections.latency_us.as_ref()),
        (
            "latency",
            messages.and_then(|messages| messages.latency_us.as_ref()),
        ),
        (
            "last delivery",
            messages.and_then(|messages| messages.last_delivery_us.as_ref()),
        ),
        (
            "sent late by",
            messages.and_then(|messages| messages.late_us.as_ref()),
        ),
    ];
    let head = ["min", "p50", "p90", "p99", "p99.9", "max"].map(String::from);
    let _ = write!(text, "\n  {:<16}{}\n", "", columns(&head));
    for (name, latency) in lines {
        if let Some(latency) = latency {
            row(text, name, &columns(&cells(latency)));
        }
    }
    text.push('\n');
}

fn cells(latency: &Latency) -> [String; 6] {
    [
        latency.min,
        latency.p50,
        latency.p90,
        latency.p99,
        latency.p99_9,
        latency.max,
    ]
    .map(|micros| span(Duration::from_secs_f64(micros / 1e6)))
}

fn columns(cells: &[String]) -> String {
    cells.iter().map(|cell| format!("{cell:>11}")).collect()
}

fn server(server: &Server) -> Vec<Row> {
    let bytes = |bytes: Option<u64>| bytes.map_or("gone".into(), |bytes| size(bytes as f64));
    let mut memory = format!(
        "{} before, {} with all clients, {} at most, {} after",
        size(server.rss_before as f64),
        bytes(server.rss_connected),
        size(server.rss_peak as f64),
        bytes(server.rss_after)
    );
    if let Some(each) = server.rss_per_connection {
        memory += &format!("; {} per connection", size(each));
    }
    let mut rows = vec![("server memory", memory)];
    if let (Some(share), Some(connect)) = (server.cpu_share, server.connect_cpu_seconds_per_10k) {
        let mut cpu = format!("{:.0} % of a core", share * 100.0);
        if let Some(each) = server.cpu_seconds_per_million {
            cpu += &format!("; {each:.2} s per million");
        }
        cpu += &format!("; {connect:.2} s per 10,000 connections");
        rows.push(("server CPU", cpu));
    }
    rows
}

fn generator(report: &Report) -> Row {
    let (share, cores) = (report.generator.cpu_share, report.generator.cores);
    let mut text = format!("{:.0} % of a core, of {cores} cores", share * 100.0);
    if share > 0.8 * cores as f64 {
        text += ": it may be what limits the rate";
    }
    ("generator CPU", text)
}
