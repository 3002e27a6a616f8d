//! The half that sends.

use std::sync::Arc;

use sala_adapter::backend::{Outlet, Parcel};
use sala_adapter::{BackendError, Envelope};

use super::names::Names;
use super::parser::Parser;
use super::write::encode;
use crate::connect::{Commands, Post, Publisher};

/// Publishes with `PUBLISH`. Connects again by itself when it is used after a failure.
pub struct ClassicOutlet {
    names: Names,
    parser: Option<Arc<dyn Parser>>,
    publisher: Publisher,
}

impl ClassicOutlet {
    pub(super) fn new(names: Names, parser: Option<Arc<dyn Parser>>, publisher: Publisher) -> Self {
        Self {
            names,
            parser,
            publisher,
        }
    }

    pub(super) async fn commands(&mut self) -> Result<Commands, BackendError> {
        self.publisher.commands().await.cloned()
    }
}

impl Outlet for ClassicOutlet {
    async fn send(&mut self, batch: &mut [Parcel]) -> Result<(), BackendError> {
        let (names, parser) = (&self.names, self.parser.as_deref());
        let post = |envelope: &Envelope| {
            Ok(Post {
                channel: names.of(envelope),
                payload: encode(envelope, parser)?,
            })
        };
        self.publisher.send(batch, post).await
    }
}
