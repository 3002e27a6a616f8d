//! What waits to be sent to one process: bounded in bytes, so that one that hangs costs no memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Parcel;

/// What a frame counts for beside its bytes.
const OVERHEAD: usize = 128;

/// A queue towards one process, filled by many.
#[derive(Debug)]
pub(crate) struct Queue {
    limit: usize,
    waiting: Mutex<Waiting>,
    /// Something was put in, or the queue was closed.
    filled: Notify,
    /// Something was sent, or the queue was closed.
    moved: Notify,
}

#[derive(Debug)]
struct Waiting {
    parcels: VecDeque<(u32, Parcel)>,
    bytes: usize,
    /// What each source has in the queue.
    shares: HashMap<u32, usize>,
    /// When the other side last took something, or the queue was last empty.
    moved: Instant,
    closed: bool,
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no room.
    Full,
    /// The process has gone.
    Closed,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            waiting: Mutex::new(Waiting {
                parcels: VecDeque::new(),
                bytes: 0,
                shares: HashMap::new(),
                moved: Instant::now(),
                closed: false,
            }),
            filled: Notify::new(),
            moved: Notify::new(),
        }
    }

    /// Puts a frame in if there is room. A single frame is always taken by an empty queue.
    pub(crate) fn push(&self, parcel: Parcel) -> Result<(), Refusal> {
        self.offer(parcel).map_err(|(refusal, _)| refusal)
    }

    /// The same, but what is refused is given back.
    pub(crate) fn offer(&self, parcel: Parcel) -> Result<(), (Refusal, Parcel)> {
        self.push_within(0, self.limit, parcel)
    }

    /// Waits while `source` has its share of the queue: who sends too much is slowed down, and
    /// nobody else. If the process takes nothing for `patience`, it is not waited for.
    pub(crate) async fn room(
        &self,
        source: u32,
        share: usize,
        patience: Duration,
    ) -> Result<(), Refusal> {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            let until = {
                let waiting = self.lock();
                if waiting.closed {
                    return Err(Refusal::Closed);
                }
                if waiting.shares.get(&source).is_none_or(|own| *own < share) {
                    return Ok(());
                }
                waiting.moved + patience
            };
            if until <= Instant::now() {
                return Err(Refusal::Full);
            }
            // Whether it moved or not is seen when it is tried again.
            tokio::time::timeout_at(until, moved).await.ok();
        }
    }

    /// Puts a frame of `source` in, which has [waited](Self::room) for it.
    pub(crate) fn put(&self, source: u32, parcel: Parcel) {
        // If it is closed, the process has gone.
        self.push_within(source, usize::MAX, parcel).ok();
    }

    fn push_within(
        &self,
        source: u32,
        share: usize,
        parcel: Parcel,
    ) -> Result<(), (Refusal, Parcel)> {
        let weight = weight(&parcel);
        let mut waiting = self.lock();
        if waiting.closed {
            return Err((Refusal::Closed, parcel));
        }
        let own = waiting.shares.get(&source).copied().unwrap_or(0);
        if own > 0 && own + weight > share {
            return Err((Refusal::Full, parcel));
        }
        if waiting.parcels.is_empty() {
            waiting.moved = Instant::now();
        }
        waiting.count(source, weight);
        waiting.parcels.push_back((source, parcel));
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// The oldest frame; `None` when the queue is closed and empty. One task only.
    pub(crate) async fn pop(&self) -> Option<Parcel> {
        loop {
            let filled = self.filled.notified();
            {
                let mut waiting = self.lock();
                if let Some(parcel) = waiting.pop() {
                    return Some(parcel);
                }
                if waiting.closed {
                    return None;
                }
            }
            filled.await;
        }
    }

    /// Appends the frames that come next to a batch, as long as they fit and bring no descriptor.
    pub(crate) fn pop_into(&self, batch: &mut BytesMut, max: usize) {
        let mut waiting = self.lock();
        while let Some((_, next)) = waiting.parcels.front()
            && next.descriptor.is_none()
            && batch.len() + next.bytes.len() <= max
            && let Some(parcel) = waiting.pop()
        {
            batch.extend_from_slice(&parcel.bytes);
        }
    }

    /// Puts back at the front what was popped and could not be sent.
    pub(crate) fn put_back(&self, parcel: Parcel) {
        let mut waiting = self.lock();
        waiting.count(0, weight(&parcel));
        waiting.parcels.push_front((0, parcel));
    }

    /// Takes everything out: nobody will send it.
    pub(crate) fn drain(&self) -> Vec<Parcel> {
        let mut waiting = self.lock();
        std::iter::from_fn(|| waiting.pop()).collect()
    }

    /// Notes that the other side has taken what was popped.
    pub(crate) fn progressed(&self) {
        self.lock().moved = Instant::now();
        self.moved.notify_waiters();
    }

    /// Takes nothing more; what is in the queue is still sent.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
        self.moved.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn count(&mut self, source: u32, weight: usize) {
        self.bytes += weight;
        *self.shares.entry(source).or_default() += weight;
    }

    fn pop(&mut self) -> Option<Parcel> {
        let (source, parcel) = self.parcels.pop_front()?;
        let weight = weight(&parcel);
        self.bytes -= weight;
        if let Some(share) = self.shares.get_mut(&source) {
            *share -= weight;
            if *share == 0 {
                self.shares.remove(&source);
            }
        }
        Some(parcel)
    }
}

fn weight(parcel: &Parcel) -> usize {
    parcel.bytes.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn parcel(len: usize) -> Parcel {
        Bytes::from(vec![0; len]).into()
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_too_much_waits_and_nobody_else_does() {
        let queue = Queue::new(1 << 20);
        let room = |source| queue.room(source, 600, Duration::from_secs(2));
        room(1).await.unwrap();
        queue.put(1, parcel(500));
        tokio::select! {
            biased;
            _ = room(1) => panic!("the share is used up"),
            there_is = room(2) => there_is.unwrap(),
        }
        queue.put(2, parcel(500));
        let (there_is, ()) = tokio::join!(room(1), async {
            assert!(queue.pop().await.is_some());
            queue.progressed();
        });
        there_is.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_takes_nothing_is_not_waited_for() {
        let queue = Queue::new(1 << 20);
        let start = Instant::now();
        let patience = Duration::from_secs(2);
        queue.put(1, parcel(20));
        assert_eq!(queue.room(1, 10, patience).await, Err(Refusal::Full));
        assert_eq!(start.elapsed(), patience);
        // From now on nothing waits, until something moves.
        assert_eq!(queue.room(1, 10, patience).await, Err(Refusal::Full));
        assert_eq!(start.elapsed(), patience);
    }

    #[tokio::test]
    async fn a_closed_queue_gives_what_it_has() {
        let queue = Queue::new(300);
        queue.push(parcel(100)).unwrap();
        assert_eq!(queue.push(parcel(100)), Err(Refusal::Full));
        queue.close();
        assert_eq!(queue.push(parcel(0)), Err(Refusal::Closed));
        assert!(queue.pop().await.is_some());
        assert!(queue.pop().await.is_none());
    }
}
