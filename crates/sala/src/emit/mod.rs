//! Emitting: to one client, or to all that a target means.

mod ack;
mod broadcast;
mod everywhere;
mod one;

use std::time::Duration;

pub use self::ack::{AckFuture, BroadcastAck};
pub use self::broadcast::Broadcast;
pub(crate) use self::broadcast::Source;
pub(crate) use self::everywhere::first_argument;
pub use self::one::Emit;
use crate::error::Error;

/// How long a broadcast waits for acknowledgements if it was given no
/// [`timeout`](Broadcast::timeout). (The reference gives up almost at once.)
pub const DEFAULT_BROADCAST_TIMEOUT: Duration = Duration::from_secs(5);

/// Refuses the names that clients keep for their own listeners.
fn check_name(event: &str) -> Result<(), Error> {
    if sala_proto::is_reserved(event) {
        Err(Error::reserved(event))
    } else {
        Ok(())
    }
}
