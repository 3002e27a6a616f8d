//! Polling first, then WebSocket, as the official client does by default.

use std::pin::pin;
use std::sync::Arc;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::frame::{Frame, read_payload};
use super::http::Http;
use super::polling::handshake;
use super::websocket::WebSocket;
use super::{Error, Target};

/// Opens a session by polling and moves it to a WebSocket; returns that and what polling received meanwhile.
pub(super) async fn open(
    target: &Arc<Target>,
    index: usize,
) -> Result<(WebSocket, Vec<Frame>), Error> {
    let mut http = Http::new(target.clone(), index);
    let (open, mut frames) = handshake(&mut http).await?;
    let mut socket = WebSocket::open(target, index, Some(&open.sid)).await?;
    {
        let mut probe = pin!(socket.probe());
        let mut answered = false;
        // The server ends the waiting GET once it has seen the probe.
        loop {
            let payload = {
                let mut get = pin!(http.get(Some(&open.sid)));
                loop {
                    tokio::select! {
                        done = &mut probe, if !answered => {
                            done?;
                            answered = true;
                        }
                        payload = &mut get => break payload?,
                    }
                }
            };
            let received = read_payload(&payload)?;
            let released = received.iter().any(is_noop);
            frames.extend(received.into_iter().filter(|frame| !is_noop(frame)));
            if released && !answered {
                probe.as_mut().await?;
                answered = true;
            }
            if answered {
                break;
            }
        }
    }
    socket.send(Frame::text(Utf8Bytes::from_static("5")));
    Ok((socket, frames))
}

fn is_noop(frame: &Frame) -> bool {
    matches!(frame, Frame::Text(text) if text.as_str() == "6")
}
