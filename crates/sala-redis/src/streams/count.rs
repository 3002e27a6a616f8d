//! Counts the servers of a namespace by their subscriptions.

use std::sync::Arc;

use redis::Value;
use sala_adapter::adapter::BoxFuture;
use sala_adapter::backend::{BackendError, Counter};

use super::options::Options;
use crate::connect::Commands;

/// Each server subscribes once to the channel of a namespace.
pub(super) struct SubscriberCount {
    pub(super) options: Arc<Options>,
    pub(super) commands: Commands,
}

impl SubscriberCount {
    async fn ask(&self, namespace: &str) -> Result<usize, BackendError> {
        let doing = "counting the servers";
        let channel = self.options.channel(namespace, None);
        let mut question = redis::cmd("PUBSUB");
        if self.options.sharded {
            // Whoever owns the channel knows all of its subscribers.
            question.arg("SHARDNUMSUB").arg(&channel);
            let answer = self.commands.run(doing, channel.as_bytes(), question).await?;
            return Ok(subscribers(&answer));
        }
        question.arg("NUMSUB").arg(&channel);
        let answers = self.commands.everywhere(doing, &question).await?;
        Ok(answers.iter().map(subscribers).sum())
    }
}

impl Counter for SubscriberCount {
    fn count<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<usize, BackendError>> {
        Box::pin(self.ask(namespace))
    }
}

/// Reads `[channel, number]`, a map in version 3 of the protocol.
fn subscribers(answer: &Value) -> usize {
    let number = match answer {
        Value::Array(pair) => pair.get(1),
        Value::Map(pairs) => pairs.first().map(|(_, number)| number),
        _ => None,
    };
    match number {
        Some(Value::Int(number)) => usize::try_from(*number).unwrap_or(0),
        _ => 0,
    }
}
