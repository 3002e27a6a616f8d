//! Dates: what MessagePack has for them, and the text that `JSON.stringify` makes of a date.

use crate::Value;

const DAY: i64 = 86_400_000;

/// The farthest from 1970 that a JavaScript date can be.
const MAX_MILLIS: i64 = 8_640_000_000_000_000;

/// Milliseconds since 1970 as `2024-05-30T01:53:04.000Z`, or null for what is no date.
pub(crate) fn iso_text(millis: i64) -> Value {
    if !(-MAX_MILLIS..=MAX_MILLIS).contains(&millis) {
        return Value::Null;
    }
    let (year, month, day) = civil(millis.div_euclid(DAY));
    let time = millis.rem_euclid(DAY);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        ..0 => format!("-{:06}", -year),
        _ => format!("+{year:06}"),
    };
    let text = format!(
        "{year}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        time / 3_600_000,
        time / 60_000 % 60,
        time / 1000 % 60,
        time % 1000
    );
    text.into()
}

/// The milliseconds that the data of MessagePack's timestamp, extension -1, stands for; `None` if it is
/// none of its three forms, or too far away.
pub(crate) fn timestamp(data: &[u8]) -> Option<i64> {
    let (seconds, nanos) = match *data {
        [a, b, c, d] => (u32::from_be_bytes([a, b, c, d]).into(), 0),
        [_, _, _, _, _, _, _, _] => {
            let both = u64::from_be_bytes(data.try_into().ok()?);
            ((both & 0x3_ffff_ffff) as i64, (both >> 34) as u32)
        }
        _ => {
            let (nanos, seconds) = data.split_first_chunk()?;
            let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
            (seconds, u32::from_be_bytes(*nanos))
        }
    };
    let millis = i64::from(nanos / 1_000_000);
    seconds.checked_mul(1000)?.checked_add(millis)
}

/// Appends a timestamp, in the shortest of its forms.
pub(crate) fn write_timestamp(out: &mut Vec<u8>, millis: i64) {
    let seconds = millis.div_euclid(1000);
    let nanos = (millis.rem_euclid(1000) * 1_000_000) as u32;
    match (u32::try_from(seconds), nanos) {
        (Ok(seconds), 0) => {
            out.extend_from_slice(&[0xd6, 0xff]);
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        _ if (0..1 << 34).contains(&seconds) => {
            out.extend_from_slice(&[0xd7, 0xff]);
            let both = u64::from(nanos) << 34 | seconds as u64;
            out.extend_from_slice(&both.to_be_bytes());
        }
        _ => {
            out.extend_from_slice(&[0xc7, 12, 0xff]);
            out.extend_from_slice(&nanos.to_be_bytes());
            out.extend_from_slice(&seconds.to_be_bytes());
        }
    }
}

/// Appends a date as notepack.io 2 writes it.
pub(crate) fn write_old_date(out: &mut Vec<u8>, millis: i64) {
    out.extend_from_slice(&[0xd7, 0]);
    out.extend_from_slice(&millis.to_be_bytes());
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Years are taken
/// to start in March, so that the leap day is the last of a year, and in cycles of 400 years.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // since 0000-03-01
    let cycle = days.div_euclid(146_097);
    let day_of_cycle = days.rem_euclid(146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = cycle * 400 + year_of_cycle + i64::from(month <= 2);
    (year, month, day)
}
