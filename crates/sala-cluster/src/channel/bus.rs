//! What workers say to each other through the primary, and to the primary about lost sessions.
//!
//! The body of a message is that of the official cluster adapter and is not looked at by the
//! primary, which reads only what stands before it: from whom, for whom, and for the log.

use bytes::{BufMut, Bytes, BytesMut};

use super::Frame;
use super::wire::{Malformed, Reader, Text, frame, put_bytes};

/// From a worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// Messages are wanted from now on.
    Open,
    Publish(Publish),
    /// Something for the recovery store, to be answered under this number.
    Ask(u64, Ask),
}

/// A message for other workers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    /// The number of its type in the official format.
    pub(crate) kind: u8,
    pub(crate) namespace: Text,
    pub(crate) sender: Text,
    /// Empty: everybody.
    pub(crate) recipient: Text,
    /// For the log: the number to answer with its offset, and whom it is for.
    pub(crate) logged: Option<Logged>,
    pub(crate) body: Bytes,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) number: u64,
    pub(crate) rooms: Vec<Text>,
    pub(crate) except: Vec<Text>,
}

/// A question to the recovery store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Save {
        namespace: Text,
        pid: Text,
        sid: Text,
        rooms: Vec<Text>,
        data: Bytes,
    },
    Take {
        namespace: Text,
        pid: Text,
        offset: Text,
    },
    Missed {
        namespace: Text,
        rooms: Vec<Text>,
        after: Text,
    },
}

/// To a worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Downstream {
    /// A message of another worker, with its offset if it is in the log.
    Deliver {
        offset: Text,
        body: Bytes,
    },
    /// The offset of a message of this worker. What is delivered after this has a later one.
    Sent {
        number: u64,
        offset: Text,
    },
    Answer {
        number: u64,
        answer: Answer,
    },
    /// Messages were dropped because the worker did not take them.
    Lost {
        count: u64,
    },
}

/// An answer of the recovery store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Saved,
    /// Session or offset are not known.
    Unknown,
    Taken {
        sid: Text,
        rooms: Vec<Text>,
        data: Bytes,
        missed: Vec<(Text, Bytes)>,
    },
    Missed(Vec<(Text, Bytes)>),
    /// The primary keeps no log.
    Off,
}

const OPEN: u8 = 32;
const PUBLISH: u8 = 33;
const SAVE: u8 = 34;
const TAKE: u8 = 35;
const MISSED: u8 = 36;
const DELIVER: u8 = 48;
const SENT: u8 = 49;
const ANSWER: u8 = 50;
const LOST: u8 = 51;

impl Upstream {
    pub(crate) fn encode(&self) -> Bytes {
        match self {
            Self::Open => frame(OPEN, |_| ()),
            Self::Publish(publish) => frame(PUBLISH, |out| publish.put(out)),
            Self::Ask(number, ask) => {
                let kind = match ask {
                    Ask::Save { .. } => SAVE,
                    Ask::Take { .. } => TAKE,
                    Ask::Missed { .. } => MISSED,
                };
                frame(kind, |out| {
                    out.put_u64(*number);
                    ask.put(out);
                })
            }
        }
    }

    pub(crate) fn decode(frame: Frame) -> Result<Self, Malformed> {
        let mut body = Reader(frame.body);
        Ok(match frame.kind {
            OPEN => Self::Open,
            PUBLISH => Self::Publish(Publish::read(body)?),
            SAVE => Self::Ask(
                body.u64()?,
                Ask::Save {
                    namespace: body.text()?,
                    pid: body.text()?,
                    sid: body.text()?,
                    rooms: texts(&mut body)?,
                    data: body.bytes()?,
                },
            ),
            TAKE => Self::Ask(
                body.u64()?,
                Ask::Take {
                    namespace: body.text()?,
                    pid: body.text()?,
                    offset: body.text()?,
                },
            ),
            MISSED => Self::Ask(
                body.u64()?,
                Ask::Missed {
                    namespace: body.text()?,
                    rooms: texts(&mut body)?,
                    after: body.text()?,
                },
            ),
            _ => return Err(Malformed),
        })
    }
}

