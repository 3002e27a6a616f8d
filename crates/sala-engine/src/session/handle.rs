//! What everyone but its own task holds of a session.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::task::Poll;

use sala_engine_proto::{CloseReason, Data, Frame, PacketType, Query, Revision, Sid, Transport};

use super::mailbox::{CloseRequest, Incoming, Mailbox};
use crate::engine::Core;
use crate::request::Request;

/// A session as other tasks see it: send a frame, close it, ask about it. Cloning is cheap.
///
/// The handle stays valid after the session ended; it then accepts nothing, which
/// [`is_open`](Self::is_open) tells.
#[derive(Clone)]
pub struct SessionHandle(pub(super) Arc<Shared>);

#[repr(C)]
pub(super) struct Shared {
    status: AtomicU8,
    revision: Revision,
    /// The client asked for text only (`b64`).
    base64: bool,
    core: Arc<Core>,
    observers: OnceLock<Box<RwLock<Vec<Observer>>>>,
    mailbox: Mutex<Mailbox>,
    sid: Sid,
    /// The callback index of a JSONP client.
    jsonp: Option<Box<str>>,
    request: Arc<Request>,
}

type Observer = Arc<dyn Fn(&ConnectionEvent<'_>) + Send + Sync>;

/// Bits of `Shared::status`.
const WEBSOCKET: u8 = 1;
const CLOSING: u8 = 2;
const CLOSED: u8 = 4;
const UPGRADED: u8 = 8;

/// Something that happened on a session, told to its observers.
///
/// The events are those of the reference's low-level connection: `upgrade`, `packet`,
/// `packetCreate`, `flush`, `drain`, `heartbeat` and `close`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionEvent<'a> {
    /// A WebSocket was probed and may take over from polling.
    Upgrading(Transport),
    /// The session moved to this transport.
    Upgrade(Transport),
    /// A packet arrived.
    Packet {
        /// Its type.
        kind: PacketType,
        /// Its payload.
        data: &'a Data<'a>,
    },
    /// A packet is about to be queued.
    PacketCreate {
        /// The type of the packet.
        kind: PacketType,
        /// The packet with its attachments.
        frame: &'a Frame,
    },
    /// This many packets are about to be handed to the transport.
    Flush(usize),
    /// The transport has taken what it was given.
    Drain,
    /// A ping was answered (revision 4) or received (revision 3).
    Heartbeat,
    /// The session ended.
    Close {
        /// Why.
        reason: CloseReason,
        /// More about a `transport error`.
        description: Option<&'a str>,
    },
}

/// A frame was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The session has ended or is ending. Nobody is there to miss the frame.
    Closed,
    /// The client reads too slowly: its queue has reached
    /// [`max_buffered_bytes`](crate::EngineConfig::max_buffered_bytes). The session is being closed.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the session is closed",
            Self::Full => "the session's send queue is full: the client reads too slowly",
        })
    }
}

impl std::error::Error for SendError {}

impl SessionHandle {
    pub(crate) fn new(
        core: Arc<Core>,
        sid: Sid,
        query: &Query,
        transport: Transport,
        request: Arc<Request>,
    ) -> Self {
        let status = match transport {
            Transport::Polling => 0,
            Transport::WebSocket => WEBSOCKET,
        };
        Self(Arc::new(Shared {
            status: AtomicU8::new(status),
            revision: query.eio,
            base64: query.b64 || query.j.is_some(),
            core,
            observers: OnceLock::new(),
            // Awake from the start: the task has yet to run for the first time.
            mailbox: Mutex::new(Mailbox {
                open: true,
                awake: true,
                ..Mailbox::default()
            }),
            sid,
            jsonp: query.j.as_deref().map(Box::from),
            request,
        }))
    }

    /// The session id. It is a credential; see [`Sid`].
    #[must_use]
    pub fn id(&self) -> Sid {
        self.0.sid
    }

