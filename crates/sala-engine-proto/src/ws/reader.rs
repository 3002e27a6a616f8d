//! From received bytes to messages.

use super::WsError;
use super::deflate::Inflater;
use super::frame::{Expected, Header, MAX_HEADER, Opcode, unmask};

/// The most fragments that one message may have. More are answered with 1008: a peer that sends a
/// message in thousands of pieces wants to keep the server busy.
pub const MAX_FRAGMENTS: u32 = 16_384;

/// The most that is set aside for a message before its bytes arrive.
const FIRST_RESERVE: usize = 64 * 1024;

/// What a [`Reader`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A ping, to be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The peer closes, with the code and reason it gave. Nothing is read after it.
    Close(Option<u16>, &'a str),
}

/// Reads the frames of one connection.
///
/// Bytes go in as they arrive, cut anywhere. A message that lies whole in one input is unmasked
/// there and borrowed from it; only messages that come in pieces are put together in a buffer, which
/// is given back once nothing partial is left. So an idle connection holds no buffer.
///
/// Memory is bounded: a message never has more than the limit, and only as much is reserved ahead as
/// the peer has declared, at most 64 KiB before it arrives. Time is linear in the input.
///
/// ```
/// use sala_engine_proto::ws::{Event, Reader};
///
/// let mut reader = Reader::new(1_000_000, None);
/// let mut received = [0x81, 0x81, 0, 0, 0, 0, b'2'];
/// let mut input = &mut received[..];
/// while let Some(event) = reader.next(&mut input)? {
///     assert_eq!(event, Event::Text("2"));
/// }
/// # Ok::<(), sala_engine_proto::ws::WsError>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    max_message: usize,
    inflater: Option<Inflater>,
    /// The start of a header whose rest has not arrived.
    head: [u8; MAX_HEADER],
    head_len: u8,
    /// The frame whose payload is being received.
    frame: Option<Partial>,
    /// The message whose frames are being received.
    message: Option<Message>,
    /// The payload of `message` so far, unmasked and decompressed.
    buffer: Vec<u8>,
    /// The payload of a control frame in pieces. It may arrive in the middle of a message.
    control: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// `buffer` holds a message that was given out.
    Delivered,
    /// After a close frame or an error: everything else is dropped.
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct Partial {
    opcode: Opcode,
    fin: bool,
    mask: [u8; 4],
    received: usize,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    text: bool,
    compressed: bool,
    /// Payload bytes declared so far.
    declared: usize,
    fragments: u32,
}

/// Where the payload of an event is.
enum Place<'i> {
    Input(&'i [u8]),
    Buffer,
    Control,
}

impl Reader {
    /// A reader for a new connection. `max_message` is the most bytes a message may have: the sum of
    /// its fragments, before and after decompression. With an inflater, compressed messages are
    /// accepted.
    #[must_use]
    pub fn new(max_message: usize, deflate: Option<Inflater>) -> Self {
        Self {
            max_message,
            inflater: deflate,
            head: [0; MAX_HEADER],
            head_len: 0,
            frame: None,
            message: None,
            buffer: Vec::new(),
            control: Vec::new(),
            state: State::Reading,
        }
    }

