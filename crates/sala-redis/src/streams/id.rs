//! The ids of stream entries: places in a stream, and the offsets that clients see.

use std::fmt;

use sala_adapter::recovery::Offset;

/// The id of an entry: milliseconds since 1970 and a number within the millisecond. Redis gives out
/// ever larger ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamId {
    ms: u64,
    seq: u64,
}

impl StreamId {
    /// Before every entry.
    pub(crate) const START: Self = Self { ms: 0, seq: 0 };

    /// Reads `<digits>-<digits>`, nothing else: what the reference takes for an offset.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|byte| *byte == b'-')?;
        Some(Self {
            ms: number(&text[..dash])?,
            seq: number(&text[dash + 1..])?,
        })
    }
}

/// Digits only: `parse` of the standard library takes a sign as well.
fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl From<StreamId> for Offset {
    fn from(id: StreamId) -> Self {
        id.to_string().into()
    }
}

impl redis::ToRedisArgs for StreamId {
    fn write_redis_args<W: ?Sized + redis::RedisWrite>(&self, out: &mut W) {
        out.write_arg_fmt(self);
    }
}

impl redis::ToSingleRedisArg for StreamId {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<StreamId> {
        StreamId::parse(text.as_bytes())
    }

    #[test]
    fn ids_are_ordered_as_numbers() {
        let ids = ["0-0", "9-9", "10-2", "10-10", "1795221474392-0"];
        let ids: Vec<StreamId> = ids.iter().filter_map(|id| parse(id)).collect();
        assert_eq!(ids.len(), 5);
        assert!(ids.is_sorted());
    }

    #[test]
    fn what_redis_gives_out_is_read_and_written_alike() {
        for text in [
            "1795221474392-0",
            "0-1",
            "18446744073709551615-18446744073709551615",
        ] {
            assert_eq!(parse(text).map(|id| id.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn text_that_is_no_offset_is_refused() {
        for text in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "1-2-3",
            "+1-2",
            "1-+2",
            " 1-2",
            "1-2\n",
            "$",
            "+",
            "(1-0",
            "1-x",
            "18446744073709551616-0",
            "٣-٤",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(StreamId::parse(b"\xff-1"), None);
    }
}
