//! A client that does as little as it can.

use std::future::pending;
use std::time::Duration;

use sala::Server;
use sala_benches::input;
use sala_engine::{ConnectionInfo, serve_connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const UPGRADE: &[u8] = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
    host: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What a stream holds at most in each direction.
const CAPACITY: usize = 64 * 1024;

/// A client of the main namespace.
pub(crate) struct Client {
    stream: DuplexStream,
    /// What was read; `at` is how much of it was used.
    received: Vec<u8>,
    at: usize,
}

impl Client {
    pub(crate) async fn connect(io: &Server) -> Self {
        let (stream, other) = duplex(CAPACITY);
        let info = ConnectionInfo {
            remote: None,
            secure: false,
        };
        let timeout = Duration::from_secs(3600);
        tokio::spawn(serve_connection(
            other,
            info,
            io.service(),
            timeout,
            pending(),
        ));
        let mut client = Self {
            stream,
            received: Vec::new(),
            at: 0,
        };
        client.send(UPGRADE).await;
        client.skip_response().await;
        client.send(&input::client_frame(1, b"40")).await;
        client.receive(2).await; // the open packet, the answer to CONNECT
        client
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .await
            .expect("the server reads");
    }

    /// Reads this many messages.
    pub(crate) async fn receive(&mut self, count: usize) {
        for _ in 0..count {
            while !self.take_message() {
                self.read().await;
            }
        }
    }

    /// Closes the stream and waits until the server has done the same.
    pub(crate) async fn leave(mut self) {
        self.stream.shutdown().await.expect("the stream is open");
        while self
            .stream
            .read_buf(&mut self.received)
            .await
            .is_ok_and(|len| len > 0)
        {}
    }

    async fn skip_response(&mut self) {
        loop {
            let end = self
                .received
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                assert!(self.received.starts_with(b"HTTP/1.1 101"));
                self.at = end + 4;
                return;
            }
            self.read().await;
        }
    }

    async fn read(&mut self) {
        self.received.drain(..self.at);
        self.at = 0;
        let len = self.stream.read_buf(&mut self.received).await;
        assert!(len.is_ok_and(|len| len > 0), "the server has closed");
    }

    /// Drops a frame, if it is there in full. A server's frames have no mask.
    fn take_message(&mut self) -> bool {
        let rest = &self.received[self.at..];
        let len = match rest {
            [_, 126, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
            [_, len @ 0..126, ..] => 2 + usize::from(*len),
            _ => return false,
        };
        let whole = len <= rest.len();
        if whole {
            self.at += len;
        }
        whole
    }
}
