//! What is shown while a run lasts.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Run;
use super::process::usage;
use super::text::{count, span};

/// In lines that stay, one of so many seconds is shown.
const LINE_EVERY: u64 = 5;

/// The most memory that the server was seen to use.
#[derive(Debug, Default)]
pub(super) struct Peak(AtomicU64);

impl Peak {
    pub(super) fn see(&self, rss: u64) {
        self.0.fetch_max(rss, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Once a second: looks at the server's memory, and shows how far the run is. For ever; to be dropped.
pub(super) async fn follow(run: Arc<Run>) {
    let terminal = stderr().is_terminal();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut before, mut since) = (0, run.stats.now());
    ticks.tick().await;
    for second in 1.. {
        ticks.tick().await;
        if let Some(usage) = run.plan.pid.and_then(usage) {
            run.peak.see(usage.rss);
        }
        let shown = terminal || second % LINE_EVERY == 0;
        if run.plan.quiet || !shown {
            continue;
        }
        let (answers, now) = (run.stats.answers.get(), run.stats.now());
        let rate = (answers - before) as f64 * 1e9 / (now - since).max(1) as f64;
        (before, since) = (answers, now);
        // If nobody reads stderr, the run goes on.
        let line = line(&run, rate);
        let _ = if terminal {
            write!(stderr(), "\r\x1b[K{line}")
        } else {
            writeln!(stderr(), "{line}")
        };
    }
}

/// Removes the line of a terminal.
pub(super) fn clear(quiet: bool) {
    if !quiet && stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[K");
    }
}

fn line(run: &Run, rate: f64) -> String {
    let stats = &run.stats;
    let mut line = format!(
        "{} {}, {} connected",
        run.stage,
        span(Duration::from_nanos(stats.now())),
        count(stats.live.get())
    );
    if rate > 0.0 {
        line += &format!(", {}/s", count(rate as u64));
    }
    if stats.latency.count() > 0 {
        line += &format!(
            ", p50 {}, p99 {}",
            span(stats.latency.percentile(50.0)),
            span(stats.latency.percentile(99.0))
        );
    }
    for (number, what) in [
        (stats.failed.get(), "not connected"),
        (stats.closed.get(), "lost"),
        (stats.mismatched.get(), "wrong"),
    ] {
        if number > 0 {
            line += &format!(", {} {what}", count(number));
        }
    }
    line
}
