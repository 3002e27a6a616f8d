//! How many subscribers a channel has.

use redis::Value;
use sala_adapter::BackendError;

use crate::connect::Renewed;

/// Asks every node with `PUBSUB NUMSUB` or `PUBSUB SHARDNUMSUB`, and adds the numbers up.
pub(crate) async fn count(
    commands: &Renewed,
    which: &str,
    channel: String,
) -> Result<usize, BackendError> {
    let mut cmd = redis::cmd("PUBSUB");
    cmd.arg(which).arg(channel);
    let replies = commands.everywhere("counting the servers", &cmd).await?;
    Ok(replies.iter().map(number).sum())
}

fn number(reply: &Value) -> usize {
    let number = match reply {
        Value::Array(items) => items.last(),
        Value::Map(pairs) => pairs.last().map(|(_, value)| value),
        _ => None,
    };
    match number {
        Some(Value::Int(number)) => usize::try_from(*number).unwrap_or(0),
        _ => 0,
    }
}
