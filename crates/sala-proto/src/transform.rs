//! Functions of the user that change data on its way into or out of JSON text.

use std::sync::Arc;

use crate::{DecodeError, Packet, Value, ValuePacket};

/// Changes a value on its way into or out of JSON text, as the functions that JavaScript hands to
/// `JSON.stringify` and `JSON.parse`: called with the name of a member, the index of an item or, for
/// the whole, the empty string. `None` leaves a member out and makes an item null.
pub type Transform = Arc<dyn Fn(&str, Value) -> Option<Value> + Send + Sync>;

/// Applies a replacer: to the value first, then to what is inside the result.
pub(crate) fn replace(replacer: &Transform, key: &str, value: Value) -> Option<Value> {
    Some(match replacer(key, value)? {
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(i, item)| replace(replacer, &i.to_string(), item).unwrap_or_default())
                .collect(),
        ),
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter_map(|(key, value)| {
                    let value = replace(replacer, &key, value)?;
                    Some((key, value))
                })
                .collect(),
        ),
        value => value,
    })
}

/// Applies a reviver: to what is inside the value first, then to the result.
fn revive(reviver: &Transform, key: &str, value: Value) -> Option<Value> {
    let value = match value {
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(i, item)| revive(reviver, &i.to_string(), item).unwrap_or_default())
                .collect(),
        ),
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter_map(|(key, value)| {
                    let value = revive(reviver, &key, value)?;
                    Some((key, value))
                })
                .collect(),
        ),
        value => value,
    };
    reviver(key, value)
}

/// Applies a reviver to the data of a decoded packet and checks the result.
pub(crate) fn revive_packet(
    reviver: &Transform,
    packet: Packet<'_>,
) -> Result<Packet<'static>, DecodeError> {
    if packet.data.is_none() {
        return Ok(packet.into_owned());
    }
    let mut packet = ValuePacket::from(packet);
    packet.data = packet.data.and_then(|data| revive(reviver, "", data));
    packet.into_packet()
}
