//! A raw WebSocket client: any handshake header, any frame, however wrong.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::http::{Connection, End, Response, request};
use crate::{quiet_for, within};

/// Opcodes.
pub mod opcode {
    /// More of the message before.
    pub const CONTINUATION: u8 = 0;
    /// A text message.
    pub const TEXT: u8 = 1;
    /// A binary message.
    pub const BINARY: u8 = 2;
    /// The end of the connection.
    pub const CLOSE: u8 = 8;
    /// A question to the other side's WebSocket layer.
    pub const PING: u8 = 9;
    /// Its answer.
    pub const PONG: u8 = 10;
}

/// The key that every handshake of this client uses, and the answer that the server owes.
const KEY: (&str, &str) = ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

/// A frame to send. Everything can be made wrong.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The last frame of its message.
    pub fin: bool,
    /// The three reserved bits, as a number from 0 to 7; RSV1 is 4.
    pub rsv: u8,
    /// What it is.
    pub opcode: u8,
    /// Clients must mask; `false` breaks the protocol.
    pub masked: bool,
    /// The length to announce, if not that of the payload.
    pub declared: Option<u64>,
    /// Uses the 64-bit length field whatever the length is.
    pub long: bool,
    /// The payload, sent as it is.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A complete, correct frame.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            fin: true,
            rsv: 0,
            opcode,
            masked: true,
            declared: None,
            long: false,
            payload: payload.into(),
        }
    }

    /// The first frame of a fragmented message.
    pub fn first(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            fin: false,
            ..Self::new(opcode, payload)
        }
    }

    /// A later frame of a fragmented message.
    pub fn next(payload: impl Into<Vec<u8>>, fin: bool) -> Self {
        Self {
            fin,
            ..Self::new(opcode::CONTINUATION, payload)
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let length = self.declared.unwrap_or(self.payload.len() as u64);
        let mask_bit = if self.masked { 0x80 } else { 0 };
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        if length < 126 && !self.long {
            bytes.push(mask_bit | length as u8);
        } else if length <= 0xffff && !self.long {
            bytes.push(mask_bit | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        } else {
            bytes.push(mask_bit | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        if !self.masked {
            bytes.extend_from_slice(&self.payload);
            return bytes;
        }
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        bytes.extend_from_slice(&mask);
        bytes.extend(
            self.payload
                .iter()
                .enumerate()
                .map(|(i, byte)| byte ^ mask[i % 4]),
        );
        bytes
    }
}

/// A frame that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The last frame of its message.
    pub fin: bool,
    /// The three reserved bits.
    pub rsv: u8,
    /// What it is.
    pub opcode: u8,
    /// Its payload; servers must not mask.
    pub payload: Vec<u8>,
}

/// A message that was received, or the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A WebSocket ping (not the one of Engine.IO).
    Ping(Vec<u8>),
    /// A WebSocket pong.
    Pong(Vec<u8>),
    /// A close frame with its code, if it has one, and its reason.
    Close(Option<u16>, String),
    /// The TCP connection ended.
    End(End),
}

/// A WebSocket connection.
#[derive(Debug)]
pub struct Ws {
    connection: Connection,
    /// The reply to the handshake.
    pub handshake: Response,
}

/// The header lines of a correct handshake.
pub fn handshake_headers() -> Vec<(&'static str, &'static str)> {
    vec![
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY.0),
    ]
}

/// The bytes of a correct handshake with more headers.
pub fn handshake_bytes(target: &str, more: &[(&str, &str)]) -> Vec<u8> {
    request(
        "GET",
        target,
        &[&handshake_headers()[..], more].concat(),
        b"",
    )
}

