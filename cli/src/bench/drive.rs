//! A run from its beginning to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Run;
use super::client::{Error, Handshake, Target, Transport, Url};
use super::plan::Plan;
use super::process::{own_cpu, usage};
use super::progress;
use super::report::{Mark, Marks, Report};
use super::stage::Phase;
use super::stop::Stop;
use super::worker::Worker;

/// So many failures one after the other, and the rest of the clients is not tried.
const HOPELESS: u64 = 100;

/// Open files beside those of the connections.
const OTHER_FILES: u64 = 64;

/// Until what the last handshake has set in motion has come to rest.
const SETTLE: Duration = Duration::from_millis(300);

/// Until the memory of a server that is watched has come to rest.
const SETTLE_MEMORY: Duration = Duration::from_secs(1);

/// How often it is asked whether something awaited has happened.
const LOOK: Duration = Duration::from_millis(10);

/// The longest wait for answers after Ctrl-C.
const INTERRUPTED_DRAIN: Duration = Duration::from_secs(1);

/// Sees to it that the run can be made: enough open files, and a process to watch.
pub(super) fn prepare(plan: &Plan) -> Result<(), String> {
    let each = if plan.transport == Transport::Polling {
        2
    } else {
        1
    };
    // While a client upgrades, it has a second connection.
    let extra = if plan.transport == Transport::Upgrade {
        plan.connect_concurrency
    } else {
        0
    };
    let needed = (plan.clients() * each + extra) as u64 + OTHER_FILES;
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(needed);
    if limit < needed {
        return Err(format!(
            "{} connections need {needed} open files, but this process may have {limit}\n      \
             raise the hard limit (ulimit -Hn, as root) or use fewer --connections",
            plan.clients()
        ));
    }
    match plan.pid {
        Some(pid) if usage(pid).is_none() => Err(format!(
            "--pid {pid}: nothing known of such a process\n      it must run on this machine, which must have /proc"
        )),
        _ => Ok(()),
    }
}

/// Runs, prints the results, and says if they cannot be trusted.
pub(super) async fn drive(plan: Plan, url: &Url, handshake: Handshake) -> Result<(), String> {
    let stop = Stop::listen();
    let place = plan.url.clone();
    let explain = |error: Error| format!("cannot bench {place}: {error}\n      {}", error.advice());
    let found = timeout(plan.connect_timeout, Target::find(url, handshake)).await;
    let target = found
        .unwrap_or(Err(Error::Timeout("the server to accept a connection")))
        .map_err(&explain)?;
    let run = Arc::new(Run::new(plan, target));
    let mut background = JoinSet::new();
    background.spawn(progress::follow(run.clone()));

    let mut clients = JoinSet::new();
    let marks = load(&run, &mut clients, &stop).await.map_err(|error| {
        progress::clear(run.plan.quiet);
        explain(error)
    })?;
    background.shutdown().await;
    clients.shutdown().await;
    let after = match run.plan.pid {
        Some(pid) => {
            sleep(SETTLE_MEMORY).await;
            usage(pid)
        }
        None => None,
    };
    progress::clear(run.plan.quiet);
    let report = Report::new(&run, &marks, after, stop.is_asked());
    report.print(&run.plan)?;
    report.verdict()
}

/// The load itself: connects all clients, lets them work, and notes the state in between.
async fn load(run: &Arc<Run>, clients: &mut JoinSet<()>, stop: &Stop) -> Result<Marks, Error> {
    let before = mark(run);
    connect(run, clients, stop).await?;
    let connected = mark(run);
    let watched = run.plan.pid.is_some();
    stop.sleep(if watched { SETTLE_MEMORY } else { SETTLE })
        .await;
    let settled = mark(run);
    let warmup = run.plan.warmup;
    let first = if warmup.is_zero() {
        Phase::Measured
    } else {
        Phase::Warmup
    };
    run.stage.enter(first);
    if let Some(pace) = run.pace.clone() {
        let run = run.clone();
        std::thread::spawn(move || pace.conduct(&run));
    }
    pass(run, stop, warmup).await;
    let begin = mark(run);
    run.stage.enter(Phase::Measured);
    pass(run, stop, run.plan.duration).await;
    let end = mark(run);
    run.stage.enter(Phase::Draining);
    drain(run, stop).await;
    Ok(Marks {
        before,
        connected,
        settled,
        begin,
        end,
    })
}

/// Connects all clients: one alone, so that a mistake shows at once, then many at a time.
async fn connect(run: &Arc<Run>, clients: &mut JoinSet<()>, stop: &Stop) -> Result<(), Error> {
    let first = tokio::select! {
        first = Worker::connect(run, 0) => first?,
        () = stop.asked() => return Ok(()),
    };
    clients.spawn(first.work(run.clone()));
    let all = run.plan.clients();
    let at_once = run.plan.connect_concurrency;
    let slots = Arc::new(Semaphore::new(at_once));
    // The last one is the speaker of a broadcast, without whom the others are of no use.
    for index in (1..all).rev() {
        let slot = tokio::select! {
            slot = slots.clone().acquire_owned() => slot,
            () = stop.asked() => break,
        };
        if run.stats.failed_in_a_row.get() >= HOPELESS {
            run.stats.error(format!(
                "gave up connecting after {HOPELESS} failures in a row"
            ));
            break;
        }
        let run = run.clone();
        clients.spawn(async move {
            let worker = Worker::connect(&run, index).await;
            drop(slot);
            if let Ok(worker) = worker {
                worker.work(run).await;
            }
        });
    }
    // All slots are free again when all clients are connected, or have failed.
    let everybody = slots.acquire_many(u32::try_from(at_once).unwrap_or(u32::MAX));
    tokio::select! {
        _ = everybody => {}
        () = stop.asked() => {}
    }
    Ok(())
}

/// Lets time pass, unless the user has enough or no client is left.
async fn pass(run: &Run, stop: &Stop, duration: Duration) {
    let all_lost = async {
        while run.stats.live.get() > 0 {
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = stop.sleep(duration) => {}
        () = all_lost => {}
    }
}

/// Waits until everything that was emitted is answered, within reason.
async fn drain(run: &Run, stop: &Stop) {
    let begin = Instant::now();
    let limit = run.plan.answer_timeout;
    let limit = if stop.is_asked() {
        limit.min(INTERRUPTED_DRAIN)
    } else {
        limit
    };
    let stats = &run.stats;
    while stats.received.get() < stats.expected.get()
        && stats.live.get() > 0
        && begin.elapsed() < limit
    {
        sleep(LOOK).await;
    }
}

fn mark(run: &Run) -> Mark {
    let server = run.plan.pid.and_then(usage);
    if let Some(usage) = server {
        run.peak.see(usage.rss);
    }
    Mark {
        at: run.stats.now(),
        answers: run.stats.answers.get(),
        server,
        own_cpu: own_cpu(),
    }
}
