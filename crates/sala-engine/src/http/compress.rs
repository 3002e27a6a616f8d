//! Compression of HTTP replies: which encoding a client wants, and the encoding itself.

use std::io::Write;

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use http::{HeaderMap, HeaderValue, header::ACCEPT_ENCODING};

#[cfg(test)]
mod tests;

/// How a polling reply is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `gzip`.
    Gzip,
    /// `deflate`, which in HTTP is the zlib format.
    Deflate,
}

impl Encoding {
    /// The encoding a client prefers for a polling reply, if it accepts any.
    ///
    /// ```
    /// use http::{HeaderMap, HeaderValue, header::ACCEPT_ENCODING};
    /// use sala_engine::http::Encoding;
    ///
    /// let mut headers = HeaderMap::new();
    /// assert_eq!(Encoding::negotiate(&headers), None);
    /// headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("br, gzip;q=0.5, deflate;q=0.8"));
    /// assert_eq!(Encoding::negotiate(&headers), Some(Encoding::Deflate));
    /// ```
    #[must_use]
    pub fn negotiate(headers: &HeaderMap) -> Option<Self> {
        match preferred(headers, ["gzip", "deflate"])? {
            0 => Some(Self::Gzip),
            _ => Some(Self::Deflate),
        }
    }

    /// The value of `Content-Encoding`.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        })
    }
}

/// Compresses a reply at the usual level (6), as Node.js does. It takes CPU time in proportion to
/// the input and is not interruptible.
#[must_use]
pub fn encode(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    let out = Vec::with_capacity(bytes.len() / 2);
    match encoding {
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(out, Compression::default());
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
        Encoding::Deflate => {
            let mut encoder = ZlibEncoder::new(out, Compression::default());
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
    }
    .expect("compressing into memory does not fail")
}

/// Which of the offered encodings a client prefers by its `Accept-Encoding`: the index, or none.
///
/// As the reference does: the highest `q` wins, then a coding named over one that only `*` covers,
/// then the client's order, then that of the offer. `q=0` refuses, a `q` that is no number too;
/// entries that do not parse are skipped. `identity` is never preferred to an acceptable offer. The
/// time is linear in the length of the header.
#[must_use]
pub fn preferred<const N: usize>(headers: &HeaderMap, offer: [&str; N]) -> Option<usize> {
    let mut best: [Option<Match>; N] = [None; N];
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let entries = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    for (order, (coding, quality)) in entries.filter_map(parse_entry).enumerate() {
        for (name, best) in offer.iter().zip(&mut best) {
            let named = coding.eq_ignore_ascii_case(name.as_bytes());
            if !named && coding != b"*" {
                continue;
            }
            let found = Match {
                named,
                quality,
                order,
            };
            if best.is_none_or(|best| found.describes_better_than(best)) {
                *best = Some(found);
            }
        }
    }
    let acceptable = best.iter().enumerate().filter_map(|(index, found)| {
        let found = found.filter(|found| found.quality > 0.0)?;
        Some((index, found))
    });
    // A later one wins only if it is strictly preferred: the order of the offer comes last.
    acceptable
        .reduce(|a, b| if b.1.is_preferred_to(a.1) { b } else { a })
        .map(|(index, _)| index)
}

/// What an `Accept-Encoding` says of one offered encoding.
#[derive(Clone, Copy)]
struct Match {
    /// Named, rather than covered by `*`.
    named: bool,
    quality: f64,
    /// The place of the entry in the header.
    order: usize,
}

impl Match {
    /// Of two entries about the same encoding, a named one counts, then the higher quality.
    fn describes_better_than(self, other: Self) -> bool {
        (self.named, self.quality) >= (other.named, other.quality)
    }

    fn is_preferred_to(self, other: Self) -> bool {
        if self.quality != other.quality {
            return self.quality > other.quality;
        }
        if self.named != other.named {
            return self.named;
        }
        self.order < other.order
    }
}

/// `gzip;q=0.5` → the coding and its quality; none if there is no coding or a space inside it.
fn parse_entry(entry: &[u8]) -> Option<(&[u8], f64)> {
    let mut parts = entry.split(|&byte| byte == b';');
    let coding = parts.next()?.trim_ascii();
    if coding.is_empty() || coding.iter().any(u8::is_ascii_whitespace) {
        return None;
    }
    let quality = parts.find_map(|parameter| {
        let mut pair = parameter.trim_ascii().split(|&byte| byte == b'=');
        (pair.next()? == b"q").then(|| parse_quality(pair.next().unwrap_or_default()))
    });
    Some((coding, quality.unwrap_or(1.0)))
}

/// The decimal number that the text begins with, 0 if with none. What follows it is ignored.
fn parse_quality(text: &[u8]) -> f64 {
    let text = text.trim_ascii_start();
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let mut point = false;
    let number = text[sign..].iter().take_while(|byte| {
        byte.is_ascii_digit() || (**byte == b'.' && !std::mem::replace(&mut point, true))
    });
    let length = sign + number.count();
    let number = std::str::from_utf8(&text[..length])
        .ok()
        .and_then(|text| text.parse().ok());
    number.unwrap_or(0.0)
}
