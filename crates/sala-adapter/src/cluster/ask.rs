//! Asking the other servers.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::collector::{Collector, Wanted};
use super::namespace::Namespace;
use super::requests::{Claim, Outcome};
use super::shared::{Link, Shared};
use crate::adapter::{AdapterError, Answers, Request};
use crate::message::{Message, RequestId};
use crate::target::Target;

/// The longest time that answers are waited for; more would overflow the clock of some systems.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A request that was sent.
pub(super) enum Question {
    /// There is nobody to ask.
    Answered(Answers),
    Waiting(Box<Waiting>),
}

pub(super) struct Waiting {
    shared: Arc<Shared>,
    namespace: Arc<Namespace>,
    claim: Claim,
    span: Duration,
    deadline: Instant,
}

impl Question {
    /// Sends a request, now.
    pub(super) fn ask(
        shared: Arc<Shared>,
        namespace: Arc<Namespace>,
        request: Request,
        target: &Target,
        timeout: Option<Duration>,
    ) -> Result<Self, AdapterError> {
        if namespace.is_closed() {
            return Err(AdapterError::Closed);
        }
        if let Link::Down { reason, .. } = shared.link() {
            return Err(shared.unreachable(&namespace, reason));
        }
        let span = timeout.unwrap_or(shared.profile.request_timeout);
        let span = span.min(FOREVER);
        let servers = shared.has_heartbeats().then(|| namespace.known());
        let alone = servers.as_ref().is_some_and(|servers| servers.is_empty());
        let max_bytes = shared.options.max_answer_bytes;
        let mut collector = Collector::new(wanted(&request, target), servers, max_bytes);
        if alone {
            // Servers that are not known yet are to have the event, but are not waited for.
            if let Request::Emit(_) = request {
                shared.publish(
                    &namespace,
                    question(request, target, RequestId::random(), span),
                )?;
            }
            return Ok(Self::Answered(collector.finish()));
        }
        let claim = shared.requests.open(namespace.name.clone(), collector);
        let message = question(request, target, claim.id().clone(), span);
        shared.publish(&namespace, message)?;
        Ok(Self::Waiting(Box::new(Waiting {
            shared,
            namespace,
            claim,
            span,
            deadline: Instant::now() + span,
        })))
    }

    pub(super) async fn answers(self) -> Outcome {
        match self {
            Self::Answered(answers) => Ok(answers),
            Self::Waiting(waiting) => waiting.answers().await,
        }
    }
}

impl Waiting {
    async fn answers(mut self) -> Outcome {
        let deadline = self.deadline;
        match timeout_at(deadline, self.collect()).await {
            Ok(outcome) => outcome,
            Err(_) => self.time_is_up(),
        }
    }

    async fn collect(&mut self) -> Outcome {
        if !self.shared.has_heartbeats() {
            tokio::select! {
                biased;
                outcome = self.claim.done() => return outcome,
                others = count_others(&self.shared, &self.namespace) => self.claim.expect(others?),
            }
        }
        self.claim.done().await
    }

    fn time_is_up(&mut self) -> Outcome {
        self.claim.give_up().unwrap_or_else(|mut collector| {
            Err(AdapterError::Timeout {
                missing: collector.missing(self.namespace.known()),
                waited: self.span,
                partial: collector.finish(),
            })
        })
    }
}

fn wanted(request: &Request, target: &Target) -> Wanted {
    match request {
        Request::Sockets => Wanted::Sockets,
        Request::ServerSide(_) => Wanted::Servers,
        Request::Emit(_) => Wanted::Acks {
            single: target.flags.expect_single_response,
        },
    }
}

fn question(request: Request, target: &Target, id: RequestId, span: Duration) -> Message {
    let mut target = target.clone();
    match request {
        Request::Sockets => Message::FetchSockets {
            request: id,
            target,
        },
        Request::ServerSide(packet) => Message::ServerSideEmit {
            packet,
            request: Some(id),
        },
        Request::Emit(packet) => {
            // Tells the others how long to wait for their clients.
            target.flags.timeout.get_or_insert(span);
            Message::Broadcast {
                packet,
                target,
                request: Some(id),
            }
        }
    }
}

/// How many servers there are, this one included.
pub(super) async fn server_count(
    shared: &Shared,
    namespace: &Namespace,
) -> Result<usize, AdapterError> {
    if namespace.is_closed() {
        return Err(AdapterError::Closed);
    }
    if let Link::Down { reason, .. } = shared.link() {
        return Err(shared.unreachable(namespace, reason));
    }
    if shared.has_heartbeats() {
        return Ok(1 + namespace.members().len());
    }
    let span = shared.profile.request_timeout;
    match timeout(span, count_others(shared, namespace)).await {
        Ok(others) => Ok(1 + others?),
        Err(_) => {
            let reason = format!("the broker did not count within {span:?}");
            Err(shared.unreachable(namespace, reason.into()))
        }
    }
}

/// Has the broker count, once it counts this server as well.
async fn count_others(shared: &Shared, namespace: &Namespace) -> Result<usize, AdapterError> {
    let counter = loop {
        let mut applied = pin!(shared.follows.next_applied());
        applied.as_mut().enable();
        match shared.link() {
            Link::Down { reason, .. } => return Err(shared.unreachable(namespace, reason)),
            Link::Up(counter) if namespace.hears() => break counter,
            Link::Up(_) | Link::Starting => applied.await,
        }
    };
    let Some(counter) = counter else {
        let reason = format!("{} cannot count servers", shared.profile.name);
        return Err(shared.unreachable(namespace, reason.into()));
    };
    let counted = counter.count(namespace.name.as_str()).await;
    let counted = counted
        .map_err(|error| shared.unreachable(namespace, error.to_string().into()))?
        .saturating_sub(1);
    namespace.set_counted(counted);
    Ok(counted)
}
