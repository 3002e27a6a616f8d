//! One pass over JSON text: is it valid, how deep is it, where are the first items of its list.
//!
//! No recursion and, up to 64 levels, no allocation.

/// What was found. Positions are bytes of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The first byte of the value: tells its type.
    pub(crate) first_byte: u8,
    /// The value without the white space around it.
    pub(crate) value: Item,
    /// If the value is a list: how many items it has.
    pub(crate) len: usize,
    /// If the value is a list: its first item, or an empty range.
    pub(crate) first: Item,
    /// If the value is a list of two or more: where the second item starts. Otherwise where the
    /// closing bracket is.
    pub(crate) rest: usize,
}

/// A range of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScanError {
    /// Not JSON, or something behind it.
    Invalid,
    TooDeep,
}

use ScanError::{Invalid, TooDeep};

/// Which containers are open, one bit each: set for an object.
struct Open {
    depth: usize,
    max: usize,
    bits: u64,
    /// Bits of the levels further out, 64 at a time.
    outer: Vec<u64>,
}

impl Open {
    fn push(&mut self, object: bool) -> Result<(), ScanError> {
        if self.depth >= self.max {
            return Err(TooDeep);
        }
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(object);
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.depth -= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or_default();
        } else {
            self.bits >>= 1;
        }
    }

    fn in_object(&self) -> bool {
        self.bits & 1 == 1
    }
}

/// Checks that `text` is one JSON value, as strictly as `JSON.parse`. Strings are not checked for
/// lone surrogates, which JavaScript allows. The text must be UTF-8.
pub(crate) fn scan(text: &[u8], max_depth: usize) -> Result<Scan, ScanError> {
    let start = skip_space(text, 0);
    let first_byte = *text.get(start).ok_or(Invalid)?;
    let top_list = first_byte == b'[';
    let mut open = Open {
        depth: 0,
        max: max_depth,
        bits: 0,
        outer: Vec::new(),
    };
    let mut len = 0;
    let mut first = Item::default();
    let mut rest = 0;
    let mut at = start;

    'value: loop {
        // Here a value must start.
        if open.depth == 1 && top_list {
            len += 1;
            match len {
                1 => first.start = at,
                2 => rest = at,
                _ => {}
            }
        }
        match *text.get(at).ok_or(Invalid)? {
            b'"' => at = skip_string(text, at)?,
            b'{' => {
                open.push(true)?;
                at = skip_space(text, at + 1);
                if text.get(at) != Some(&b'}') {
                    at = skip_key(text, at)?;
                    continue 'value;
                }
                open.pop();
                at += 1;
            }
            b'[' => {
                open.push(false)?;
                at = skip_space(text, at + 1);
                if text.get(at) != Some(&b']') {
                    continue 'value;
                }
                open.pop();
                at += 1;
            }
            b'-' | b'0'..=b'9' => at = skip_number(text, at)?,
            b't' => at = skip_word(text, at, b"true")?,
            b'f' => at = skip_word(text, at, b"false")?,
            b'n' => at = skip_word(text, at, b"null")?,
            _ => return Err(Invalid),
        }
        // Here a value has ended.
        loop {
            if open.depth == 0 {
                break 'value;
            }
            if open.depth == 1 && len == 1 && first.end == 0 {
                first.end = at;
            }
            at = skip_space(text, at);
            match (text.get(at), open.in_object()) {
                (Some(b','), true) => {
                    at = skip_key(text, skip_space(text, at + 1))?;
                    continue 'value;
                }
                (Some(b','), false) => {
                    at = skip_space(text, at + 1);
                    continue 'value;
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    open.pop();
                    at += 1;
                }
                _ => return Err(Invalid),
            }
        }
    }
    if skip_space(text, at) != text.len() {
        return Err(Invalid);
    }
    if len < 2 {
        rest = at - 1;
    }
    Ok(Scan {
        first_byte,
        value: Item { start, end: at },
        len,
        first,
        rest,
    })
}

#[inline]
pub(crate) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// A key and its colon; returns where the value starts.
fn skip_key(text: &[u8], at: usize) -> Result<usize, ScanError> {
    if text.get(at) != Some(&b'"') {
        return Err(Invalid);
    }
    let at = skip_space(text, skip_string(text, at)?);
    if text.get(at) != Some(&b':') {
        return Err(Invalid);
    }
    Ok(skip_space(text, at + 1))
}

/// A string whose quote is at `at`; returns what follows it.
pub(crate) fn skip_string(text: &[u8], at: usize) -> Result<usize, ScanError> {
    let mut at = at + 1;
    loop {
        at = find_special(text, at);
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => match text.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u') => {
                    let hex = text.get(at + 2..at + 6).ok_or(Invalid)?;
                    if !hex.iter().all(u8::is_ascii_hexdigit) {
                        return Err(Invalid);
                    }
                    at += 6;
                }
                _ => return Err(Invalid),
            },
            // A control character, or the end.
            _ => return Err(Invalid),
        }
    }
}

pub(crate) fn skip_number(text: &[u8], mut at: usize) -> Result<usize, ScanError> {
    if text[at] == b'-' {
        at += 1;
    }
    match text.get(at) {
        Some(b'0') => at += 1,
        Some(b'1'..=b'9') => at = skip_digits(text, at),
        _ => return Err(Invalid),
    }
    if text.get(at) == Some(&b'.') {
        at = some_digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = some_digits(text, at)?;
    }
    Ok(at)
}

fn skip_digits(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

fn some_digits(text: &[u8], at: usize) -> Result<usize, ScanError> {
    let end = skip_digits(text, at);
    if end == at { Err(Invalid) } else { Ok(end) }
}

fn skip_word(text: &[u8], at: usize, word: &[u8]) -> Result<usize, ScanError> {
    if text[at..].starts_with(word) {
        Ok(at + word.len())
    } else {
        Err(Invalid)
    }
}

/// The position of the next byte that means something in a string: a quote, a backslash or a
/// control character; or the end. Eight bytes at a time.
#[inline]
pub(crate) fn find_special(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    while let Some(chunk) = text.get(at..at + 8) {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        let word = u64::from_le_bytes(word);
        // Each term has the high bit of a byte set where it matches. A borrow can add matches only
        // above a true one, and the lowest is what counts.
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let found = ((quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word))
            & HIGHS;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(&byte) = text.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}
