//! The keys of maps: text, whatever they were.

use serde::ser::{Error as _, Impossible, Serialize, Serializer};

use super::float::{write_f32, write_f64};
use super::write::write_name;
use crate::EncodeError;

/// The text of a map's key.
pub(crate) fn key_text<T: Serialize + ?Sized>(key: &T) -> Result<String, EncodeError> {
    let mut out = Vec::new();
    key.serialize(KeyWriter {
        out: &mut out,
        first: true,
    })?;
    out.pop(); // the colon
    let quoted = String::from_utf8(out).map_err(|_| EncodeError::new("a key is no text"))?;
    Ok(super::read_string(&quoted))
}

/// Writes a map's key with its colon: text, or a number or truth value as text.
pub(crate) struct KeyWriter<'w> {
    pub(crate) out: &'w mut Vec<u8>,
    /// No comma stands in front of it.
    pub(crate) first: bool,
}

impl KeyWriter<'_> {
    fn quoted(self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EncodeError> {
        let open: &[u8] = if self.first { b"\"" } else { b",\"" };
        self.out.extend_from_slice(open);
        write(self.out);
        self.out.extend_from_slice(b"\":");
        Ok(())
    }

    fn integer(self, v: impl itoa::Integer) -> Result<(), EncodeError> {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(v).as_bytes();
        self.quoted(|out| out.extend_from_slice(digits))
    }
}

fn no_key<T>() -> Result<T, EncodeError> {
    Err(EncodeError::custom("the key of a map must be text"))
}

type Never = Impossible<(), EncodeError>;

macro_rules! integer_keys {
    ($($method:ident $ty:ty),*) => {$(
        fn $method(self, v: $ty) -> Result<(), EncodeError> {
            self.integer(v)
        }
    )*};
}

impl Serializer for KeyWriter<'_> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    integer_keys!(
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_i128 i128, serialize_u8 u8, serialize_u16 u16, serialize_u32 u32,
        serialize_u64 u64, serialize_u128 u128
    );

    fn serialize_bool(self, v: bool) -> Result<(), EncodeError> {
        self.serialize_str(if v { "true" } else { "false" })
    }

    fn serialize_f32(self, v: f32) -> Result<(), EncodeError> {
        self.quoted(|out| write_f32(out, v))
    }

    fn serialize_f64(self, v: f64) -> Result<(), EncodeError> {
        self.quoted(|out| write_f64(out, v))
    }

    fn serialize_char(self, v: char) -> Result<(), EncodeError> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<(), EncodeError> {
        write_name(self.out, self.first, v);
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), EncodeError> {
        no_key()
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        no_key()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<(), EncodeError> {
        v.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        no_key()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        no_key()
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
        _: &'static str,
        _: &T,
    ) -> Result<(), EncodeError> {
        no_key()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Never, EncodeError> {
        no_key()
    }

    fn serialize_tuple(self, _: usize) -> Result<Never, EncodeError> {
        no_key()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Never, EncodeError> {
        no_key()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Never, EncodeError> {
        no_key()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Never, EncodeError> {
        no_key()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Never, EncodeError> {
        no_key()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Never, EncodeError> {
        no_key()
    }
}
