//! What is sent, and how to tell whether it came back unharmed.

use std::borrow::Cow;

use bytes::Bytes;

use super::client::{Client, Packet};

/// A payload begins with its number, if it has room for that: this many hexadecimal digits.
pub(super) const DIGITS: usize = 8;

const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

/// Payloads of one size: a number, then letters that need no escape in JSON.
#[derive(Debug)]
pub(super) struct Payload {
    letters: String,
    binary: bool,
}

impl Payload {
    pub(super) fn new(size: usize, binary: bool) -> Self {
        let letters = (b'a'..=b'z').cycle().map(char::from).take(size).collect();
        Self { letters, binary }
    }

    /// Emits `data` with the payload number `number` as the last argument; `data` is the array's text so far,
    /// as of [`arguments`].
    pub(super) fn emit(&self, client: &mut Client, id: Option<u64>, data: &str, number: u64) {
        let text = self.text(number);
        if self.binary {
            client.emit(id, &[data, PLACEHOLDER, "]"], Some(Bytes::from(text)));
        } else {
            client.emit(id, &[data, "\"", &text, "\"]"], None);
        }
    }

    fn text(&self, number: u64) -> String {
        match self.letters.get(DIGITS..) {
            Some(letters) => format!("{:08x}{letters}", number as u32),
            None => self.letters.clone(),
        }
    }

    /// Whether an acknowledgement holds this payload and nothing else.
    pub(super) fn is_answer(&self, packet: &Packet, number: u64) -> bool {
        self.value(packet, "[", 0)
            .is_some_and(|value| *value == *self.text(number).as_bytes())
    }

    /// The number of a payload that came as the only argument of an event, or `None` if it is not as it was sent.
    pub(super) fn number_in(&self, packet: &Packet, event: &str) -> Option<u32> {
        let value = self.value(packet, event, 1)?;
        let (digits, letters) = value.split_at_checked(DIGITS)?;
        if letters != self.letters.as_bytes().get(DIGITS..)? {
            return None;
        }
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    /// The last element of a packet's array, which must have `before` more; `prefix` is what these usually look like.
    fn value<'a>(&self, packet: &'a Packet, prefix: &str, before: usize) -> Option<Cow<'a, [u8]>> {
        if self.binary {
            let [data] = packet.attachments.as_slice() else {
                return None;
            };
            return Some(Cow::Borrowed(data));
        }
        let usual = packet
            .data()
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('"')?.strip_suffix("\"]"));
        if let Some(text) = usual
            && text.len() == self.letters.len()
        {
            return Some(Cow::Borrowed(text.as_bytes()));
        }
        // JSON may be written in other ways, with spaces or escapes.
        let mut array: Vec<serde_json::Value> = serde_json::from_str(packet.data()).ok()?;
        match array.pop() {
            Some(serde_json::Value::String(text)) if array.len() == before => {
                Some(Cow::Owned(text.into_bytes()))
            }
            _ => None,
        }
    }
}

/// The text of an array that begins with these strings and is to be continued.
pub(super) fn arguments(strings: &[&str]) -> String {
    strings.iter().fold("[".to_owned(), |text, string| {
        text + &serde_json::Value::from(*string).to_string() + ","
    })
}

/// The text of an array of these strings.
pub(super) fn array(strings: &[&str]) -> String {
    serde_json::Value::from(strings.to_vec()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(text: &str) -> Packet {
        Packet::read(text.into(), "").expect("a packet").0
    }

    fn binary(text: &str, data: &'static [u8]) -> Packet {
        let mut packet = packet(text);
        packet.attachments.push(Bytes::from_static(data));
        packet
    }

    #[test]
    fn an_answer_is_the_payload_and_nothing_else() {
        let payload = Payload::new(10, false);
        assert_eq!(payload.text(0x1f), "0000001fij");
        for right in [
            r#"431["0000001fij"]"#,
            r#"431[ "0000001fij" ]"#,
            r#"431["0000001f\u0069j"]"#,
        ] {
            assert!(payload.is_answer(&packet(right), 0x1f), "{right}");
        }
        for wrong in [
            r#"431["0000001eij"]"#,
            r#"431["0000001fiJ"]"#,
            r#"431["0000001fij",1]"#,
            r#"431[1,"0000001fij"]"#,
            r#"431["0000001fi"]"#,
            "431[]",
            "431[",
            "431",
            "431[10]",
        ] {
            assert!(!payload.is_answer(&packet(wrong), 0x1f), "{wrong}");
        }
    }

    #[test]
    fn small_payloads_have_no_number() {
        assert!(Payload::new(0, false).is_answer(&packet(r#"431[""]"#), 5));
        assert!(Payload::new(3, false).is_answer(&packet(r#"431["abc"]"#), 5));
    }

    #[test]
    fn a_binary_answer_is_one_attachment() {
        let payload = Payload::new(8, true);
        let text = r#"461-1[{"_placeholder":true,"num":0}]"#;
        assert!(payload.is_answer(&binary(text, b"00000001"), 1));
        assert!(!payload.is_answer(&binary(text, b"00000002"), 1));
        assert!(!payload.is_answer(&packet(r#"431["00000001"]"#), 1));
    }

    #[test]
    fn a_message_is_read_back() {
        let payload = Payload::new(10, false);
        let event = arguments(&["msg"]);
        assert_eq!(event, r#"["msg","#);
        let number = |text| payload.number_in(&packet(text), &event);
        assert_eq!(number(r#"42["msg","000000ffij"]"#), Some(255));
        assert_eq!(number(r#"42["msg", "000000ffij"]"#), Some(255));
        for wrong in [
            r#"42["msg","000000ffix"]"#,
            r#"42["msg","zzzzzzzzij"]"#,
            r#"42["msg"]"#,
            r#"42["msg",1]"#,
        ] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}
