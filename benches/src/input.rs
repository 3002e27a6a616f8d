//! The data that operations work on, made by rule so that it is the same everywhere.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A member of a list as chat or game clients send it: short keys, numbers, a little text.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Item {
    /// A number of a few digits.
    pub id: u32,
    /// A short name.
    pub name: String,
    /// A number with a fraction.
    pub score: f64,
    /// A flag.
    pub active: bool,
}

/// Text of this many bytes, without anything that JSON escapes.
#[must_use]
pub fn text(len: usize) -> String {
    let alphabet = b"the quick brown fox jumps over the lazy dog 0123456789 ";
    alphabet
        .iter()
        .cycle()
        .take(len)
        .map(|&byte| char::from(byte))
        .collect()
}

/// Bytes of every value.
#[must_use]
pub fn binary(len: usize) -> Bytes {
    (0..len).map(|i| (i * 7 + i / 256) as u8).collect()
}

/// Items that take about `len` bytes as JSON.
#[must_use]
pub fn items(len: usize) -> Vec<Item> {
    const EACH: usize = 56;
    let names = ["ada", "grace", "linus", "barbara", "ken"];
    (0..(len / EACH) as u32)
        .map(|i| Item {
            id: 1000 + i * 37,
            name: names[i as usize % names.len()].to_owned(),
            score: f64::from(i) * 1.25 + 0.5,
            active: i % 3 == 0,
        })
        .collect()
}

/// A frame as a client sends it: masked.
///
/// # Panics
///
/// If the payload has more than 65,535 bytes.
#[must_use]
pub fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(len @ 0..=125) => frame.push(0x80 | len),
        _ => {
            let len = u16::try_from(payload.len()).expect("the payload fits two bytes of length");
            frame.push(0x80 | 126);
            frame.extend_from_slice(&len.to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_about_the_size_that_was_asked_for() {
        for len in [1024, 16 * 1024] {
            let json = serde_json::to_vec(&items(len)).expect("items are JSON");
            assert!(
                json.len().abs_diff(len) < len / 20,
                "{} bytes for {len}",
                json.len()
            );
        }
    }
}