    /// Takes the next event out of `input`, which is advanced past the bytes that were used.
    ///
    /// `None` means that all of `input` is used and more is needed; call it until then, so that
    /// buffers are given back. After a close frame or an error all further input is dropped. Data
    /// that arrived together with the HTTP request goes through here like any other.
    ///
    /// # Errors
    ///
    /// If the peer breaks a rule; see [`WsError`].
    pub fn next<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
    ) -> Result<Option<Event<'s>>, WsError> {
        if self.state == State::Delivered {
            if self.buffer.capacity() > FIRST_RESERVE {
                self.buffer = Vec::new();
            }
            self.buffer.clear();
            self.state = State::Reading;
        }
        let found = match self.advance(input) {
            Ok(found) => found,
            Err(error) => {
                self.end(input);
                return Err(error);
            }
        };
        let Some((opcode, place)) = found else {
            if self.message.is_none() {
                self.buffer = Vec::new();
            }
            return Ok(None);
        };
        if opcode == Opcode::Close {
            self.end(input);
        }
        let payload = match place {
            Place::Input(payload) => payload,
            Place::Buffer => &self.buffer,
            Place::Control => &self.control,
        };
        match event(opcode, payload) {
            Ok(event) => Ok(Some(event)),
            Err(error) => {
                self.state = State::Ended;
                *input = &mut [];
                Err(error)
            }
        }
    }

    /// Whether part of a frame or message has arrived and the rest is awaited.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        self.head_len > 0 || self.frame.is_some() || self.message.is_some()
    }

    /// Stops reading and drops what is left.
    fn end(&mut self, input: &mut &mut [u8]) {
        self.state = State::Ended;
        self.message = None;
        self.inflater = None;
        self.buffer = Vec::new();
        *input = &mut [];
    }

    /// Goes through the input up to the end of the next message or control frame.
    fn advance<'i>(
        &mut self,
        input: &mut &'i mut [u8],
    ) -> Result<Option<(Opcode, Place<'i>)>, WsError> {
        if self.state == State::Ended {
            *input = &mut [];
            return Ok(None);
        }
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.read_header(input)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let missing = frame.len - frame.received;
            let available = missing.min(input.len());
            let payload = take(input, available);
            unmask(payload, frame.mask, frame.received);
            frame.received += available;
            let complete = available == missing;

            if frame.opcode.is_control() {
                if complete && frame.received == available {
                    return Ok(Some((frame.opcode, Place::Input(payload))));
                }
                if frame.received == available {
                    self.control.clear();
                }
                self.control.extend_from_slice(payload);
                if complete {
                    return Ok(Some((frame.opcode, Place::Control)));
                }
            } else if let Some(message) = self.message {
                let opcode = if message.text {
                    Opcode::Text
                } else {
                    Opcode::Binary
                };
                let last = complete && frame.fin;
                let whole = last && message.fragments == 1 && frame.received == available;
                if whole && !message.compressed {
                    self.message = None;
                    return Ok(Some((opcode, Place::Input(payload))));
                }
                self.append(payload, message, missing - available, last)?;
                if last {
                    self.message = None;
                    self.state = State::Delivered;
                    return Ok(Some((opcode, Place::Buffer)));
                }
            }
            if !complete {
                self.frame = Some(frame);
                return Ok(None);
            }
        }
    }

    /// Reads the next header, across inputs if need be, and begins or continues a message with it.
    fn read_header(&mut self, input: &mut &mut [u8]) -> Result<Option<Partial>, WsError> {
        let declared = self.message.map_or(0, |message| message.declared);
        let expected = Expected {
            deflate: self.inflater.is_some(),
            inside_message: self.message.is_some(),
            room: self.max_message - declared,
        };
        let held = usize::from(self.head_len);
        let header = if held == 0 {
            match Header::parse(input, expected)? {
                Some(header) => {
                    take(input, header.len);
                    header
                }
                None => {
                    let len = input.len();
                    let rest = take(input, len);
                    self.head[..rest.len()].copy_from_slice(rest);
                    self.head_len = rest.len() as u8;
                    return Ok(None);
                }
            }
        } else {
            let add = input.len().min(MAX_HEADER - held);
            self.head[held..held + add].copy_from_slice(&input[..add]);
            match Header::parse(&self.head[..held + add], expected)? {
                Some(header) => {
                    take(input, header.len - held);
                    self.head_len = 0;
                    header
                }
                None => {
                    take(input, add);
                    self.head_len = (held + add) as u8;
                    return Ok(None);
                }
            }
        };
        // Control frames have at most 125 bytes, data frames at most the limit, which is a `usize`.
        let len = header.payload_len as usize;
        if !header.opcode.is_control() {
            let message = self.message.get_or_insert(Message {
                text: header.opcode == Opcode::Text,
                compressed: header.rsv1,
                declared: 0,
                fragments: 0,
            });
            message.declared += len;
            message.fragments += 1;
            if message.fragments > MAX_FRAGMENTS {
                return Err(WsError::TooManyFragments);
            }
        }
        Ok(Some(Partial {
            opcode: header.opcode,
            fin: header.fin,
            mask: header.mask,
            received: 0,
            len,
        }))
    }

    /// Adds payload to the message in the buffer. `missing` bytes of its frame are still to come.
    fn append(
        &mut self,
        payload: &[u8],
        message: Message,
        missing: usize,
        last: bool,
    ) -> Result<(), WsError> {
        if message.compressed {
            let inflater = self
                .inflater
                .as_mut()
                .expect("headers with RSV1 are refused without an inflater");
            inflater.inflate(payload, &mut self.buffer, self.max_message)?;
            if last {
                inflater.finish(&mut self.buffer, self.max_message)?;
            }
            return Ok(());
        }
        let spare = self.buffer.capacity() - self.buffer.len();
        if spare < payload.len() {
            // Doubling keeps the copying linear; the declared length keeps it from overshooting.
            let ahead = missing.min(self.buffer.len().max(FIRST_RESERVE));
            self.buffer.reserve_exact(payload.len() + ahead);
        }
        self.buffer.extend_from_slice(payload);
        Ok(())
    }
}

/// Splits the first `n` bytes off the input.
fn take<'i>(input: &mut &'i mut [u8], n: usize) -> &'i mut [u8] {
    let (taken, rest) = std::mem::take(input).split_at_mut(n);
    *input = rest;
    taken
}

fn event(opcode: Opcode, payload: &[u8]) -> Result<Event<'_>, WsError> {
    Ok(match opcode {
        Opcode::Text => Event::Text(utf8(payload)?),
        Opcode::Continuation | Opcode::Binary => Event::Binary(payload),
        Opcode::Ping => Event::Ping(payload),
        Opcode::Pong => Event::Pong(payload),
        Opcode::Close => match payload {
            [] => Event::Close(None, ""),
            // A payload of one byte is refused with the header.
            [_] => return Err(WsError::PayloadLength(1)),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !may_be_sent(code) {
                    return Err(WsError::CloseCode(code));
                }
                Event::Close(Some(code), utf8(reason)?)
            }
        },
    })
}

fn utf8(bytes: &[u8]) -> Result<&str, WsError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| WsError::InvalidUtf8)
}

/// Whether a close code may stand in a close frame.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
