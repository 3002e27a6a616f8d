//! One outgoing message, encoded once for every recipient and every transport.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::PacketType;

/// The longest WebSocket header that a server writes.
const MAX_HEADER: usize = 10;

/// Room in front of a payload. More than a header needs: a large text that is copied here usually
/// begins where its allocation does, at the start of a page, and a destination a few bytes further in
/// its page than the source is the worst case of `rep movsb`, over twenty times slower on AMD's Zen 3
/// than one that is this far away.
const HEADROOM: usize = 128;

/// The largest buffer that a thread keeps.
const MAX_SCRATCH: usize = 16 * 1024;

thread_local! {
    /// Where frames are encoded. They are copied out of it, which costs less than a buffer that
    /// grows, and so wastes no memory while they wait in queues.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One outgoing message: a first part and the binary attachments that follow it.
///
/// Cloning is a reference count. The parts are written together and in order on every transport,
/// so that an attachment is never separated from the packet it belongs to.
#[derive(Clone, Debug)]
pub struct Frame(Arc<Encoded>);

#[derive(Debug)]
struct Encoded {
    first: Wire,
    attachments: Box<[Wire]>,
    len: usize,
    compress: bool,
}

/// One WebSocket message of a [`Frame`].
#[derive(Debug)]
pub struct Wire {
    /// `bytes[head..]` is the payload; `bytes` is a whole WebSocket frame if `head` is not zero.
    bytes: Bytes,
    head: u8,
    binary: bool,
    base64: OnceLock<Bytes>,
}

impl Frame {
    /// Encodes a text packet of the given type: `write` appends what follows the type digit.
    ///
    /// The text must be UTF-8; it is what Socket.IO packets and JSON are made of.
    pub fn packet(digit: u8, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        Self::with_attachments(digit, write, Vec::new())
    }

    /// Encodes a message (type 4) with its attachments, which go out right behind it.
    pub fn message(write: impl FnOnce(&mut Vec<u8>), attachments: Vec<Bytes>) -> Self {
        Self::with_attachments(b'4', write, attachments)
    }

    /// Encodes a message whose data may refuse to be encoded: `write` appends what follows the type
    /// digit and returns the attachments. If it returns `true` besides, what it appended is one
    /// binary message, which has no type digit.
    ///
    /// # Errors
    ///
    /// That of `write`.
    pub fn try_message<E>(
        write: impl FnOnce(&mut Vec<u8>) -> Result<(Vec<Bytes>, bool), E>,
    ) -> Result<Self, E> {
        let mut buf = Wire::buffer();
        buf.push(b'4');
        let (attachments, binary) = write(&mut buf)?;
        let first = Wire::finish(buf, HEADROOM + usize::from(binary), binary);
        let attachments = Wire::attachments(attachments);
        Ok(Self::assemble(first, attachments))
    }

    fn with_attachments(
        digit: u8,
        write: impl FnOnce(&mut Vec<u8>),
        attachments: Vec<Bytes>,
    ) -> Self {
        let first = Wire::build(false, |buf| {
            buf.push(digit);
            write(buf);
        });
        let attachments = Wire::attachments(attachments);
        Self::assemble(first, attachments)
    }

    /// Encodes one binary message: `write` appends its bytes.
    pub fn binary(write: impl FnOnce(&mut Vec<u8>)) -> Self {
        Self::assemble(Wire::build(true, write), Box::default())
    }

    fn assemble(first: Wire, attachments: Box<[Wire]>) -> Self {
        let len =
            first.payload().len() + attachments.iter().map(|a| a.payload().len()).sum::<usize>();
        Self(Arc::new(Encoded {
            first,
            attachments,
            len,
            compress: true,
        }))
    }

    /// Says whether a transport that compresses may compress this message (default: yes).
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        if self.0.compress != compress {
            match Arc::get_mut(&mut self.0) {
                Some(encoded) => encoded.compress = compress,
                None => {
                    let first = self.0.first.share();
                    let attachments = self.0.attachments.iter().map(Wire::share).collect();
                    let len = self.0.len;
                    self.0 = Arc::new(Encoded {
                        first,
                        attachments,
                        len,
                        compress,
                    });
                }
            }
        }
        self
    }

    /// Whether a transport that compresses may compress this message.
    #[must_use]
    pub fn may_compress(&self) -> bool {
        self.0.compress
    }

    /// The type of the packet.
    #[must_use]
    pub fn kind(&self) -> PacketType {
        let first = &self.0.first;
        if first.binary {
            return PacketType::Message;
        }
        let digit = first.payload().first().copied().unwrap_or_default();
        PacketType::from_digit(digit).unwrap_or(PacketType::Message)
    }

    /// What the message weighs in a queue: the bytes of its parts, without transport overhead.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there is nothing to send. Never true: a text packet has at least its type digit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The parts in the order in which they are sent.
    pub fn parts(&self) -> impl Iterator<Item = &Wire> {
        std::iter::once(&self.0.first).chain(self.0.attachments.iter())
    }

    /// The first part: the packet itself.
    #[must_use]
    pub fn first(&self) -> &Wire {
        &self.0.first
    }

    /// How many parts the message has: one, and one for each attachment.
    #[must_use]
    pub fn part_count(&self) -> usize {
        1 + self.0.attachments.len()
    }
}

