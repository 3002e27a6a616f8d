//! How a session's packets travel at the moment, and how they may soon.

use std::collections::VecDeque;

use sala_engine_proto::ws::Reader;
use sala_engine_proto::ws::deflate::{Agreed, Deflater, Inflater};
use sala_engine_proto::{Frame, Revision};
use tokio::sync::oneshot;

use super::mailbox::PollReply;
use crate::DeflateConfig;
use crate::transport::io::{Upgraded, Upgrading};
use crate::transport::websocket::WebSocket;

/// The session's transport.
pub(super) enum Lane {
    /// The HTTP server has yet to hand over the connection.
    Opening(Box<Opening>),
    Polling(Option<oneshot::Sender<PollReply>>),
    WebSocket(Box<WebSocket>),
    Gone,
}

/// A WebSocket that is being opened.
pub(crate) struct Opening {
    pub(crate) upgrade: Upgrading,
    pub(crate) wrap: WrapWebSocket,
    pub(crate) open_packet: Frame,
}

/// Makes a WebSocket of a connection that the HTTP server handed over.
pub(crate) struct WrapWebSocket {
    pub(crate) max_message: usize,
    pub(crate) deflate: Option<(Agreed, DeflateConfig)>,
    pub(crate) revision: Revision,
    pub(crate) base64: bool,
}

impl WrapWebSocket {
    pub(crate) fn wrap(self, upgraded: Upgraded) -> WebSocket {
        let Upgraded {
            io,
            early,
            response,
        } = upgraded;
        let (inflater, deflater) = match &self.deflate {
            Some((agreed, config)) => (
                Some(Inflater::new(agreed)),
                Some(Deflater::new(agreed, config)),
            ),
            None => (None, None),
        };
        let reader = Reader::new(self.max_message, inflater);
        WebSocket::new(
            io,
            early,
            response,
            reader,
            deflater.map(Box::new),
            self.revision,
            self.base64,
        )
    }
}

/// A WebSocket that wants to take over from polling.
pub(super) struct Probe {
    pub(super) socket: Box<WebSocket>,
    pub(super) answer: VecDeque<Frame>,
}

impl Lane {
    /// Whether a close can reach the peer now.
    pub(super) fn is_ready_to_close(&self) -> bool {
        match self {
            Self::Polling(slot) => slot.is_some(),
            Self::WebSocket(socket) => socket.is_idle(),
            Self::Opening(_) => false,
            Self::Gone => true,
        }
    }
}
