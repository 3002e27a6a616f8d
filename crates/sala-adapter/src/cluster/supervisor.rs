//! The task that keeps the link with the broker: opens it, runs its two halves, and opens it again.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep, timeout};

use super::backoff::Backoff;
use super::pace::Signal;
use super::shared::Shared;
use super::{keeper, reader, writer};
use crate::backend::{Backend, BackendError, BackendErrorKind, Context, Link};

/// How long the halves of a failed link may take to notice. They wait for nothing else.
const LAST_WORDS: Duration = Duration::from_secs(1);

type LinkOf<B> = Link<<B as Backend>::Outlet, <B as Backend>::Inlet>;

/// Keeps the link until the cluster is left.
pub(super) async fn supervise<B: Backend>(mut backend: B, shared: Arc<Shared>) {
    tokio::select! {
        () = keep_linked(&mut backend, &shared) => {}
        () = closing_is_overdue(&shared) => {}
    }
    shared.end();
}

async fn closing_is_overdue(shared: &Shared) {
    shared.closing.raised().await;
    sleep(shared.options.close_timeout).await;
}

async fn keep_linked<B: Backend>(backend: &mut B, shared: &Arc<Shared>) {
    let options = &shared.options;
    let mut backoff = Backoff::new(options.first_retry, options.longest_retry);
    let context = Context {
        server: shared.id.clone(),
        rooms: shared.clone(),
    };
    loop {
        let since = Instant::now();
        let ended = match open(backend, &context, options.open_timeout).await {
            Ok(link) => run::<B>(link, shared).await,
            Err(error) => Err(error),
        };
        let Err(error) = ended else {
            return;
        };
        if since.elapsed() > 2 * options.longest_retry {
            backoff.reset();
        }
        let delay = backoff.delay();
        shared.link_down(error, delay);
        let leaving = shared.closing.is_raised();
        tokio::select! {
            () = sleep(delay) => {}
            () = shared.closing.raised(), if !leaving => {}
        }
        if shared.closing.is_raised() && shared.queue.len().0 == 0 {
            return;
        }
    }
}

async fn open<B: Backend>(
    backend: &mut B,
    context: &Context,
    limit: Duration,
) -> Result<LinkOf<B>, BackendError> {
    let unreachable = |text: String| BackendError::new(BackendErrorKind::Unreachable, text);
    let opened = caught(backend.open(context));
    match timeout(limit, opened).await {
        Ok(Some(result)) => result,
        Ok(None) => Err(unreachable("the backend panicked".into())),
        Err(_) => Err(unreachable(format!("no connection within {limit:?}"))),
    }
}

/// Runs a future; `None` if it panics.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    })
    .await
}

/// Runs both halves until one fails, or both have ended because the cluster is left.
async fn run<B: Backend>(link: LinkOf<B>, shared: &Arc<Shared>) -> Result<(), BackendError> {
    let away = shared.link_up(link.counter);
    let stop = Signal::new();
    let pause = away.map_or(Duration::ZERO, |_| time_for_others(shared));
    let writer = writer::write(shared.clone(), link.outlet, pause, stop.clone());
    let reader = reader::read(shared.clone(), link.inlet, away, stop.clone());
    let (mut writing, mut reading) = (Half::start(writer), Half::start(reader));
    let ended = tokio::select! {
        written = writing.ended() => match written {
            Ok(()) => reading.ended().await,
            failed => failed,
        },
        read = reading.ended() => match read {
            Ok(()) => writing.ended().await,
            failed => failed,
        },
        never = keeper::keep(shared) => match never {},
    };
    stop.raise();
    // Whatever the other half says now changes nothing.
    let _ = timeout(LAST_WORDS, async {
        let _ = writing.ended().await;
        let _ = reading.ended().await;
    })
    .await;
    ended
}

/// How long to wait after an outage before anything is sent. The others come back within the longest
/// delay between two attempts, and a broker without a log forgets what nobody subscribes to.
fn time_for_others(shared: &Shared) -> Duration {
    match shared.profile.recovery {
        Some(_) => Duration::ZERO,
        None => shared.options.longest_retry,
    }
}

/// A task of the link, stopped with it; `None` once it was seen to end.
struct Half(Option<JoinHandle<Result<(), BackendError>>>);

impl Half {
    fn start(task: impl Future<Output = Result<(), BackendError>> + Send + 'static) -> Self {
        Self(Some(tokio::spawn(task)))
    }

    /// How it ended; nothing more to say the next time. Cancel-safe.
    async fn ended(&mut self) -> Result<(), BackendError> {
        let Some(task) = &mut self.0 else {
            return Ok(());
        };
        let ended = task.await;
        self.0 = None;
        ended.unwrap_or_else(|error| Err(panicked(error)))
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

fn panicked(error: JoinError) -> BackendError {
    BackendError::new(BackendErrorKind::Unreachable, "the backend panicked").caused_by(error)
}