impl Wire {
    fn build(binary: bool, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut buf = Self::buffer();
        write(&mut buf);
        Self::finish(buf, HEADROOM, binary)
    }

    /// A buffer that begins with room for a header.
    fn buffer() -> Vec<u8> {
        // Empty if a frame is being encoded while another one is.
        let mut buf = SCRATCH.try_with(Cell::take).unwrap_or_default();
        buf.reserve(HEADROOM + 128);
        buf.resize(HEADROOM, 0); // nothing to do if it was used before
        buf
    }

    /// The bytes of a buffer without what is in front of `start`.
    fn seal(mut buf: Vec<u8>, start: usize) -> Bytes {
        if buf.len() > MAX_SCRATCH {
            return Bytes::from(buf).slice(start..);
        }
        let bytes = Bytes::copy_from_slice(&buf[start..]);
        buf.truncate(HEADROOM);
        let _ = SCRATCH.try_with(|scratch| scratch.set(buf)); // fails while the thread ends
        bytes
    }

    /// Writes the WebSocket header in front of the payload, which begins at `from`.
    fn finish(mut buf: Vec<u8>, from: usize, binary: bool) -> Self {
        let payload = buf.len() - from;
        let opcode = if binary { 0x82 } else { 0x81 };
        let start = match payload {
            0..=125 => {
                buf[from - 2] = opcode;
                buf[from - 1] = payload as u8;
                from - 2
            }
            126..=0xffff => {
                buf[from - 4] = opcode;
                buf[from - 3] = 126;
                buf[from - 2..from].copy_from_slice(&(payload as u16).to_be_bytes());
                from - 4
            }
            _ => {
                let start = from - MAX_HEADER;
                buf[start] = opcode;
                buf[start + 1] = 127;
                buf[start + 2..from].copy_from_slice(&(payload as u64).to_be_bytes());
                start
            }
        };
        let bytes = Self::seal(buf, start);
        Self {
            bytes,
            head: (from - start) as u8,
            binary,
            base64: OnceLock::new(),
        }
    }

    fn attachments(list: Vec<Bytes>) -> Box<[Self]> {
        if list.is_empty() {
            return Box::default();
        }
        list.into_iter().map(Self::attachment).collect()
    }

    fn attachment(bytes: Bytes) -> Self {
        Self {
            bytes,
            head: 0,
            binary: true,
            base64: OnceLock::new(),
        }
    }

