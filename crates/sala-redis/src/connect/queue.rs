//! What has been received and waits to be applied: bounded in bytes.

use std::collections::VecDeque;
use std::sync::Mutex;

use sala_adapter::{BackendError, BackendErrorKind};
use tokio::sync::Notify;

/// Something that came from Redis.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message on a channel.
    Message(Message),
    /// A message that is larger than this server takes.
    TooLarge {
        /// The channel it was sent to.
        channel: Vec<u8>,
        /// How large it was, in bytes.
        bytes: usize,
    },
    /// Messages were lost.
    Lost(String),
}

/// A message on a channel.
#[derive(Debug)]
pub(crate) struct Message {
    /// The channel it was sent to.
    pub(crate) channel: Vec<u8>,
    /// The pattern by which it is received, if it is by one.
    pub(crate) pattern: Option<Vec<u8>>,
    /// What was sent.
    pub(crate) payload: Vec<u8>,
}

impl Message {
    /// The name of the subscription by which it came.
    pub(crate) fn subscription(&self) -> &[u8] {
        self.pattern.as_ref().unwrap_or(&self.channel)
    }

    fn bytes(&self) -> usize {
        let pattern = self.pattern.as_ref().map_or(0, Vec::len);
        self.channel.len() + pattern + self.payload.len()
    }
}

impl Incoming {
    /// What it costs while it waits.
    fn bytes(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Message(message) => message.bytes(),
                Self::TooLarge { channel, .. } => channel.len(),
                Self::Lost(reason) => reason.len(),
            }
    }
}

/// Between the task that reads a connection, which must not wait, and the one that applies messages.
///
/// Past the limit the connection is given up. To wait instead would have Redis keep the messages, and
/// cut the connection in the end; to drop some would lose them silently.
pub(crate) struct Queue {
    limit: usize,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    items: VecDeque<Incoming>,
    bytes: usize,
    end: Option<BackendError>,
    ended: bool,
}

/// What one item costs beside its bytes, so that empty messages are bounded too.
const OVERHEAD: usize = size_of::<Incoming>();

impl Queue {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Takes a message, unless the queue has ended.
    pub(crate) fn message(&self, message: Message) {
        self.push(Incoming::Message(message));
    }

    /// Says that a message was too large to be kept.
    pub(crate) fn too_large(&self, channel: Vec<u8>, bytes: usize) {
        self.push(Incoming::TooLarge { channel, bytes });
    }

    /// Says that messages were lost while the connection goes on.
    pub(crate) fn lost(&self, reason: String) {
        self.push(Incoming::Lost(reason));
    }

    fn push(&self, item: Incoming) {
        let mut state = self.state();
        if state.ended {
            return;
        }
        if state.bytes + item.bytes() > self.limit {
            state.overflow();
        } else {
            state.add(item);
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Ends the queue: what is in it can still be taken, then comes the error.
    pub(crate) fn end(&self, error: BackendError) {
        let mut state = self.state();
        if !state.ended {
            state.end = Some(error);
            state.ended = true;
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Whether nothing more is taken.
    pub(crate) fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// The next item.
    ///
    /// *Cancel safety:* loses nothing.
    pub(crate) async fn next(&self) -> Result<Incoming, BackendError> {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.arrived.notified().await;
        }
    }

    fn try_next(&self) -> Option<Result<Incoming, BackendError>> {
        let mut state = self.state();
        if let Some(item) = state.items.pop_front() {
            state.bytes -= item.bytes();
            return Some(Ok(item));
        }
        let closed =
            || BackendError::new(BackendErrorKind::Unreachable, "the connection was closed");
        state
            .ended
            .then(|| Err(state.end.take().unwrap_or_else(closed)))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, item: Incoming) {
        self.bytes += item.bytes();
        self.items.push_back(item);
    }

    fn overflow(&mut self) {
        let text = format!(
            "messages arrive faster than this server applies them: {} bytes were waiting (the limit is max_waiting_bytes)",
            self.bytes
        );
        self.add(Incoming::Lost(text.clone()));
        self.end = Some(BackendError::new(BackendErrorKind::Unreachable, text));
        self.ended = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: Vec<u8>) -> Message {
        Message {
            channel: b"c".to_vec(),
            pattern: None,
            payload,
        }
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_the_loss_is_told_in_its_place() {
        let queue = Queue::new(3 * (OVERHEAD + 11));
        for i in 0..10u8 {
            queue.message(message(vec![i; 10]));
        }
        for i in 0..3u8 {
            let Ok(Incoming::Message(message)) = queue.next().await else {
                panic!("message {i}")
            };
            assert_eq!(message.payload[0], i);
        }
        assert!(matches!(queue.next().await, Ok(Incoming::Lost(_))));
        let error = queue.next().await.expect_err("the end");
        assert_eq!(error.kind(), BackendErrorKind::Unreachable);
        assert!(error.to_string().contains("max_waiting_bytes"));
    }

    /// Only messages counted: a peer that sent what is too large, again and again, filled the memory of a server that was
    /// busy.
    #[tokio::test]
    async fn what_is_left_out_is_bounded_too() {
        let queue = Queue::new(10 * (OVERHEAD + 1));
        for _ in 0..1000 {
            queue.too_large(b"c".to_vec(), 1 << 30);
            queue.lost("?".to_owned());
        }
        let mut items = 0;
        while queue.next().await.is_ok() {
            items += 1;
        }
        assert_eq!(items, 10 + 1, "and that more was lost");
        assert_eq!(queue.state().bytes, 0);
    }

    #[tokio::test]
    async fn what_came_before_the_end_can_still_be_taken() {
        let queue = Queue::new(1000);
        queue.message(message(Vec::new()));
        queue.end(BackendError::new(BackendErrorKind::Unreachable, "gone"));
        queue.message(message(Vec::new()));
        assert!(matches!(queue.next().await, Ok(Incoming::Message(_))));
        assert_eq!(queue.next().await.expect_err("the end").to_string(), "gone");
        assert!(queue.next().await.is_err());
    }
}
