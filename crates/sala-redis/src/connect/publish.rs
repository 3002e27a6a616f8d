//! Publishing messages, for all backends that do.

use redis::Cmd;
use sala_adapter::backend::{Parcel, State};
use sala_adapter::{BackendError, Envelope};

use super::{Commands, Connector, Idle, Keyed, Unanswered};

/// How much is sent at once, in bytes. More gains nothing and only takes memory.
const CHUNK: usize = 1 << 20;

/// Publishes over a connection that is opened when it is needed and dropped when it fails.
pub(crate) struct Publisher {
    connector: Connector,
    way: Way,
    unanswered: Unanswered,
    commands: Option<Commands>,
    idle: Idle,
}

/// Which command publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `PUBLISH`, which reaches subscribers at every node of a Cluster from any of them.
    Everywhere,
    /// `SPUBLISH`, at the node that owns the channel.
    Sharded,
}

/// A message as it is published.
pub(crate) struct Post {
    pub(crate) channel: String,
    pub(crate) payload: Vec<u8>,
}

impl Publisher {
    /// Connects at the first message.
    pub(crate) fn new(connector: Connector, way: Way) -> Self {
        Self {
            connector,
            way,
            unanswered: Unanswered::Again,
            commands: None,
            idle: Idle::new(),
        }
    }

    /// Publishes no message again that may have been published, in a Cluster either.
    pub(crate) fn once(mut self) -> Self {
        self.unanswered = Unanswered::Fails;
        self
    }

    /// The connection, opened if there is none.
    pub(crate) async fn commands(&mut self) -> Result<&Commands, BackendError> {
        let commands = match self.commands.take() {
            Some(commands) => commands,
            None => match self.way {
                Way::Everywhere => self.connector.commands_anywhere().await?,
                Way::Sharded => self.connector.commands().await?,
            },
        };
        Ok(self.commands.insert(commands))
    }

    /// Publishes the messages that wait, in their order.
    pub(crate) async fn send(
        &mut self,
        batch: &mut [Parcel],
        encode: impl Fn(&Envelope) -> Result<Post, BackendError>,
    ) -> Result<(), BackendError> {
        let limits = self.connector.limits();
        let (mut which, mut commands, mut bytes) = (Vec::new(), Vec::new(), 0);
        for i in 0..batch.len() {
            if !batch[i].is_waiting() {
                continue;
            }
            let envelope = &batch[i].envelope;
            let within = |post: Post| {
                limits
                    .check(&envelope.message, post.payload.len())
                    .map(|()| post)
            };
            match encode(envelope).and_then(within) {
                Ok(post) => {
                    bytes += post.payload.len();
                    commands.push(self.command(post));
                    which.push(i);
                }
                Err(error) => batch[i].state = State::Failed(error),
            }
            if bytes >= CHUNK {
                let (which, commands) = (std::mem::take(&mut which), std::mem::take(&mut commands));
                self.publish(batch, which, commands).await?;
                bytes = 0;
            }
        }
        self.publish(batch, which, commands).await
    }

    async fn publish(
        &mut self,
        batch: &mut [Parcel],
        which: Vec<usize>,
        commands: Vec<Keyed>,
    ) -> Result<(), BackendError> {
        if commands.is_empty() {
            return Ok(());
        }
        if let Some(open) = &self.commands
            && self.idle.is_over()
            && !open.answer().await
        {
            self.commands = None;
        }
        let unanswered = self.unanswered;
        let open = self.commands().await?;
        match open.pipeline("publishing", commands, unanswered).await {
            Ok(results) => {
                for (i, result) in which.into_iter().zip(results) {
                    batch[i].state = match result {
                        Ok(_) => State::Sent(None),
                        Err(error) => State::Failed(error),
                    };
                }
                Ok(())
            }
            Err(error) => {
                self.commands = None;
                Err(error)
            }
        }
    }

    fn command(&self, Post { channel, payload }: Post) -> Keyed {
        let name = match self.way {
            Way::Everywhere => "PUBLISH",
            Way::Sharded => "SPUBLISH",
        };
        let mut cmd = Cmd::with_capacity(3, name.len() + channel.len() + payload.len());
        cmd.arg(name).arg(&channel).arg(payload.as_slice());
        let key = channel.into_bytes();
        Keyed { key, cmd }
    }
}
