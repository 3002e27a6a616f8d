//! The half that sends.

use sala_adapter::backend::{Outlet, Parcel};
use sala_adapter::codec::{self, Form};
use sala_adapter::{BackendError, Envelope};

use super::channels::Channels;
use crate::connect::{Commands, Post, Publisher};

/// Publishes with `SPUBLISH`. Connects again by itself when it is used after a failure.
pub struct ShardedOutlet {
    channels: Channels,
    publisher: Publisher,
}

impl ShardedOutlet {
    pub(super) fn new(channels: Channels, publisher: Publisher) -> Self {
        Self {
            channels,
            publisher,
        }
    }

    pub(super) async fn commands(&mut self) -> Result<Commands, BackendError> {
        self.publisher.commands().await.cloned()
    }
}

impl Outlet for ShardedOutlet {
    async fn send(&mut self, batch: &mut [Parcel]) -> Result<(), BackendError> {
        let channels = &self.channels;
        self.publisher
            .send(batch, |envelope| post(channels, envelope))
            .await
    }
}

fn post(channels: &Channels, envelope: &Envelope) -> Result<Post, BackendError> {
    let form = Form::for_message(&envelope.message, Form::Notepack);
    Ok(Post {
        channel: channels.of(envelope),
        payload: codec::encode(envelope, form)?,
    })
}
