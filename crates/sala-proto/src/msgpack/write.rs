//! A serde serializer that writes MessagePack in the shortest forms, as notepack.io does.

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::Dialect;
use super::form::{Head, Kind, write_bin, write_float, write_int, write_str, write_uint};
use crate::json::{self, deeper, is_json_token};
use crate::spread::Sink;
use crate::{EncodeError, RawArgs};

/// Writes one value behind what `out` already holds.
pub(crate) struct MsgPackWriter<'b> {
    out: &'b mut Vec<u8>,
    depth: usize,
}

impl<'b> MsgPackWriter<'b> {
    pub(crate) fn new(out: &'b mut Vec<u8>) -> Self {
        Self { out, depth: 0 }
    }

    fn list(self, len: Option<usize>) -> Result<Compound<'b>, EncodeError> {
        let depth = deeper(self.depth)?;
        let head = Head::open(self.out, Kind::List, len);
        Ok(Compound {
            out: self.out,
            depth,
            head,
        })
    }

    fn map(self, len: Option<usize>) -> Result<Compound<'b>, EncodeError> {
        let depth = deeper(self.depth)?;
        let head = Head::open(self.out, Kind::Map, len);
        Ok(Compound {
            out: self.out,
            depth,
            head,
        })
    }

    /// A map of one member, whose value follows.
    fn variant(mut self, name: &str) -> Result<Self, EncodeError> {
        self.depth = deeper(self.depth)?;
        self.out.push(0x81);
        write_str(self.out, name);
        Ok(self)
    }
}

/// The arguments of a packet: a list, or the values alone.
pub(crate) struct MsgPackSink<'b> {
    out: &'b mut Vec<u8>,
    len: usize,
}

impl<'b> MsgPackSink<'b> {
    pub(crate) fn new(out: &'b mut Vec<u8>) -> Self {
        Self { out, len: 0 }
    }

    /// The name of the event, the first item.
    pub(crate) fn event(&mut self, args: &RawArgs) {
        self.len += 1;
        args.write_msgpack_name(self.out);
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// Writes a list whose items `write` puts into the sink.
pub(crate) fn write_list(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut MsgPackSink<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let mut head = Head::open(out, Kind::List, None);
    let mut sink = MsgPackSink::new(out);
    write(&mut sink)?;
    head.len = sink.len;
    head.close(out);
    Ok(())
}

impl Sink for MsgPackSink<'_> {
    type Writer<'s>
        = MsgPackWriter<'s>
    where
        Self: 's;

    fn next(&mut self) -> MsgPackWriter<'_> {
        self.len += 1;
        MsgPackWriter::new(self.out)
    }

    fn splice(&mut self, args: &RawArgs) -> Result<(), EncodeError> {
        self.len += args.len();
        args.write_msgpack(self.out, Dialect::Client)
    }
}

