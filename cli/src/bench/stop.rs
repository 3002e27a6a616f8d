//! Ctrl-C.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// Whether the user wants the run to end. The second time, the process ends at once.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens for Ctrl-C from now on.
    pub(super) fn listen() -> Self {
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if sender.send_replace(true) {
                    std::process::exit(130);
                }
            }
            // Without signals nobody can stop the run: it must not look as if somebody had.
            std::future::pending::<()>().await;
        });
        Self(receiver)
    }

    pub(super) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the user wants it. Cancel safe.
    pub(super) async fn asked(&self) {
        if self.0.clone().wait_for(|asked| *asked).await.is_err() {
            std::future::pending().await
        }
    }

    /// Sleeps, but no longer than the user wants.
    pub(super) async fn sleep(&self, duration: Duration) {
        let _ = timeout(duration, self.asked()).await;
    }
}
