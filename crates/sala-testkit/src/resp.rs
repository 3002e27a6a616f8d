//! A raw Redis client: commands as bytes, replies as they come.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::within;

/// A connection to a Redis server that speaks version 2 of its protocol.
#[derive(Debug)]
pub struct Resp {
    stream: BufReader<TcpStream>,
}

/// What a Redis server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A line such as `OK`.
    Status(String),
    /// An error, beginning with its kind.
    Error(String),
    /// A number.
    Int(i64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Reply>),
    /// Nothing.
    Nil,
}

impl Reply {
    /// The text of a status or of bytes; empty for anything else.
    pub fn text(&self) -> String {
        match self {
            Self::Status(text) => text.clone(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    /// A number, also one written as text; 0 for anything else.
    pub fn number(&self) -> i64 {
        match self {
            Self::Int(number) => *number,
            other => other.text().parse().unwrap_or_default(),
        }
    }

    /// The items of a list; none for anything else.
    pub fn items(&self) -> &[Reply] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }
}

impl Resp {
    /// Connects.
    ///
    /// # Panics
    ///
    /// When nobody listens.
    pub async fn open(addr: SocketAddr) -> Self {
        match Self::try_open(addr).await {
            Ok(resp) => resp,
            Err(error) => panic!("cannot connect to Redis on {addr}: {error}"),
        }
    }

    /// Connects, if somebody listens.
    ///
    /// # Errors
    ///
    /// When nobody does.
    pub async fn try_open(addr: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Runs a command.
    ///
    /// # Panics
    ///
    /// When the server answers with an error or not at all.
    #[track_caller]
    pub fn run<A: AsRef<[u8]>>(
        &mut self,
        command: impl IntoIterator<Item = A>,
    ) -> impl Future<Output = Reply> {
        let place = std::panic::Location::caller();
        let command = encode(command);
        async move {
            match self.exchange(&command).await {
                Ok(Reply::Error(error)) => panic!("Redis refuses: {error} ({place})"),
                Ok(reply) => reply,
                Err(error) => panic!("Redis does not answer: {error} ({place})"),
            }
        }
    }

    /// Runs a command; errors of the server are replies.
    ///
    /// # Errors
    ///
    /// When the connection is lost.
    pub async fn attempt<A: AsRef<[u8]>>(
        &mut self,
        command: impl IntoIterator<Item = A>,
    ) -> std::io::Result<Reply> {
        self.exchange(&encode(command)).await
    }

    /// The next message of a subscription.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub async fn message(&mut self) -> Reply {
        let message = within("a message from Redis", self.read()).await;
        message.unwrap_or_else(|error| panic!("Redis is gone: {error}"))
    }

    async fn exchange(&mut self, command: &[u8]) -> std::io::Result<Reply> {
        self.stream.get_mut().write_all(command).await?;
        within("Redis to answer", self.read()).await
    }

    /// Lists are nested at most as deep as a server's answers are, so that this needs no recursion limit.
    fn read(&mut self) -> impl Future<Output = std::io::Result<Reply>> {
        Box::pin(async move {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let (kind, rest) = line.trim_end().split_at(1);
            let number = rest.parse::<i64>().unwrap_or_default();
            Ok(match kind {
                "+" => Reply::Status(rest.to_owned()),
                "-" => Reply::Error(rest.to_owned()),
                ":" => Reply::Int(number),
                _ if number < 0 => Reply::Nil,
                "$" => self.bytes(number.unsigned_abs() as usize).await?,
                "*" => {
                    let mut items = Vec::new();
                    for _ in 0..number {
                        items.push(self.read().await?);
                    }
                    Reply::List(items)
                }
                other => panic!("this is not Redis: {other}{rest}"),
            })
        })
    }

    async fn bytes(&mut self, length: usize) -> std::io::Result<Reply> {
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes).await?;
        bytes.truncate(length);
        Ok(Reply::Bytes(bytes))
    }
}

fn encode<A: AsRef<[u8]>>(command: impl IntoIterator<Item = A>) -> Vec<u8> {
    let parts: Vec<A> = command.into_iter().collect();
    let mut bytes = format!("*{}\r\n", parts.len()).into_bytes();
    for part in &parts {
        let part = part.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
