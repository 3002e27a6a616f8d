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

impl From<ScanError> for crate::DecodeError {
    fn from(error: ScanError) -> Self {
        match error {
            Invalid => Self::InvalidPayload,
            TooDeep => Self::TooDeep,
        }
    }
}

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
    let scan = scan_first(text, max_depth)?;
    if skip_space(text, scan.value.end) != text.len() {
        return Err(Invalid);
    }
    Ok(scan)
}

/// As [`scan`], whatever is behind the value.
#[inline]
pub(crate) fn scan_first(text: &[u8], max_depth: usize) -> Result<Scan, ScanError> {
    let start = skip_space(text, 0);
    let first_byte = *text.get(start).ok_or(Invalid)?;
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
        match *text.get(at).ok_or(Invalid)? {
            b'"' => at = skip_string(text, at).ok_or(Invalid)?,
            b'{' => {
                open.push(true)?;
                at = skip_space(text, at + 1);
                if text.get(at) != Some(&b'}') {
                    at = skip_key(text, at).ok_or(Invalid)?;
                    continue 'value;
                }
                open.pop();
                at += 1;
            }
            b'[' => {
                open.push(false)?;
                at = skip_space(text, at + 1);
                if text.get(at) != Some(&b']') {
                    if open.depth == 1 {
                        len = 1;
                        first.start = at;
                    }
                    continue 'value;
                }
                open.pop();
                at += 1;
            }
            b'-' | b'0'..=b'9' => at = skip_number(text, at).ok_or(Invalid)?,
            b't' => at = skip_word(text, at, b"true").ok_or(Invalid)?,
            b'f' => at = skip_word(text, at, b"false").ok_or(Invalid)?,
            b'n' => at = skip_word(text, at, b"null").ok_or(Invalid)?,
            _ => return Err(Invalid),
        }
        // Here a value has ended.
        while open.depth > 0 {
            let end = at;
            at = skip_space(text, at);
            let next = *text.get(at).ok_or(Invalid)?;
            if open.in_object() {
                match next {
                    b',' => {
                        at = skip_key(text, skip_space(text, at + 1)).ok_or(Invalid)?;
                        continue 'value;
                    }
                    b'}' => {}
                    _ => return Err(Invalid),
                }
            } else {
                // A list at depth 1 is the whole text.
                if open.depth == 1 && len == 1 {
                    first.end = end;
                }
                match next {
                    b',' => {
                        at = skip_space(text, at + 1);
                        if open.depth == 1 {
                            len += 1;
                            if len == 2 {
                                rest = at;
                            }
                        }
                        continue 'value;
                    }
                    b']' => {}
                    _ => return Err(Invalid),
                }
            }
            open.pop();
            at += 1;
        }
        break;
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

#[inline(always)]
pub(crate) fn skip_space(text: &[u8], at: usize) -> usize {
    // Encoders write none, as a rule.
    match text.get(at) {
        Some(..=b' ') => skip_some_space(text, at),
        _ => at,
    }
}

#[cold]
fn skip_some_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

// The functions below return where what they skip ends, or nothing if it is not what it should be.

/// A key and its colon, and the space behind it.
#[inline]
fn skip_key(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let at = skip_space(text, skip_string(text, at)?);
    if text.get(at) != Some(&b':') {
        return None;
    }
    Some(skip_space(text, at + 1))
}

/// A string whose quote is at `at`.
#[inline]
pub(crate) fn skip_string(text: &[u8], at: usize) -> Option<usize> {
    let at = find_special(text, at + 1);
    match text.get(at) {
        Some(b'"') => Some(at + 1),
        _ => skip_escapes(text, at),
    }
}

/// The rest of a string, from a byte that is not its closing quote.
#[cold]
fn skip_escapes(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match text.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' => {
                    let hex = text.get(at + 2..at + 6)?;
                    if !hex.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    at += 6;
                }
                _ => return None,
            },
            _ => return None, // a control character
        }
        at = find_special(text, at);
    }
}