    /// The protocol revision, fixed at the handshake.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    /// The HTTP request that opened the session.
    #[must_use]
    pub fn request(&self) -> &Arc<Request> {
        &self.0.request
    }

    /// Whether the client takes text only.
    pub(crate) fn wants_base64(&self) -> bool {
        self.0.base64
    }

    /// The callback index of a JSONP client, as it stood in the handshake.
    pub(crate) fn jsonp(&self) -> Option<&str> {
        self.0.jsonp.as_deref()
    }

    /// Leaves something for the session's task. A session that is over drops it.
    pub(crate) fn leave(&self, incoming: Incoming) {
        let mut mailbox = self.mailbox();
        if !mailbox.over {
            mailbox.requests.push(incoming);
            mailbox.wake();
        }
    }

    /// The transport in use now.
    #[must_use]
    pub fn transport(&self) -> Transport {
        if self.0.status.load(Ordering::Acquire) & WEBSOCKET == 0 {
            Transport::Polling
        } else {
            Transport::WebSocket
        }
    }

    /// Whether the session moved from polling to another transport.
    #[must_use]
    pub fn is_upgraded(&self) -> bool {
        self.0.status.load(Ordering::Acquire) & UPGRADED != 0
    }

    /// Whether the session is open: neither closing nor closed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.status.load(Ordering::Acquire) & (CLOSING | CLOSED) == 0
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.status.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Queues a message behind those already queued. Never waits.
    ///
    /// A frame is accepted while the queue holds fewer than
    /// [`max_buffered_bytes`](crate::EngineConfig::max_buffered_bytes); one that is larger than the
    /// limit by itself is accepted by an empty queue.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the session is over or closing; [`SendError::Full`] if the client
    /// reads too slowly, in which case the session is closed and counted as a slow consumer.
    pub fn send(&self, frame: Frame) -> Result<(), SendError> {
        self.observe_create(&frame);
        let mut mailbox = self.mailbox();
        self.enqueue(&mut mailbox, frame)
    }

    /// Sends a message only if the transport can take it at this instant: nothing else is queued
    /// or being written, and a polling client has a request open. Tells whether it was accepted;
    /// a refused message is counted and dropped.
    pub fn send_volatile(&self, frame: Frame) -> bool {
        self.observe_create(&frame);
        let mut mailbox = self.mailbox();
        let accepted =
            mailbox.writable && mailbox.bytes == 0 && self.enqueue(&mut mailbox, frame).is_ok();
        drop(mailbox);
        if !accepted {
            self.0.core.stats.volatile_dropped();
        }
        accepted
    }

    fn enqueue(&self, mailbox: &mut Mailbox, frame: Frame) -> Result<(), SendError> {
        if !mailbox.open {
            return Err(SendError::Closed);
        }
        let len = frame.len();
        if let Some(limit) = self.0.core.config.max_buffered_bytes
            && mailbox.bytes > 0
            && mailbox.bytes + len > limit
        {
            self.set_closing();
            mailbox.open = false;
            mailbox.request_close(CloseRequest::Now(
                CloseReason::SlowConsumer,
                Some("send queue limit reached: the client reads too slowly"),
            ));
            return Err(SendError::Full);
        }
        mailbox.bytes += len;
        mailbox.queue.push_back(frame);
        mailbox.wake();
        Ok(())
    }

