//! A Node.js worker as the primary sees it.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sala_proto::Value;
use tokio::sync::Notify;

use super::{Said, Serialization, understand};
use crate::channel::{Queue, Receiver, Sender};

/// How long a descriptor's arrival is waited for. Node.js takes one at a time.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);
/// The most sessions that one worker may have told of.
const MAX_SESSIONS: usize = 1 << 20;

/// What is known of a Node.js worker.
#[derive(Debug, Default)]
pub(crate) struct Node {
    form: Serialization,
    sessions: HashSet<String>,
    warned: bool,
}

/// What is to be done about what a worker said.
#[derive(Debug)]
pub(crate) enum Heard {
    Said(Said),
    Malformed,
}

/// Told when Node.js has taken a descriptor.
pub(crate) type Acks = Arc<Notify>;

impl Node {
    pub(crate) fn new(form: Serialization) -> Self {
        Self {
            form,
            ..Self::default()
        }
    }

    /// What the worker says next; `None` when its channel has ended.
    ///
    /// *Cancel safety:* dropping the future loses nothing.
    pub(crate) async fn hear(&self, receiver: &mut Receiver) -> io::Result<Option<Heard>> {
        let form = self.form;
        let message: Option<Result<Value, _>> =
            receiver.recv_as(|buffer| form.take(buffer)).await?;
        Ok(
            message.map(|message| match message.and_then(|it| understand(&it)) {
                Ok(said) => Heard::Said(said),
                Err(_) => Heard::Malformed,
            }),
        )
    }

    /// Notes a session; false if there are too many.
    pub(crate) fn note(&mut self, id: &str, open: bool) -> bool {
        if !open {
            return self.sessions.remove(id);
        }
        self.sessions.len() < MAX_SESSIONS && self.sessions.insert(id.to_owned())
    }

    /// How many sessions it has.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Says once what a worker should not do.
    pub(crate) fn warn_of_listening(&mut self, worker: u32) {
        if !std::mem::replace(&mut self.warned, true) {
            tracing::error!(
                worker,
                "the Node.js worker calls listen(), which waits for ever: the primary has the port; \
                 call setupWorker(io) of @socket.io/sticky instead"
            );
        }
    }
}

/// Sends what waits for a Node.js worker. After a descriptor, nothing is sent until it has been taken:
/// two that come together would be mixed up.
pub(crate) async fn drive(sender: &mut Sender, queue: &Queue, acks: &Acks) -> io::Result<()> {
    let mut batch = BytesMut::new();
    while let Some(parcel) = queue.pop().await {
        match parcel.descriptor {
            None => {
                batch.clear();
                batch.extend_from_slice(&parcel.bytes);
                queue.pop_into(&mut batch, 64 << 10);
                sender.write(&batch, None).await?;
            }
            Some(descriptor) => {
                sender.write(&parcel.bytes, Some(&descriptor)).await?;
                if tokio::time::timeout(ACK_TIMEOUT, acks.notified())
                    .await
                    .is_err()
                {
                    tracing::error!(
                        "a Node.js worker did not take a connection within {ACK_TIMEOUT:?}"
                    );
                }
            }
        }
        queue.progressed();
    }
    Ok(())
}
