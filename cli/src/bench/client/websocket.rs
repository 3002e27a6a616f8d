//! The WebSocket transport.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Sink, Stream};
use http::{HeaderValue, Request};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::frame::Frame;
use super::{Error, Target};

/// Frames that are written before the next look at what came in.
const BATCH: usize = 64;

/// An open WebSocket. What is sent is gathered until there is nothing more to read.
#[derive(Debug)]
pub(super) struct WebSocket {
    stream: WebSocketStream<TcpStream>,
    unsent: VecDeque<Message>,
    unflushed: bool,
}

impl WebSocket {
    /// Shakes hands; with `sid` for an upgrade.
    pub(super) async fn open(
        target: &Target,
        index: usize,
        sid: Option<&str>,
    ) -> Result<Self, Error> {
        let stream = target.dial(index).await?;
        let request = request(target, sid)?;
        // Many connections, small messages: the default buffers are far larger.
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .max_frame_size(Some(64 << 20));
        let (stream, _) = client_async_with_config(request, stream, Some(config)).await?;
        Ok(Self {
            stream,
            unsent: VecDeque::new(),
            unflushed: false,
        })
    }

    /// Takes a frame to be sent. Nothing goes out before the next [`poll_frame`](Self::poll_frame).
    pub(super) fn send(&mut self, frame: Frame) {
        self.unsent.push_back(match frame {
            Frame::Text(text) => Message::Text(text),
            Frame::Binary(data) => Message::Binary(data),
        });
    }

    /// The next frame; sends what is due while there is none.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, Error>> {
        if self.unsent.len() >= BATCH {
            self.write(cx)?;
        }
        loop {
            match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Ready(None) => return Poll::Ready(Err(Error::Closed)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.into())),
                Poll::Ready(Some(Ok(Message::Text(text)))) => {
                    return Poll::Ready(Ok(Frame::Text(text)));
                }
                Poll::Ready(Some(Ok(Message::Binary(data)))) => {
                    return Poll::Ready(Ok(Frame::Binary(data)));
                }
                // The library has queued the answer to a ping, or to a close frame.
                Poll::Ready(Some(Ok(_))) => self.unflushed = true,
                Poll::Pending => break,
            }
        }
        self.write(cx)?;
        Poll::Pending
    }

    /// Writes as much as the kernel takes; the task is woken when it takes more.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), tungstenite::Error> {
        let mut stream = Pin::new(&mut self.stream);
        while !self.unsent.is_empty() {
            if stream.as_mut().poll_ready(cx)?.is_pending() {
                return Ok(());
            }
            if let Some(message) = self.unsent.pop_front() {
                stream.as_mut().start_send(message)?;
                self.unflushed = true;
            }
        }
        if self.unflushed && stream.poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        Ok(())
    }

    /// The test of an upgrade: the server must answer `2probe` with `3probe`.
    pub(super) async fn probe(&mut self) -> Result<(), Error> {
        self.send(Frame::text(Utf8Bytes::from_static("2probe")));
        match std::future::poll_fn(|cx| self.poll_frame(cx)).await? {
            Frame::Text(text) if text.as_str() == "3probe" => Ok(()),
            other => Err(Error::protocol(
                "not the answer to a probe",
                &format!("{other:?}"),
            )),
        }
    }
}

fn request(target: &Target, sid: Option<&str>) -> Result<Request<()>, Error> {
    let uri = format!(
        "ws://{}{}",
        target.authority,
        target.request("websocket", sid)
    );
    let mut request = Request::get(uri)
        .body(())
        .map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let key = HeaderValue::from_str(&generate_key())
        .map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let headers = request.headers_mut();
    headers.insert("host", target.host.clone());
    headers.extend(target.headers.clone());
    headers.insert("connection", HeaderValue::from_static("Upgrade"));
    headers.insert("upgrade", HeaderValue::from_static("websocket"));
    headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
    headers.insert("sec-websocket-key", key);
    Ok(request)
}
