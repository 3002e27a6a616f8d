//! The shortest form of each value, as notepack.io writes it.

use crate::Number;

pub(crate) fn write_uint(out: &mut Vec<u8>, n: u64) {
    match n {
        0..=0x7f => out.push(n as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, n as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend_from_slice(&n.to_be_bytes());
        }
    }
}

pub(crate) fn write_int(out: &mut Vec<u8>, n: i64) {
    match n {
        0.. => write_uint(out, n as u64),
        -0x20..0 => out.push(n as u8),
        -0x80..-0x20 => out.extend_from_slice(&[0xd0, n as u8]),
        -0x8000..-0x80 => {
            out.push(0xd1);
            out.extend_from_slice(&(n as i16).to_be_bytes());
        }
        -0x8000_0000..-0x8000 => {
            out.push(0xd2);
            out.extend_from_slice(&(n as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&n.to_be_bytes());
        }
    }
}

/// JavaScript has one type of number: a float without fraction is an integer. Beyond 64 bits
/// notepack.io wraps around; this keeps the float.
pub(crate) fn write_float(out: &mut Vec<u8>, n: f64) {
    match Number::Float(n) {
        number if number.as_i64().is_some() => write_int(out, n as i64),
        number if number.as_u64().is_some() => write_uint(out, n as u64),
        _ => {
            out.push(0xcb);
            out.extend_from_slice(&n.to_be_bytes());
        }
    }
}

pub(crate) fn write_number(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Int(n) => write_int(out, n),
        Number::UInt(n) => write_uint(out, n),
        Number::Float(n) => write_float(out, n),
    }
}

/// The marker of a value with a length, in the shortest of its forms. Lists and maps have none with
/// one byte of length. Four gigabytes do not fit a message, so four bytes are always enough.
pub(crate) fn write_len(out: &mut Vec<u8>, len: usize, one: Option<u8>, two: u8, four: u8) {
    match (len, one) {
        (0..=0xff, Some(one)) => out.extend_from_slice(&[one, len as u8]),
        (0..=0xffff, _) => {
            out.push(two);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(four);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

pub(crate) fn write_str(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        len @ 0..=31 => out.push(0xa0 | len as u8),
        len => write_len(out, len, Some(0xd9), 0xda, 0xdb),
    }
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn write_bin(out: &mut Vec<u8>, bytes: &[u8]) {
    write_len(out, bytes.len(), Some(0xc4), 0xc5, 0xc6);
    out.extend_from_slice(bytes);
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    List,
    Map,
}

/// The marker of a list or map, written before its length is known for sure.
pub(crate) struct Head {
    kind: Kind,
    at: usize,
    /// What the marker says, and what was really written.
    declared: usize,
    pub(crate) len: usize,
}

impl Head {
    pub(crate) fn open(out: &mut Vec<u8>, kind: Kind, len: Option<usize>) -> Self {
        let head = Self {
            kind,
            at: out.len(),
            declared: len.unwrap_or(0),
            len: 0,
        };
        write_head(out, kind, head.declared);
        head
    }

    /// Corrects the marker if another number of items came than was announced. That moves what was
    /// written if the marker grows, which is rare: types know their length.
    pub(crate) fn close(&self, out: &mut Vec<u8>) {
        if self.len == self.declared {
            return;
        }
        if self.len.max(self.declared) <= MAX_SHORT {
            out[self.at] = short_marker(self.kind, self.len);
        } else {
            let mut head = Vec::new();
            write_head(&mut head, self.kind, self.declared);
            let old = self.at..self.at + head.len();
            head.clear();
            write_head(&mut head, self.kind, self.len);
            out.splice(old, head);
        }
    }
}

/// The most items that a marker of one byte can say.
pub(super) const MAX_SHORT: usize = 15;

/// The marker of at most [`MAX_SHORT`] items.
pub(super) fn short_marker(kind: Kind, len: usize) -> u8 {
    match kind {
        Kind::List => 0x90 | len as u8,
        Kind::Map => 0x80 | len as u8,
    }
}

pub(crate) fn write_head(out: &mut Vec<u8>, kind: Kind, len: usize) {
    match kind {
        _ if len <= MAX_SHORT => out.push(short_marker(kind, len)),
        Kind::List => write_len(out, len, None, 0xdc, 0xdd),
        Kind::Map => write_len(out, len, None, 0xde, 0xdf),
    }
}
