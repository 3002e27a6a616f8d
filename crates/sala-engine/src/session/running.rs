//! The futures that a session's task drives besides its own work.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream as _;
use futures_util::stream::FuturesUnordered;

/// A future that handles an event.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The unfinished handlers of one session. Nothing is allocated while there are none.
#[derive(Default)]
pub(crate) struct Running {
    futures: Option<Box<FuturesUnordered<BoxFuture>>>,
}

impl Running {
    pub(crate) fn len(&self) -> usize {
        self.futures.as_ref().map_or(0, |futures| futures.len())
    }

    /// Drives the futures that were woken. Afterwards none of them is left unpolled.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Progress {
        let Some(futures) = &mut self.futures else {
            return Progress::Idle;
        };
        let mut progress = Progress::Idle;
        loop {
            match Pin::new(&mut **futures).poll_next(cx) {
                Poll::Ready(Some(())) => progress = Progress::Finished,
                Poll::Ready(None) => {
                    self.futures = None;
                    return progress;
                }
                Poll::Pending => return progress,
            }
        }
    }
}

/// What driving the running futures brought.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No future ended.
    Idle,
    /// At least one future ended.
    Finished,
}

/// The place where a session's task runs futures on behalf of its [`Connection`](crate::Connection).
pub struct Scope<'a, 'cx> {
    cx: &'a mut Context<'cx>,
    running: &'a mut Running,
}

impl<'a, 'cx> Scope<'a, 'cx> {
    pub(crate) fn new(cx: &'a mut Context<'cx>, running: &'a mut Running) -> Self {
        Self { cx, running }
    }

    /// Starts a future and polls it at once, in the session's task.
    ///
    /// So futures *start in the order of the calls*, what they do before their first wait is
    /// atomic with respect to the session, and one that never waits costs no task. One that waits
    /// is kept and driven together with the others; it outlives the session if need be.
    pub fn run(&mut self, mut future: BoxFuture) {
        if future.as_mut().poll(self.cx).is_pending() {
            // The set polls a new future once more before the task sleeps, and so hands it a
            // waker of its own.
            self.running.futures.get_or_insert_default().push(future);
        }
    }

    /// How many futures are running.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }
}
