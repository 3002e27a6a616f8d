use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use sala_testkit::ws::Ws;
use serde_json::Value;

/// A raw Socket.IO client over WebSocket: an Engine.IO connection whose packets are written by hand.
#[derive(Debug)]
pub struct Sio {
    ws: Ws,
    /// The JSON of the open packet.
    pub open: Value,
}

impl Sio {
    /// The request target of a WebSocket at the default path.
    pub const TARGET: &str = "/socket.io/?EIO=4&transport=websocket";

    /// Opens a connection that has joined nothing yet.
    pub async fn open(addr: SocketAddr) -> Self {
        Self::open_at(addr, Self::TARGET).await
    }

    /// Opens a connection at any request target.
    pub async fn open_at(addr: SocketAddr, target: &str) -> Self {
        let mut ws = Ws::open(addr, target).await;
        let open = ws.expect_json("0").await;
        Self { ws, open }
    }

    /// Opens a connection and joins `/`; the socket id.
    pub async fn connect(addr: SocketAddr) -> (Self, String) {
        let mut client = Self::open(addr).await;
        let id = client.join("/").await;
        (client, id)
    }

    /// Joins a namespace; the socket id.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    #[track_caller]
    pub fn join(&mut self, nsp: &str) -> impl Future<Output = String> {
        self.join_with(nsp, "")
    }

    /// Joins a namespace with a payload; the socket id.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    #[track_caller]
    pub fn join_with(&mut self, nsp: &str, payload: &str) -> impl Future<Output = String> {
        let prefix = if nsp == "/" {
            "40".to_owned()
        } else {
            format!("40{nsp},")
        };
        let place = std::panic::Location::caller();
        async move {
            self.ws.text(format!("{prefix}{payload}")).await;
            let reply = self.ws.expect_json(&prefix).await;
            match reply["sid"].as_str() {
                Some(sid) => sid.to_owned(),
                None => panic!("the reply to CONNECT has no sid: {reply} ({place})"),
            }
        }
    }

    /// Answers the next text message, which must be a ping of Engine.IO.
    pub async fn pong(&mut self) {
        self.ws.expect("2").await;
        self.ws.text("3").await;
    }

    /// The WebSocket below.
    pub fn into_ws(self) -> Ws {
        self.ws
    }
}

impl Deref for Sio {
    type Target = Ws;

    fn deref(&self) -> &Ws {
        &self.ws
    }
}

impl DerefMut for Sio {
    fn deref_mut(&mut self) -> &mut Ws {
        &mut self.ws
    }
}
