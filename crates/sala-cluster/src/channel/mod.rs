//! What primary and worker talk over: a pair of Unix sockets that carries frames, and descriptors
//! beside them.
//!
//! A frame is a length (4 bytes, big-endian), a kind (1 byte) and a body. A frame that brings a
//! descriptor is written with it in one call, so that the descriptor is there no later than the
//! frame's first byte; whoever decodes the frame takes the oldest one.

pub(crate) mod bus;
pub(crate) mod control;
mod queue;
pub(crate) mod wire;

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

pub(crate) use self::queue::{Queue, Refusal};

/// Length and kind.
pub(crate) const HEAD: usize = 5;
/// The longest frame: a process that announces more is broken.
pub(crate) const MAX_FRAME: usize = 64 << 20;
/// How much is asked of the kernel at once: more when the last read was full.
const READ: usize = 4 << 10;
const READ_MORE: usize = 64 << 10;
/// Frames that wait are written together up to this size.
const BATCH: usize = 64 << 10;
/// How long to wait when the kernel has no room for a descriptor.
const PAUSE: Duration = Duration::from_millis(20);
/// Descriptors that came but that no frame has claimed; one per frame is the rule.
const MAX_UNCLAIMED: usize = 256;

/// A frame that has come.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) body: Bytes,
}

/// A frame on its way out, with length and kind in front.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) bytes: Bytes,
    pub(crate) descriptor: Option<OwnedFd>,
}

impl From<Bytes> for Parcel {
    fn from(bytes: Bytes) -> Self {
        Self {
            bytes,
            descriptor: None,
        }
    }
}

impl Parcel {
    pub(crate) fn with(bytes: Bytes, descriptor: OwnedFd) -> Self {
        Self {
            bytes,
            descriptor: Some(descriptor),
        }
    }
}

/// The half that receives.
#[derive(Debug)]
pub(crate) struct Receiver {
    io: Arc<UnixStream>,
    buffer: BytesMut,
    /// How much the next read asks for.
    want: usize,
    /// `None` for one that this process had no room for.
    descriptors: VecDeque<Option<OwnedFd>>,
}

/// The half that sends.
#[derive(Debug)]
pub(crate) struct Sender {
    io: Arc<UnixStream>,
}

/// Why a frame that brings a descriptor came without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoDescriptor {
    /// This process has as many open files as it may have: the kernel closed the descriptor.
    OutOfFiles,
    /// The sender did not put one in.
    Missing,
}

/// The two halves of a socket.
pub(crate) fn split(io: UnixStream) -> (Sender, Receiver) {
    let io = Arc::new(io);
    let receiver = Receiver {
        io: Arc::clone(&io),
        buffer: BytesMut::new(),
        want: READ,
        descriptors: VecDeque::new(),
    };
    (Sender { io }, receiver)
}

impl Receiver {
    /// The next frame; `None` when the other side has closed or gone.
    ///
    /// *Cancel safety:* dropping the future loses nothing.
    pub(crate) async fn recv(&mut self) -> io::Result<Option<Frame>> {
        self.recv_as(take_frame).await
    }

    /// The same for another framing: `take` takes what is whole off the buffer.
    ///
    /// *Cancel safety:* dropping the future loses nothing.
    pub(crate) async fn recv_as<T>(
        &mut self,
        take: impl Fn(&mut BytesMut) -> io::Result<Option<T>>,
    ) -> io::Result<Option<T>> {
        loop {
            if let Some(frame) = take(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(broken("the channel ended within a frame"))
                };
            }
        }
    }

    /// The descriptor that came with a frame, or why there is none.
    pub(crate) fn take_descriptor(&mut self) -> Result<OwnedFd, NoDescriptor> {
        match self.descriptors.pop_front() {
            Some(Some(descriptor)) => Ok(descriptor),
            Some(None) => Err(NoDescriptor::OutOfFiles),
            None => Err(NoDescriptor::Missing),
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        let Self {
            io,
            buffer,
            want,
            descriptors,
        } = self;
        let read = io
            .async_io(Interest::READABLE, || {
                // `recvmsg` wants initialized memory; what is not filled is cut off again.
                let len = buffer.len();
                buffer.resize(len + *want, 0);
                let read = receive(io, &mut buffer[len..], descriptors);
                buffer.truncate(len + read.as_ref().map_or(0, |n| *n));
                read
            })
            .await;
        let full = read.as_ref().is_ok_and(|n| *n == *want);
        *want = if full { READ_MORE } else { READ };
        match read {
            // The other process was killed with something of ours unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            read => read,
        }
    }
}

