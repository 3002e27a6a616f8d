//! One Engine.IO session over HTTP long-polling, request by request.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::http::{self, Connection, Response};
use crate::within;

/// What separates packets in a body (revision 4).
pub const SEPARATOR: char = '\u{1e}';

/// How long a request on its way is given to reach the server when nothing shows its arrival.
pub const SETTLE: Duration = Duration::from_millis(60);

/// A session that was opened by polling.
#[derive(Debug, Clone)]
pub struct Polling {
    /// Where the server is.
    pub addr: SocketAddr,
    /// The request target of the session, with its `sid`.
    pub target: String,
    /// The session id.
    pub sid: String,
    /// The JSON of the open packet.
    pub open: Value,
    /// Packets that came with the handshake, after the open packet.
    pub early: Vec<String>,
}

/// A GET that waits for its reply.
#[derive(Debug)]
pub struct Pending(Connection);

impl Polling {
    /// Opens a session at `path` (with its slash), revision 4.
    ///
    /// # Panics
    ///
    /// When the handshake is refused.
    pub async fn open(addr: SocketAddr, path: &str) -> Self {
        Self::open_at(addr, &format!("{path}?EIO=4&transport=polling")).await
    }

    /// Opens a session with any request target.
    ///
    /// # Panics
    ///
    /// When the handshake is refused.
    pub async fn open_at(addr: SocketAddr, target: &str) -> Self {
        let reply = http::get(addr, target).await;
        assert_eq!(
            reply.status,
            200,
            "the handshake is accepted: {:?}",
            reply.text()
        );
        Self::from_reply(addr, target, &reply)
    }

    /// Continues with a handshake that was made by hand.
    pub fn from_reply(addr: SocketAddr, target: &str, reply: &Response) -> Self {
        let mut packets = reply.text().split(SEPARATOR).map(str::to_owned);
        let first = packets.next().unwrap_or_default();
        let json = first
            .strip_prefix('0')
            .unwrap_or_else(|| panic!("not an open packet: {first}"));
        let open: Value = serde_json::from_str(json).expect("the open packet is JSON");
        let sid = open["sid"]
            .as_str()
            .expect("the open packet has a sid")
            .to_owned();
        Self {
            addr,
            target: format!("{target}&sid={sid}"),
            sid,
            open,
            early: packets.collect(),
        }
    }

    /// One GET and its reply, whatever that is.
    pub async fn get(&self) -> Response {
        http::get(self.addr, &self.target).await
    }

    /// One GET that must succeed; its packets.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub async fn poll(&self) -> Vec<String> {
        let reply = self.get().await;
        assert_eq!(
            reply.status,
            200,
            "the poll is answered: {:?}",
            reply.text()
        );
        packets(&reply)
    }

    /// Polls until a packet comes that is not a ping; pings are answered.
    pub async fn poll_past_pings(&self) -> Vec<String> {
        loop {
            let mut packets = self.poll().await;
            if packets.iter().any(|packet| packet == "2") {
                self.send("3").await;
                packets.retain(|packet| packet != "2");
            }
            if !packets.is_empty() {
                return packets;
            }
        }
    }

    /// Sends a GET and does not wait for the reply.
    ///
    /// Nothing tells a client that its GET is being held, so this sleeps for [`SETTLE`] to let it arrive.
    pub async fn start_get(&self) -> Pending {
        let pending = self.start_get_now().await;
        tokio::time::sleep(SETTLE).await;
        pending
    }

    /// Sends a GET and returns at once; for tests that do not care when it arrives.
    pub async fn start_get_now(&self) -> Pending {
        let mut connection = Connection::open(self.addr).await;
        connection
            .send(http::request("GET", &self.target, &[], b""))
            .await;
        Pending(connection)
    }

    /// One POST and its reply, whatever that is.
    pub async fn post(&self, body: impl AsRef<[u8]>) -> Response {
        http::post(self.addr, &self.target, body).await
    }

    /// One POST that must succeed.
    ///
    /// # Panics
    ///
    /// When it is not answered `ok`.
    #[track_caller]
    pub fn send(&self, body: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let reply = self.post(body).await;
            assert!(
                reply.status == 200 && reply.body == b"ok",
                "the POST is accepted: {reply:?} ({place})"
            );
        }
    }

    /// The request target of a WebSocket that upgrades this session.
    pub fn upgrade_target(&self) -> String {
        self.target
            .replace("transport=polling", "transport=websocket")
    }

    /// Asserts that the server no longer knows the session.
    ///
    /// # Panics
    ///
    /// When it does.
    #[track_caller]
    pub fn expect_gone(&self) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let reply = self.get().await;
            let unknown = reply.status == 400 && reply.json()["code"] == 1;
            assert!(unknown, "the session is gone: {reply:?} ({place})");
        }
    }
}

impl Pending {
    /// Waits for the reply.
    ///
    /// # Panics
    ///
    /// When none comes in time.
    #[track_caller]
    pub fn reply(&mut self) -> impl Future<Output = Response> {
        within("the reply to a pending GET", self.0.read_response(false))
    }

    /// Waits for the reply, which must be 200; its packets.
    ///
    /// # Panics
    ///
    /// When it is something else.
    pub async fn packets(&mut self) -> Vec<String> {
        let reply = self.reply().await;
        assert_eq!(reply.status, 200, "the pending GET is answered: {reply:?}");
        packets(&reply)
    }

    /// The connection below.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.0
    }

    /// Gives the connection back.
    pub fn into_connection(self) -> Connection {
        self.0
    }
}

/// The packets of a reply.
pub fn packets(reply: &Response) -> Vec<String> {
    reply.text().split(SEPARATOR).map(str::to_owned).collect()
}
