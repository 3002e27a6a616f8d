//! A Socket.IO client for load: it reads as little as it can of what it receives, and never reconnects.
//!
//! It has nothing in common with the server's code on purpose, so that a mistake there is not made here too.

mod error;
mod frame;
mod http;
mod packet;
mod polling;
mod target;
mod upgrade;
mod url;
mod websocket;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use clap::ValueEnum;
use serde::Serialize;
use tokio_tungstenite::tungstenite::Utf8Bytes;

pub(crate) use self::error::Error;
use self::frame::{Frame, Open};
pub(crate) use self::packet::{Kind, Packet};
use self::polling::Polling;
pub(crate) use self::target::{Handshake, Target};
pub(crate) use self::url::Url;
use self::websocket::WebSocket;

/// How a client connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    /// WebSocket from the start
    Websocket,
    /// HTTP long polling only
    Polling,
    /// polling first, then WebSocket: the default of the official clients
    Upgrade,
}

/// One client, connected to one namespace.
#[derive(Debug)]
pub(crate) struct Client {
    wire: Wire,
    /// Frames that arrived before the transport was ready.
    early: VecDeque<Frame>,
    target: Arc<Target>,
    /// A packet whose attachments have not all come, and how many are due.
    unfinished: Option<(Packet, usize)>,
}

#[derive(Debug)]
enum Wire {
    WebSocket(Box<WebSocket>),
    Polling(Polling),
}

impl Client {
    /// Connects client number `index` and joins the target's namespace.
    pub(crate) async fn connect(
        target: Arc<Target>,
        index: usize,
        transport: Transport,
    ) -> Result<Self, Error> {
        let (wire, early) = match transport {
            Transport::Websocket => {
                let mut socket = WebSocket::open(&target, index, None).await?;
                Open::read(&std::future::poll_fn(|cx| socket.poll_frame(cx)).await?)?;
                (Wire::WebSocket(Box::new(socket)), Vec::new())
            }
            Transport::Polling => (
                Wire::Polling(Polling::open(&target, index).await?),
                Vec::new(),
            ),
            Transport::Upgrade => {
                let (socket, early) = upgrade::open(&target, index).await?;
                (Wire::WebSocket(Box::new(socket)), early)
            }
        };
        let mut client = Self {
            wire,
            early: early.into(),
            target,
            unfinished: None,
        };
        client.join().await?;
        Ok(client)
    }

    async fn join(&mut self) -> Result<(), Error> {
        let connect = format!("40{}{}", self.target.namespace, self.target.auth);
        self.send(Frame::text(connect));
        loop {
            let packet = self.receive().await?;
            match packet.kind {
                Kind::Connect => return Ok(()),
                Kind::ConnectError => return Err(Error::refused(packet.data())),
                // A middleware of the server may emit before it lets the client in.
                _ => {}
            }
        }
    }

    /// Emits an event, in `data` with its name as the JSON array's text. It leaves with the next [`next`](Self::next).
    pub(crate) fn emit(&mut self, id: Option<u64>, data: &[&str], attachment: Option<Bytes>) {
        let text = packet::write_event(
            &self.target.namespace,
            id,
            data,
            usize::from(attachment.is_some()),
        );
        self.send(Frame::text(text));
        if let Some(data) = attachment {
            self.send(Frame::Binary(data));
        }
    }

    /// The next event or acknowledgement. Sends what was emitted and answers pings meanwhile. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Packet, Error> {
        let packet = self.receive().await?;
        match packet.kind {
            Kind::Event | Kind::Ack(_) => Ok(packet),
            Kind::Disconnect => Err(Error::Closed),
            Kind::Connect | Kind::ConnectError => Err(Error::protocol("unexpected", packet.data())),
        }
    }

    async fn receive(&mut self) -> Result<Packet, Error> {
        loop {
            let frame = match self.early.pop_front() {
                Some(frame) => frame,
                None => std::future::poll_fn(|cx| self.wire.poll_frame(cx)).await?,
            };
            let finished = match frame {
                Frame::Text(text) => self.text(text)?,
                Frame::Binary(data) => self.attachment(data)?,
            };
            if let Some(packet) = finished {
                return Ok(packet);
            }
        }
    }

    fn text(&mut self, text: Utf8Bytes) -> Result<Option<Packet>, Error> {
        match text.as_bytes().first() {
            Some(b'4') if self.unfinished.is_none() => {
                let (packet, attachments) = Packet::read(text, &self.target.namespace)?;
                if attachments == 0 {
                    return Ok(Some(packet));
                }
                self.unfinished = Some((packet, attachments));
                Ok(None)
            }
            Some(b'2') => {
                self.send(Frame::text(format!(
                    "3{}",
                    text.get(1..).unwrap_or_default()
                )));
                Ok(None)
            }
            Some(b'6') => Ok(None),
            Some(b'1') => Err(Error::Closed),
            _ => Err(Error::protocol("unexpected frame", &text)),
        }
    }

    fn attachment(&mut self, data: Bytes) -> Result<Option<Packet>, Error> {
        let Some((mut packet, due)) = self.unfinished.take() else {
            return Err(Error::protocol("unexpected", "an attachment"));
        };
        packet.attachments.push(data);
        if packet.attachments.len() == due {
            return Ok(Some(packet));
        }
        self.unfinished = Some((packet, due));
        Ok(None)
    }

    fn send(&mut self, frame: Frame) {
        match &mut self.wire {
            Wire::WebSocket(socket) => socket.send(frame),
            Wire::Polling(polling) => polling.send(frame),
        }
    }
}

impl Wire {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, Error>> {
        match self {
            Self::WebSocket(socket) => socket.poll_frame(cx),
            Self::Polling(polling) => polling.poll_frame(cx),
        }
    }
}