pub(crate) fn take_frame(buffer: &mut BytesMut) -> io::Result<Option<Frame>> {
    let Some((head, _)) = buffer.split_first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let [a, b, c, d, kind] = *head;
    let len = u32::from_be_bytes([a, b, c, d]) as usize;
    if len > MAX_FRAME {
        return Err(broken("a frame is longer than any may be"));
    }
    if buffer.len() < HEAD + len {
        buffer.reserve(HEAD + len - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEAD);
    let body = buffer.split_to(len).freeze();
    Ok(Some(Frame { kind, body }))
}

impl Sender {
    /// Sends what waits in a queue until the queue is closed and empty, or the other process has
    /// gone. What has a descriptor and could not be sent stays in the queue.
    pub(crate) async fn drive(&mut self, queue: &Queue) {
        if let Err(error) = self.send_all(queue).await {
            report(&error);
        }
    }

    async fn send_all(&mut self, queue: &Queue) -> io::Result<()> {
        let mut batch = BytesMut::new();
        while let Some(parcel) = queue.pop().await {
            if parcel.descriptor.is_none() && parcel.bytes.len() < BATCH {
                batch.clear();
                batch.extend_from_slice(&parcel.bytes);
                queue.pop_into(&mut batch, BATCH);
                self.write(&batch, None).await?;
            } else if let Err(error) = self.write(&parcel.bytes, parcel.descriptor.as_ref()).await {
                queue.put_back(parcel);
                return Err(error);
            }
            queue.progressed();
        }
        Ok(())
    }

    /// Sends bytes, a descriptor with the first of them.
    ///
    /// *Cancel safety:* if dropped, part of it may have been sent: the channel is of no more use.
    pub(crate) async fn write(
        &mut self,
        mut bytes: &[u8],
        mut descriptor: Option<&OwnedFd>,
    ) -> io::Result<()> {
        let io = &self.io;
        while !bytes.is_empty() {
            let sent = io
                .async_io(Interest::WRITABLE, || send(io, bytes, descriptor))
                .await;
            match sent {
                Ok(n) => {
                    descriptor = None;
                    bytes = &bytes[n..];
                }
                Err(error) if passes(&error) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether the kernel may take it later: there are too many descriptors under way, or too little
/// memory.
fn passes(error: &io::Error) -> bool {
    let code = rustix::io::Errno::from_io_error(error);
    matches!(
        code,
        Some(rustix::io::Errno::TOOMANYREFS | rustix::io::Errno::NOBUFS | rustix::io::Errno::NOMEM)
    )
}

/// Says that nothing more is sent, unless that is because the other process has gone, which is told
/// by others.
pub(crate) fn report(error: &io::Error) {
    let gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
    if !gone.contains(&error.kind()) {
        tracing::error!(%error, "a channel between primary and worker broke");
    }
}

fn send(io: &UnixStream, bytes: &[u8], descriptor: Option<&OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(|descriptor| [descriptor.as_fd()]);
    if let Some(descriptors) = &descriptors {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(sendmsg(io, &[IoSlice::new(bytes)], &mut control, flags)?)
}

fn receive(
    io: &UnixStream,
    buffer: &mut [u8],
    descriptors: &mut VecDeque<Option<OwnedFd>>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(io, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received.map(Some));
        }
    }
    // A call brings the descriptor of one frame at most, so it is this one that was lost.
    if got.flags.contains(ReturnFlags::CTRUNC) {
        descriptors.push_back(None);
    }
    if descriptors.len() > MAX_UNCLAIMED {
        return Err(broken("descriptors that no frame asked for"));
    }
    Ok(got.bytes)
}

pub(crate) fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
