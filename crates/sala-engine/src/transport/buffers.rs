//! Buffers that belong to the thread, so that an idle connection has none.

use std::cell::Cell;

use bytes::Bytes;

/// How much is read or gathered at once.
pub(crate) const BUFFER: usize = 64 << 10;
/// Parts smaller than this are copied together; larger ones are written from where they are.
pub(crate) const FLATTEN: usize = 4 << 10;
/// How many slices one write may have.
pub(crate) const SLICES: usize = 32;

/// What all connections of a thread use in turn. It is taken out while in use, so that code that
/// polls another session from within a handler gets fresh ones instead of a panic.
pub(crate) struct Buffers {
    pub(crate) read: Vec<u8>,
    pub(crate) scratch: Vec<u8>,
    pub(crate) segments: Vec<Segment>,
}

thread_local! {
    static BUFFERS: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

pub(crate) fn with_buffers<R>(f: impl FnOnce(&mut Buffers) -> R) -> R {
    let mut buffers = BUFFERS.take().unwrap_or_else(|| {
        Box::new(Buffers {
            read: vec![0; BUFFER],
            scratch: Vec::with_capacity(BUFFER),
            segments: Vec::with_capacity(SLICES),
        })
    });
    let result = f(&mut buffers);
    BUFFERS.set(Some(buffers));
    result
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
