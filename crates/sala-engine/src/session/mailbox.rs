//! What other tasks leave for a session's task: frames to send, and things that happened.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use sala_engine_proto::{CloseReason, Frame};
use tokio::sync::oneshot;

use crate::transport::WebSocket;

/// The shared half of a session. One short lock protects it; nothing waits while holding it.
///
/// It is the session's outbox, bounded in bytes, and the inbox through which HTTP requests reach
/// the session's task.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Mailbox {
    /// Frames in the order of the calls.
    pub(crate) queue: VecDeque<Frame>,
    /// Bytes accepted and not yet handed to the operating system or to a polling reply.
    pub(crate) bytes: usize,
    pub(super) waker: Option<Waker>,
    /// Whether the transport would take a frame at this instant. Volatile frames ask.
    pub(crate) writable: bool,
    /// Whether frames are still accepted.
    pub(crate) open: bool,
    /// Whether the task runs, or was woken and will run: nobody needs to wake it again.
    pub(crate) awake: bool,
    /// Somebody wants [`Connection::poked`](crate::Connection::poked) to be called.
    pub(crate) poked: bool,
    /// A poll has been accepted and not been answered.
    pub(crate) polling: bool,
    /// A POST is being read or processed.
    pub(crate) posting: bool,
    /// The session has ended: nothing that is left here will be looked at.
    pub(crate) over: bool,
    /// A close that somebody asked for.
    pub(crate) close: Option<CloseRequest>,
    /// Requests of the client, in order.
    pub(crate) requests: Vec<Incoming>,
    /// Tasks that wait for the queue to shrink.
    pub(crate) waiting: Vec<Waker>,
}

/// How the server wants a session to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseRequest {
    /// When all that is queued has been sent.
    Drained,
    /// At once: what is queued is dropped.
    Now(CloseReason, Option<&'static str>),
}

/// Something that an HTTP request of the client brought.
pub(crate) enum Incoming {
    /// A GET waits for packets.
    Poll(oneshot::Sender<PollReply>),
    /// The connection of the waiting GET ended.
    PollGone,
    /// A POST brought packets; the sender is told when they have been processed.
    Post(PostBody, oneshot::Sender<()>),
    /// A WebSocket wants to take over from polling.
    Upgrade(Box<WebSocket>),
}

/// The body of a POST.
pub(crate) enum PostBody {
    Text(String),
    /// Revision 3 only.
    Binary(Bytes),
}

/// The answer to a GET.
pub(crate) struct PollReply {
    pub(crate) body: Vec<u8>,
    pub(crate) binary: bool,
    /// Whether a packet in it may be compressed.
    pub(crate) compress: bool,
}

impl Mailbox {
    /// Wakes the session's task unless it is awake anyway.
    pub(crate) fn wake(&mut self) {
        if !self.awake {
            self.awake = true;
            if let Some(waker) = &self.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Remembers whom to wake and lets others wake the task again.
    pub(crate) fn sleep(&mut self, waker: &Waker) {
        self.awake = false;
        match &mut self.waker {
            Some(own) => own.clone_from(waker),
            None => self.waker = Some(waker.clone()),
        }
    }

    /// Asks for a close. The first request counts, but one that cannot wait overrules one that can.
    pub(crate) fn request_close(&mut self, request: CloseRequest) {
        if self.close.is_none() || matches!(request, CloseRequest::Now(..)) {
            self.close = Some(request);
        }
        self.wake();
    }

    /// Takes all that is to be sent and puts it behind `frames`; nothing is left to send if it is not
    /// to go out any more.
    pub(crate) fn take_frames(&mut self, frames: &mut VecDeque<Frame>) {
        if self.drops_queue() {
            return frames.clear();
        }
        if frames.is_empty() {
            // The buffers change places, so that neither side has to allocate.
            std::mem::swap(&mut self.queue, frames);
        } else {
            frames.append(&mut self.queue);
        }
        if !frames.is_empty() {
            self.writable = false;
        }
    }

    /// Puts what was not sent in front of what came since, and takes what was off the account.
    pub(crate) fn put_back(&mut self, mut unsent: VecDeque<Frame>, sent: usize) {
        if unsent.capacity() > 0 {
            std::mem::swap(&mut self.queue, &mut unsent);
            if !unsent.is_empty() {
                self.queue.append(&mut unsent);
            }
            if self.queue.is_empty() && self.queue.capacity() > 16 {
                self.queue = VecDeque::new();
            }
        }
        if sent > 0 {
            self.wrote(sent);
        }
    }

    /// Whether something was left here, apart from frames, since the task last looked.
    pub(crate) fn has_news(&self) -> bool {
        self.poked || self.close.is_some() || !self.requests.is_empty()
    }

    /// Whether a close was asked for that does not wait for what is queued.
    pub(crate) fn drops_queue(&self) -> bool {
        matches!(self.close, Some(CloseRequest::Now(..)))
    }

    /// Takes written bytes off the account and wakes those who wait for room.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.bytes -= bytes;
        if !self.waiting.is_empty() {
            self.waiting.drain(..).for_each(Waker::wake);
        }
    }

    /// Drops everything and takes nothing more.
    pub(crate) fn shut(&mut self) {
        let bytes = self.bytes;
        *self = Self {
            waiting: std::mem::take(&mut self.waiting),
            bytes,
            over: true,
            ..Self::default()
        };
        self.wrote(bytes);
    }
}
