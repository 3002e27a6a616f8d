//! A seat: the place of a worker, which is filled again when it dies, and changed on a reload.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Shared;
use super::process::{Death, Process};

/// A worker that serves for less than this, or dies before it is ready, died at once.
const INSTANT: Duration = Duration::from_secs(5);
/// The pause after the first such death; it doubles from death to death.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a seat can be asked.
#[derive(Debug)]
pub(crate) enum Order {
    /// Start a successor, then retire the worker. Answered with what went wrong.
    Replace(oneshot::Sender<Result<(), String>>),
    /// Retire the worker and end. Answered with whether it ended by itself.
    Leave(oneshot::Sender<bool>),
    /// Kill the worker; the seat ends too. Answered with whether there was one.
    Kill(oneshot::Sender<bool>),
}

/// Why a reload stops when the primary is told to end.
const ENDING: &str = "the primary was told to end";

/// Kills a worker and waits for its end.
async fn end(mut worker: Process) {
    worker.kill();
    worker.gone().await;
}

/// Keeps a seat filled until it is told to leave.
pub(crate) async fn keep(shared: Arc<Shared>, number: usize, mut orders: mpsc::Receiver<Order>) {
    let mut seat = Seat {
        shared,
        number,
        worker: None,
        deaths: 0,
        next: Some(Instant::now()),
    };
    while seat.step(&mut orders).await {}
}

struct Seat {
    shared: Arc<Shared>,
    number: usize,
    worker: Option<Process>,
    /// How many workers in a row died at once.
    deaths: u32,
    /// When to start the next worker, if there is none.
    next: Option<Instant>,
}

impl Seat {
    /// Waits for something to happen. Returns whether to go on.
    async fn step(&mut self, orders: &mut mpsc::Receiver<Order>) -> bool {
        let Some(worker) = &mut self.worker else {
            let next = self.next.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                order = orders.recv() => return self.obey_empty(order),
                () = tokio::time::sleep_until(next) => self.fill(),
            }
            return true;
        };
        tokio::select! {
            biased;
            death = worker.gone() => {
                self.died(death);
                true
            }
            order = orders.recv() => self.obey(order, orders).await,
        }
    }

    fn fill(&mut self) {
        match Process::start(&self.shared, self.number) {
            Ok(worker) => self.worker = Some(worker),
            Err(error) => {
                let (program, _) = self.shared.config.program(self.number);
                tracing::error!(%error, ?program, "worker cannot be started");
                self.failed(format!("{} cannot be started: {error}", program.display()));
            }
        }
    }

    fn died(&mut self, death: Option<Death>) {
        self.worker = None;
        if death.is_some_and(|death| death.served >= INSTANT) {
            self.deaths = 0;
        }
        let status = death.map_or_else(|| "unknown status".into(), |it| it.status.to_string());
        self.failed(format!("the last one ended with {status}"));
    }

    /// A worker died: the next one starts after a pause, the longer the more died at once.
    fn failed(&mut self, why: String) {
        self.deaths += 1;
        let pause = match self.deaths {
            1 => Duration::ZERO,
            n => FIRST_PAUSE
                .saturating_mul(1 << (n - 2).min(16))
                .min(LONGEST_PAUSE),
        };
        self.next = Some(Instant::now() + pause);
        self.shared.instant_death(self.deaths, &why);
    }

    fn obey_empty(&mut self, order: Option<Order>) -> bool {
        match order {
            Some(Order::Replace(done)) => {
                // The next one to start is new anyway; now is as good as later.
                self.deaths = 0;
                self.next = None;
                done.send(Ok(())).ok();
                true
            }
            Some(Order::Leave(done)) => {
                done.send(true).ok();
                false
            }
            Some(Order::Kill(done)) => {
                done.send(false).ok();
                false
            }
            None => false,
        }
    }

    async fn obey(&mut self, order: Option<Order>, orders: &mut mpsc::Receiver<Order>) -> bool {
        match order {
            Some(Order::Replace(done)) => {
                return self.replace(done, orders).await;
            }
            Some(Order::Leave(done)) => {
                if let Some(worker) = self.worker.take() {
                    done.send(self.retire(worker, orders).await).ok();
                }
            }
            Some(Order::Kill(done)) => {
                if let Some(worker) = self.worker.take() {
                    end(worker).await;
                    done.send(true).ok();
                }
            }
            None => {
                if let Some(worker) = self.worker.take() {
                    end(worker).await;
                }
            }
        }
        false
    }

    /// Lets the worker end, unless it is to be killed meanwhile. Returns whether it ended by itself.
    async fn retire(&self, mut worker: Process, orders: &mut mpsc::Receiver<Order>) -> bool {
        loop {
            let order = tokio::select! {
                ended = worker.retire(&self.shared) => return ended,
                order = orders.recv() => order,
            };
            match order {
                Some(Order::Replace(done)) => drop(done.send(Err(ENDING.into()))),
                Some(Order::Leave(_)) => {}
                Some(Order::Kill(done)) => {
                    end(worker).await;
                    done.send(true).ok();
                    return false;
                }
                None => {
                    end(worker).await;
                    return false;
                }
            }
        }
    }

    /// Starts a successor; once it is ready, the old worker retires while the seat goes on.
    async fn replace(
        &mut self,
        done: oneshot::Sender<Result<(), String>>,
        orders: &mut mpsc::Receiver<Order>,
    ) -> bool {
        let mut successor = match Process::start(&self.shared, self.number) {
            Ok(successor) => successor,
            Err(error) => {
                let why = format!("the successor cannot be started: {error}");
                done.send(Err(why)).ok();
                return true;
            }
        };
        let ready = tokio::select! {
            ready = successor.ready() => ready,
            // Only an end can come while a reload is going on.
            order = orders.recv() => {
                successor.kill();
                done.send(Err(ENDING.into())).ok();
                return Box::pin(self.obey(order, orders)).await;
            }
        };
        if !ready {
            let death = successor.gone().await;
            let status = death.map_or_else(String::new, |death| format!(" ({})", death.status));
            let why =
                format!("the successor ended before it was ready{status}; the old worker stays");
            done.send(Err(why)).ok();
            return true;
        }
        if let Some(mut old) = self.worker.replace(successor) {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move {
                old.retire(&shared).await;
                done.send(Ok(())).ok();
            });
        }
        true
    }
}
