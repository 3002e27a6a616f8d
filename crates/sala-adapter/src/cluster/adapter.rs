//! What a namespace holds of the cluster.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use sala_proto::RawArgs;
use tokio::time::{Instant, timeout};

use super::Handle;
use super::ask::Question;
use super::namespace::Namespace;
use super::shared::{Link, Shared};
use crate::adapter::{Adapter, AdapterError, Answers, BoxFuture, Command, Request, RoomChange};
use crate::message::Message;
use crate::recovery::RecoveryStore;
use crate::target::Target;

pub(super) struct NamespaceAdapter {
    pub(super) handle: Arc<Handle>,
    pub(super) namespace: Arc<Namespace>,
}

impl NamespaceAdapter {
    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    fn publish(&self, message: Message) -> Result<(), AdapterError> {
        self.shared().publish(&self.namespace, message)
    }
}

impl Adapter for NamespaceAdapter {
    fn broadcast(&self, packet: RawArgs, target: &Target) -> Result<(), AdapterError> {
        self.publish(broadcast(packet, target))
    }

    fn command(&self, command: Command, target: &Target) -> Result<(), AdapterError> {
        let target = target.clone();
        self.publish(match command {
            Command::Join(rooms) => Message::Join { target, rooms },
            Command::Leave(rooms) => Message::Leave { target, rooms },
            Command::Disconnect { close } => Message::Disconnect { target, close },
        })
    }

    fn server_side_emit(&self, packet: RawArgs) -> Result<(), AdapterError> {
        self.publish(Message::ServerSideEmit {
            packet,
            request: None,
        })
    }

    fn request(
        &self,
        request: Request,
        target: &Target,
        timeout: Option<Duration>,
    ) -> BoxFuture<'static, Result<Answers, AdapterError>> {
        let shared = self.shared().clone();
        match Question::ask(shared, self.namespace.clone(), request, target, timeout) {
            Ok(question) => Box::pin(question.answers()),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn server_count(&self) -> BoxFuture<'static, Result<usize, AdapterError>> {
        let (shared, namespace) = (self.shared().clone(), self.namespace.clone());
        Box::pin(async move { super::ask::server_count(&shared, &namespace).await })
    }

    fn recovery(&self) -> Option<Arc<dyn RecoveryStore>> {
        self.shared().profile.recovery.clone()
    }

    fn broadcast_logged(&self, packet: RawArgs, target: &Target) -> Result<(), AdapterError> {
        let (shared, namespace) = (self.shared(), &self.namespace);
        let message = broadcast(packet.clone(), target);
        let hand_over = |number| {
            let taken = shared.hand_over(namespace, message, Some(number));
            (taken.is_ok() && shared.log_reachable(), taken)
        };
        let lane = &namespace.lane;
        let taken = lane.log(packet, target.clone(), Instant::now(), hand_over);
        shared.run_lane(namespace);
        taken.map_err(|refusal| shared.refused(namespace, refusal))
    }

    fn after_logged(&self, deliver: Box<dyn FnOnce() + Send>) {
        self.namespace.lane.after(deliver);
        self.shared().run_lane(&self.namespace);
    }

    fn interest(&self, change: RoomChange<'_>) {
        if !self.namespace.is_closed() {
            self.shared().follows.room(&self.namespace.name, change);
        }
    }

    fn ready(&self) -> BoxFuture<'static, ()> {
        let (shared, namespace) = (self.shared().clone(), self.namespace.clone());
        Box::pin(async move {
            if !namespace.is_closed() {
                shared.follows.ready().await;
            }
        })
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let shared = self.shared().clone();
        shared.leave(&self.namespace);
        Box::pin(async move {
            if let Link::Down { .. } = shared.link() {
                return; // Nobody can be told.
            }
            let limit = shared.options.close_timeout;
            let done = async {
                shared.queue.flushed().await;
                shared.follows.ready().await;
            };
            tokio::select! {
                // What is not sent by then is sent later: the namespace is closed all the same.
                _ = timeout(limit, done) => {}
                () = shared.ended.raised() => {}
            }
        })
    }
}

fn broadcast(packet: RawArgs, target: &Target) -> Message {
    Message::Broadcast {
        packet,
        target: target.clone(),
        request: None,
    }
}
