//! A connection of which somebody else is to see one request, and no more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::body::Reader;
use super::connection::poll_read;
use super::head::{Framing, MAX_HEAD};
use crate::transport::buffers::with_buffers;

/// Gives the bytes of one request, and says that the connection has ended once its reply has been
/// sent. What comes behind the request is kept.
pub(crate) struct OneRequest {
    io: TcpStream,
    /// What was read and not given.
    unread: Vec<u8>,
    /// How much of the head is still to be given.
    head: usize,
    body: Reader,
    /// The body makes no sense: whoever reads it is to see that too, and nothing can follow.
    malformed: bool,
    reply: Arc<Reply>,
    /// All of the reply has been written.
    sent: bool,
    /// The end was told, and it was not the client's.
    over: bool,
    /// Who wants to know of it.
    waiting: Option<Waker>,
}

/// What is known of the reply where it is made.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// Nothing will be added to it.
    complete: AtomicBool,
    /// The connection ends with it.
    closes: AtomicBool,
}

impl Reply {
    pub(crate) fn complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    pub(crate) fn closes(&self) {
        self.closes.store(true, Ordering::Release);
    }
}

impl OneRequest {
    /// `read` is what was read of the request, and behind it; its head is complete.
    pub(super) fn new(io: TcpStream, read: Vec<u8>, head: usize, framing: Framing) -> Self {
        Self {
            io,
            unread: read,
            head,
            body: Reader::new(framing),
            malformed: false,
            reply: Arc::default(),
            sent: false,
            over: false,
            waiting: None,
        }
    }

    pub(crate) fn reply(&self) -> &Arc<Reply> {
        &self.reply
    }

    /// Whether the reply has been sent and the connection can carry another request.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// The connection, and what was read behind the request.
    pub(crate) fn into_next(self) -> (TcpStream, Vec<u8>) {
        (self.io, self.unread)
    }

    fn is_given(&self) -> bool {
        self.head == 0 && self.body.is_done() && !self.malformed
    }

    /// How much of what was read belongs to the request and fits.
    fn give(&mut self, room: usize) -> usize {
        let len = self.unread.len().min(room);
        if self.malformed {
            return len;
        }
        if self.head > 0 {
            let n = len.min(self.head);
            self.head -= n;
            return n;
        }
        let mut input = &self.unread[..len];
        self.malformed = self.body.read(&mut input).is_err();
        if self.malformed {
            len
        } else {
            len - input.len()
        }
    }
}

impl AsyncRead for OneRequest {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let given = this.is_given();
            if !given && !this.unread.is_empty() {
                let n = this.give(buf.remaining());
                buf.put_slice(&this.unread[..n]);
                this.unread.drain(..n);
                return Poll::Ready(Ok(()));
            }
            if given && this.sent && !this.reply.closes.load(Ordering::Acquire) {
                this.over = true;
                return Poll::Ready(Ok(()));
            }
            // Behind the request, so that it shows when the client goes.
            if given && this.unread.len() >= MAX_HEAD {
                this.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let (io, unread) = (&mut this.io, &mut this.unread);
            let read = with_buffers(|buffers| {
                poll_read(io, cx, buffers.room()).map_ok(|read| unread.extend_from_slice(read))
            });
            match read {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    this.waiting = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }
}

impl AsyncWrite for OneRequest {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper flushes when it has written all that it has.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        if this.reply.complete.load(Ordering::Acquire) {
            this.sent = true;
            if let Some(waiting) = this.waiting.take() {
                waiting.wake();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
