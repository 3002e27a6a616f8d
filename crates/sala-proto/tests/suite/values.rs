//! Values for tests: those of the vectors, and random ones. Shared by the suites of several crates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sala_proto::{Object, Value};

/// Base64 as the vectors have it.
pub(crate) fn base64(text: &str) -> Bytes {
    STANDARD
        .decode(text)
        .expect("the vectors hold base64")
        .into()
}

/// Makes values of the vectors' notation for what JSON lacks; `None` for `undefined`.
pub(crate) fn from_notation(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| from_notation(item).unwrap_or_default())
                .collect(),
        ),
        Value::Object(object) => {
            let (key, inner) = object.iter().next().unwrap_or(("", &Value::Null));
            let inner = inner.as_str().unwrap_or_default();
            match key {
                "$undefined" => return None,
                "$binary" | "$arraybuffer" => Value::Binary(base64(inner)),
                "$date" => Value::from(inner),
                "$number" => Value::from(match inner {
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    "-0" => -0.0,
                    _ => f64::NAN,
                }),
                _ => Value::Object(
                    object
                        .iter()
                        .filter_map(|(key, value)| Some((key, from_notation(value)?)))
                        .collect::<Object>(),
                ),
            }
        }
        value => value.clone(),
    })
}

/// Pseudo-random numbers from a seed (splitmix64): tests must repeat exactly.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn text(&mut self) -> String {
        const CHARS: [char; 12] = [
            'a', 'Z', '"', '\\', '\n', '\u{1}', '\u{7f}', 'é', '€', '\u{2028}', '😀', ' ',
        ];
        (0..self.below(12))
            .map(|_| CHARS[self.below(12) as usize])
            .collect()
    }

    /// A tree of bounded size, all kinds of values in it.
    pub(crate) fn value(&mut self, depth: u64) -> Value {
        match self.below(if depth == 0 { 8 } else { 10 }) {
            0 => Value::Null,
            1 => (self.below(2) == 0).into(),
            2 => (self.next() as i64 >> self.below(64)).into(),
            3 => (self.next() >> self.below(64)).into(),
            4 => {
                let float = f64::from_bits(self.next());
                // A whole float comes back as an integer.
                if float.is_finite() && float.fract() != 0.0 {
                    float.into()
                } else {
                    0.5.into()
                }
            }
            5 => Value::Binary((0..self.below(5)).map(|n| n as u8).collect()),
            6 | 7 => self.text().into(),
            8 => Value::Array((0..self.below(5)).map(|_| self.value(depth - 1)).collect()),
            _ => Value::Object(
                (0..self.below(5))
                    .map(|_| (self.text(), self.value(depth - 1)))
                    .collect(),
            ),
        }
    }
}