impl Ws {
    /// Connects to `target` and expects to be welcome.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub async fn open(addr: SocketAddr, target: &str) -> Self {
        Self::open_with(addr, target, &[]).await
    }

    /// As [`Ws::open`], with more headers.
    pub async fn open_with(addr: SocketAddr, target: &str, more: &[(&str, &str)]) -> Self {
        match Self::attempt(addr, target, more).await {
            Ok(ws) => ws,
            Err((response, _)) => panic!("the handshake was refused: {response:?}"),
        }
    }

    /// Tries the handshake; a refusal comes with the connection, to see how it ends.
    pub async fn attempt(
        addr: SocketAddr,
        target: &str,
        more: &[(&str, &str)],
    ) -> Result<Self, (Response, Connection)> {
        let mut connection = Connection::open(addr).await;
        connection.send(handshake_bytes(target, more)).await;
        Self::adopt(connection).await
    }

    /// Sends a handshake and `frames` in one write.
    pub async fn open_and_send(
        addr: SocketAddr,
        target: &str,
        frames: &[Frame],
    ) -> Result<Self, (Response, Connection)> {
        let mut connection = Connection::open(addr).await;
        let mut bytes = handshake_bytes(target, &[]);
        frames.iter().for_each(|frame| bytes.extend(frame.bytes()));
        connection.send(bytes).await;
        Self::adopt(connection).await
    }

    /// Reads the reply to a handshake that was sent by hand.
    pub async fn adopt(mut connection: Connection) -> Result<Self, (Response, Connection)> {
        let handshake = connection.response().await;
        if handshake.status != 101 {
            return Err((handshake, connection));
        }
        assert_eq!(
            handshake.header("sec-websocket-accept"),
            Some(KEY.1),
            "the handshake is answered to its key"
        );
        Ok(Self {
            connection,
            handshake,
        })
    }

    /// Sends a frame.
    pub async fn frame(&mut self, frame: Frame) {
        self.connection.send(frame.bytes()).await;
    }

    /// Sends a text message.
    pub async fn text(&mut self, text: impl AsRef<str>) {
        self.frame(Frame::new(opcode::TEXT, text.as_ref().as_bytes()))
            .await;
    }

    /// Sends a binary message.
    pub async fn binary(&mut self, bytes: impl Into<Vec<u8>>) {
        self.frame(Frame::new(opcode::BINARY, bytes)).await;
    }

    /// Sends several messages in one write.
    pub async fn texts(&mut self, texts: &[&str]) {
        let bytes: Vec<u8> = texts
            .iter()
            .flat_map(|text| Frame::new(opcode::TEXT, text.as_bytes()).bytes())
            .collect();
        self.connection.send(bytes).await;
    }

    /// Sends a close frame, empty without a code.
    pub async fn close(&mut self, code: Option<u16>) {
        let payload = code
            .map(|code| code.to_be_bytes().to_vec())
            .unwrap_or_default();
        self.frame(Frame::new(opcode::CLOSE, payload)).await;
    }

    /// Sends bytes as they are.
    pub async fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.connection.send(bytes).await;
    }

    /// The next frame. Cancel safe.
    pub async fn read_frame(&mut self) -> Result<Received, End> {
        loop {
            if let Some((frame, used)) = parse(self.connection.buffered()) {
                self.connection.take(used);
                return Ok(frame);
            }
            self.connection.fill().await?;
        }
    }

    /// The next message without a deadline; fragments are joined. Cancel safe unless the server fragments.
    pub async fn read(&mut self) -> Message {
        let mut frame = match self.read_frame().await {
            Ok(frame) => frame,
            Err(end) => return Message::End(end),
        };
        while !frame.fin {
            match self.read_frame().await {
                Ok(more) if more.opcode == opcode::CONTINUATION => {
                    frame.fin = more.fin;
                    frame.payload.extend(more.payload);
                }
                Ok(_) => continue,
                Err(end) => return Message::End(end),
            }
        }
        assert_eq!(
            frame.rsv, 0,
            "no extension was agreed on; read_frame shows the bits"
        );
        into_message(frame)
    }

    /// The next message.
    ///
    /// # Panics
    ///
    /// When none comes in time.
    #[track_caller]
    #[allow(clippy::should_implement_trait, reason = "a connection is no iterator")]
    pub fn next(&mut self) -> impl Future<Output = Message> {
        within("a WebSocket message", self.read())
    }

    /// The next message, which must be text.
    ///
    /// # Panics
    ///
    /// When it is something else or none comes in time.
    #[track_caller]
    pub fn next_text(&mut self) -> impl Future<Output = String> {
        let place = std::panic::Location::caller();
        async move {
            match within("a text message", self.read()).await {
                Message::Text(text) => text,
                other => panic!("expected text, got {other:?} ({place})"),
            }
        }
    }

    /// Asserts that the next message is this text.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> impl Future<Output = ()> {
        self.expect_message(Message::Text(text.to_owned()))
    }

    /// Asserts that the next message is these bytes.
    #[track_caller]
    pub fn expect_binary(&mut self, bytes: &[u8]) -> impl Future<Output = ()> {
        self.expect_message(Message::Binary(bytes.to_vec()))
    }

    /// Asserts what the next message is.
    #[track_caller]
    pub fn expect_message(&mut self, message: Message) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let got = within(&format!("{message:?}"), self.read()).await;
            assert!(
                got == message,
                "expected {message:?}, got {got:?} ({place})"
            );
        }
    }

    /// The next message as text that starts with `prefix`, the rest parsed as JSON.
    ///
    /// # Panics
    ///
    /// When it is something else or none comes in time.
    #[track_caller]
    pub fn expect_json(&mut self, prefix: &str) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            let text = match within(&format!("a message {prefix}…"), self.read()).await {
                Message::Text(text) => text,
                other => panic!("expected {prefix}…, got {other:?} ({place})"),
            };
            let Some(json) = text.strip_prefix(prefix) else {
                panic!("expected {prefix}…, got {text} ({place})")
            };
            serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error} ({place})"))
        }
    }

    /// Asserts that the server sends a close frame with this code (`None`: an empty one).
    #[track_caller]
    pub fn expect_close(&mut self, code: Option<u16>) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            match within("a close frame", self.read()).await {
                Message::Close(got, _) if got == code => {}
                other => panic!("expected a close frame with {code:?}, got {other:?} ({place})"),
            }
        }
    }

    /// Skips messages until the close frame and returns its code.
    ///
    /// # Panics
    ///
    /// When the connection ends without one.
    pub async fn closed(&mut self) -> Option<u16> {
        within("a close frame", async {
            loop {
                match self.read().await {
                    Message::Close(code, _) => return code,
                    Message::End(end) => panic!("ended ({end:?}) without a close frame"),
                    _ => {}
                }
            }
        })
        .await
    }

    /// Waits until the connection is over, with or without a close frame.
    pub async fn gone(&mut self) {
        within("the end of the WebSocket", async {
            loop {
                match self.read().await {
                    Message::End(_) => return,
                    // Echoed, so that the server need not wait for its closing handshake.
                    Message::Close(code, _) => self.close(code).await,
                    _ => {}
                }
            }
        })
        .await;
    }

    /// Asserts that nothing arrives for `span`.
    #[track_caller]
    pub fn quiet(&mut self, span: Duration) -> impl Future<Output = ()> {
        quiet_for(span, "a message", self.read())
    }

    /// The TCP connection below.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Gives the TCP connection back.
    pub fn into_connection(self) -> Connection {
        self.connection
    }
}

