//! Requests of this server that wait for answers.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use super::collector::{Collector, Verdict};
use super::{Map, lock};
use crate::adapter::{AdapterError, Answers};
use crate::message::{Message, RequestId};
use crate::target::{Room, ServerId};

#[derive(Default)]
pub(super) struct Requests {
    pending: Mutex<Map<RequestId, Pending>>,
}

struct Pending {
    namespace: Room,
    collector: Collector,
    done: oneshot::Sender<Outcome>,
}

pub(super) type Outcome = Result<Answers, AdapterError>;

/// The claim of whoever asked. Dropping it forgets the request.
pub(super) struct Claim {
    requests: Arc<Requests>,
    id: RequestId,
    done: oneshot::Receiver<Outcome>,
}

impl Requests {
    /// Begins to collect.
    pub(super) fn open(self: &Arc<Self>, namespace: Room, collector: Collector) -> Claim {
        let id = RequestId::random();
        let (sender, done) = oneshot::channel();
        let pending = Pending {
            namespace,
            collector,
            done: sender,
        };
        self.lock().insert(id.clone(), pending);
        Claim {
            requests: self.clone(),
            id,
            done,
        }
    }

    /// Takes an answer.
    pub(super) fn answer(
        &self,
        namespace: &Room,
        sender: Option<&ServerId>,
        message: Message,
    ) -> Verdict {
        let Some(id) = message.answers().cloned() else {
            return Verdict::Ignored;
        };
        let mut verdict = Verdict::Ignored;
        self.update(&id, |pending| {
            if pending.namespace == *namespace {
                verdict = pending.collector.answer(sender, message);
            }
        });
        verdict
    }

    /// A server has gone.
    pub(super) fn departed(&self, namespace: &Room, server: &ServerId) {
        for id in self.of(namespace) {
            self.update(&id, |pending| pending.collector.departed(server));
        }
    }

    /// A namespace was closed.
    pub(super) fn close(&self, namespace: &Room) {
        for id in self.of(namespace) {
            let closed = self.lock().remove(&id);
            if let Some(closed) = closed {
                // Whoever asked may have gone.
                let _ = closed.done.send(Err(AdapterError::Closed));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn of(&self, namespace: &Room) -> Vec<RequestId> {
        let pending = self.lock();
        let found = pending.iter().filter(|(_, it)| it.namespace == *namespace);
        found.map(|(id, _)| id.clone()).collect()
    }

    /// Changes a request, and ends it if it is complete then.
    fn update(&self, id: &RequestId, change: impl FnOnce(&mut Pending)) {
        let mut all = self.lock();
        let Some(pending) = all.get_mut(id) else {
            return;
        };
        change(pending);
        if !pending.collector.is_complete() {
            return;
        }
        let ended = all.remove(id);
        drop(all);
        if let Some(mut ended) = ended {
            // Whoever asked may have gone.
            let _ = ended.done.send(Ok(ended.collector.finish()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Map<RequestId, Pending>> {
        lock(&self.pending)
    }
}

impl Claim {
    pub(super) fn id(&self) -> &RequestId {
        &self.id
    }

    /// The broker has counted so many other servers.
    pub(super) fn expect(&self, servers: usize) {
        self.requests
            .update(&self.id, |pending| pending.collector.expect(servers));
    }

    /// Waits for the end. Cancel-safe; not to be called again once it has returned.
    pub(super) async fn done(&mut self) -> Outcome {
        // The sender lives in the list until it has sent, or until the claim is given up.
        (&mut self.done).await.unwrap_or(Err(AdapterError::Closed))
    }

    /// Ends the request now: what it has come to, or what was collected so far.
    pub(super) fn give_up(&mut self) -> Result<Outcome, Box<Collector>> {
        let removed = self.requests.lock().remove(&self.id);
        match removed {
            Some(pending) => Err(Box::new(pending.collector)),
            None => Ok(self.done.try_recv().unwrap_or(Err(AdapterError::Closed))),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.requests.lock().remove(&self.id);
    }
}
