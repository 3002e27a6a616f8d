//! Arguments into types: a tuple spreads, `()` takes anything, all else takes the first argument.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::SeqDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{Args, Repr};
use crate::json::{RAW_VALUE, read_value};
use crate::value::Tree;
use crate::{ArgsError, Value, bridge};

/// The arguments as one thing that a type deserializes from.
pub(crate) struct ArgsDeserializer<'s> {
    args: &'s Args<'s>,
}

impl<'s> ArgsDeserializer<'s> {
    pub(crate) fn new(args: &'s Args<'_>) -> Self {
        Self { args }
    }

    /// JSON text from the first argument on, if there is one and no attachment.
    fn first_json(&self) -> Option<&'s str> {
        match &self.args.repr {
            Repr::Json(json) if json.attached.is_none() && json.len > 0 => {
                Some(&json.text[json.inner.start..])
            }
            _ => None,
        }
    }

    fn first_tree(&self) -> Option<Tree> {
        self.first_value().map(Tree::new)
    }

    fn first_value(&self) -> Option<Value> {
        match &self.args.repr {
            Repr::Values(values) => values.first().cloned(),
            Repr::Json(json) => json.attached_values()?.first().cloned(),
            Repr::MsgPack(args) => args.values(args.len.min(1)).pop(),
        }
    }
}

/// Hands the call on to the first argument; what follows it in the text is never looked at.
macro_rules! first_argument {
    ($($method:ident ( $($arg:ident : $ty:ty),* );)*) => {$(
        fn $method<V: Visitor<'de>>(self $(, $arg: $ty)*, visitor: V) -> Result<V::Value, ArgsError> {
            if let Some(text) = self.first_json() {
                let mut json = serde_json::Deserializer::from_str(text);
                return Ok(json.$method($($arg,)* visitor)?);
            }
            match self.first_tree() {
                Some(tree) => tree.$method($($arg,)* visitor),
                None => Missing::<ArgsError>::new(1).$method($($arg,)* visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for ArgsDeserializer<'de> {
    type Error = ArgsError;

    first_argument! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_seq();
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        if name == bridge::RAW_ARGS {
            bridge::offer(self.args.clone().into_owned());
            return visitor.visit_unit();
        }
        if name == bridge::VALUE {
            let read = self.first_json().map(read_value);
            if let Some(value) = read.or_else(|| self.first_value()) {
                bridge::offer_value(value);
                return visitor.visit_unit();
            }
        }
        match self.first_json() {
            Some(text) if name == RAW_VALUE => {
                let mut json = serde_json::Deserializer::from_str(text);
                Ok(json.deserialize_newtype_struct(name, visitor)?)
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        let args: &'de Args<'de> = self.args;
        if let Repr::Json(json) = &args.repr
            && json.attached.is_none()
            && json.list
        {
            let spread = Spread {
                visitor,
                skip: json.skip,
                len,
            };
            let mut json = serde_json::Deserializer::from_str(&json.text);
            return Ok(json.deserialize_seq(spread)?);
        }
        let trees = args.to_values().into_iter().map(Tree::new);
        visitor.visit_seq(Positional::new(SeqDeserializer::new(trees), len))
    }
}

/// Visits the whole list of a packet: drops the event's name, hands the arguments on, and drops
/// those that nobody wanted.
struct Spread<V> {
    visitor: V,
    skip: bool,
    len: usize,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Spread<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<V::Value, A::Error> {
        if self.skip {
            seq.next_element::<IgnoredAny>()?;
        }
        let value = self
            .visitor
            .visit_seq(Positional::new(&mut seq, self.len))?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(value)
    }
}

/// Exactly `len` items: those that are there, and then missing ones.
struct Positional<A> {
    seq: A,
    taken: usize,
    len: usize,
}

impl<A> Positional<A> {
    fn new(seq: A, len: usize) -> Self {
        Self { seq, taken: 0, len }
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Positional<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        if self.taken == self.len {
            return Ok(None);
        }
        self.taken += 1;
        let mut seed = Some(seed);
        let value = self
            .seq
            .next_element_seed(Lent(&mut seed))
            .map_err(|error| A::Error::custom(format_args!("argument {}: {error}", self.taken)))?;
        match (value, seed) {
            (None, Some(seed)) => seed.deserialize(Missing::new(self.taken)).map(Some),
            (value, _) => Ok(value),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.taken)
    }
}

/// A seed that is still there afterwards if there was no item for it.
struct Lent<'s, S>(&'s mut Option<S>);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Lent<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        match self.0.take() {
            Some(seed) => seed.deserialize(deserializer),
            None => Err(D::Error::custom("an item was read twice")),
        }
    }
}

/// An argument that the peer did not send.
struct Missing<E> {
    position: usize,
    error: PhantomData<E>,
}

impl<E> Missing<E> {
    fn new(position: usize) -> Self {
        Self {
            position,
            error: PhantomData,
        }
    }
}

impl<'de, E: serde::de::Error> Deserializer<'de> for Missing<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(E::custom(format_args!(
            "argument {} is missing",
            self.position
        )))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit_struct seq tuple tuple_struct map struct enum identifier
    }
}
