//! The task that receives.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::event::ClusterEvent;
use super::pace::{Pace, Signal};
use super::receive::apply;
use super::shared::Shared;
use crate::backend::{BackendError, Inlet};

/// How many changes of what is followed are made before messages are looked at again.
const CHANGES: usize = 256;

/// Follows what this server has to hear of and applies what comes, until the cluster is left, the
/// link fails, or it is stopped.
pub(super) async fn read<I: Inlet>(
    shared: Arc<Shared>,
    inlet: I,
    away: Option<Duration>,
    stop: Signal,
) -> Result<(), BackendError> {
    let reader = Reader { shared, inlet };
    tokio::select! {
        biased;
        () = stop.raised() => Ok(()),
        ended = reader.run(away) => ended,
    }
}

struct Reader<I> {
    shared: Arc<Shared>,
    inlet: I,
}

impl<I: Inlet> Reader<I> {
    async fn run(mut self, away: Option<Duration>) -> Result<(), BackendError> {
        while self.follow().await? {}
        self.announce(away);
        let shared = self.shared.clone();
        let mut changed = pin!(shared.follows.changed());
        let mut closing = pin!(shared.closing.raised());
        let mut pace = Pace::default();
        loop {
            // Not biased: neither a flood of messages nor one of rooms keeps the other waiting.
            tokio::select! {
                delivery = self.inlet.recv() => apply(&shared, delivery?),
                () = &mut changed => {
                    self.follow().await?;
                    changed.set(shared.follows.changed());
                }
                () = &mut closing => return self.leave().await,
            }
            pace.step().await;
        }
    }

    /// Makes some of the changes that wait. Returns whether there were any.
    async fn follow(&mut self) -> Result<bool, BackendError> {
        let Some(changes) = self.shared.follows.take(CHANGES) else {
            return Ok(false);
        };
        self.inlet.follow_all(&changes.follows).await?;
        self.shared.follows.applied(&changes);
        Ok(true)
    }

    /// Everything is followed.
    fn announce(&self, away: Option<Duration>) {
        self.shared.has_started(Ok(()));
        let (_, queued) = self.shared.queue.len();
        self.shared.event(match away {
            None => ClusterEvent::Connected,
            Some(after) => ClusterEvent::Reconnected { after, queued },
        });
    }

    /// The namespaces are left already; tells the broker.
    async fn leave(mut self) -> Result<(), BackendError> {
        while self.follow().await? {}
        self.inlet.close().await;
        Ok(())
    }
}
