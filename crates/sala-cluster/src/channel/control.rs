//! What primary and worker say to each other about connections and the worker's life.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use sala_engine_proto::Network;

use super::wire::{Malformed, Reader, frame, put_address, put_bytes};
use super::{Frame, HEAD};
use crate::sticky::Prefix;

/// From the primary to a worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToWorker {
    /// The first frame. Brings the worker's end of the bus.
    Welcome(Welcome),
    /// A connection, which it brings.
    Connection(Connection),
    /// Let go of all clients, spread over this time, and end within the grace period.
    Leave { grace: Duration, spread: Duration },
    /// Are you there?
    Ping,
}

/// From a worker to the primary.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToPrimary {
    /// Connections can come.
    Ready,
    /// How many sessions are open, and how many newcomers had arrived when they were counted.
    Report { sessions: u32, newcomers: u64 },
    /// A connection, which it brings, whose next request belongs to another worker.
    PassOn(Connection),
    /// Yes.
    Pong,
    /// Somebody has asked this worker to end (SIGTERM).
    Leaving,
}

/// A connection on its way to the process that serves its next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    /// The client's address, if it is not the one that the socket knows.
    pub(crate) remote: Option<SocketAddr>,
    /// The primary decrypts it.
    pub(crate) secure: bool,
    /// What was read of it already.
    pub(crate) read: Bytes,
    /// It comes without a session.
    pub(crate) newcomer: bool,
}

/// What a worker is to know from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) prefix: Prefix,
    /// The primary keeps lost sessions.
    pub(crate) recovery: bool,
    /// Who tells the address of a client behind it.
    pub(crate) trusted_proxies: Vec<Network>,
}

const WELCOME: u8 = 1;
const CONNECTION: u8 = 2;
const LEAVE: u8 = 3;
const PING: u8 = 4;
const READY: u8 = 5;
const REPORT: u8 = 6;
const PASS_ON: u8 = 7;
const PONG: u8 = 8;
const LEAVING: u8 = 9;

impl ToWorker {
    pub(crate) fn encode(&self) -> Bytes {
        match self {
            Self::Welcome(welcome) => frame(WELCOME, |out| welcome.put(out)),
            Self::Connection(connection) => frame(CONNECTION, |out| connection.put(out)),
            Self::Leave { grace, spread } => frame(LEAVE, |out| {
                out.put_u64(grace.as_millis() as u64);
                out.put_u64(spread.as_millis() as u64);
            }),
            Self::Ping => frame(PING, |_| ()),
        }
    }

    pub(crate) fn decode(frame: Frame) -> Result<Self, Malformed> {
        let mut body = Reader(frame.body);
        Ok(match frame.kind {
            WELCOME => Self::Welcome(Welcome::read(body)?),
            CONNECTION => Self::Connection(Connection::read(body)?),
            LEAVE => Self::Leave {
                grace: Duration::from_millis(body.u64()?),
                spread: Duration::from_millis(body.u64()?),
            },
            PING => Self::Ping,
            _ => return Err(Malformed),
        })
    }
}

impl ToWorker {
    /// The connection of a frame as it was to be sent.
    pub(crate) fn connection(frame: &Bytes) -> Option<Connection> {
        let frame = Frame {
            kind: *frame.get(HEAD - 1)?,
            body: frame.slice(HEAD..),
        };
        match Self::decode(frame) {
            Ok(Self::Connection(connection)) => Some(connection),
            _ => None,
        }
    }
}

impl ToPrimary {
    pub(crate) fn encode(&self) -> Bytes {
        match self {
            Self::Ready => frame(READY, |_| ()),
            Self::Report {
                sessions,
                newcomers,
            } => frame(REPORT, |out| {
                out.put_u32(*sessions);
                out.put_u64(*newcomers);
            }),
            Self::PassOn(connection) => frame(PASS_ON, |out| connection.put(out)),
            Self::Pong => frame(PONG, |_| ()),
            Self::Leaving => frame(LEAVING, |_| ()),
        }
    }

    pub(crate) fn decode(frame: Frame) -> Result<Self, Malformed> {
        let mut body = Reader(frame.body);
        Ok(match frame.kind {
            READY => Self::Ready,
            REPORT => Self::Report {
                sessions: body.u32()?,
                newcomers: body.u64()?,
            },
            PASS_ON => Self::PassOn(Connection::read(body)?),
            PONG => Self::Pong,
            LEAVING => Self::Leaving,
            _ => return Err(Malformed),
        })
    }
}

impl Welcome {
    fn put(&self, out: &mut BytesMut) {
        out.put_u32(u32::from(self.prefix.number()));
        out.put_u8(u8::from(self.recovery));
        out.put_u32(self.trusted_proxies.len() as u32);
        for network in &self.trusted_proxies {
            put_bytes(out, network.to_string().as_bytes());
        }
    }

    fn read(mut body: Reader) -> Result<Self, Malformed> {
        let prefix = Prefix::new(body.u32()?).ok_or(Malformed)?;
        let recovery = body.u8()? == 1;
        let count = body.count()?;
        let network = |_| body.text()?.as_str().parse().map_err(|_| Malformed);
        Ok(Self {
            prefix,
            recovery,
            trusted_proxies: (0..count).map(network).collect::<Result<_, _>>()?,
        })
    }
}

impl Connection {
    fn put(&self, out: &mut BytesMut) {
        put_address(out, self.remote);
        out.put_u8(u8::from(self.secure));
        out.put_u8(u8::from(self.newcomer));
        put_bytes(out, &self.read);
    }

    fn read(mut body: Reader) -> Result<Self, Malformed> {
        Ok(Self {
            remote: body.address()?,
            secure: body.u8()? == 1,
            newcomer: body.u8()? == 1,
            read: body.bytes()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::HEAD;

    fn unframe(bytes: &Bytes) -> Frame {
        Frame {
            kind: bytes[HEAD - 1],
            body: bytes.slice(HEAD..),
        }
    }

    fn connection() -> Connection {
        Connection {
            remote: Some("[::1]:80".parse().unwrap()),
            secure: true,
            read: Bytes::from_static(b"GET / HTTP/1.1\r\n"),
            newcomer: true,
        }
    }

    #[test]
    fn frames_survive_the_round_trip_and_cut_ones_are_refused() {
        let seconds = Duration::from_secs;
        for message in [
            ToWorker::Welcome(Welcome {
                prefix: Prefix::new(77).unwrap(),
                recovery: true,
                trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
            }),
            ToWorker::Connection(connection()),
            ToWorker::Leave {
                grace: seconds(30),
                spread: seconds(5),
            },
            ToWorker::Ping,
        ] {
            let bytes = message.encode();
            for len in HEAD..bytes.len() {
                assert!(ToWorker::decode(unframe(&bytes.slice(..len))).is_err());
            }
            assert_eq!(ToWorker::decode(unframe(&bytes)), Ok(message));
        }
        for message in [
            ToPrimary::Ready,
            ToPrimary::Report {
                sessions: 5,
                newcomers: 9,
            },
            ToPrimary::PassOn(Connection {
                remote: Some("127.0.0.1:9".parse().unwrap()),
                ..connection()
            }),
            ToPrimary::Pong,
        ] {
            let bytes = message.encode();
            for len in HEAD..bytes.len() {
                assert!(ToPrimary::decode(unframe(&bytes.slice(..len))).is_err());
            }
            assert_eq!(ToPrimary::decode(unframe(&bytes)), Ok(message));
        }
    }
}
