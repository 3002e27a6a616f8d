//! Compressing and decompressing messages.

use std::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Agreed, Config};
use crate::ws::WsError;
use crate::ws::frame::{Opcode, encode_header, header};

/// What a sender cuts off the end of each message.
const TRAILER: [u8; 4] = [0, 0, 0xff, 0xff];

/// The least and the most room that is made for output at a time.
const MIN_STEP: usize = 256;
const MAX_STEP: usize = 16 * 1024;

/// Decompresses what one client sends. Its context (about 48 KiB) is made at the first compressed
/// message.
pub struct Inflater {
    no_context_takeover: bool,
    window_bits: u8,
    context: Option<Box<Decompress>>,
    /// The client has ended its stream within the current message; the rest of it is ignored.
    ended: bool,
}

impl Inflater {
    /// For a connection with these parameters.
    #[must_use]
    pub fn new(agreed: &Agreed) -> Self {
        Self {
            no_context_takeover: agreed.client_no_context_takeover,
            window_bits: usable_window(agreed.client_max_window_bits),
            context: None,
            ended: false,
        }
    }

    /// Decompresses a piece of a message and appends it to `out`, which must not grow beyond
    /// `limit` bytes.
    pub(in crate::ws) fn inflate(
        &mut self,
        mut input: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), WsError> {
        if self.ended {
            return Ok(());
        }
        let context = self.context.get_or_insert_with(|| {
            Box::new(Decompress::new_with_window_bits(false, self.window_bits))
        });
        loop {
            let start = out.len();
            // One byte beyond the limit tells "exactly full" from "too big".
            let step = (input.len().saturating_mul(4))
                .clamp(MIN_STEP, MAX_STEP)
                .min(limit.saturating_add(1) - start);
            out.resize(start + step, 0);
            let (total_in, total_out) = (context.total_in(), context.total_out());
            let status = context.decompress(input, &mut out[start..], FlushDecompress::None);
            let used = (context.total_in() - total_in) as usize;
            let made = (context.total_out() - total_out) as usize;
            out.truncate(start + made);
            input = &input[used..];

            if out.len() > limit {
                return Err(WsError::TooBig);
            }
            match status {
                Err(_) => return Err(WsError::InvalidDeflate),
                Ok(Status::StreamEnd) => {
                    self.ended = true;
                    return Ok(());
                }
                // All is used, and no output waits for more room.
                Ok(_) if input.is_empty() && made < step => return Ok(()),
                Ok(_) if used == 0 && made == 0 => return Err(WsError::InvalidDeflate),
                Ok(_) => {}
            }
        }
    }

    /// Ends a message.
    pub(in crate::ws) fn finish(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<(), WsError> {
        self.inflate(&TRAILER, out, limit)?;
        if self.ended || self.no_context_takeover {
            self.context = None;
            self.ended = false;
        }
        Ok(())
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("no_context_takeover", &self.no_context_takeover)
            .field("window_bits", &self.window_bits)
            .field("in_use", &self.context.is_some())
            .finish()
    }
}

/// Compresses what is sent to one client. Its context (about 380 KiB) is made at the first message
/// that is compressed, and dropped after each message if no context is kept.
pub struct Deflater {
    no_context_takeover: bool,
    window_bits: u8,
    threshold: usize,
    level: u8,
    context: Option<Box<Compress>>,
}

impl Deflater {
    /// For a connection with these parameters.
    #[must_use]
    pub fn new(agreed: &Agreed, config: &Config) -> Self {
        Self {
            no_context_takeover: agreed.server_no_context_takeover,
            window_bits: usable_window(agreed.server_max_window_bits),
            threshold: config.threshold,
            level: config.level.min(9),
            context: None,
        }
    }

    /// Whether a message of this many bytes is compressed: all are, but with
    /// `server_no_context_takeover` only from the threshold on (A105).
    #[must_use]
    pub fn compresses(&self, len: usize) -> bool {
        !self.no_context_takeover || len >= self.threshold
    }

    /// Appends one message as a frame, compressed if [`compresses`](Self::compresses) says so.
    pub fn frame(&mut self, out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
        let start = out.len();
        if self.compresses(payload.len()) {
            if self.compressed_frame(out, opcode, payload) {
                return;
            }
            // What the context has seen and the client has not would spoil the next message.
            self.context = None;
            out.truncate(start);
        }
        header(out, opcode, payload.len(), false);
        out.extend_from_slice(payload);
    }

    /// Appends a compressed frame; false if the compressor fails, which it has no reason to.
    fn compressed_frame(&mut self, out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) -> bool {
        // The length of the header is known last: the longest one gets room.
        let (longest, room) = encode_header(opcode, usize::MAX, true);
        let start = out.len();
        out.extend_from_slice(&longest);
        if payload.is_empty() {
            // An empty stored block, of which the trailer is cut off.
            out.push(0);
        } else {
            if !self.deflate(payload, out) || !out.ends_with(&TRAILER) {
                return false;
            }
            out.truncate(out.len() - TRAILER.len());
        }
        let (header, len) = encode_header(opcode, out.len() - start - room, true);
        out[start..start + len].copy_from_slice(&header[..len]);
        out.copy_within(start + room.., start + len);
        out.truncate(out.len() - (room - len));
        if self.no_context_takeover {
            self.context = None;
        }
        true
    }

    fn deflate(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> bool {
        let context = self.context.get_or_insert_with(|| {
            let level = Compression::new(u32::from(self.level));
            Box::new(Compress::new_with_window_bits(
                level,
                false,
                self.window_bits,
            ))
        });
        loop {
            let start = out.len();
            let step = input.len().clamp(MIN_STEP, MAX_STEP);
            out.resize(start + step, 0);
            let (total_in, total_out) = (context.total_in(), context.total_out());
            let status = context.compress(input, &mut out[start..], FlushCompress::Sync);
            let used = (context.total_in() - total_in) as usize;
            let made = (context.total_out() - total_out) as usize;
            out.truncate(start + made);
            input = &input[used..];
            match status {
                Err(_) => return false,
                Ok(_) if input.is_empty() && made < step => return true,
                Ok(_) if used == 0 && made == 0 => return false,
                Ok(_) => {}
            }
        }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("no_context_takeover", &self.no_context_takeover)
            .field("window_bits", &self.window_bits)
            .field("threshold", &self.threshold)
            .field("level", &self.level)
            .field("in_use", &self.context.is_some())
            .finish()
    }
}

/// The window that the compressor can use: it has none of 256 bytes, and uses of one of 512 so
/// little that it fits.
fn usable_window(agreed: Option<u8>) -> u8 {
    agreed.unwrap_or(15).clamp(9, 15)
}