#[inline]
pub(crate) fn skip_number(text: &[u8], mut at: usize) -> Option<usize> {
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    match text.get(at)? {
        b'0' => at += 1,
        b'1'..=b'9' => at = skip_digits(text, at),
        _ => return None,
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
    Some(at)
}

#[inline]
fn skip_digits(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

fn some_digits(text: &[u8], at: usize) -> Option<usize> {
    let end = skip_digits(text, at);
    (end > at).then_some(end)
}

#[inline]
fn skip_word<const N: usize>(text: &[u8], at: usize, word: &[u8; N]) -> Option<usize> {
    let found = text.get(at..)?.first_chunk::<N>()?;
    (found == word).then_some(at + N)
}

/// The position of the next byte that means something in a string: a quote, a backslash or a
/// control character; or the end.
#[inline(always)]
pub(crate) fn find_special(text: &[u8], at: usize) -> usize {
    // Keys and names are short: most searches end here.
    match word_at(text, at) {
        Some(word) => match special_in_word(word) {
            Some(offset) => at + offset,
            None => find_special_far(text, at + 8),
        },
        None => find_special_near_end(text, at),
    }
}

/// As [`find_special`], when the eight bytes in front of `at` are none.
#[inline(never)]
fn find_special_far(text: &[u8], mut at: usize) -> usize {
    // A name or a short sentence ends before a larger step would pay.
    for _ in 0..2 {
        let Some(word) = word_at(text, at) else { break };
        if let Some(offset) = special_in_word(word) {
            return at + offset;
        }
        at += 8;
    }
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk) {
        if has_special(chunk) {
            break;
        }
        at += CHUNK;
    }
    while let Some(word) = word_at(text, at) {
        if let Some(offset) = special_in_word(word) {
            return at + offset;
        }
        at += 8;
    }
    // The last word, of which a part was looked at before.
    let last = text.len() - 8;
    let offset = word_at(text, last).and_then(special_in_word);
    last + offset.unwrap_or(8)
}

/// As [`find_special`], when fewer than eight bytes are left.
#[inline]
fn find_special_near_end(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|&byte| !is_special(byte)) {
        at += 1;
    }
    at
}

/// How many bytes of a long string are looked at in one step.
const CHUNK: usize = 64;

/// No branch for each byte: the compiler looks at many at once.
fn has_special(chunk: &[u8; CHUNK]) -> bool {
    chunk
        .iter()
        .fold(false, |found, &byte| found | is_special(byte))
}

fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// The eight bytes at `at`, if there are as many.
#[inline]
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..)?
        .first_chunk()
        .map(|chunk| u64::from_le_bytes(*chunk))
}

/// The position of the first special byte among eight.
#[inline]
fn special_in_word(word: u64) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    // Each term has the high bit of a byte set where it matches. A borrow can add matches only
    // above a true one, and the lowest is what counts.
    let quote = word ^ (ONES * u64::from(b'"'));
    let backslash = word ^ (ONES * u64::from(b'\\'));
    let found = ((quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (word.wrapping_sub(ONES * 0x20) & !word))
        & HIGHS;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_bytes_are_found_at_every_place_of_texts_of_every_length() {
        for len in 0..200 {
            let mut text = vec![b'x'; len];
            for start in 0..=len {
                assert_eq!(find_special(&text, start), len, "{len} from {start}");
            }
            for at in 0..len {
                for special in [b'"', b'\\', 0, 0x1f] {
                    text[at] = special;
                    // A second one behind it must not be taken for the first.
                    let second = (at + 3).min(len - 1);
                    let before = std::mem::replace(&mut text[second], b'"');
                    assert_eq!(find_special(&text, 0), at, "{special} of {len}");
                    assert_eq!(find_special(&text, at), at);
                    text[second] = before;
                }
                text[at] = [b'!', b'#', b'[', b']', 0x20, 0x7f, 0x80, 0xa2, 0xdc, 0xff][at % 10];
            }
        }
    }
}
