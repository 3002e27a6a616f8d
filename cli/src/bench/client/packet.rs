//! Socket.IO packets.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Error;

/// More attachments than any answer to this client has.
const MAX_ATTACHMENTS: usize = 16;

/// A packet from the server. Its data is JSON that nobody has looked into yet.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) kind: Kind,
    pub(crate) attachments: Vec<Bytes>,
    text: Utf8Bytes,
    data: usize,
}

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Connect,
    ConnectError,
    Disconnect,
    Event,
    /// With the number of the emit that it answers.
    Ack(u64),
}

impl Packet {
    /// Reads the text of a packet; says how many attachments must follow it.
    pub(crate) fn read(text: Utf8Bytes, namespace: &str) -> Result<(Self, usize), Error> {
        let Some((kind, data, attachments)) = parse(&text, namespace) else {
            return Err(Error::protocol("not a packet of this namespace", &text));
        };
        Ok((
            Self {
                kind,
                attachments: Vec::new(),
                text,
                data,
            },
            attachments,
        ))
    }

    /// The arguments: for an event, its name is the first.
    pub(crate) fn data(&self) -> &str {
        self.text.get(self.data..).unwrap_or_default()
    }
}

/// The kind, the place of the data in the text, and the number of attachments.
fn parse(text: &str, namespace: &str) -> Option<(Kind, usize, usize)> {
    // After the `4` of the Engine.IO message.
    let (kind, rest) = text.get(1..)?.split_at_checked(1)?;
    let (attachments, rest) = if matches!(kind, "5" | "6") {
        attachments(rest)?
    } else {
        (0, rest)
    };
    let rest = in_namespace(rest, namespace)?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (id, data) = rest.split_at(end);
    let kind = match kind {
        "0" => Kind::Connect,
        "1" => Kind::Disconnect,
        "2" | "5" => Kind::Event,
        "3" | "6" => Kind::Ack(id.parse().ok()?),
        "4" => Kind::ConnectError,
        _ => return None,
    };
    Some((kind, text.len() - data.len(), attachments))
}

fn attachments(rest: &str) -> Option<(usize, &str)> {
    let (count, rest) = rest.split_once('-')?;
    let count = count
        .parse()
        .ok()
        .filter(|count| *count <= MAX_ATTACHMENTS)?;
    Some((count, rest))
}

/// Removes `/name,`. A packet with no data may come without the comma.
fn in_namespace<'a>(rest: &'a str, namespace: &str) -> Option<&'a str> {
    if namespace.is_empty() {
        return if rest.starts_with('/') {
            None
        } else {
            Some(rest)
        };
    }
    rest.strip_prefix(namespace)
        .or_else(|| (rest == namespace.trim_end_matches(',')).then_some(""))
}

/// Writes an event with `data` (the parts of a JSON array) as a frame's text.
pub(super) fn write_event(
    namespace: &str,
    id: Option<u64>,
    data: &[&str],
    attachments: usize,
) -> String {
    let length: usize = data.iter().map(|part| part.len()).sum();
    let mut text = String::with_capacity(length + namespace.len() + 16);
    if attachments == 0 {
        text.push_str("42");
    } else {
        text.push_str("45");
        text.push_str(&attachments.to_string());
        text.push('-');
    }
    text.push_str(namespace);
    if let Some(id) = id {
        text.push_str(&id.to_string());
    }
    data.iter().for_each(|part| text.push_str(part));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed<'a>(text: &'a str, namespace: &str) -> Option<(Kind, &'a str, usize)> {
        parse(text, namespace).map(|(kind, data, attachments)| (kind, &text[data..], attachments))
    }

    #[test]
    fn packets_of_every_kind_are_read() {
        assert_eq!(
            parsed(r#"40{"sid":"a"}"#, ""),
            Some((Kind::Connect, r#"{"sid":"a"}"#, 0))
        );
        assert_eq!(parsed("41", ""), Some((Kind::Disconnect, "", 0)));
        assert_eq!(
            parsed(r#"42["msg",1]"#, ""),
            Some((Kind::Event, r#"["msg",1]"#, 0))
        );
        assert_eq!(
            parsed(r#"42/a,["msg"]"#, "/a,"),
            Some((Kind::Event, r#"["msg"]"#, 0))
        );
        assert_eq!(parsed("43/a,12[]", "/a,"), Some((Kind::Ack(12), "[]", 0)));
        assert_eq!(parsed("461-7[{}]", ""), Some((Kind::Ack(7), "[{}]", 1)));
        assert_eq!(parsed("40/a", "/a,"), Some((Kind::Connect, "", 0)));
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        for wrong in [
            "",
            "4",
            "47[]",
            "43[]",
            "42/a,[]",
            "451[]",
            "45-[]",
            "4599-[]",
            "4é",
            "43999999999999999999999[]",
        ] {
            assert_eq!(parsed(wrong, ""), None, "{wrong}");
        }
        assert_eq!(parsed("42/ab,[]", "/a,"), None);
        assert_eq!(parsed("42[]", "/a,"), None);
    }

    #[test]
    fn events_are_written() {
        assert_eq!(
            write_event("", Some(3), &[r#"["echo","#, r#""x""#, "]"], 0),
            r#"423["echo","x"]"#
        );
        assert_eq!(write_event("/a,", None, &["[]"], 1), "451-/a,[]");
    }
}
