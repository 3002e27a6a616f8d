//! Futures of acknowledgements.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use foldhash::fast::RandomState;
use sala_adapter::adapter::Answers as Elsewhere;
use sala_adapter::{AdapterError, BoxFuture, SocketId};
use sala_proto::{Args, RawArgs};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, Sleep};

use crate::cluster::split;
use crate::error::{AckError, Error};
use crate::socket::Socket;
use crate::socket::acks::{AckSink, NotWaiting};

/// What the other servers of the cluster will answer. Knows its own deadline.
pub(super) type Pending = BoxFuture<'static, Result<Elsewhere, AdapterError>>;

/// A deadline whose timer is made when it is first waited for, since that needs a runtime.
struct Deadline {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn new(timeout: Option<Duration>) -> Self {
        // A time beyond what a clock can tell is never.
        Self {
            at: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            sleep: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        sleep.as_mut().poll(cx)
    }
}

/// The future of one client's answer. Dropping it forgets the question.
#[must_use = "futures do nothing unless awaited; the event has been sent"]
pub struct AckFuture<R>(One<R>);

enum One<R> {
    Failed(Option<Error>),
    Waiting {
        socket: Socket,
        id: u64,
        answer: Arc<Answer<R>>,
        deadline: Deadline,
    },
    /// The client may be connected to another server, so all are asked.
    Somewhere(BroadcastAck<R>),
}

/// Where the session's task leaves the answer.
struct Answer<R>(Mutex<Slot<R>>);

struct Slot<R> {
    answer: Option<Result<R, Error>>,
    waker: Option<Waker>,
}

impl<R> Answer<R> {
    fn lock(&self) -> MutexGuard<'_, Slot<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, answer: Result<R, Error>) {
        let mut slot = self.lock();
        slot.answer.get_or_insert(answer);
        if let Some(waker) = slot.waker.take() {
            drop(slot);
            waker.wake();
        }
    }
}

impl<R: DeserializeOwned + Send> AckSink for Answer<R> {
    fn reply(&self, _: &SocketId, args: &Args<'_>) {
        self.set(args.parse().map_err(Error::from));
    }

    fn gone(&self, _: &SocketId) {
        self.set(Err(Error::closed()));
    }
}

impl<R: DeserializeOwned + Send + 'static> AckFuture<R> {
    pub(super) fn failed(error: Error) -> Self {
        Self(One::Failed(Some(error)))
    }

    /// The answer of the one client that is meant.
    pub(super) fn somewhere(answers: BroadcastAck<R>) -> Self {
        Self(One::Somewhere(answers))
    }

    /// Has the socket remember that an answer with this id is awaited.
    pub(super) fn register(
        socket: &Socket,
        id: u64,
        timeout: Option<Duration>,
    ) -> Result<Self, Error> {
        let answer = Arc::new(Answer(Mutex::new(Slot {
            answer: None,
            waker: None,
        })));
        match socket.await_ack(id, answer.clone()) {
            Ok(()) => {}
            Err(NotWaiting::Gone) => return Err(Error::closed()),
            Err(NotWaiting::TooMany) => return Err(Error::too_many_acks()),
        }
        let deadline = Deadline::new(timeout);
        Ok(Self(One::Waiting {
            socket: socket.clone(),
            id,
            answer,
            deadline,
        }))
    }
}

impl<R: DeserializeOwned> Future for AckFuture<R> {
    type Output = Result<R, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (answer, deadline) = match &mut self.get_mut().0 {
            One::Failed(error) => {
                return Poll::Ready(Err(error.take().unwrap_or_else(Error::closed)));
            }
            One::Waiting {
                answer, deadline, ..
            } => (answer, deadline),
            One::Somewhere(answers) => {
                return Pin::new(answers).poll(cx).map(|answers| {
                    let mut answers = answers.or_else(|error| match error.responses() {
                        [] => Err(Error::from(error)),
                        // Who else did not answer does not matter then.
                        _ => Ok(error.into_responses()),
                    })?;
                    // Nobody anywhere: the client has left.
                    answers.drain(..).next().ok_or_else(Error::closed)
                });
            }
        };
        let mut slot = answer.lock();
        if let Some(answer) = slot.answer.take() {
            return Poll::Ready(answer);
        }
        slot.waker = Some(cx.waker().clone());
        drop(slot);
        deadline.poll(cx).map(|()| Err(Error::timeout()))
    }
}

// Nothing in it is pinned in place.
impl<R> Unpin for AckFuture<R> {}

impl<R> Drop for AckFuture<R> {
    fn drop(&mut self) {
        if let One::Waiting { socket, id, .. } = &self.0 {
            socket.forget_ack(*id);
        }
    }
}

impl<R> fmt::Debug for AckFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckFuture").finish_non_exhaustive()
    }
}

/// The future of the answers of several clients. Dropping it forgets the question.
///
/// It resolves to all answers, in the order in which they arrived, when everybody has answered. If
/// somebody has not, because the time is up, the client left or its answer was no `R`, it resolves
/// to an [`AckError`] with the answers that did arrive.
#[must_use = "futures do nothing unless awaited; the event has been sent"]
pub struct BroadcastAck<R>(Many<R>);

enum Many<R> {
    Failed(Option<Error>),
    Waiting {
        sockets: Vec<Socket>,
        id: u64,
        answers: Arc<Answers<R>>,
        deadline: Deadline,
        elsewhere: Option<Pending>,
    },
}

/// Where the sessions' tasks leave their clients' answers.
struct Answers<R>(Mutex<Collected<R>>);

