//! A serde serializer that writes what `JSON.stringify` writes, and lifts bytes out.

use bytes::Bytes;
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::float::{write_f32, write_f64};
use super::key::KeyWriter;
use super::{deeper, find_special, is_json_token, write_placeholder};
use crate::EncodeError;

/// Writes JSON text behind what `out` already holds.
pub(crate) struct JsonWriter<'b> {
    pub(crate) out: &'b mut Vec<u8>,
    /// Where bytes go, in the order of the document; the text gets placeholders. Without it bytes
    /// become what `JSON.stringify` makes of a `Buffer`.
    pub(crate) lifted: Option<&'b mut Vec<Bytes>>,
    depth: usize,
}

impl<'b> JsonWriter<'b> {
    pub(crate) fn new(out: &'b mut Vec<u8>, lifted: Option<&'b mut Vec<Bytes>>) -> Self {
        Self {
            out,
            lifted,
            depth: 0,
        }
    }

    fn integer(&mut self, n: impl itoa::Integer) -> Result<(), EncodeError> {
        let mut digits = itoa::Buffer::new();
        self.out.extend_from_slice(digits.format(n).as_bytes());
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        match &mut self.lifted {
            Some(lifted) => {
                let num = lifted.len();
                lifted.push(Bytes::copy_from_slice(bytes));
                write_placeholder(self.out, num);
            }
            None => write_buffer(self.out, bytes),
        }
    }

    fn open<'w>(
        &'w mut self,
        open: u8,
        close: &'static str,
    ) -> Result<Compound<'w, 'b>, EncodeError> {
        self.depth = deeper(self.depth)?;
        self.out.push(open);
        Ok(Compound {
            writer: self,
            empty: true,
            close,
        })
    }

    fn variant(&mut self, name: &str) -> Result<(), EncodeError> {
        self.depth = deeper(self.depth)?;
        self.out.push(b'{');
        write_name(self.out, true, name);
        Ok(())
    }
}

/// Appends bytes as `JSON.stringify` writes a `Buffer`.
pub(crate) fn write_buffer(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(br#"{"type":"Buffer","data":["#);
    for (i, byte) in bytes.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(*byte).as_bytes());
    }
    out.extend_from_slice(b"]}");
}

/// Appends a string with its quotes, escaped as `JSON.stringify` does: nothing above the control
/// characters but the quote and the backslash.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    write_between(out, b"\"", text, b"\"");
}

