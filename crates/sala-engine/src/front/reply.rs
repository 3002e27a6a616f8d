//! Writing replies.

use std::cell::RefCell;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::response::Parts;
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;

use crate::edge::EngineResponse;
use crate::transport::buffers::{FLATTEN, with_buffers};

/// What a connection has not taken yet of a reply.
#[derive(Default)]
pub(super) struct Unsent {
    head: Bytes,
    body: Bytes,
}

/// How a reply is to be sent.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// The request was a HEAD: the reply has no body.
    pub(super) without_body: bool,
    /// The connection ends after it.
    pub(super) close: bool,
}

impl Unsent {
    /// Begins to send a reply: head and body with one system call, if the connection takes them.
    pub(super) fn begin(
        io: &mut TcpStream,
        cx: &mut Context<'_>,
        response: EngineResponse,
        manner: Manner,
    ) -> io::Result<Self> {
        let (parts, body) = response.into_parts();
        with_buffers(|buffers| {
            let scratch = &mut buffers.scratch;
            scratch.clear();
            write_head(scratch, &parts, body.len(), manner);
            let mut body = if manner.without_body || has_no_body(parts.status) {
                Bytes::new()
            } else {
                body
            };
            if body.len() < FLATTEN {
                scratch.extend_from_slice(&body);
                body = Bytes::new();
            }
            let slices = [IoSlice::new(scratch), IoSlice::new(&body)];
            let written = if body.is_empty() {
                Pin::new(io).poll_write(cx, scratch)
            } else {
                Pin::new(io).poll_write_vectored(cx, &slices)
            };
            let n = match written {
                Poll::Ready(n) => n?,
                Poll::Pending => 0,
            };
            let of_head = n.min(scratch.len());
            Ok(Self {
                head: Bytes::copy_from_slice(&scratch[of_head..]),
                body: body.slice(n - of_head..),
            })
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    /// Sends more. Ready with true when all has been sent, with false when some has.
    pub(super) fn poll_send(
        &mut self,
        io: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        let slices = [IoSlice::new(&self.head), IoSlice::new(&self.body)];
        let n = ready!(Pin::new(io).poll_write_vectored(cx, &slices))?;
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let of_head = n.min(self.head.len());
        self.head = self.head.slice(of_head..);
        self.body = self.body.slice(n - of_head..);
        Poll::Ready(Ok(self.is_empty()))
    }
}

/// The bytes of a reply that has no body.
pub(super) fn head_only(response: EngineResponse, manner: Manner) -> Bytes {
    let (parts, _) = response.into_parts();
    with_buffers(|buffers| {
        let scratch = &mut buffers.scratch;
        scratch.clear();
        write_head(scratch, &parts, 0, manner);
        Bytes::copy_from_slice(scratch)
    })
}

fn has_no_body(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn write_head(out: &mut Vec<u8>, parts: &Parts, body_len: usize, manner: Manner) {
    let status = parts.status;
    let reason = status.canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    // The length in a reply without a body is that of what the reply stands for, if it is given.
    let without_body = manner.without_body || has_no_body(status);
    let has_length = without_body && parts.headers.contains_key(CONTENT_LENGTH);
    for (name, value) in &parts.headers {
        if name == TRANSFER_ENCODING || (name == CONTENT_LENGTH && !has_length) {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !has_length && !has_no_body(status) {
        write!(out, "content-length: {body_len}\r\n").expect("writing to a vector does not fail");
    }
    if manner.close && !parts.headers.contains_key(CONNECTION) {
        out.extend_from_slice(b"connection: close\r\n");
    }
    if !parts.headers.contains_key(DATE) {
        write_date(out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Adds the `date` line, which is made once per second.
fn write_date(out: &mut Vec<u8>) {
    thread_local! {
        static DATE_LINE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    // A clock before 1970 is as good as none.
    let second = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    DATE_LINE.with_borrow_mut(|(made, line)| {
        if *made != second || line.is_empty() {
            *made = second;
            *line = format!("date: {}\r\n", httpdate::fmt_http_date(now));
        }
        out.extend_from_slice(line.as_bytes());
    });
}
