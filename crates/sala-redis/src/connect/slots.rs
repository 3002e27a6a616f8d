//! Which node of a Cluster owns which slot.

use redis::Value;

use super::text_of;

/// How many slots a Cluster has.
const SLOTS: u16 = 16_384;

/// The slot of a key or shard channel: the CRC of its hash tag, if it has one, or of all of it.
pub(crate) fn slot(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// What is between the first `{` and the next `}`, if that is anything.
fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|&b| b == b'{')? + 1;
    let len = key[open..].iter().position(|&b| b == b'}')?;
    (len > 0).then(|| &key[open..open + len])
}

/// CRC-16/XMODEM, as Redis uses it.
fn crc16(bytes: &[u8]) -> u16 {
    let step = |crc: u16, &byte: &u8| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)];
    bytes.iter().fold(0, step)
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc << 1) ^ if crc & 0x8000 != 0 { 0x1021 } else { 0 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// The owners of all slots.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotMap {
    /// First and last slot of a range, and its owner, in order.
    ranges: Vec<(u16, u16, Address)>,
    /// All nodes, replicas as well.
    pub(crate) nodes: Vec<Address>,
}

/// Host and port of a node.
pub(crate) type Address = (String, u16);

impl SlotMap {
    /// Reads the reply of `CLUSTER SLOTS`. A node that does not know its own address is at `asked`.
    pub(crate) fn of(reply: &Value, asked: &str) -> Self {
        let mut map = Self::default();
        for range in items(reply) {
            let [Value::Int(first), Value::Int(last), nodes @ ..] = items(range) else {
                continue;
            };
            let addresses = nodes.iter().filter_map(|node| address(node, asked));
            let addresses: Vec<_> = addresses.collect();
            for node in &addresses {
                if !map.nodes.contains(node) {
                    map.nodes.push(node.clone());
                }
            }
            let range = (u16::try_from(*first), u16::try_from(*last));
            if let ((Ok(first), Ok(last)), Some(owner)) = (range, addresses.into_iter().next()) {
                map.ranges.push((first, last, owner));
            }
        }
        map.ranges.sort_unstable();
        map
    }

    /// Who owns a slot, if anybody does.
    pub(crate) fn owner(&self, slot: u16) -> Option<&Address> {
        let after = self.ranges.partition_point(|(first, ..)| *first <= slot);
        let (_, last, owner) = self.ranges.get(after.checked_sub(1)?)?;
        (slot <= *last).then_some(owner)
    }
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        _ => &[],
    }
}

fn address(node: &Value, asked: &str) -> Option<Address> {
    let [host, Value::Int(port), ..] = items(node) else {
        return None;
    };
    let host = match text_of(host) {
        // Unknown to the node itself, or not to be told: then the one that we asked under.
        None | Some("" | "?") => asked,
        Some(host) => host,
    };
    Some((host.to_owned(), u16::try_from(*port).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_that_redis_computes() {
        // From `CLUSTER KEYSLOT` of Redis 7.0.15.
        for (key, expected) in [
            ("", 0),
            ("123456789", 12739),
            ("foo", 12182),
            ("{foo}bar", 12182),
            ("a{foo}{bar}", 12182),
            ("{}foo", 9500),
        ] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), Value::Nil])
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn owners_are_found_in_gaps_and_replicas_are_known() {
        let reply = Value::Array(vec![
            Value::Array(vec![Value::Int(100), Value::Int(200), node(Value::Nil, 2)]),
            Value::Array(vec![
                Value::Int(0),
                Value::Int(50),
                node(text("a"), 1),
                node(text("b"), 3),
            ]),
            Value::Array(vec![Value::Int(300)]),
            Value::Nil,
        ]);
        let map = SlotMap::of(&reply, "asked");
        let owner = |slot| map.owner(slot).map(|(host, port)| format!("{host}:{port}"));
        assert_eq!(owner(0).as_deref(), Some("a:1"));
        assert_eq!(owner(50).as_deref(), Some("a:1"));
        assert_eq!(owner(51), None);
        assert_eq!(owner(150).as_deref(), Some("asked:2"));
        assert_eq!(owner(201), None);
        assert_eq!(map.nodes.len(), 3);
        assert_eq!(SlotMap::of(&Value::Nil, "x"), SlotMap::default());
    }
}
