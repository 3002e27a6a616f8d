//! A raw HTTP/1.1 client: sends exactly the bytes it is given and reads replies strictly.

use std::io::ErrorKind;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::within;

/// How a peer ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It closed its side in order.
    Closed,
    /// It reset the connection.
    Reset,
}

/// One TCP connection with what has been read from it and not yet used.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The number of the status line.
    pub status: u16,
    /// The text after it.
    pub reason: String,
    /// Header lines in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body, its chunks joined.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header; names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All values of a header.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!(
                "not JSON ({error}): {:?}",
                String::from_utf8_lossy(&self.body)
            ),
        }
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    fn content_length(&self) -> Option<usize> {
        self.header("content-length")
            .map(|value| value.trim().parse().expect("Content-Length is a number"))
    }
}

/// The bytes of a request: `Host`, the headers given, `Content-Length` if there is a body, then the body.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        head.push_str("Host: 127.0.0.1\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let framed = headers.iter().any(|(name, _)| {
        name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding")
    });
    if !framed && (!body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH")) {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// One request on a connection of its own.
pub async fn send(
    addr: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut connection = Connection::open(addr).await;
    connection.request(method, target, headers, body).await
}

/// `GET target` on a connection of its own.
pub async fn get(addr: SocketAddr, target: &str) -> Response {
    send(addr, "GET", target, &[], b"").await
}

/// `POST target` on a connection of its own, with the content type that browsers send.
pub async fn post(addr: SocketAddr, target: &str, body: impl AsRef<[u8]>) -> Response {
    send(
        addr,
        "POST",
        target,
        &[("Content-Type", "text/plain;charset=UTF-8")],
        body.as_ref(),
    )
    .await
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    ///
    /// When nobody listens.
    pub async fn open(addr: SocketAddr) -> Self {
        let stream = within("a TCP connection", TcpStream::connect(addr)).await;
        let stream = stream.unwrap_or_else(|error| panic!("cannot connect to {addr}: {error}"));
        stream
            .set_nodelay(true)
            .expect("a fresh connection takes options");
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends bytes as they are. A peer that has gone is not an error here; reading will tell.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The write may fail when the peer has already refused what was sent; the test reads the refusal next.
        let _ = within(
            "the peer to take bytes",
            self.stream.write_all(bytes.as_ref()),
        )
        .await;
    }

    /// Sends a request and reads its reply.
    pub async fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.send(request(method, target, headers, body)).await;
        let without_body = method == "HEAD";
        within(
            &format!("the reply to {method} {target}"),
            self.read_response(without_body),
        )
        .await
    }

    /// Reads one reply; the peer must not end before it is complete.
    pub async fn response(&mut self) -> Response {
        within("a reply", self.read_response(false)).await
    }

    /// Reads one reply without a deadline. Cancel safe only before the first byte arrives.
    ///
    /// # Panics
    ///
    /// When the peer ends too early or sends something that is not HTTP.
    pub async fn read_response(&mut self, without_body: bool) -> Response {
        match self.try_response(without_body).await {
            Ok(response) => response,
            Err(end) => panic!(
                "the peer ended ({end:?}) before its reply was complete; got {:?}",
                String::from_utf8_lossy(&self.buffer)
            ),
        }
    }

    /// Reads one reply, or tells how the peer ended instead.
    pub async fn try_response(&mut self, without_body: bool) -> Result<Response, End> {
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break self.take(end + 4);
            }
            self.fill().await?;
        };
        let mut response = parse_head(&head);
        if without_body || matches!(response.status, 101 | 204 | 304) {
            return Ok(response);
        }
        if response.is_chunked() {
            response.body = self.chunks().await?;
        } else if let Some(length) = response.content_length() {
            while self.buffer.len() < length {
                self.fill().await?;
            }
            response.body = self.take(length);
        } else {
            while self.fill().await.is_ok() {}
            response.body = std::mem::take(&mut self.buffer);
        }
        Ok(response)
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, End> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(end) = find(&self.buffer, b"\r\n") {
                    break self.take(end + 2);
                }
                self.fill().await?;
            };
            let digits = String::from_utf8_lossy(&line[..line.len() - 2]).into_owned();
            let size = usize::from_str_radix(&digits, 16).expect("a chunk starts with its size");
            while self.buffer.len() < size + 2 {
                self.fill().await?;
            }
            let chunk = self.take(size + 2);
            assert!(chunk.ends_with(b"\r\n"), "a chunk ends with a line break");
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    /// Everything the peer still sends until it ends, and how it ended.
    pub async fn rest(&mut self) -> (Vec<u8>, End) {
        within("the peer to end the connection", async {
            loop {
                if let Err(end) = self.fill().await {
                    return (std::mem::take(&mut self.buffer), end);
                }
            }
        })
        .await
    }

    /// At least one more byte into the buffer, or how the peer ended. Cancel safe.
    pub async fn fill(&mut self) -> Result<(), End> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(End::Closed),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(End::Reset),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(End::Reset),
            Err(error) => panic!("reading failed: {error}"),
        }
    }

    /// What has been read and not used.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the first `count` bytes of the buffer.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Ends the sending side and keeps reading.
    pub async fn finish_sending(&mut self) {
        // A peer that has gone already has the same effect.
        let _ = self.stream.shutdown().await;
    }

    /// Ends the connection with a reset instead of an orderly close.
    pub fn reset(self) {
        self.stream
            .set_zero_linger()
            .expect("a connection takes options");
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn parse_head(head: &[u8]) -> Response {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let first = lines.next().unwrap_or_default();
    let mut words = first.splitn(3, ' ');
    assert!(
        words
            .next()
            .is_some_and(|version| version.starts_with("HTTP/1.")),
        "not a status line: {first:?}"
    );
    let status = words.next().and_then(|status| status.parse().ok());
    let Some(status) = status else {
        panic!("not a status line: {first:?}")
    };
    let headers = lines.map(|line| {
        let Some((name, value)) = line.split_once(':') else {
            panic!("not a header line: {line:?}")
        };
        (name.to_owned(), value.trim().to_owned())
    });
    Response {
        status,
        reason: words.next().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    }
}
