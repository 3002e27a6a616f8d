//! The task that sends.

use std::sync::Arc;

use sala_adapter::backend::{Outlet, Parcel, State};
use sala_adapter::{BackendError, BackendErrorKind, Envelope};
use tokio::sync::{mpsc, oneshot};

use crate::EmitError;

/// How many messages may wait to be sent.
const WAITING: usize = 1024;

/// How many are sent at once.
const BATCH: usize = 128;

/// A message, and where to tell what became of it.
type Order = (Envelope, oneshot::Sender<Result<(), EmitError>>);

/// The way to the task.
#[derive(Clone)]
pub(crate) struct Sender(mpsc::Sender<Order>);

impl Sender {
    /// Starts a task that sends what is ordered, as many messages at once as wait.
    pub(crate) fn start(outlet: impl Outlet) -> Self {
        let (orders, waiting) = mpsc::channel(WAITING);
        tokio::spawn(run(outlet, waiting));
        Self(orders)
    }

    pub(crate) async fn send(&self, envelope: Envelope) -> Result<(), EmitError> {
        let (tell, told) = oneshot::channel();
        let closed = |_| EmitError::Closed;
        self.0
            .send((envelope, tell))
            .await
            .map_err(|_| EmitError::Closed)?;
        told.await.map_err(closed)?
    }
}

async fn run(mut outlet: impl Outlet, mut waiting: mpsc::Receiver<Order>) {
    let mut orders = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut orders, BATCH).await > 0 {
        let (mut parcels, tells): (Vec<_>, Vec<_>) = orders
            .drain(..)
            .map(|(envelope, tell)| (Parcel::new(envelope), tell))
            .unzip();
        let sent = outlet.send(&mut parcels).await;
        let sent = sent.map_err(|error| EmitError::Backend(Arc::new(error)));
        for (parcel, tell) in parcels.into_iter().zip(tells) {
            let result = match parcel.state {
                State::Sent(_) | State::Logged => Ok(()),
                State::Failed(error) => Err(EmitError::Backend(Arc::new(error))),
                State::Waiting => Err(sent.clone().err().unwrap_or_else(left_out)),
            };
            // Whoever asked may have given up.
            let _ = tell.send(result);
        }
    }
    outlet.close().await;
}

fn left_out() -> EmitError {
    let error = BackendError::new(BackendErrorKind::Malformed, "the backend left it out");
    EmitError::Backend(Arc::new(error))
}
