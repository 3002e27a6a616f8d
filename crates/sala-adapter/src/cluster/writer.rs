//! The task that sends.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::pace::{Pace, Signal};
use super::queue::{Entry, Next, Ticket};
use super::shared::Shared;
use crate::backend::{BackendError, BackendErrorKind, Outlet, Parcel, State};

/// Sends what is queued until the queue is closed and empty, the link fails, or it is stopped. Begins
/// after `pause`, or when the cluster is to be left.
pub(super) async fn write<O: Outlet>(
    shared: Arc<Shared>,
    mut outlet: O,
    pause: Duration,
    stop: Signal,
) -> Result<(), BackendError> {
    tokio::select! {
        () = sleep(pause) => {}
        () = shared.closing.raised() => {}
        () = stop.raised() => return Ok(()),
    }
    let mut pace = Pace::default();
    loop {
        let next = tokio::select! {
            biased;
            () = stop.raised() => return Ok(()),
            next = shared.queue.next() => next,
        };
        match next {
            Next::Send(entries) => {
                let mut batch = Batch::new(&shared, entries);
                let sent = tokio::select! {
                    biased;
                    () = stop.raised() => Ok(()),
                    sent = batch.send(&mut outlet) => sent,
                };
                batch.settle();
                sent?;
            }
            Next::Follow(namespace) => tokio::select! {
                biased;
                () = stop.raised() => return Ok(()),
                () = shared.follows.until(|| namespace.hears()) => {}
            },
            Next::End => {
                outlet.close().await;
                return Ok(());
            }
        }
        pace.step().await;
    }
}

/// Messages that the backend has. What it has not sent goes back to the queue, in its place.
struct Batch<'a> {
    shared: &'a Shared,
    parcels: Vec<Parcel>,
    tickets: Vec<Ticket>,
}

impl<'a> Batch<'a> {
    fn new(shared: &'a Shared, entries: Vec<Entry>) -> Self {
        let parts = entries.into_iter().map(|entry| {
            let mut parcel = Parcel::new(entry.envelope);
            parcel.logged = entry.ticket.logged;
            (parcel, entry.ticket)
        });
        let (parcels, tickets) = parts.unzip();
        Self {
            shared,
            parcels,
            tickets,
        }
    }

    async fn send<O: Outlet>(&mut self, outlet: &mut O) -> Result<(), BackendError> {
        let limit = self.shared.options.send_timeout;
        timeout(limit, outlet.send(&mut self.parcels))
            .await
            .unwrap_or_else(|_| Err(too_slow(limit)))?;
        for parcel in self.parcels.iter_mut().filter(|it| it.is_waiting()) {
            let error = BackendError::new(BackendErrorKind::Malformed, "the backend left it out");
            parcel.state = State::Failed(error);
        }
        Ok(())
    }

    /// Notes what has become of each message.
    fn settle(mut self) {
        let parts = self.parcels.drain(..).zip(self.tickets.drain(..));
        let (mut messages, mut bytes, mut sent) = (0, 0, 0);
        let mut unsent = Vec::new();
        let mut lanes: Vec<Ticket> = Vec::new();
        for (parcel, mut ticket) in parts {
            let offset = match parcel.state {
                State::Waiting => {
                    let envelope = parcel.envelope;
                    unsent.push(Entry { envelope, ticket });
                    continue;
                }
                State::Sent(offset) => {
                    sent += 1;
                    offset
                }
                State::Logged => {
                    sent += 1;
                    ticket.logged = None; // the reader tells the lane
                    None
                }
                State::Failed(error) => {
                    self.shared.failed(&ticket.namespace.name, &error);
                    None
                }
            };
            messages += 1;
            bytes += ticket.weight;
            if let Some(sign) = ticket.sign {
                ticket.namespace.end(sign);
            }
            if let Some(number) = ticket.logged {
                ticket.namespace.lane.resolve(number, offset);
                lanes.push(ticket);
            }
        }
        self.shared.counters.sent.add(sent);
        self.shared.queue.give_back(unsent.into_iter());
        self.shared.queue.settle(messages, bytes);
        lanes.dedup_by(|a, b| Arc::ptr_eq(&a.namespace, &b.namespace));
        for ticket in lanes {
            self.shared.run_lane(&ticket.namespace);
        }
    }
}

/// What was not settled: the backend has panicked, and whichever message it was must not come again; or
/// the cluster is closed and the time is up.
impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for ticket in &self.tickets {
            let error = BackendError::new(BackendErrorKind::Malformed, "given up in the backend");
            self.shared.failed(&ticket.namespace.name, &error);
            self.shared.queue.settle(1, ticket.weight);
            if let Some(sign) = ticket.sign {
                ticket.namespace.end(sign);
            }
            if let Some(number) = ticket.logged {
                ticket.namespace.lane.resolve(number, None);
                self.shared.run_lane(&ticket.namespace);
            }
        }
    }
}

fn too_slow(limit: Duration) -> BackendError {
    let text = format!("the broker did not take a batch of messages within {limit:?}");
    BackendError::new(BackendErrorKind::Unreachable, text)
}
