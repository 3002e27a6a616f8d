//! Arguments as parts of messages: copied where the form is the same, rewritten in one pass where not.

use bytes::Bytes;
use serde::Serialize;

use super::{Args, JsonArgs, MsgPackArgs, Name, Repr};
use crate::json::{self, JsonWriter};
use crate::msgpack::{self, Dialect, MsgPackWriter};
use crate::{DecodeError, EncodeError, Value};

impl Args<'_> {
    /// Appends the event's name as JSON; nothing if there is none.
    pub(crate) fn write_json_name(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match (&self.name, &self.repr) {
            (Some(Name::InText(at)), Repr::Json(json)) => {
                out.extend_from_slice(&json.text.as_bytes()[at.start..at.end]);
                Ok(())
            }
            (Some(Name::Text(text)), _) => {
                json::write_string(out, text);
                Ok(())
            }
            _ => self.event().map_or(Ok(()), |name| {
                name.to_value().serialize(&mut JsonWriter::new(out, None))
            }),
        }
    }

    /// Appends the event's name as MessagePack; nothing if there is none.
    pub(crate) fn write_msgpack_name(&self, out: &mut Vec<u8>) {
        match self.event() {
            Some(name) if name.is_number() => {
                if let Value::Number(number) = name.to_value() {
                    msgpack::write_number(out, number);
                }
            }
            Some(name) => msgpack::write_str(out, &name),
            None => {}
        }
    }

    /// Appends the arguments as JSON, separated by commas. Bytes go to `lifted`, which must be empty,
    /// and leave placeholders; without it they become what `JSON.stringify` makes of a `Buffer`.
    #[inline]
    pub(crate) fn write_json(
        &self,
        out: &mut Vec<u8>,
        lifted: Option<&mut Vec<Bytes>>,
    ) -> Result<(), EncodeError> {
        match (&self.repr, lifted) {
            (Repr::Json(json), None) => json.write_inline(out),
            (Repr::Json(json), Some(lifted)) => {
                lifted.extend_from_slice(json.attachments());
                out.extend_from_slice(json.inner_bytes());
                Ok(())
            }
            (Repr::MsgPack(args), lifted) => {
                msgpack::write_json(out, &args.bytes, args.len, args.dialect, lifted)
                    .map_err(checked)
            }
            (Repr::Values(values), lifted) => write_values(out, values, lifted),
        }
    }

    /// Appends the arguments as MessagePack, one after the other.
    pub(crate) fn write_msgpack(
        &self,
        out: &mut Vec<u8>,
        dialect: Dialect,
    ) -> Result<(), EncodeError> {
        match &self.repr {
            Repr::Json(json) => json.write_msgpack(out),
            Repr::MsgPack(args) => {
                msgpack::copy_values(out, &args.bytes, args.dialect, dialect);
                Ok(())
            }
            Repr::Values(values) => values
                .iter()
                .try_for_each(|value| value.serialize(MsgPackWriter::new(out))),
        }
    }

    /// The first argument; null if there is none.
    pub(crate) fn first(&self) -> Value {
        let first = match &self.repr {
            Repr::Json(json) => json.values().into_iter().next(),
            Repr::MsgPack(args) => args.values(args.len.min(1)).pop(),
            Repr::Values(values) => values.first().cloned(),
        };
        first.unwrap_or_default()
    }
}

impl JsonArgs<'_> {
    fn inner_bytes(&self) -> &[u8] {
        &self.text.as_bytes()[self.inner.start..self.inner.end]
    }

    /// The attachments, if all placeholders are written as every client writes them.
    fn plain_attachments(&self) -> Option<&[Bytes]> {
        let list = self.attachments();
        (list.is_empty() || json::all_plain(&self.text, list.len())).then_some(list)
    }

    fn write_inline(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self.plain_attachments() {
            Some([]) => out.extend_from_slice(self.inner_bytes()),
            Some(list) => json::write_buffers(out, self.inner_bytes(), list),
            None => write_values(out, &self.values(), None)?,
        }
        Ok(())
    }

    fn write_msgpack(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self.plain_attachments() {
            Some(list) => json::write_msgpack(out, self.inner(), list).map_err(checked),
            None => self
                .values()
                .iter()
                .try_for_each(|value| value.serialize(MsgPackWriter::new(out))),
        }
    }
}

impl MsgPackArgs {
    /// The first `count` values.
    pub(super) fn values(&self, count: usize) -> Vec<Value> {
        msgpack::read_values(&self.bytes, count, self.dialect)
    }
}

fn write_values(
    out: &mut Vec<u8>,
    values: &[Value],
    lifted: Option<&mut Vec<Bytes>>,
) -> Result<(), EncodeError> {
    let mut writer = JsonWriter::new(out, lifted);
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            writer.out.push(b',');
        }
        value.serialize(&mut writer)?;
    }
    Ok(())
}

/// What was read before is read again: it cannot fail.
fn checked(error: DecodeError) -> EncodeError {
    EncodeError::new(error.to_string())
}
