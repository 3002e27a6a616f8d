//! Offsets of the in-memory log: numbers written with 64 digits, most significant first.

use crate::recovery::Offset;
use crate::text::ALPHABET;

/// Digits of the largest number.
const MAX_DIGITS: usize = 11;

/// Value of each digit; 64 for bytes that are none.
const VALUES: [u8; 256] = {
    let mut values = [64; 256];
    let mut digit = 0;
    while digit < 64 {
        values[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// Writes a number without leading zeros. Milliseconds since 1970 take 7 characters until 2109.
pub(super) fn encode(mut number: u64) -> Offset {
    let mut text = [0; MAX_DIGITS];
    let mut start = MAX_DIGITS;
    loop {
        start -= 1;
        text[start] = ALPHABET[(number & 63) as usize];
        number >>= 6;
        if number == 0 {
            break;
        }
    }
    Offset::from(std::str::from_utf8(&text[start..]).expect("the alphabet is ASCII"))
}

/// Reads what [`encode`] writes, nothing else.
pub(super) fn decode(text: &str) -> Option<u64> {
    let digits = text.as_bytes();
    let leading_zero = digits.len() > 1 && digits[0] == ALPHABET[0];
    if digits.is_empty() || digits.len() > MAX_DIGITS || leading_zero {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let value = VALUES[usize::from(digit)];
        let shifted = number.checked_mul(64)?;
        (value < 64).then_some(shifted | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_round_trip() {
        let mut number = 1_u64;
        for step in 0..10_000_u64 {
            assert_eq!(decode(encode(number).as_str()), Some(number));
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(step)
                >> (step % 60);
        }
        for number in [0, 63, 64, u64::MAX] {
            assert_eq!(decode(encode(number).as_str()), Some(number));
        }
    }

    #[test]
    fn the_time_takes_seven_characters_of_the_known_alphabet() {
        assert_eq!(encode(1_700_000_000_000), "OlFvMW0");
        // An offset that the reference gave out.
        assert_eq!(decode("Q7xUNJ2"), Some(1_795_220_403_394));
        assert_eq!(encode(0), "0");
        assert_eq!(encode(63), "_");
        assert_eq!(encode(64), "10");
    }

    #[test]
    fn text_that_is_no_offset_is_refused() {
        for text in [
            "",
            "00",
            "0a",
            "a.0",
            "é",
            "a b",
            "____________",
            "__________________",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
        // One more than the largest number.
        assert_eq!(decode("G0000000000"), None);
    }
}
