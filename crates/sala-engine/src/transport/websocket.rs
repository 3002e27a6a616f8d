//! One WebSocket connection: gathering frames into few writes, taking frames out of few reads.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use sala_engine_proto::ws::deflate::Deflater;
use sala_engine_proto::ws::{self, Event, Reader, WsError};
use sala_engine_proto::{Frame, Revision, Wire};
use tokio::io::ReadBuf;

use super::buffers::{BUFFER, Buffers, FLATTEN, SLICES, Segment, with_buffers};
use super::io::Io;

/// How long a closed connection may take to take the close frame and to answer it.
const LINGER: Duration = Duration::from_secs(30);

/// An established WebSocket connection.
#[repr(C)]
pub(crate) struct WebSocket {
    io: Io,
    /// What the frames in `rest` weigh in the session's queue.
    in_flight: usize,
    /// Only while there is something in it.
    rest: Option<Box<Rest>>,
    deflater: Option<Box<Deflater>>,
    revision: Revision,
    /// The client asked for text only (`b64=1`).
    base64: bool,
    /// A wrapper such as TLS may hold bytes back.
    unflushed: bool,
    reader: Reader,
}

/// What stands in the way of reading from and writing to the connection.
#[derive(Default)]
struct Rest {
    /// What arrived, such as right behind the HTTP request, and was not handed on yet.
    early: Bytes,
    /// The 101 of the handshake. It waits for the first frames, so that they leave together.
    response: Bytes,
    /// What the operating system has not taken yet, in order.
    unsent: VecDeque<Bytes>,
    /// The answer to the peer's latest WebSocket ping. Only the latest needs one, so a peer that
    /// pings and does not read cannot make memory grow.
    pong: Option<Bytes>,
}

/// What reading brought.
pub(crate) enum Read {
    /// Something was read, and there is more.
    More,
    /// Something was read, but less than there was room for: most likely that was all.
    Part,
    /// Nothing to read now; the task will be woken.
    Pending,
    /// The peer ended the connection.
    Ended,
    /// The connection broke.
    Broken,
}

/// What the receiver of messages wants next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// Take no more for now; the rest of what was read is kept.
    Pause,
    /// Stop: the session is over or needs this connection no more.
    Stop,
}

impl WebSocket {
    pub(crate) fn new(
        io: Io,
        early: Bytes,
        response: Bytes,
        reader: Reader,
        deflater: Option<Box<Deflater>>,
        revision: Revision,
        base64: bool,
    ) -> Self {
        // Even empty, `early` would hold on to the HTTP server's whole read buffer.
        let rest = (!early.is_empty() || !response.is_empty()).then(|| {
            Box::new(Rest {
                early,
                response,
                ..Rest::default()
            })
        });
        Self {
            io,
            in_flight: 0,
            rest,
            deflater,
            revision,
            base64,
            unflushed: false,
            reader,
        }
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// Reads once and hands every complete message to `receive`.
    ///
    /// # Errors
    ///
    /// The peer broke a rule of the WebSocket protocol; the connection is to be closed with the
    /// error's code.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        mut receive: impl FnMut(Event<'_>, &mut Context<'_>) -> Flow,
    ) -> Result<Read, WsError> {
        if let Some(rest) = &mut self.rest
            && !rest.early.is_empty()
        {
            let mut early = std::mem::take(&mut rest.early).to_vec();
            self.take_messages(&mut early, cx, &mut receive)?;
            return Ok(Read::More);
        }
        with_buffers(|buffers| {
            let mut buf = ReadBuf::new(buffers.room());
            match self.io.poll_read(cx, &mut buf) {
                Poll::Pending => return Ok(Read::Pending),
                Poll::Ready(Err(_)) => return Ok(Read::Broken),
                Poll::Ready(Ok(())) => {}
            }
            let n = buf.filled().len();
            if n == 0 {
                return Ok(Read::Ended);
            }
            let read = if buf.remaining() == 0 {
                Read::More
            } else {
                Read::Part
            };
            self.take_messages(buf.filled_mut(), cx, &mut receive)?;
            Ok(read)
        })
    }

    fn take_messages(
        &mut self,
        mut input: &mut [u8],
        cx: &mut Context<'_>,
        receive: &mut impl FnMut(Event<'_>, &mut Context<'_>) -> Flow,
    ) -> Result<(), WsError> {
        while let Some(event) = self.reader.next(&mut input)? {
            if let Event::Ping(payload) = event {
                let mut pong = Vec::with_capacity(payload.len() + 2);
                ws::pong(&mut pong, payload);
                self.rest().pong = Some(pong.into());
                continue;
            }
            match receive(event, cx) {
                Flow::Continue => {}
                Flow::Pause => {
                    if !input.is_empty() {
                        self.rest().early = Bytes::copy_from_slice(input);
                    }
                    break;
                }
                Flow::Stop => break,
            }
        }
        Ok(())
    }

