//! Data into arguments: a tuple spreads, `()` is no argument, anything else is one.

use serde::ser::{Serialize, SerializeTuple, Serializer};

use bytes::Bytes;

use crate::msgpack::{self, Dialect, MsgPackSink};
use crate::{EncodeError, RawArgs, Value, bridge};

/// What takes arguments one after the other.
pub(crate) trait Sink {
    /// What an argument is written with.
    type Writer<'s>: Serializer<Ok = (), Error = EncodeError>
    where
        Self: 's;

    /// Where the next argument is written.
    fn next(&mut self) -> Self::Writer<'_>;

    /// Takes the arguments of another packet, as bytes if it can.
    fn splice(&mut self, args: &RawArgs) -> Result<(), EncodeError>;
}

/// The arguments that `data` stands for, as trees.
pub(crate) fn to_values<T: Serialize + ?Sized>(data: &T) -> Result<Vec<Value>, EncodeError> {
    let (bytes, len) = to_msgpack(data)?;
    Ok(msgpack::read_values(&bytes, len, Dialect::Client))
}

/// The arguments that `data` stands for, as MessagePack, and how many there are.
pub(crate) fn to_msgpack<T: Serialize + ?Sized>(data: &T) -> Result<(Bytes, usize), EncodeError> {
    let mut bytes = Vec::new();
    let mut sink = MsgPackSink::new(&mut bytes);
    data.serialize(Spread(&mut sink))?;
    let len = sink.len();
    Ok((bytes.into(), len))
}

/// The serializer for the outermost value.
pub(crate) struct Spread<'s, S>(pub(crate) &'s mut S);

type Writer<'s, S> = <S as Sink>::Writer<'s>;

/// Hands a scalar on as one argument.
macro_rules! one_argument {
    ($($method:ident $ty:ty),*) => {$(
        fn $method(self, v: $ty) -> Result<(), EncodeError> {
            self.0.next().$method(v)
        }
    )*};
}

impl<'s, S: Sink + 's> Serializer for Spread<'s, S> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = <Writer<'s, S> as Serializer>::SerializeSeq;
    type SerializeTuple = SpreadTuple<'s, S>;
    type SerializeTupleStruct = <Writer<'s, S> as Serializer>::SerializeTupleStruct;
    type SerializeTupleVariant = <Writer<'s, S> as Serializer>::SerializeTupleVariant;
    type SerializeMap = <Writer<'s, S> as Serializer>::SerializeMap;
    type SerializeStruct = <Writer<'s, S> as Serializer>::SerializeStruct;
    type SerializeStructVariant = <Writer<'s, S> as Serializer>::SerializeStructVariant;

    one_argument!(
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32,
        serialize_i64 i64, serialize_i128 i128, serialize_u8 u8, serialize_u16 u16,
        serialize_u32 u32, serialize_u64 u64, serialize_u128 u128, serialize_f32 f32,
        serialize_f64 f64, serialize_char char, serialize_str &str, serialize_bytes &[u8]
    );

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.0.next().serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<(), EncodeError> {
        self.0.next().serialize_some(v)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.0.next().serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        v: &T,
    ) -> Result<(), EncodeError> {
        if name == bridge::RAW_ARGS
            && let Some(args) = bridge::request(v)
        {
            return self.0.splice(&args);
        }
        v.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        v: &T,
    ) -> Result<(), EncodeError> {
        let writer = self.0.next();
        writer.serialize_newtype_variant(name, index, variant, v)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, EncodeError> {
        self.0.next().serialize_seq(len)
    }

    fn serialize_tuple(self, _: usize) -> Result<SpreadTuple<'s, S>, EncodeError> {
        Ok(SpreadTuple(self.0))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, EncodeError> {
        self.0.next().serialize_tuple_struct(name, len)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, EncodeError> {
        let writer = self.0.next();
        writer.serialize_tuple_variant(name, index, variant, len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, EncodeError> {
        self.0.next().serialize_map(len)
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, EncodeError> {
        self.0.next().serialize_struct(name, len)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, EncodeError> {
        let writer = self.0.next();
        writer.serialize_struct_variant(name, index, variant, len)
    }
}

/// The outermost tuple: each item is an argument.
pub(crate) struct SpreadTuple<'s, S>(&'s mut S);

impl<S: Sink> SerializeTuple for SpreadTuple<'_, S> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), EncodeError> {
        v.serialize(self.0.next())
    }

    fn end(self) -> Result<(), EncodeError> {
        Ok(())
    }
}
