//! V8's structured clones, as far as messages between Node.js processes need them
//! (`serialization: "advanced"`).

use bytes::Bytes;
use sala_proto::{Number, Object, Value, wire};

/// How deep values may lie in each other.
const MAX_DEPTH: usize = 100;
/// How many bytes a message may take beyond those that it has: for values that are referred to more than
/// once, and for the holes of arrays.
const MAX_MADE: usize = 32 << 20;
/// Version 15 of the format, which every Node.js since 16 reads and writes.
const HEADER: [u8; 2] = [0xff, 0x0f];
const OLDEST: u8 = 13;
/// Node.js puts this before a host object that is a view of bytes, and the next before any other.
const VIEW: u32 = 0;
const PLAIN: u32 = 1;
/// The index of `Buffer` among the kinds of views.
const BUFFER: u32 = 10;

/// The bytes are no structured clone that makes sense here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Writes a value.
pub(crate) fn write(value: &Value, out: &mut Vec<u8>) {
    out.extend(HEADER);
    put(value, out);
}

fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'0'),
        Value::Bool(true) => out.push(b'T'),
        Value::Bool(false) => out.push(b'F'),
        Value::Number(number) => put_number(*number, out),
        Value::String(text) => put_text(text, out),
        Value::Binary(bytes) => {
            out.push(b'\\');
            put_varint(VIEW, out);
            put_varint(BUFFER, out);
            put_varint(bytes.len() as u32, out);
            out.extend_from_slice(bytes);
        }
        Value::Array(items) => {
            out.push(b'A');
            put_varint(items.len() as u32, out);
            for item in items {
                put(item, out);
            }
            out.push(b'$');
            put_varint(0, out);
            put_varint(items.len() as u32, out);
        }
        Value::Object(object) => {
            out.push(b'o');
            for (key, value) in object.iter() {
                put_text(key, out);
                put(value, out);
            }
            out.push(b'{');
            put_varint(object.len() as u32, out);
        }
    }
}

fn put_number(number: Number, out: &mut Vec<u8>) {
    let small = match number {
        Number::Int(int) => i32::try_from(int).ok(),
        Number::UInt(_) | Number::Float(_) => None,
    };
    match small {
        Some(int) => {
            out.push(b'I');
            put_varint(((int << 1) ^ (int >> 31)) as u32, out);
        }
        None => {
            out.push(b'N');
            out.extend(number.as_f64().to_le_bytes());
        }
    }
}

/// Texts are written as UTF-8, which V8 reads, though it writes others itself.
fn put_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'S');
    put_varint(text.len() as u32, out);
    out.extend_from_slice(text.as_bytes());
}