struct Collected<R> {
    responses: Vec<R>,
    /// Who has yet to answer.
    awaited: HashSet<SocketId, RandomState>,
    /// Who will not answer, and why the first of them.
    missing: Vec<SocketId>,
    error: Option<Error>,
    /// Why the answers of other servers are not complete.
    elsewhere: Option<Error>,
    waker: Option<Waker>,
}

impl<R: DeserializeOwned> Collected<R> {
    /// Adds what the other servers answered.
    fn add(&mut self, answers: Result<Elsewhere, AdapterError>) {
        let (answers, error) = split(answers);
        self.elsewhere = error;
        let replies: Vec<RawArgs> = match answers {
            Elsewhere::Acks { replies, .. } | Elsewhere::Servers(replies) => replies,
            Elsewhere::Sockets(_) => Vec::new(),
        };
        for reply in replies {
            match reply.parse() {
                Ok(reply) => self.responses.push(reply),
                Err(error) => drop(self.error.get_or_insert_with(|| error.into())),
            }
        }
    }
}

impl<R> Collected<R> {
    fn fail(&mut self, from: &SocketId, error: impl FnOnce() -> Error) {
        if self.awaited.remove(from) {
            self.missing.push(from.clone());
            self.error.get_or_insert_with(error);
        }
    }
}

impl<R> Answers<R> {
    fn lock(&self) -> MutexGuard<'_, Collected<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Collected<R>)) {
        let mut collected = self.lock();
        change(&mut collected);
        if collected.awaited.is_empty()
            && let Some(waker) = collected.waker.take()
        {
            drop(collected);
            waker.wake();
        }
    }
}

impl<R: DeserializeOwned + Send> AckSink for Answers<R> {
    fn reply(&self, from: &SocketId, args: &Args<'_>) {
        let answer = args.parse();
        self.update(|collected| match answer {
            Ok(answer) => {
                if collected.awaited.remove(from) {
                    collected.responses.push(answer);
                }
            }
            Err(error) => collected.fail(from, || error.into()),
        });
    }

    fn gone(&self, from: &SocketId) {
        self.update(|collected| collected.fail(from, Error::closed));
    }
}

impl<R: DeserializeOwned + Send + 'static> BroadcastAck<R> {
    pub(super) fn failed(error: Error) -> Self {
        Self(Many::Failed(Some(error)))
    }

    /// Has the sockets remember that answers with this id are awaited.
    pub(super) fn register(
        sockets: Vec<Socket>,
        elsewhere: Option<Pending>,
        id: u64,
        timeout: Duration,
    ) -> Self {
        let answers = Arc::new(Answers(Mutex::new(Collected {
            responses: Vec::new(),
            awaited: sockets.iter().map(|socket| socket.id().clone()).collect(),
            missing: Vec::new(),
            error: None,
            elsewhere: None,
            waker: None,
        })));
        for socket in &sockets {
            let error = match socket.await_ack(id, answers.clone()) {
                Ok(()) => continue,
                Err(NotWaiting::Gone) => Error::closed(),
                Err(NotWaiting::TooMany) => Error::too_many_acks(),
            };
            answers.update(|collected| collected.fail(socket.id(), || error));
        }
        let deadline = Deadline::new(Some(timeout));
        Self(Many::Waiting {
            sockets,
            id,
            answers,
            deadline,
            elsewhere,
        })
    }

    /// Whom the event is for.
    pub(super) fn recipients(&self) -> &[Socket] {
        match &self.0 {
            Many::Failed(_) => &[],
            Many::Waiting { sockets, .. } => sockets,
        }
    }
}

impl<R: DeserializeOwned> Future for BroadcastAck<R> {
    type Output = Result<Vec<R>, AckError<R>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (answers, deadline, elsewhere) = match &mut self.get_mut().0 {
            Many::Failed(error) => {
                let error = error.take().unwrap_or_else(Error::closed);
                return Poll::Ready(Err(AckError::new(Vec::new(), Vec::new(), error)));
            }
            Many::Waiting {
                answers,
                deadline,
                elsewhere,
                ..
            } => (answers, deadline, elsewhere),
        };
        if let Some(pending) = elsewhere
            && let Poll::Ready(result) = pending.as_mut().poll(cx)
        {
            *elsewhere = None;
            answers.lock().add(result);
        }
        let mut collected = answers.lock();
        if !collected.awaited.is_empty() {
            collected.waker = Some(cx.waker().clone());
            drop(collected);
            if deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
            collected = answers.lock();
            let late = std::mem::take(&mut collected.awaited);
            if !late.is_empty() {
                collected.missing.extend(late);
                collected.error = Some(Error::timeout());
            }
        }
        if elsewhere.is_some() {
            return Poll::Pending;
        }
        let responses = std::mem::take(&mut collected.responses);
        let missing = std::mem::take(&mut collected.missing);
        // What keeps a server silent says more than that a client was.
        let error = collected.elsewhere.take().or(collected.error.take());
        Poll::Ready(match error {
            None => Ok(responses),
            Some(error) => Err(AckError::new(responses, missing, error)),
        })
    }
}

// Nothing in it is pinned in place.
impl<R> Unpin for BroadcastAck<R> {}

impl<R> Drop for BroadcastAck<R> {
    fn drop(&mut self) {
        if let Many::Waiting { sockets, id, .. } = &self.0 {
            sockets.iter().for_each(|socket| socket.forget_ack(*id));
        }
    }
}

impl<R> fmt::Debug for BroadcastAck<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastAck").finish_non_exhaustive()
    }
}
