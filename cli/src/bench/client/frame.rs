//! Engine.IO frames, and the payloads that carry them over polling.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Error;

/// Between two frames of a payload.
const SEPARATOR: char = '\u{1e}';

/// One Engine.IO frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// Its first character is the type.
    Text(Utf8Bytes),
    /// A message of raw bytes.
    Binary(Bytes),
}

impl Frame {
    pub(super) fn text(text: impl Into<Utf8Bytes>) -> Self {
        Self::Text(text.into())
    }

    /// How many bytes this takes in a payload.
    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => 1 + data.len().div_ceil(3) * 4,
        }
    }
}

/// The open frame's content, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Open {
    pub(super) sid: String,
    #[serde(default = "max_payload")]
    pub(super) max_payload: usize,
}

fn max_payload() -> usize {
    1_000_000
}

impl Open {
    pub(super) fn read(frame: &Frame) -> Result<Self, Error> {
        let Frame::Text(text) = frame else {
            return Err(Error::not_socket_io("a binary frame"));
        };
        let open = text
            .strip_prefix('0')
            .and_then(|json| serde_json::from_str(json).ok());
        // A session id goes into the next request's query as it is.
        let open = open.filter(|open: &Self| {
            open.sid
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        });
        open.ok_or_else(|| Error::not_socket_io(text))
    }
}

/// Takes the frames of a payload apart.
pub(super) fn read_payload(payload: &Bytes) -> Result<Vec<Frame>, Error> {
    let text = std::str::from_utf8(payload)
        .map_err(|_| Error::not_socket_io("bytes that are not UTF-8"))?;
    text.split(SEPARATOR).map(read_record).collect()
}

fn read_record(record: &str) -> Result<Frame, Error> {
    match record.strip_prefix('b') {
        None => Ok(Frame::text(record)),
        Some(data) => match STANDARD.decode(data) {
            Ok(data) => Ok(Frame::Binary(data.into())),
            Err(_) => Err(Error::protocol("not base64", record)),
        },
    }
}

/// Puts frames into one payload of at most `limit` bytes, but at least the first; says how many.
pub(super) fn write_payload(frames: &[Frame], limit: usize) -> (String, usize) {
    let mut payload = String::new();
    let mut written = 0;
    for frame in frames {
        if written > 0 {
            if payload.len() + 1 + frame.length() > limit {
                break;
            }
            payload.push(SEPARATOR);
        }
        match frame {
            Frame::Text(text) => payload.push_str(text),
            Frame::Binary(data) => {
                payload.push('b');
                STANDARD.encode_string(data, &mut payload);
            }
        }
        written += 1;
    }
    (payload, written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Frame> {
        vec![
            Frame::text("2"),
            Frame::text("4é"),
            Frame::Binary(Bytes::from_static(b"\x00\x01\x02\x03")),
        ]
    }

    #[test]
    fn a_payload_holds_what_was_put_in() {
        let (payload, written) = write_payload(&frames(), 1000);
        assert_eq!((payload.as_str(), written), ("2\u{1e}4é\u{1e}bAAECAw==", 3));
        assert_eq!(
            payload.len(),
            frames().iter().map(Frame::length).sum::<usize>() + 2
        );
        assert_eq!(read_payload(&payload.into()).expect("a payload"), frames());
    }

    #[test]
    fn a_payload_ends_before_the_limit_but_has_one_frame() {
        assert_eq!(write_payload(&frames(), 5), ("2\u{1e}4é".into(), 2));
        assert_eq!(write_payload(&frames(), 4), ("2".into(), 1));
        assert_eq!(write_payload(&frames()[1..], 0).1, 1);
    }

    #[test]
    fn what_is_no_payload_is_refused() {
        assert!(read_payload(&Bytes::from_static(b"4\xff")).is_err());
        assert!(read_payload(&Bytes::from_static(b"b?")).is_err());
    }

    #[test]
    fn an_open_frame_has_a_plain_session_id() {
        let open = Open::read(&Frame::text(
            r#"0{"sid":"a-_9","maxPayload":7,"pingInterval":1}"#,
        ))
        .expect("open");
        assert_eq!((open.sid.as_str(), open.max_payload), ("a-_9", 7));
        for wrong in [
            r#"0{"sid":"a b"}"#,
            "0",
            "0{}",
            "<html>",
            r#"4{"sid":"a"}"#,
            r#"0{"sid":"x&y=z"}"#,
        ] {
            assert!(Open::read(&Frame::text(wrong)).is_err(), "{wrong}");
        }
        assert!(Open::read(&Frame::Binary(Bytes::new())).is_err());
    }
}
