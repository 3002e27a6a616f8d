//! Events that servers send to each other.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use sala_adapter::adapter::AckSink;
use sala_proto::RawArgs;
use tokio::sync::mpsc;

use crate::error::{ErrorContext, ErrorKind, HandlerError};
use crate::handler::{ErasedServerSide, EventKey, ServerAck};
use crate::namespace::Namespace;

/// How many events of other servers may wait until handlers are started for them.
const MAX_QUEUED: usize = 1024;
/// How many handlers of one namespace may be unfinished; at the bound no more are started.
const MAX_RUNNING: usize = 1024;

/// Runs the handlers of server-side events of one namespace, in one task.
///
/// Not in the task that reads from the broker: a handler that blocks would hold up all broadcasts. Not in a
/// task for each event: those start in any order, while handlers are promised to start in the order of the
/// events. The task is started by the first event that somebody listens to, and ends with the namespace.
#[derive(Default)]
pub(crate) struct ServerSide(Mutex<Option<mpsc::Sender<Call>>>);

/// An event for handlers of this server.
struct Call {
    nsp: Namespace,
    event: EventKey,
    args: RawArgs,
    handlers: Vec<Arc<dyn ErasedServerSide>>,
    answer: Option<Arc<ServerAck>>,
}

impl ServerSide {
    /// Has the handlers of an event started, after those of the events before it.
    pub(super) fn begin(&self, nsp: &Namespace, packet: &RawArgs, answer: Option<AckSink>) {
        let Some(name) = packet.event() else {
            return;
        };
        let table = nsp.inner.table.get();
        let Some(listeners) = table.server_side(&name) else {
            return;
        };
        let call = Call {
            nsp: nsp.clone(),
            event: listeners.key.clone(),
            args: packet.clone().after_event(),
            handlers: listeners.handlers.clone(),
            answer: answer.map(ServerAck::new),
        };
        if self.queue().try_send(call).is_err() {
            let error = "too many events of other servers wait for their handlers";
            report(nsp, &name, ErrorKind::Limit, &error.into());
        }
    }

    fn queue(&self) -> mpsc::Sender<Call> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A task ends before its queue is dropped if its runtime is shut down.
        if let Some(queue) = queue.as_ref().filter(|queue| !queue.is_closed()) {
            return queue.clone();
        }
        let (sender, calls) = mpsc::channel(MAX_QUEUED);
        tokio::spawn(run(calls));
        queue.insert(sender).clone()
    }
}

async fn run(mut calls: mpsc::Receiver<Call>) {
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            // What was started is polled before anything else is started.
            biased;
            Some(()) = running.next() => {}
            call = calls.recv(), if running.len() < MAX_RUNNING => match call {
                Some(call) => call.start(|future| running.push(future)),
                None => break,
            },
        }
    }
    while running.next().await.is_some() {}
}

impl Call {
    fn start(self, mut run: impl FnMut(crate::handler::HandlerFuture)) {
        for handler in &self.handlers {
            match handler.call(&self.nsp, &self.event, &self.args, self.answer.clone()) {
                Ok(running) => run(running),
                Err(failure) => {
                    report(&self.nsp, self.event.as_str(), failure.kind, &failure.error);
                }
            }
        }
    }
}

/// Tells the application what went wrong with an event of another server.
pub(crate) fn report(nsp: &Namespace, event: &str, kind: ErrorKind, error: &HandlerError) {
    nsp.shared.report(&ErrorContext {
        socket: None,
        namespace: nsp.name(),
        event: Some(event),
        kind,
        error,
    });
}
