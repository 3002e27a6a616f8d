//! Values with a unit, as people write them.

use std::str::FromStr;
use std::time::Duration;

/// `250ms`, `25s`, `2m`, `1h`. A bare number is refused: the reference counts in milliseconds, most
/// commands in seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a number and ms, s, m or h, such as 25s".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "write a whole number and a unit, such as 25s")?;
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(|| "that is too long".into())
}

/// `1000000`, `64KiB`, `8MiB`, `1MB`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = split(text);
    let factor: usize = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => {
            return Err(
                "write a number of bytes, or one with kB, MB, KiB or MiB, such as 8MiB".into(),
            );
        }
    };
    let number: usize = number
        .parse()
        .map_err(|_| "write a whole number of bytes, such as 1000000 or 8MiB")?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "that is too many".into())
}

/// A value, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<usize>);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        limit(text, |text| {
            text.parse()
                .map_err(|_| "write a whole number, or `none` for no limit".into())
        })
    }
}

/// A number of bytes, or `none`.
pub(crate) fn limit_of_bytes(text: &str) -> Result<Limit, String> {
    limit(text, |text| {
        bytes(text).map_err(|error| format!("{error}, or `none` for no limit"))
    })
}

fn limit(text: &str, value: impl Fn(&str) -> Result<usize, String>) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => value(text).map(|value| Limit(Some(value))),
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("25 s"), Ok(Duration::from_secs(25)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for wrong in [
            "25",
            "s",
            "-1s",
            "1.5s",
            "1 day",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_may_have_a_unit() {
        assert_eq!(bytes("1000000"), Ok(1_000_000));
        assert_eq!(bytes("1MB"), Ok(1_000_000));
        assert_eq!(bytes("8 MiB"), Ok(8 << 20));
        for wrong in [
            "",
            "x",
            "8 MIB",
            "-1",
            "99999999999999999999",
            "18446744073709551615KiB",
        ] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_may_be_none() {
        assert_eq!("none".parse(), Ok(Limit(None)));
        assert_eq!("7".parse(), Ok(Limit(Some(7))));
        assert_eq!(limit_of_bytes("8MiB"), Ok(Limit(Some(8 << 20))));
        assert!("seven".parse::<Limit>().is_err());
    }
}
