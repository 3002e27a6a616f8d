//! Arguments as data: between our own codecs as they are, with any other format as a list.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{Args, RawArgs};
use crate::{Value, bridge};

impl Serialize for Args<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(bridge::RAW_ARGS, &Announced(self))
    }
}

struct Announced<'s, 'a>(&'s Args<'a>);

impl Serialize for Announced<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if bridge::wanted() {
            bridge::offer(self.0.clone().into_owned());
            return serializer.serialize_unit();
        }
        serializer.collect_seq(self.0.to_values())
    }
}

impl<'de> Deserialize<'de> for RawArgs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(bridge::RAW_ARGS, RawArgsVisitor)
    }
}

struct RawArgsVisitor;

impl<'de> Visitor<'de> for RawArgsVisitor {
    type Value = RawArgs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of arguments")
    }

    /// From our own deserializer, which left the arguments for us.
    fn visit_unit<E: serde::de::Error>(self) -> Result<RawArgs, E> {
        bridge::collect().ok_or_else(|| E::invalid_type(serde::de::Unexpected::Unit, &self))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<RawArgs, D::Error> {
        Vec::<Value>::deserialize(d).map(Args::from_values)
    }
}
