//! Numbers as people read them.

use std::time::Duration;

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12.3 ms`: three digits and a unit.
pub(super) fn span(span: Duration) -> String {
    let nanos = span.as_nanos() as f64;
    match nanos {
        nanos if nanos < 1e6 => three(nanos / 1e3, "µs"),
        nanos if nanos < 1e9 => three(nanos / 1e6, "ms"),
        nanos => three(nanos / 1e9, "s"),
    }
}

/// `4.20 KiB`.
pub(super) fn size(bytes: f64) -> String {
    let size = bytes.abs();
    match size {
        size if size < 1024.0 => format!("{bytes:.0} B"),
        size if size < 1024.0 * 1024.0 => three(bytes / 1024.0, "KiB"),
        size if size < 1024.0 * 1024.0 * 1024.0 => three(bytes / 1_048_576.0, "MiB"),
        _ => three(bytes / 1_073_741_824.0, "GiB"),
    }
}

fn three(number: f64, unit: &str) -> String {
    match number.abs() {
        size if size < 9.995 => format!("{number:.2} {unit}"),
        size if size < 99.95 => format!("{number:.1} {unit}"),
        _ => format!("{number:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(span(Duration::from_nanos(1234)), "1.23 µs");
        assert_eq!(span(Duration::from_micros(45_600)), "45.6 ms");
        assert_eq!(span(Duration::from_millis(9996)), "10.0 s");
        assert_eq!(span(Duration::from_secs(123)), "123 s");
        assert_eq!(size(512.0), "512 B");
        assert_eq!(size(4300.0), "4.20 KiB");
        assert_eq!(size(-1_572_864.0), "-1.50 MiB");
        assert_eq!(size(3.5 * 1_073_741_824.0), "3.50 GiB");
    }
}