    /// Bytes of messages that the client has not been sent yet.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.mailbox().bytes
    }

    /// Whether a volatile message would be accepted at this instant.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        let mailbox = self.mailbox();
        mailbox.open && mailbox.writable && mailbox.bytes == 0
    }

    /// Resolves when less than half of the send queue's limit is in use, or the session is over:
    /// await it between large messages to pace them to the client.
    ///
    /// *Cancel safety:* dropping the future loses nothing.
    pub async fn ready(&self) {
        let limit = self.0.core.config.max_buffered_bytes.unwrap_or(usize::MAX);
        self.below(limit / 2).await;
    }

    /// Resolves when everything queued so far has been handed to the transport, or the session is
    /// over.
    ///
    /// *Cancel safety:* dropping the future loses nothing.
    pub async fn drained(&self) {
        self.below(0).await;
    }

    /// Resolves when the session is over.
    ///
    /// *Cancel safety:* dropping the future loses nothing.
    pub async fn closed(&self) {
        self.wait(|mailbox| mailbox.over).await;
    }

    async fn below(&self, limit: usize) {
        self.wait(|mailbox| mailbox.bytes <= limit || mailbox.over)
            .await;
    }

    async fn wait(&self, until: impl Fn(&Mailbox) -> bool) {
        poll_fn(|cx| {
            let mut mailbox = self.mailbox();
            if until(&mailbox) {
                return Poll::Ready(());
            }
            if !mailbox.waiting.iter().any(|w| w.will_wake(cx.waker())) {
                mailbox.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Ends the session once what is queued has been sent; what is sent after this call is
    /// dropped. The reason is `forced close`. A client that does not take the rest within 30 s is
    /// cut off.
    pub fn close(&self) {
        self.set_closing();
        let mut mailbox = self.mailbox();
        mailbox.open = false;
        mailbox.request_close(CloseRequest::Drained);
    }

    /// Ends the session at once; what is queued is dropped. The reason is `forced close`.
    pub fn close_now(&self) {
        self.fail(CloseReason::ForcedClose, None);
    }

    /// Ends a polling session at once if no request of its client is open.
    pub(crate) fn close_unless_asked(&self) {
        let asked = {
            let mailbox = self.mailbox();
            mailbox.polling || mailbox.posting
        };
        if self.transport() == Transport::Polling && !asked {
            self.close_now();
        }
    }

    pub(crate) fn fail(&self, reason: CloseReason, description: Option<&'static str>) {
        self.set_closing();
        let mut mailbox = self.mailbox();
        mailbox.open = false;
        mailbox.request_close(CloseRequest::Now(reason, description));
    }

    /// Has the session's task call [`Connection::poked`](crate::Connection::poked) soon.
    pub fn poke(&self) {
        let mut mailbox = self.mailbox();
        mailbox.poked = true;
        mailbox.wake();
    }

    /// Calls `observer` for everything that happens on this session from now on.
    ///
    /// It runs on the task where the event happens: the session's own, or, for `PacketCreate`, that
    /// of whoever sends, which may hold locks while it sends to many. It must be quick, and must
    /// not send to any session, join or leave rooms. Sessions without observers pay one load per
    /// packet.
    pub fn observe(&self, observer: impl Fn(&ConnectionEvent<'_>) + Send + Sync + 'static) {
        self.0
            .observers
            .get_or_init(Box::default)
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::new(observer));
    }

    /// Whether anybody observes this session.
    pub(crate) fn is_observed(&self) -> bool {
        self.0.observers.get().is_some()
    }

    pub(crate) fn notify(&self, event: &ConnectionEvent<'_>) {
        let Some(observers) = self.0.observers.get() else {
            return;
        };
        // Cloned so that an observer may add another one.
        let observers = observers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for observer in observers {
            observer(event);
        }
    }

    pub(crate) fn observe_create(&self, frame: &Frame) {
        if self.is_observed() && self.is_open() {
            let kind = frame.kind();
            self.notify(&ConnectionEvent::PacketCreate { kind, frame });
        }
    }

    pub(crate) fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.0
            .mailbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0.core
    }

    pub(super) fn set_websocket(&self) {
        self.0
            .status
            .fetch_or(WEBSOCKET | UPGRADED, Ordering::AcqRel);
    }

    fn set_closing(&self) {
        self.0.status.fetch_or(CLOSING, Ordering::AcqRel);
    }

    pub(super) fn set_closed(&self) {
        self.0.status.fetch_or(CLOSED, Ordering::AcqRel);
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle")
            .field("revision", &self.revision())
            .field("transport", &self.transport())
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) const SHARED_SIZE: usize = size_of::<Shared>();