    fn share(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            head: self.head,
            binary: self.binary,
            base64: OnceLock::new(),
        }
    }

    /// Whether this part is a binary message.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.binary
    }

    /// The packet: with its type digit if it is text, the bare bytes if it is binary.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.bytes[usize::from(self.head)..]
    }

    /// The payload as shared bytes.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.bytes.slice(usize::from(self.head)..)
    }

    /// The whole uncompressed, unmasked WebSocket frame, if it was encoded with its header. Binary
    /// attachments that came from the application have none: their header is written apart so that
    /// their bytes need no copy.
    #[must_use]
    pub fn ws_frame(&self) -> Option<&Bytes> {
        (self.head != 0).then_some(&self.bytes)
    }

    /// A binary part as a polling packet of revision 4: `b` and standard base64. Made once, however
    /// many polling clients receive it.
    #[must_use]
    pub fn base64(&self) -> &Bytes {
        self.base64.get_or_init(|| {
            let payload = self.payload();
            let mut text = String::with_capacity(1 + payload.len().div_ceil(3) * 4);
            text.push('b');
            STANDARD.encode_string(payload, &mut text);
            Bytes::from(text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(n: usize) -> Frame {
        Frame::message(|buf| buf.extend(std::iter::repeat_n(b'x', n)), Vec::new())
    }

    #[test]
    fn the_header_has_the_shortest_form_at_every_boundary() {
        for (n, head) in [
            (0, 2),
            (124, 2),
            (125, 4),
            (65_534, 4),
            (65_535, 10),
            (70_000, 10),
        ] {
            let frame = text(n);
            let ws = frame.first().ws_frame().unwrap();
            assert_eq!(ws.len(), head + 1 + n, "payload of {n}");
            assert_eq!(ws[0], 0x81);
            let declared = match ws[1] {
                126 => usize::from(u16::from_be_bytes([ws[2], ws[3]])),
                127 => u64::from_be_bytes(ws[2..10].try_into().unwrap()) as usize,
                short => usize::from(short),
            };
            assert_eq!(declared, n + 1);
            assert_eq!(frame.first().payload().len(), n + 1);
            assert_eq!(frame.len(), n + 1);
        }
    }

    #[test]
    fn a_frame_can_be_encoded_inside_another() {
        for n in [0, 100, 20_000] {
            let mut inner = None;
            let outer = Frame::message(
                |buf| {
                    buf.push(b'1');
                    inner = Some(text(n));
                    buf.push(b'2');
                },
                Vec::new(),
            );
            assert_eq!(outer.first().payload(), b"412");
            assert_eq!(inner.unwrap().len(), n + 1);
        }
    }

    #[test]
    fn a_message_may_turn_out_to_be_binary_or_to_fail() {
        for n in [0, 1, 125, 126, 65_535, 65_536] {
            let frame = Frame::try_message(|buf| {
                buf.extend(std::iter::repeat_n(7, n));
                Ok::<_, ()>((Vec::new(), true))
            })
            .unwrap();
            let binary = Frame::binary(|buf| buf.extend(std::iter::repeat_n(7, n)));
            assert_eq!(
                frame.first().ws_frame(),
                binary.first().ws_frame(),
                "{n} bytes"
            );
            assert!(frame.first().is_binary());
        }
        let text = Frame::try_message(|buf| {
            buf.push(b'0');
            Ok::<_, ()>((vec![Bytes::from_static(b"a")], false))
        })
        .unwrap();
        assert_eq!(text.first().payload(), b"40");
        assert_eq!(text.part_count(), 2);
        assert_eq!(Frame::try_message(|_| Err("no")).unwrap_err(), "no");
    }

    #[test]
    fn attachments_follow_without_a_copy() {
        let data = Bytes::from(vec![1, 2, 3, 4]);
        let frame = Frame::message(|b| b.extend_from_slice(b"51-[\"a\"]"), vec![data.clone()]);
        let parts: Vec<_> = frame.parts().collect();
        assert_eq!(parts.len(), frame.part_count());
        assert_eq!(parts[1].payload().as_ptr(), data.as_ptr());
        assert_eq!(parts[1].base64().as_ref(), b"bAQIDBA==");
        assert!(parts[1].ws_frame().is_none());
        assert_eq!(frame.len(), 9 + 4);
    }

    #[test]
    fn the_compress_flag_changes_a_shared_frame_only_for_the_one_who_asked() {
        let frame = text(3);
        let plain = frame.clone().compress(false);
        assert!(frame.may_compress());
        assert!(!plain.may_compress());
        assert_eq!(plain.first().payload(), frame.first().payload());
    }
}
