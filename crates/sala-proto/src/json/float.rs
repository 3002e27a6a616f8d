//! Numbers as JavaScript prints them.

/// Appends a float as `JSON.stringify` does: `1` for 1.0, `1e+21`, `1e-7`, `0` for -0, `null` for
/// what is no number.
pub(crate) fn write_f64(out: &mut Vec<u8>, n: f64) {
    // Up to 2^53 a whole number is its integer digits.
    let whole = n as i64;
    if whole as f64 == n && whole.unsigned_abs() <= 1 << 53 {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(whole).as_bytes());
        return;
    }
    let from = out.len();
    // The shortest digits that read back as the same float, or `null`. A vector takes any bytes,
    // and a float is always serializable.
    let _ = serde_json::to_writer(&mut *out, &n);
    javascript_form(out, from);
}

/// As [`write_f64`], with the fewest digits that tell single-precision numbers apart.
pub(crate) fn write_f32(out: &mut Vec<u8>, n: f32) {
    let whole = n as i32;
    if whole as f32 == n && whole.unsigned_abs() <= 1 << 24 {
        return write_f64(out, f64::from(n));
    }
    let from = out.len();
    let _ = serde_json::to_writer(&mut *out, &n); // cannot fail, as above
    javascript_form(out, from);
}

/// Rewrites the number at `out[from..]`, which has the shortest digits, in JavaScript's layout:
/// plain from 1e-6 up to 1e21, with an exponent beyond.
fn javascript_form(out: &mut Vec<u8>, from: usize) {
    let text = &out[from..];
    // Most numbers have one layout only: no exponent, and none needed. It is also that of `null`.
    if !text.contains(&b'e') && !text.ends_with(b".0") {
        return;
    }
    let negative = text[0] == b'-';
    let mut digits = [0; 32];
    let mut len = 0; // digits without leading zeros
    let mut point = 0; // where the decimal point is, counted from the first digit
    let mut seen_point = false;
    let mut exponent = 0;
    let mut rest = text[usize::from(negative)..].iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'.' => seen_point = true,
            b'e' => exponent = parse_exponent(rest.as_slice()),
            b'0' if len == 0 => point -= i32::from(seen_point),
            b'0'..=b'9' => {
                if len < digits.len() {
                    digits[len] = byte;
                    len += 1;
                }
                point += i32::from(!seen_point);
            }
            _ => {} // the sign and digits of the exponent
        }
        if byte == b'e' {
            break;
        }
    }
    while len > 1 && digits[len - 1] == b'0' {
        len -= 1;
    }
    let point = point + exponent;
    out.truncate(from);
    if negative {
        out.push(b'-');
    }
    layout(out, &digits[..len], point);
}

fn parse_exponent(text: &[u8]) -> i32 {
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse().unwrap_or_default()
}

/// The rules of `Number.prototype.toString` for the digits `d` and the decimal point behind the
/// first `point` of them.
fn layout(out: &mut Vec<u8>, d: &[u8], point: i32) {
    let len = d.len() as i32;
    match point {
        1..=21 if point >= len => {
            out.extend_from_slice(d);
            out.resize(out.len() + (point - len) as usize, b'0');
        }
        1..=21 => {
            out.extend_from_slice(&d[..point as usize]);
            out.push(b'.');
            out.extend_from_slice(&d[point as usize..]);
        }
        -5..=0 => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + -point as usize, b'0');
            out.extend_from_slice(d);
        }
        _ => {
            out.push(d[0]);
            if len > 1 {
                out.push(b'.');
                out.extend_from_slice(&d[1..]);
            }
            out.extend_from_slice(if point > 0 { b"e+" } else { b"e-" });
            let mut digits = itoa::Buffer::new();
            out.extend_from_slice(digits.format((point - 1).unsigned_abs()).as_bytes());
        }
    }
}