    /// Whether everything handed over so far has gone out.
    pub(crate) fn is_idle(&self) -> bool {
        self.rest.as_ref().is_none_or(|rest| {
            rest.unsent.is_empty() && rest.pong.is_none() && rest.response.is_empty()
        })
    }

    /// Sends as much of `queue` as the connection takes, and tells what the frames weighed that
    /// have gone out completely. Ready means that nothing is left to send.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut VecDeque<Frame>,
        sent: &mut usize,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_unsent(cx))?;
            *sent += std::mem::take(&mut self.in_flight);
            if queue.is_empty() && self.is_idle() {
                if self.unflushed {
                    ready!(self.io.poll_flush(cx))?;
                    self.unflushed = false;
                }
                return Poll::Ready(Ok(()));
            }
            if let Some(frame) = self.only_frame(queue) {
                self.write_frame(cx, &frame)?;
            } else {
                with_buffers(|buffers| self.gather_and_write(cx, queue, buffers))?;
            }
        }
    }

    /// The frame to send, if it is the only one and can be written as it is: the usual case of a
    /// broadcast.
    fn only_frame(&mut self, queue: &mut VecDeque<Frame>) -> Option<Frame> {
        let plain = queue.len() == 1 && self.rest.is_none() && self.deflater.is_none();
        if !plain || queue[0].part_count() > 1 || queue[0].first().is_binary() {
            return None;
        }
        queue.pop_front()
    }

    /// Writes a frame of one text part from where it is.
    fn write_frame(&mut self, cx: &mut Context<'_>, frame: &Frame) -> io::Result<()> {
        let Some(bytes) = frame.first().ws_frame() else {
            return Ok(()); // text always has its header
        };
        let n = match self.io.poll_write(cx, bytes) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(n) => n?,
            Poll::Pending => 0,
        };
        self.unflushed = matches!(self.io, Io::Other(_));
        self.in_flight += frame.len();
        if n < bytes.len() {
            self.rest().unsent.push_back(bytes.slice(n..));
        }
        Ok(())
    }

    /// Writes what an earlier write left over.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(Ok(()));
        };
        while !rest.unsent.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(&rest.unsent) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            let mut n = ready!(self.io.poll_write_vectored(cx, &slices[..count]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = matches!(self.io, Io::Other(_));
            while let Some(first) = rest.unsent.front_mut() {
                if n < first.len() {
                    let _ = first.split_to(n);
                    break;
                }
                n -= first.len();
                rest.unsent.pop_front();
            }
        }
        if rest.early.is_empty() && rest.pong.is_none() && rest.response.is_empty() {
            self.rest = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Puts frames together and writes them with one call. What is not taken goes to `unsent`.
    fn gather_and_write(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut VecDeque<Frame>,
        buffers: &mut Buffers,
    ) -> io::Result<()> {
        let Buffers {
            scratch, segments, ..
        } = buffers;
        scratch.clear();
        segments.clear();
        let mut gather = Gather {
            scratch,
            segments,
            mark: 0,
        };
        if let Some(rest) = &mut self.rest {
            gather.copy(&std::mem::take(&mut rest.response));
            if let Some(pong) = rest.pong.take() {
                gather.copy(&pong);
            }
        }
        // A part takes up to two slices, and a frame may have many: the limit is checked between
        // frames, and a write longer than `SLICES` leaves the rest to `unsent`.
        while gather.segments.len() < SLICES
            && gather.scratch.len() < BUFFER - FLATTEN
            && let Some(frame) = queue.pop_front()
        {
            self.in_flight += frame.len();
            for part in frame.parts() {
                self.gather_part(part, &mut gather);
            }
        }
        gather.close_run();
        let total = segments.iter().map(Segment::len).sum::<usize>();
        let written = match &segments[..] {
            [Segment::Copied(start, end)] => self.io.poll_write(cx, &scratch[*start..*end]),
            [Segment::Shared(bytes)] => self.io.poll_write(cx, bytes),
            _ => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let mut count = 0;
                for (slice, segment) in slices.iter_mut().zip(segments.iter()) {
                    *slice = IoSlice::new(segment.bytes(scratch));
                    count += 1;
                }
                self.io.poll_write_vectored(cx, &slices[..count])
            }
        };
        let mut n = match written {
            Poll::Ready(Ok(0)) if total > 0 => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(n) => n?,
            Poll::Pending => 0,
        };
        self.unflushed = matches!(self.io, Io::Other(_));
        if n < total {
            for segment in segments.drain(..) {
                let len = segment.len();
                if n >= len {
                    n -= len;
                    continue;
                }
                self.rest().unsent.push_back(match segment {
                    Segment::Copied(start, end) => Bytes::copy_from_slice(&scratch[start + n..end]),
                    Segment::Shared(bytes) => bytes.slice(n..),
                });
                n = 0;
            }
        }
        segments.clear();
        if scratch.capacity() > 2 * BUFFER {
            *scratch = Vec::with_capacity(BUFFER);
        }
        Ok(())
    }

    fn gather_part(&mut self, part: &Wire, gather: &mut Gather<'_>) {
        if part.is_binary() && self.base64 {
            return gather.text(&match self.revision {
                Revision::V4 => part.base64().clone(),
                Revision::V3 => {
                    // Revision 3 names the type behind the `b`.
                    let mut text = b"b4".to_vec();
                    text.extend_from_slice(&part.base64()[1..]);
                    text.into()
                }
            });
        }
        let typed = self.has_type_byte(part);
        if let Some(deflater) = &mut self.deflater
            && deflater.compresses(part.payload().len())
        {
            return if typed {
                let payload = [&[4], part.payload()].concat();
                deflater.frame(gather.scratch, ws::Opcode::Binary, &payload);
            } else if part.is_binary() {
                deflater.frame(gather.scratch, ws::Opcode::Binary, part.payload());
            } else {
                deflater.frame(gather.scratch, ws::Opcode::Text, part.payload());
            };
        }
        match part.ws_frame() {
            Some(frame) if !typed => gather.add(frame),
            _ => {
                let payload = part.payload();
                let len = payload.len() + usize::from(typed);
                ws::header(gather.scratch, ws::Opcode::Binary, len, false);
                if typed {
                    gather.scratch.push(4);
                }
                if payload.len() < FLATTEN {
                    gather.copy(payload);
                } else {
                    gather.share(part.payload_bytes());
                }
            }
        }
    }

    /// Revision 3 puts the packet type in front of binary data too.
    fn has_type_byte(&self, part: &Wire) -> bool {
        part.is_binary() && self.revision == Revision::V3
    }

    /// Closes the connection in the background: a close frame with `code` if the stream stands
    /// between two frames, then the end of our side, then up to 30 s for the peer to end its own.
    /// (Ending both at once would make the operating system discard what was sent last.)
    pub(crate) fn close(mut self, code: Option<u16>) {
        let rest = self.rest.take().unwrap_or_default();
        if !rest.unsent.is_empty() {
            // In the middle of a frame, and the peer does not take it: nothing can be said.
            return;
        }
        let mut farewell = rest.response.to_vec();
        ws::close_frame(&mut farewell, code, "");
        self.rest().unsent.push_back(farewell.into());
        tokio::spawn(async move {
            let farewell = async {
                poll_fn(|cx| self.poll_unsent(cx)).await?;
                poll_fn(|cx| self.io.poll_flush(cx)).await?;
                poll_fn(|cx| self.io.poll_shutdown(cx)).await?;
                loop {
                    let n = poll_fn(|cx| {
                        with_buffers(|buffers| {
                            let mut buf = ReadBuf::new(buffers.room());
                            self.io
                                .poll_read(cx, &mut buf)
                                .map_ok(|()| buf.filled().len())
                        })
                    })
                    .await?;
                    if n == 0 {
                        return io::Result::Ok(());
                    }
                }
            };
            // Whether the peer was polite makes no difference any more.
            tokio::time::timeout(LINGER, farewell).await.ok();
        });
    }
}

/// Collects the pieces of one write.
struct Gather<'a> {
    scratch: &'a mut Vec<u8>,
    segments: &'a mut Vec<Segment>,
    /// Where the run of copied bytes that is not yet a segment begins.
    mark: usize,
}

impl Gather<'_> {
    fn copy(&mut self, bytes: &[u8]) {
        self.scratch.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &Bytes) {
        ws::header(self.scratch, ws::Opcode::Text, text.len(), false);
        self.add(text);
    }

    fn add(&mut self, bytes: &Bytes) {
        if bytes.len() < FLATTEN {
            self.copy(bytes);
        } else {
            self.share(bytes.clone());
        }
    }

    fn share(&mut self, bytes: Bytes) {
        self.close_run();
        self.segments.push(Segment::Shared(bytes));
    }

    fn close_run(&mut self) {
        if self.mark < self.scratch.len() {
            self.segments
                .push(Segment::Copied(self.mark, self.scratch.len()));
            self.mark = self.scratch.len();
        }
    }
}