impl<'b> Serializer for MsgPackWriter<'b> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'b>;
    type SerializeTuple = Compound<'b>;
    type SerializeTupleStruct = Compound<'b>;
    type SerializeTupleVariant = Compound<'b>;
    type SerializeMap = Compound<'b>;
    type SerializeStruct = Struct<'b>;
    type SerializeStructVariant = Compound<'b>;

    fn serialize_bool(self, v: bool) -> Result<(), EncodeError> {
        self.out.push(if v { 0xc3 } else { 0xc2 });
        Ok(())
    }

    fn serialize_i8(self, v: i8) -> Result<(), EncodeError> {
        self.serialize_i64(v.into())
    }

    fn serialize_i16(self, v: i16) -> Result<(), EncodeError> {
        self.serialize_i64(v.into())
    }

    fn serialize_i32(self, v: i32) -> Result<(), EncodeError> {
        self.serialize_i64(v.into())
    }

    fn serialize_i64(self, v: i64) -> Result<(), EncodeError> {
        write_int(self.out, v);
        Ok(())
    }

    fn serialize_i128(self, v: i128) -> Result<(), EncodeError> {
        match (i64::try_from(v), u64::try_from(v)) {
            (Ok(v), _) => self.serialize_i64(v),
            (_, Ok(v)) => self.serialize_u64(v),
            _ => Err(EncodeError::new("an integer needs more than 64 bits")),
        }
    }

    fn serialize_u8(self, v: u8) -> Result<(), EncodeError> {
        self.serialize_u64(v.into())
    }

    fn serialize_u16(self, v: u16) -> Result<(), EncodeError> {
        self.serialize_u64(v.into())
    }

    fn serialize_u32(self, v: u32) -> Result<(), EncodeError> {
        self.serialize_u64(v.into())
    }

    fn serialize_u64(self, v: u64) -> Result<(), EncodeError> {
        write_uint(self.out, v);
        Ok(())
    }

    fn serialize_u128(self, v: u128) -> Result<(), EncodeError> {
        let v =
            u64::try_from(v).map_err(|_| EncodeError::new("an integer needs more than 64 bits"))?;
        self.serialize_u64(v)
    }

    fn serialize_f32(self, v: f32) -> Result<(), EncodeError> {
        self.serialize_f64(v.into())
    }

    fn serialize_f64(self, v: f64) -> Result<(), EncodeError> {
        write_float(self.out, v);
        Ok(())
    }

    fn serialize_char(self, v: char) -> Result<(), EncodeError> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<(), EncodeError> {
        write_str(self.out, v);
        Ok(())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), EncodeError> {
        write_bin(self.out, v);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<(), EncodeError> {
        v.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.out.push(0xc0);
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
        v.serialize(self.variant(variant)?)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Compound<'b>, EncodeError> {
        self.list(len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Compound<'b>, EncodeError> {
        self.list(Some(len))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        len: usize,
    ) -> Result<Compound<'b>, EncodeError> {
        self.list(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'b>, EncodeError> {
        self.variant(variant)?.list(Some(len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Compound<'b>, EncodeError> {
        self.map(len)
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Struct<'b>, EncodeError> {
        if is_json_token(name) {
            return Ok(Struct::Json(self));
        }
        self.map(Some(len)).map(Struct::Members)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'b>, EncodeError> {
        self.variant(variant)?.map(Some(len))
    }
}

/// A list or a map being written.
pub(crate) struct Compound<'b> {
    out: &'b mut Vec<u8>,
    depth: usize,
    head: Head,
}

impl Compound<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), EncodeError> {
        v.serialize(MsgPackWriter {
            out: self.out,
            depth: self.depth,
        })
    }

    fn element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), EncodeError> {
        self.head.len += 1;
        self.item(v)
    }

    fn member<T: Serialize + ?Sized>(&mut self, key: &str, v: &T) -> Result<(), EncodeError> {
        write_str(self.out, key);
        self.element(v)
    }

    fn finish(self) -> Result<(), EncodeError> {
        if u32::try_from(self.out.len()).is_err() {
            return Err(EncodeError::custom("a packet of more than four gigabytes"));
        }
        self.head.close(self.out);
        Ok(())
    }
}

macro_rules! list_impls {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for Compound<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), EncodeError> {
                self.element(v)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.finish()
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

impl SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        write_str(self.out, &json::key_text(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), EncodeError> {
        self.element(v)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl SerializeStructVariant for Compound<'_> {
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
        self.finish()
    }
}

/// A struct being written.
pub(crate) enum Struct<'b> {
    Members(Compound<'b>),
    /// serde_json's raw value: its field is JSON text.
    Json(MsgPackWriter<'b>),
}

impl SerializeStruct for Struct<'_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        v: &T,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Members(compound) => compound.member(key, v),
            Self::Json(writer) => json::read_raw(&json::raw_text(v)?)?.serialize(MsgPackWriter {
                out: writer.out,
                depth: writer.depth,
            }),
        }
    }

    fn end(self) -> Result<(), EncodeError> {
        match self {
            Self::Members(compound) => compound.finish(),
            Self::Json(_) => Ok(()),
        }
    }
}