fn put_varint(mut number: u32, out: &mut Vec<u8>) {
    while number > 127 {
        out.push(number as u8 | 128);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a value. What JSON does not know becomes what `JSON.stringify` makes of it, but bytes stay.
pub(crate) fn read(bytes: &Bytes) -> Result<Value, Malformed> {
    let mut reader = Reader {
        bytes,
        at: 0,
        seen: Vec::new(),
        refers: memchr::memchr(b'^', bytes).is_some(),
        budget: MAX_MADE,
    };
    if reader.byte()? != HEADER[0] || !(OLDEST..=HEADER[1]).contains(&reader.byte()?) {
        return Err(Malformed);
    }
    let value = reader.value(0)?;
    Ok(value.unwrap_or(Value::Null))
}

struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
    /// Objects by their number: one that is referred to a second time is written as a reference.
    seen: Vec<Option<Value>>,
    /// Whether there may be references at all.
    refers: bool,
    /// How many bytes may still be made of few: lists of lists that are referred to twice grow fast.
    budget: usize,
}

impl Reader<'_> {
    /// A value; `None` for `undefined`.
    fn value(&mut self, depth: usize) -> Result<Option<Value>, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed);
        }
        let tag = self.tag()?;
        Ok(Some(match tag {
            b'_' | b'-' => return Ok(None),
            b'0' => Value::Null,
            b'T' => Value::Bool(true),
            b'F' => Value::Bool(false),
            b'I' => {
                let zigzag = self.varint()?;
                Value::from(i64::from((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32)))
            }
            b'U' => Value::from(i64::from(self.varint()?)),
            b'N' => number(self.double()?),
            b'S' | b'"' | b'c' => self.text_of(tag)?.into(),
            _ => return self.object(tag, depth).map(Some),
        }))
    }

    /// What has a number by which it can be referred to.
    fn object(&mut self, tag: u8, depth: usize) -> Result<Value, Malformed> {
        if tag == b'^' {
            let number = self.varint()? as usize;
            // One that is not complete would contain itself.
            let value = self.seen.get(number).cloned().flatten().ok_or(Malformed)?;
            self.spend(&value)?;
            return Ok(value);
        }
        let number = self.seen.len();
        self.seen.push(None);
        let value = match tag {
            b'o' => Value::Object(self.members(b'{', depth)?),
            b'A' => {
                let len = self.varint()?;
                let mut items = Vec::new();
                for _ in 0..len {
                    items.push(self.value(depth + 1)?.unwrap_or(Value::Null));
                }
                self.members(b'$', depth)?;
                self.varint()?;
                Value::Array(items)
            }
            b'a' => self.sparse(depth)?,
            b'D' => date(self.double()?),
            b'B' => {
                let len = self.varint()? as usize;
                let buffer = Value::Binary(self.take(len)?);
                self.skip_view()?;
                buffer
            }
            b'\\' => match self.varint()? {
                VIEW => {
                    let _kind = self.varint()?;
                    let len = self.varint()? as usize;
                    Value::Binary(self.take(len)?)
                }
                PLAIN => self.value(depth + 1)?.unwrap_or(Value::Null),
                _ => return Err(Malformed),
            },
            _ => return Err(Malformed),
        };
        if self.refers {
            self.spend(&value)?;
            self.seen[number] = Some(value.clone());
        }
        Ok(value)
    }

    fn spend(&mut self, copied: &Value) -> Result<(), Malformed> {
        self.allow(copied.weight())
    }

    fn allow(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.budget = self.budget.checked_sub(bytes).ok_or(Malformed)?;
        Ok(())
    }

    /// Members up to the tag that ends them. `undefined` leaves one out, as in JSON.
    fn members(&mut self, end: u8, depth: usize) -> Result<Object, Malformed> {
        let mut object = Object::new();
        loop {
            let tag = self.tag()?;
            if tag == end {
                self.varint()?;
                return Ok(object);
            }
            let key = match tag {
                b'I' => ((self.varint()? >> 1) as i32).to_string(),
                b'U' => self.varint()?.to_string(),
                b'N' => self.double()?.to_string(),
                tag => self.text_of(tag)?,
            };
            if let Some(value) = self.value(depth + 1)? {
                object.insert(key, value);
            }
        }
    }

    /// An array with holes: its members are numbered.
    fn sparse(&mut self, depth: usize) -> Result<Value, Malformed> {
        let len = self.varint()? as usize;
        let members = self.members(b'@', depth)?;
        if self.varint()? as usize != len {
            return Err(Malformed);
        }
        self.allow(len.checked_mul(size_of::<Value>()).ok_or(Malformed)?)?;
        let mut items = vec![Value::Null; len];
        for (key, value) in members.iter() {
            if let Some(item) = key.parse().ok().and_then(|at: usize| items.get_mut(at)) {
                *item = value.clone();
            }
        }
        Ok(Value::Array(items))
    }

    /// A view that follows its buffer tells nothing that is needed here.
    fn skip_view(&mut self) -> Result<(), Malformed> {
        if self.bytes.get(self.at) == Some(&b'V') {
            self.at += 2;
            for _ in 0..3 {
                self.varint()?;
            }
        }
        Ok(())
    }

    /// The next tag, behind padding.
    fn tag(&mut self) -> Result<u8, Malformed> {
        loop {
            match self.byte()? {
                0 => {}
                tag => return Ok(tag),
            }
        }
    }

    fn text_of(&mut self, tag: u8) -> Result<String, Malformed> {
        let len = self.varint()? as usize;
        let bytes = self.take(len)?;
        match tag {
            b'S' => String::from_utf8(bytes.into()).map_err(|_| Malformed),
            b'"' => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
            b'c' if len.is_multiple_of(2) => {
                let units = bytes
                    .chunks_exact(2)
                    .map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
                let text = char::decode_utf16(units);
                Ok(text
                    .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect())
            }
            _ => Err(Malformed),
        }
    }

    fn double(&mut self) -> Result<f64, Malformed> {
        let bytes = self.take(8)?;
        let bytes: [u8; 8] = (*bytes).try_into().map_err(|_| Malformed)?;
        Ok(f64::from_le_bytes(bytes))
    }

    fn varint(&mut self) -> Result<u32, Malformed> {
        let mut number = 0_u32;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= u32::from(byte & 127).checked_shl(shift).unwrap_or(0);
            if byte < 128 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = self.bytes.get(self.at).ok_or(Malformed)?;
        self.at += 1;
        Ok(*byte)
    }

    fn take(&mut self, len: usize) -> Result<Bytes, Malformed> {
        let end = self.at.checked_add(len).ok_or(Malformed)?;
        if end > self.bytes.len() {
            return Err(Malformed);
        }
        let taken = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(taken)
    }
}

