//! `sala bench`: a load generator for any Socket.IO server.

mod args;
mod board;
mod caller;
mod client;
mod drive;
mod fanout;
mod histogram;
mod pace;
mod payload;
mod plan;
mod process;
mod progress;
mod report;
mod stage;
mod stats;
mod stop;
mod table;
mod text;
mod worker;

use std::sync::Arc;

pub(crate) use self::args::Bench;
use self::board::Board;
use self::client::Target;
use self::pace::Pace;
use self::plan::Plan;
use self::progress::Peak;
use self::stage::Stage;
use self::stats::Stats;

/// What all parts of a run share.
#[derive(Debug)]
struct Run {
    plan: Plan,
    target: Arc<Target>,
    stats: Stats,
    stage: Stage,
    pace: Option<Arc<Pace>>,
    board: Board,
    peak: Peak,
}

impl Run {
    fn new(plan: Plan, target: Target) -> Self {
        let rooms = if plan.scenario.is_fan_out() {
            plan.rooms
        } else {
            0
        };
        let pace = plan.rate.map(|rate| Arc::new(Pace::new(rate)));
        Self {
            plan,
            target: Arc::new(target),
            stats: Stats::new(),
            stage: Stage::new(),
            pace,
            board: Board::new(rooms),
            peak: Peak::default(),
        }
    }
}

/// Runs until it is done or interrupted, and prints the results.
///
/// # Errors
///
/// What kept it from measuring, and what to do about it; or that answers were wrong.
pub(crate) fn run(bench: Bench) -> Result<(), String> {
    let (plan, url, handshake) = bench.plan()?;
    drive::prepare(&plan)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(drive::drive(plan, &url, handshake))
}