impl Publish {
    fn put(&self, out: &mut BytesMut) {
        out.reserve(self.body.len() + 128);
        out.put_u8(self.kind);
        for text in [&self.namespace, &self.sender, &self.recipient] {
            put_text(out, text);
        }
        match &self.logged {
            None => out.put_u8(0),
            Some(logged) => {
                out.put_u8(1);
                out.put_u64(logged.number);
                put_texts(out, &logged.rooms);
                put_texts(out, &logged.except);
            }
        }
        out.put_slice(&self.body);
    }

    fn read(mut body: Reader) -> Result<Self, Malformed> {
        Ok(Self {
            kind: body.u8()?,
            namespace: body.text()?,
            sender: body.text()?,
            recipient: body.text()?,
            logged: match body.u8()? {
                0 => None,
                1 => Some(Logged {
                    number: body.u64()?,
                    rooms: texts(&mut body)?,
                    except: texts(&mut body)?,
                }),
                _ => return Err(Malformed),
            },
            body: body.rest(),
        })
    }
}

impl Ask {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Save {
                namespace,
                pid,
                sid,
                rooms,
                data,
            } => {
                for text in [namespace, pid, sid] {
                    put_text(out, text);
                }
                put_texts(out, rooms);
                put_bytes(out, data);
            }
            Self::Take {
                namespace,
                pid,
                offset,
            } => {
                for text in [namespace, pid, offset] {
                    put_text(out, text);
                }
            }
            Self::Missed {
                namespace,
                rooms,
                after,
            } => {
                put_text(out, namespace);
                put_texts(out, rooms);
                put_text(out, after);
            }
        }
    }
}

impl Downstream {
    pub(crate) fn encode(&self) -> Bytes {
        match self {
            Self::Deliver { offset, body } => frame(DELIVER, |out| {
                out.reserve(body.len() + 32);
                put_text(out, offset);
                out.put_slice(body);
            }),
            Self::Sent { number, offset } => frame(SENT, |out| {
                out.put_u64(*number);
                put_text(out, offset);
            }),
            Self::Answer { number, answer } => frame(ANSWER, |out| {
                out.put_u64(*number);
                answer.put(out);
            }),
            Self::Lost { count } => frame(LOST, |out| out.put_u64(*count)),
        }
    }

    pub(crate) fn decode(frame: Frame) -> Result<Self, Malformed> {
        let mut body = Reader(frame.body);
        Ok(match frame.kind {
            DELIVER => Self::Deliver {
                offset: body.text()?,
                body: body.rest(),
            },
            SENT => Self::Sent {
                number: body.u64()?,
                offset: body.text()?,
            },
            ANSWER => Self::Answer {
                number: body.u64()?,
                answer: Answer::read(body)?,
            },
            LOST => Self::Lost { count: body.u64()? },
            _ => return Err(Malformed),
        })
    }
}

impl Answer {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Saved => out.put_u8(0),
            Self::Unknown => out.put_u8(1),
            Self::Taken {
                sid,
                rooms,
                data,
                missed,
            } => {
                out.put_u8(2);
                put_text(out, sid);
                put_texts(out, rooms);
                put_bytes(out, data);
                put_packets(out, missed);
            }
            Self::Missed(packets) => {
                out.put_u8(3);
                put_packets(out, packets);
            }
            Self::Off => out.put_u8(4),
        }
    }

    fn read(mut body: Reader) -> Result<Self, Malformed> {
        Ok(match body.u8()? {
            0 => Self::Saved,
            1 => Self::Unknown,
            2 => Self::Taken {
                sid: body.text()?,
                rooms: texts(&mut body)?,
                data: body.bytes()?,
                missed: packets(&mut body)?,
            },
            3 => Self::Missed(packets(&mut body)?),
            4 => Self::Off,
            _ => return Err(Malformed),
        })
    }
}

fn put_text(out: &mut BytesMut, text: &Text) {
    put_bytes(out, text.as_str().as_bytes());
}