/// As [`write_string`], with the quotes and what stands around them: one short piece is appended as
/// fast as one byte.
#[inline(always)]
pub(super) fn write_between<const A: usize, const B: usize>(
    out: &mut Vec<u8>,
    before: &[u8; A],
    text: &str,
    after: &[u8; B],
) {
    let bytes = text.as_bytes();
    out.extend_from_slice(before);
    let at = find_special(bytes, 0);
    if at < bytes.len() {
        write_escaped(out, bytes, at);
    } else {
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(after);
}

/// Appends the name of a member, with the comma in front of it and the colon behind it.
pub(super) fn write_name(out: &mut Vec<u8>, first: bool, name: &str) {
    if first {
        write_between(out, b"\"", name, b"\":");
    } else {
        write_between(out, b",\"", name, b"\":");
    }
}

/// Appends text whose first special byte is at `at`.
fn write_escaped(out: &mut Vec<u8>, bytes: &[u8], mut at: usize) {
    let mut from = 0;
    loop {
        out.extend_from_slice(&bytes[from..at]);
        let Some(&byte) = bytes.get(at) else { break };
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0c => b'f',
            0x0d => b'r',
            _ => 0,
        };
        if short == 0 {
            let hex = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(hex[usize::from(byte >> 4)]);
            out.push(hex[usize::from(byte & 15)]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
        from = at + 1;
        at = find_special(bytes, from);
    }
}

impl<'w, 'b> Serializer for &'w mut JsonWriter<'b> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'w, 'b>;
    type SerializeTuple = Compound<'w, 'b>;
    type SerializeTupleStruct = Compound<'w, 'b>;
    type SerializeTupleVariant = Compound<'w, 'b>;
    type SerializeMap = Compound<'w, 'b>;
    type SerializeStruct = Struct<'w, 'b>;
    type SerializeStructVariant = Compound<'w, 'b>;

    fn serialize_bool(self, v: bool) -> Result<(), EncodeError> {
        self.out
            .extend_from_slice(if v { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i8(self, v: i8) -> Result<(), EncodeError> {
        self.integer(v)
    }

    fn serialize_i16(self, v: i16) -> Result<(), EncodeError> {
        self.integer(v)
    }

    fn serialize_i32(self, v: i32) -> Result<(), EncodeError> {
        self.integer(v)
    }

    fn serialize_i64(self, v: i64) -> Result<(), EncodeError> {
        self.integer(v)
    }

    fn serialize_i128(self, v: i128) -> Result<(), EncodeError> {
        self.integer(v)
    }

    fn serialize_u8(self, v: u8) -> Result<(), EncodeError> {
        self.integer(v)
    }

    fn serialize_u16(self, v: u16) -> Result<(), EncodeError> {
        self.integer(v)
    }

    fn serialize_u32(self, v: u32) -> Result<(), EncodeError> {
        self.integer(v)
    }

    fn serialize_u64(self, v: u64) -> Result<(), EncodeError> {
        self.integer(v)
    }

    fn serialize_u128(self, v: u128) -> Result<(), EncodeError> {
        self.integer(v)
    }

    fn serialize_f32(self, v: f32) -> Result<(), EncodeError> {
        write_f32(self.out, v);
        Ok(())
    }

    fn serialize_f64(self, v: f64) -> Result<(), EncodeError> {
        write_f64(self.out, v);
        Ok(())
    }

    fn serialize_char(self, v: char) -> Result<(), EncodeError> {
        write_string(self.out, v.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, v: &str) -> Result<(), EncodeError> {
        write_string(self.out, v);
        Ok(())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), EncodeError> {
        self.bytes(v);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<(), EncodeError> {
        v.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        v: &T,
    ) -> Result<(), EncodeError> {
        v.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        v: &T,
    ) -> Result<(), EncodeError> {
        self.variant(variant)?;
        v.serialize(&mut *self)?;
        self.depth -= 1;
        self.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'w, 'b>, EncodeError> {
        self.open(b'[', "]")
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'w, 'b>, EncodeError> {
        self.open(b'[', "]")
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Compound<'w, 'b>, EncodeError> {
        self.open(b'[', "]")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w, 'b>, EncodeError> {
        self.variant(variant)?;
        self.open(b'[', "]}")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'w, 'b>, EncodeError> {
        self.open(b'{', "}")
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Struct<'w, 'b>, EncodeError> {
        if is_json_token(name) {
            return Ok(Struct::Json(self));
        }
        self.open(b'{', "}").map(Struct::Members)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w, 'b>, EncodeError> {
        self.variant(variant)?;
        self.open(b'{', "}}")
    }
}

/// A list or an object being written, alone or inside an enum's variant.
pub(crate) struct Compound<'w, 'b> {
    writer: &'w mut JsonWriter<'b>,
    empty: bool,
    close: &'static str,
}

impl Compound<'_, '_> {
    fn comma(&mut self) {
        if !self.empty {
            self.writer.out.push(b',');
        }
        self.empty = false;
    }

    fn element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), EncodeError> {
        self.comma();
        v.serialize(&mut *self.writer)
    }

    fn member<T: Serialize + ?Sized>(&mut self, key: &str, v: &T) -> Result<(), EncodeError> {
        write_name(self.writer.out, self.empty, key);
        self.empty = false;
        v.serialize(&mut *self.writer)
    }

    fn finish(self) {
        self.writer.out.extend_from_slice(self.close.as_bytes());
        self.writer.depth -= self.close.len();
    }
}

macro_rules! list_impls {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for Compound<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), EncodeError> {
                self.element(v)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.finish();
                Ok(())
            }
        }
    )*};
}

list_impls!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

impl SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        let first = std::mem::replace(&mut self.empty, false);
        key.serialize(KeyWriter {
            out: self.writer.out,
            first,
        })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), EncodeError> {
        v.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish();
        Ok(())
    }
}

impl SerializeStructVariant for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        v: &T,
    ) -> Result<(), EncodeError> {
        self.member(key, v)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish();
        Ok(())
    }
}

/// A struct being written.
pub(crate) enum Struct<'w, 'b> {
    Members(Compound<'w, 'b>),
    /// serde_json's raw value: its field is the JSON text.
    Json(&'w mut JsonWriter<'b>),
}

impl SerializeStruct for Struct<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        v: &T,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Members(compound) => compound.member(key, v),
            Self::Json(writer) => {
                writer.out.extend_from_slice(super::raw_text(v)?.as_bytes());
                Ok(())
            }
        }
    }

    fn end(self) -> Result<(), EncodeError> {
        if let Self::Members(compound) = self {
            compound.finish();
        }
        Ok(())
    }
}