/// As `JSON.stringify` writes it, by the one who knows how: a MessagePack timestamp of milliseconds.
fn date(millis: f64) -> Value {
    if !millis.is_finite() {
        return Value::Null;
    }
    let millis = millis as i64;
    let nanos = (millis.rem_euclid(1000) * 1_000_000) as u32;
    let mut stamp = vec![0xc7, 12, 0xff];
    stamp.extend(nanos.to_be_bytes());
    stamp.extend(millis.div_euclid(1000).to_be_bytes());
    let stamp = Bytes::from(stamp);
    wire::Reader::msgpack(&stamp).value().unwrap_or_default()
}

/// Whole numbers become integers, as in JSON.
fn number(double: f64) -> Value {
    if double.fract() == 0.0 && double.abs() < 9e15 {
        Value::from(double as i64)
    } else if double.is_finite() {
        Value::Number(Number::Float(double))
    } else {
        Value::Null
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Bytes {
        let digits: Vec<u8> = text
            .bytes()
            .map(|d| (d as char).to_digit(16).unwrap() as u8)
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    fn json(value: serde_json::Value) -> Value {
        serde_json::from_value(value).unwrap()
    }

    /// Written by Node.js 20: numbers, texts of one and two bytes, a list, a Buffer, a date, and a list
    /// that is referred to twice.
    #[test]
    fn what_node_writes_is_read() {
        let bytes = hex(concat!(
            "ff0f6f22016149022201622201e9220163006302e565220164410549024e000000000000044030",
            "5f542400052201664901220167",
            "4e000000000000e0412201684400000000000014407b08"
        ));
        let expected = serde_json::json!({
            "a": 1, "b": "é", "c": "日", "d": [1, 2.5, null, null, true], "f": -1,
            "g": 2_147_483_648_u32, "h": "1970-01-01T00:00:00.005Z"
        });
        assert_eq!(read(&bytes), Ok(json(expected)));
        // {x: list, y: list} with one list.
        let twice = hex("ff0f6f220178410149022400012201795e017b02");
        assert_eq!(
            read(&twice),
            Ok(json(serde_json::json!({ "x": [1], "y": [1] })))
        );
    }

    #[test]
    fn values_survive_the_round_trip_and_cut_ones_are_refused() {
        let mut value = json(serde_json::json!({
            "text": "日本 é", "numbers": [0, -1, 127, 128, i32::MAX, i32::MIN, 1e300, 0.5, 1_u64 << 40],
            "deep": [[[{}]]], "no": null, "yes": true
        }));
        if let Value::Object(object) = &mut value {
            object.insert("bytes", Value::Binary(Bytes::from(vec![7; 300])));
        }
        let mut out = Vec::new();
        write(&value, &mut out);
        let out = Bytes::from(out);
        assert_eq!(read(&out), Ok(value));
        for len in 0..out.len() {
            assert_eq!(read(&out.slice(..len)), Err(Malformed), "{len}");
        }
    }

    #[test]
    fn hostile_bytes_are_refused_in_bounded_space() {
        let deep = [&[0xff, 15][..], &[b'A', 1].repeat(100_000)].concat();
        // A thousand arrays of 15,000 holes each, in 12 KB.
        let hole = b"a\x98\x75@\x00\x98\x75";
        let holes = [
            &b"\xff\x0fA\xe8\x07"[..],
            &hole.repeat(1000),
            b"$\x00\xe8\x07",
        ]
        .concat();
        for bytes in [
            &b""[..],
            b"\xff\x0f",
            b"\xff\x10T",
            b"\xff\x0f^\x00",
            b"\xff\x0fo\"\x01a^\x00{\x01",
            b"\xff\x0fA\xff\xff\xff\xff\x0f",
            b"\xff\x0fa\xff\xff\xff\xff\x0f@\x00\xff\xff\xff\xff\x0f",
            b"\xff\x0fS\xff\xff\xff\xff\x0fa",
            b"\xff\x0fI\xff\xff\xff\xff\xff\xff",
            b"\xff\x0f\\\x02",
            b"\xff\x0fB\x01aV",
            &deep,
            &holes,
        ] {
            assert_eq!(
                read(&Bytes::copy_from_slice(bytes)),
                Err(Malformed),
                "{bytes:?}"
            );
        }
    }
}
