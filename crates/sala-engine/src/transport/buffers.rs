//! Buffers that belong to the thread, so that an idle connection has none.

use std::cell::Cell;

use bytes::Bytes;

/// How much is read or gathered at once.
pub(crate) const BUFFER: usize = 64 << 10;
/// Parts smaller than this are copied together; larger ones are written from where they are.
pub(crate) const FLATTEN: usize = 4 << 10;
/// How many slices one write may have.
pub(crate) const SLICES: usize = 32;

/// How far behind the start of a page is read to. Large copies go to fresh allocations, which begin
/// at the start of a page or just behind it. Where a copy's destination is a few bytes further in its
/// page than its source, `rep movsb`, with which the C library copies 4 KiB and more, is over twenty
/// times slower on AMD's Zen 3: 9 µs rather than 0.4 for 16 KiB. So the source is kept well behind.
const INTO_PAGE: usize = 256;
const PAGE: usize = 4096;

/// What all connections of a thread use in turn. It is taken out while in use, so that code that
/// polls another session from within a handler gets fresh ones instead of a panic.
pub(crate) struct Buffers {
    read: Vec<u8>,
    /// Where in `read` the room for reading begins.
    start: usize,
    pub(crate) scratch: Vec<u8>,
    pub(crate) segments: Vec<Segment>,
}

thread_local! {
    static BUFFERS: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

pub(crate) fn with_buffers<R>(f: impl FnOnce(&mut Buffers) -> R) -> R {
    let mut buffers = BUFFERS.take().unwrap_or_else(|| {
        let read = vec![0; BUFFER + PAGE + INTO_PAGE];
        Box::new(Buffers {
            start: read.as_ptr().align_offset(PAGE).min(PAGE) + INTO_PAGE,
            read,
            scratch: Vec::with_capacity(BUFFER),
            segments: Vec::with_capacity(SLICES),
        })
    });
    let result = f(&mut buffers);
    BUFFERS.set(Some(buffers));
    result
}

impl Buffers {
    /// Room for what is read: [`BUFFER`] bytes.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.read[self.start..][..BUFFER]
    }
}

/// A piece of one write.
pub(crate) enum Segment {
    /// A range of the scratch buffer.
    Copied(usize, usize),
    Shared(Bytes),
}

impl Segment {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Copied(start, end) => end - start,
            Self::Shared(bytes) => bytes.len(),
        }
    }

    pub(crate) fn bytes<'a>(&'a self, scratch: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Copied(start, end) => &scratch[*start..*end],
            Self::Shared(bytes) => bytes,
        }
    }
}