fn into_message(frame: Received) -> Message {
    match frame.opcode {
        opcode::TEXT => {
            Message::Text(String::from_utf8(frame.payload).expect("a text message is UTF-8"))
        }
        opcode::BINARY => Message::Binary(frame.payload),
        opcode::PING => Message::Ping(frame.payload),
        opcode::PONG => Message::Pong(frame.payload),
        opcode::CLOSE => match frame.payload.split_first_chunk::<2>() {
            Some((code, reason)) => Message::Close(
                Some(u16::from_be_bytes(*code)),
                String::from_utf8_lossy(reason).into_owned(),
            ),
            None => Message::Close(None, String::new()),
        },
        other => panic!("a server must not send opcode {other}"),
    }
}

/// A frame at the start of `bytes` and its length on the wire.
fn parse(bytes: &[u8]) -> Option<(Received, usize)> {
    let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
    assert_eq!(second & 0x80, 0, "a server must not mask");
    let (length, head) = match second & 0x7f {
        126 => (u16::from_be_bytes(*rest.first_chunk::<2>()?) as usize, 4),
        127 => (u64::from_be_bytes(*rest.first_chunk::<8>()?) as usize, 10),
        length => (length as usize, 2),
    };
    let payload = bytes.get(head..head + length)?.to_vec();
    Some((
        Received {
            fin: first & 0x80 != 0,
            rsv: first >> 4 & 7,
            opcode: first & 15,
            payload,
        },
        head + length,
    ))
}
