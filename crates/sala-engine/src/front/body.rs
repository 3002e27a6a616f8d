//! The body of a request: at hand with its head, or pulled from the connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::chunked::{Decoder, Malformed};
use super::head::Framing;

/// The body of a request of the engine.
#[derive(Debug)]
pub(super) enum RequestBody {
    /// All of it; empty at its end.
    Whole(Bytes),
    /// It is still arriving.
    Arriving(Arc<Mutex<Feed>>),
}

/// What has arrived of a body and not been read. Connection and body are polled by the same task,
/// one after the other, so the lock is always free and nobody needs to be woken.
#[derive(Debug, Default)]
pub(super) struct Feed {
    data: Bytes,
    /// The body has been asked for more.
    wanted: bool,
    /// Nothing comes after `data`.
    ended: bool,
    malformed: bool,
}

/// The connection's side of a body that is still arriving.
#[derive(Debug)]
pub(super) struct Arriving {
    feed: Arc<Mutex<Feed>>,
    reader: Reader,
    over: bool,
}

/// Finds the end of a body, and the data in it.
#[derive(Debug)]
pub(super) enum Reader {
    Length(u64),
    Chunked(Decoder),
}

impl Reader {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Decoder::default()),
        }
    }

    /// The data within `input`, from which what was used is taken.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
        match self {
            Self::Length(left) => {
                let n = input
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                let (data, rest) = input.split_at(n);
                *input = rest;
                *left -= n as u64;
                Ok(data.to_vec())
            }
            Self::Chunked(decoder) => {
                let mut data = Vec::new();
                decoder.decode(input, &mut data)?;
                Ok(data)
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(decoder) => decoder.is_done(),
        }
    }
}

/// Begins a body. `input` is what arrived behind the head; what belongs to the body is taken off.
/// The second value is the connection's side, if more of the body is to come.
pub(super) fn begin(
    framing: Framing,
    input: &mut &[u8],
) -> Result<(RequestBody, Option<Arriving>), Malformed> {
    if framing == Framing::Length(0) {
        return Ok((RequestBody::Whole(Bytes::new()), None));
    }
    let mut reader = Reader::new(framing);
    let data = reader.read(input)?.into();
    if reader.is_done() {
        return Ok((RequestBody::Whole(data), None));
    }
    let feed = Arc::new(Mutex::new(Feed {
        data,
        ..Feed::default()
    }));
    let arriving = Arriving {
        feed: Arc::clone(&feed),
        reader,
        over: false,
    };
    Ok((RequestBody::Arriving(feed), Some(arriving)))
}

impl Arriving {
    /// Whether the end of the body has been seen.
    pub(super) fn is_complete(&self) -> bool {
        self.reader.is_done()
    }

    /// Whether nothing more of the body will be read: it is complete or malformed.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the body has been asked for more than there is.
    pub(super) fn is_wanted(&self) -> bool {
        lock(&self.feed).wanted
    }

    /// Takes what belongs to the body off `input`.
    pub(super) fn feed(&mut self, input: &mut &[u8]) {
        let data = self.reader.read(input);
        let mut feed = lock(&self.feed);
        feed.wanted = false;
        match data {
            Ok(data) => feed.data = data.into(),
            Err(Malformed) => feed.malformed = true,
        }
        feed.ended = self.reader.is_done();
        self.over = feed.ended || feed.malformed;
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Malformed;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Malformed>>> {
        let data = match self.get_mut() {
            Self::Whole(data) => std::mem::take(data),
            Self::Arriving(feed) => {
                let mut feed = lock(feed);
                let data = std::mem::take(&mut feed.data);
                if data.is_empty() && feed.malformed {
                    return Poll::Ready(Some(Err(Malformed)));
                }
                if data.is_empty() && !feed.ended {
                    feed.wanted = true;
                    return Poll::Pending;
                }
                data
            }
        };
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(data) => data.is_empty(),
            Self::Arriving(feed) => {
                let feed = lock(feed);
                feed.data.is_empty() && feed.ended
            }
        }
    }
}

fn lock(feed: &Mutex<Feed>) -> MutexGuard<'_, Feed> {
    feed.lock().unwrap_or_else(PoisonError::into_inner)
}
