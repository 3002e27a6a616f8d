//! Counts the servers of a namespace by their subscriptions.

use std::sync::Arc;

use sala_adapter::adapter::BoxFuture;
use sala_adapter::backend::{BackendError, Counter};

use super::StreamsOptions;
use crate::connect::Renewed;
use crate::numsub;

/// Each server subscribes once to the channel of a namespace.
pub(super) struct SubscriberCount {
    pub(super) options: Arc<StreamsOptions>,
    pub(super) commands: Arc<Renewed>,
}

impl SubscriberCount {
    async fn ask(&self, namespace: &str) -> Result<usize, BackendError> {
        let which = match self.options.sharded {
            true => "SHARDNUMSUB",
            false => "NUMSUB",
        };
        let channel = self.options.channel(namespace, None);
        numsub::count(&self.commands, which, channel).await
    }
}

impl Counter for SubscriberCount {
    fn count<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<usize, BackendError>> {
        Box::pin(self.ask(namespace))
    }
}