fn put_texts(out: &mut BytesMut, texts: &[Text]) {
    out.put_u32(texts.len() as u32);
    for text in texts {
        put_text(out, text);
    }
}

fn texts(body: &mut Reader) -> Result<Vec<Text>, Malformed> {
    (0..body.count()?).map(|_| body.text()).collect()
}

fn put_packets(out: &mut BytesMut, packets: &[(Text, Bytes)]) {
    out.put_u32(packets.len() as u32);
    for (offset, packet) in packets {
        put_text(out, offset);
        put_bytes(out, packet);
    }
}

fn packets(body: &mut Reader) -> Result<Vec<(Text, Bytes)>, Malformed> {
    (0..body.count()?)
        .map(|_| Ok((body.text()?, body.bytes()?)))
        .collect()
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

    fn texts(names: &[&str]) -> Vec<Text> {
        names.iter().map(|&name| name.into()).collect()
    }

    fn upstream() -> Vec<Upstream> {
        let publish = |logged| {
            Upstream::Publish(Publish {
                kind: 3,
                namespace: "/chat".into(),
                sender: "a".into(),
                recipient: "".into(),
                logged,
                body: Bytes::from_static(b"{}"),
            })
        };
        let logged = Logged {
            number: 7,
            rooms: texts(&["r", "é"]),
            except: Vec::new(),
        };
        vec![
            Upstream::Open,
            publish(None),
            publish(Some(logged)),
            Upstream::Ask(
                1,
                Ask::Save {
                    namespace: "/".into(),
                    pid: "p".into(),
                    sid: "s".into(),
                    rooms: texts(&["s", "r"]),
                    data: Bytes::from_static(b"\x80"),
                },
            ),
            Upstream::Ask(
                2,
                Ask::Take {
                    namespace: "/".into(),
                    pid: "p".into(),
                    offset: "o".into(),
                },
            ),
            Upstream::Ask(
                3,
                Ask::Missed {
                    namespace: "/".into(),
                    rooms: texts(&["r"]),
                    after: "o".into(),
                },
            ),
        ]
    }

    fn downstream() -> Vec<Downstream> {
        let packets = || vec![("o".into(), Bytes::from_static(b"{}"))];
        let taken = Answer::Taken {
            sid: "s".into(),
            rooms: texts(&["s"]),
            data: Bytes::new(),
            missed: packets(),
        };
        let answers = [
            Answer::Saved,
            Answer::Unknown,
            taken,
            Answer::Missed(packets()),
            Answer::Off,
        ];
        let mut all = vec![
            Downstream::Deliver {
                offset: "".into(),
                body: Bytes::from_static(b"{}"),
            },
            Downstream::Sent {
                number: 1,
                offset: "o".into(),
            },
            Downstream::Lost { count: 3 },
        ];
        all.extend(answers.map(|answer| Downstream::Answer { number: 9, answer }));
        all
    }

    #[test]
    fn frames_survive_the_round_trip() {
        for message in upstream() {
            assert_eq!(Upstream::decode(unframe(&message.encode())), Ok(message));
        }
        for message in downstream() {
            assert_eq!(Downstream::decode(unframe(&message.encode())), Ok(message));
        }
    }

    #[test]
    fn cut_and_random_frames_do_no_harm() {
        let cut = |bytes: &Bytes, len: usize| unframe(&bytes.slice(..len));
        for bytes in upstream().iter().map(Upstream::encode) {
            for len in HEAD..bytes.len() {
                Upstream::decode(cut(&bytes, len)).ok();
            }
        }
        for bytes in downstream().iter().map(Downstream::encode) {
            for len in HEAD..bytes.len() {
                Downstream::decode(cut(&bytes, len)).ok();
            }
        }
        // A count that no body could hold asks for no memory.
        let huge = frame(MISSED, |out| {
            out.put_u64(1);
            put_bytes(out, b"/");
            out.put_u32(u32::MAX);
        });
        assert_eq!(Upstream::decode(unframe(&huge)), Err(Malformed));
    }
}
