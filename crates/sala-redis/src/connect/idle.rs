//! Connections that were not used for a while.

use std::time::Duration;

use tokio::time::Instant;

/// After which silence a connection is asked whether it is still there.
const LONG: Duration = Duration::from_secs(1);

/// When a connection was last used to send.
///
/// One that lay idle may be dead without anybody having noticed: Redis was started again, a firewall forgot it.
/// It is asked before it is used, since a message that fails may have been sent all the same, and is not to be
/// sent twice.
#[derive(Debug)]
pub(crate) struct Idle {
    used: Instant,
}

impl Idle {
    /// Of a connection that is new.
    pub(crate) fn new() -> Self {
        Self {
            used: Instant::now(),
        }
    }

    /// Whether it was not used for long. It is now.
    pub(crate) fn is_over(&mut self) -> bool {
        let before = std::mem::replace(&mut self.used, Instant::now());
        before.elapsed() >= LONG
    }
}
